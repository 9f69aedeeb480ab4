"""What an answer's text tells: hard checks, sums that do not add up, and features that are always numbers."""

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.routes.answer_checks import Arithmetic, Failure, check_arithmetic, find_failure
from proxy.core.routes.answer_features import ANSWER_FEATURES, LOGPROB_FEATURES, describe_answer, describe_logprobs
from proxy.core.routes.text_features import describe


@pytest.mark.parametrize(
    ("text", "finish", "options", "expected"),
    [
        ("Paris.", "stop", {}, None),
        ("", "stop", {}, Failure.EMPTY),
        ("Par", "length", {}, Failure.CUT_OFF),
        ("", "content_filter", {}, Failure.FILTERED),
        ("I'm sorry, but I can't help with that.", "stop", {}, Failure.REFUSED),
        ('{"a": 1}', "stop", {"wants_json": True}, None),
        ('```json\n{"a": 1}\n```', "stop", {"wants_json": True}, None),
        ("{a: 1}", "stop", {"wants_json": True}, Failure.NOT_JSON),
        ('{"a": 1}', "stop", {"wants_json": True, "breaks_schema": True}, Failure.BREAKS_SCHEMA),
        ("[" * 100_000, "stop", {"wants_json": True}, Failure.NOT_JSON),
        ("", "tool_calls", {"tool_arguments": ('{"city": "Oslo"}',)}, None),
        ("", "tool_calls", {"tool_arguments": ('{"city": ',)}, Failure.BAD_TOOL_CALL),
        ("", "tool_calls", {"tool_arguments": ("[1]",)}, Failure.BAD_TOOL_CALL),
        ("", "tool_calls", {"tool_arguments": ('{"a": 1}',), "breaks_schema": True}, Failure.BAD_TOOL_CALL),
    ],
)
def test_hard_checks(text: str, finish: str, options: dict[str, object], expected: Failure | None) -> None:
    assert find_failure(text, finish, **options) is expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("16 - 3 - 4 = 9 and 9 * $2 = $18", (2, 0)),
        ("16 - 3 - 4 = 8", (1, 1)),
        ("2 + 3 * 4 = 14", (1, 0)),
        ("1,200 / 3 = 400.00", (1, 0)),
        ("25% * 80 = 20", (1, 0)),
        ("10 / 3 = 3.33", (1, 0)),
        ("1 / 4 = 25%", (1, 0)),
        ("5 / 0 = 0", (0, 0)),
        ("x = 5", (0, 0)),
        ("<<3*4=12>>12", (1, 0)),
    ],
)
def test_sums_are_recomputed(text: str, expected: tuple[int, int]) -> None:
    assert check_arithmetic(text) == Arithmetic(*expected)


@given(st.text(max_size=200), st.text(max_size=200))
def test_every_answer_has_finite_features(question: str, answer: str) -> None:
    features = describe_answer(question, answer)
    assert len(features) == ANSWER_FEATURES
    assert all(math.isfinite(feature) for feature in features)


def test_a_wrong_sum_is_a_feature() -> None:
    right, wrong = (describe_answer("How much?", f"2 * 3 = {said}") for said in (6, 7))
    assert (right[7], wrong[7]) == (0.0, 1.0)


def test_probabilities_that_cannot_be_are_left_out() -> None:
    assert describe_logprobs([-1.0, None, math.nan, -math.inf, 0.5, -3.0]) == pytest.approx(
        [-2.0, -3.0, -3.0, -3.0, -1.0, math.log(3)]
    )
    assert describe_logprobs([]) is None
    assert describe_logprobs([math.nan, None]) is None
    assert len(describe_logprobs([-0.1]) or []) == LOGPROB_FEATURES


def test_a_number_of_any_length_is_a_feature_of_finite_size() -> None:
    for digits in (29, 30, 400):
        features = describe_answer("How many?", f"The answer is {'9' * digits}.")
        assert len(features) == ANSWER_FEATURES
        assert all(math.isfinite(feature) for feature in features)


#: texts on which a pattern that gives back what it took would think for minutes
HOSTILE = {
    "digits": "9" * 20_000,
    "terms": "1 - 1 + " * 2_500,
    "times": "1 times " * 2_500,
    "empty lines": "\n" * 20_000,
    "spaces": " " * 20_000,
    "twelve long numbers": ("12345678 * " * 12) * 150,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_keeps_a_process_from_its_other_calls(name: str) -> None:
    began = time.thread_time_ns()
    describe_answer("How many?", HOSTILE[name])
    describe(HOSTILE[name])
    assert time.thread_time_ns() - began < 2 * 10**9


def test_sums_are_found_where_numbers_stand_close() -> None:
    text = "3 * $1.50 = $4.50, then 1,200 / 4 = 300; (2 + 2) x, 1--1=2, 25% * 200 = 49 and 12 times 12 = 144."
    assert check_arithmetic(text) == Arithmetic(5, 1)
