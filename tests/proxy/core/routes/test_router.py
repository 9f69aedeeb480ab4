"""The router's decision, from values alone."""

import itertools
import math
from collections import Counter
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.routes import heuristic, text_features
from proxy.core.routes.heuristic import Complexity
from proxy.core.routes.router import Router, predict, solve_threshold, wants_strong
from proxy.core.routes.text_features import FEATURES, PLACES, describe, hash_words

WORDS = np.zeros(PLACES)
WORDS[hash_words("integral")[0][0]] = 0.5
ROUTER = Router(
    task_gains={"maths": 0.3},
    means=np.zeros(FEATURES),
    scales=np.ones(FEATURES),
    feature_weights=np.zeros(FEATURES),
    word_weights=WORDS,
    vector_weights=np.array([1.0, 0.0]),
)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("What is AI?", Complexity.SIMPLE),
        ("Explain AI", Complexity.MEDIUM),
        ("write a poem", Complexity.COMPLEX),
        ("word " * 50, Complexity.MEDIUM),
        ("word " * 101, Complexity.COMPLEX),
        ("", Complexity.SIMPLE),
    ],
)
def test_the_first_router_knows_lengths_and_a_few_words(prompt: str, expected: Complexity) -> None:
    assert heuristic.classify(prompt) is expected


def test_the_longer_prompt_is_the_harder_one_within_a_class() -> None:
    assert heuristic.rate("a") < heuristic.rate("a b c") < heuristic.rate("explain") < heuristic.rate("create")


@given(st.text(max_size=300))
def test_every_prompt_has_finite_features(prompt: str) -> None:
    features = describe(prompt)
    assert len(features) == FEATURES
    assert all(math.isfinite(feature) for feature in features)
    places, weights = hash_words(prompt)
    assert all(0 <= place < PLACES for place in places)
    assert not places or math.isclose(sum(weight * weight for weight in weights), 1)


PIECES = st.sampled_from(
    "what What's how why not NOT can't n't no_one def class return SELECT select print( f(x) ; } -> == sqrt log 3.14 a=b"
    " \\\\alpha <b> ``` _ ' \u2019 é naïve\n - 1) [2 ½ \ud83d the the".split(" ")
)


@given(st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=30).map(" ".join))
def test_words_tell_what_the_patterns_would(prompt: str) -> None:
    """Routers were trained on what patterns count: the short way must give the very same numbers."""
    text = prompt[: text_features.MOST_CHARACTERS]
    patterns = (text_features._CODE, text_features._MATHS, text_features._QUESTION, text_features._NEGATION)
    counted = [math.log1p(len(pattern.findall(text))) for pattern in patterns]
    found = describe(prompt)
    assert [found[9], found[10], found[12], found[13]] == counted


@given(st.lists(st.one_of(PIECES, st.sampled_from(["a", "b"])), max_size=40).map(" ".join))
def test_words_that_stand_often_weigh_the_logarithm_of_it(prompt: str) -> None:
    words = text_features.read_words(prompt)
    often = Counter([*words, *(f"{left} {right}" for left, right in itertools.pairwise(words))])
    expected = Counter[int]()
    for term, times in often.items():
        expected[crc32(term.encode("utf-8", "replace")) % PLACES] += 1 + math.log(times)  # type: ignore[assignment]
    length = math.sqrt(sum(value * value for value in expected.values())) or 1.0
    places, weights = hash_words(prompt)
    assert dict(zip(places, weights, strict=True)) == pytest.approx({p: v / length for p, v in expected.items()})


def test_a_gain_says_what_it_is_made_of() -> None:
    gain = predict(ROUTER, "integral", "maths", np.array([0.1, 7.0], np.float32))
    assert gain is not None
    assert (gain.of_task, gain.of_form, gain.of_words) == (0.3, 0.0, 0.5)
    assert gain.of_meaning == pytest.approx(0.1)
    assert gain.value == pytest.approx(0.9)


def test_a_task_that_was_not_learned_has_no_gain() -> None:
    assert predict(ROUTER, "integral", "law") is None


def test_the_dearer_call_must_be_worth_its_price() -> None:
    assert wants_strong(0.2, 1_000, 3_000, 10_001)
    assert not wants_strong(0.2, 1_000, 3_000, 10_000)
    assert not wants_strong(-0.1, 1_000, 3_000, 10**12)


def test_the_threshold_keeps_the_quality_that_was_asked_for() -> None:
    gains, differences = np.array([0.9, 0.5, 0.1, 0.0]), np.array([1.0, 1.0, 0.0, -1.0])
    assert solve_threshold(gains, differences, 1.0) == 0.9
    assert solve_threshold(gains, differences, 2.0) == 0.5
    assert solve_threshold(gains, differences, 9.0) == -math.inf
