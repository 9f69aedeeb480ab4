"""What an answer says of itself: usage in disjoint classes, texts, ends, errors."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.types import Certainty, Usage
from proxy.upstreams.openai import (
    AnswerReader,
    NotAnAnswer,
    certainty_of,
    error_message,
    is_plausible,
    normalise_usage,
)

Json = dict[str, Any]

NO_COUNTS: list[Any] = [-1, 1.0, "5", True, [], {}, 50_000_001]
json_scalars = st.none() | st.booleans() | st.integers(-5, 2**40) | st.floats(allow_nan=False) | st.text(max_size=5)
json_values = st.recursive(
    json_scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
shares = st.lists(st.integers(0, 10**6), min_size=4, max_size=4)


def event(*choices: Json, **fields: Any) -> bytes:
    return orjson.dumps({"model": "small-2026", "choices": list(choices), **fields})


def delta(index: int = 0, finish_reason: str | None = None, **fields: Any) -> Json:
    return {"index": index, "delta": fields, "finish_reason": finish_reason}


def read_events(*events: bytes) -> AnswerReader:
    reader = AnswerReader()
    for one in events:
        reader.read_event(one)
    return reader


def read_answer(**fields: Any) -> AnswerReader:
    reader = AnswerReader()
    reader.read_answer(orjson.dumps(fields))
    return reader


# Usage


@given(shares, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_classes_are_disjoint_and_sum_to_what_was_reported(
    inputs: list[int], said: int, spoken: int, reasoned: int
) -> None:
    plain, cached, written, heard = inputs
    reported = {
        "prompt_tokens": sum(inputs),
        "completion_tokens": said + spoken,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written, "audio_tokens": heard},
        "completion_tokens_details": {"reasoning_tokens": reasoned, "audio_tokens": spoken},
    }
    usage = normalise_usage(reported)
    if sum(inputs) == 0:
        assert usage is None
    else:
        assert usage == Usage(plain, cached, written, said, min(reasoned, said + spoken), heard, spoken)


@given(st.dictionaries(st.sampled_from(["prompt_tokens", "completion_tokens"]), json_values))
def test_whatever_is_reported_the_classes_are_never_negative(reported: Json) -> None:
    usage = normalise_usage(reported | {"prompt_tokens_details": reported, "completion_tokens_details": reported})
    assert usage is None or min(usage.to_row().values()) > 0


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}, Usage(input=9, output=12)),
        # an embedding
        ({"prompt_tokens": 9, "total_tokens": 9}, Usage(input=9)),
        ({"prompt_tokens": 9, "completion_tokens": None}, Usage(input=9)),
        ({"prompt_tokens": 9, "completion_tokens": 0}, Usage(input=9)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": None}, Usage(input=9, output=1)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "completion_tokens_details": []}, Usage(input=9, output=1)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 9}}, Usage(cached_input=9)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": -4}}, Usage(input=9)),
        (
            {"prompt_tokens": 9, "completion_tokens": 12, "completion_tokens_details": {"reasoning_tokens": 20}},
            Usage(input=9, output=12, reasoning=12),
        ),
        ({"prompt_tokens": 50_000_000}, Usage(input=50_000_000)),
    ],
)
def test_known_reports(reported: Json, usage: Usage) -> None:
    assert normalise_usage(reported) == usage


@pytest.mark.parametrize(
    "reported",
    [
        {},
        {"completion_tokens": 12},
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        {"prompt_tokens": None, "completion_tokens": 12},
        *({"prompt_tokens": value, "completion_tokens": 12} for value in NO_COUNTS),
        *({"prompt_tokens": 9, "completion_tokens": value} for value in NO_COUNTS),
        {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 10}},
        {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 5}},
        {"prompt_tokens": 9, "completion_tokens": 1, "completion_tokens_details": {"audio_tokens": 2}},
    ],
)
def test_what_cannot_be_true_is_no_report(reported: Json) -> None:
    assert normalise_usage(reported) is None


@pytest.mark.parametrize(
    ("usage", "has_output", "plausible"),
    [
        (Usage(input=1), False, True),
        (Usage(input=1), True, False),
        (Usage(input=1, output=1), True, True),
        (Usage(input=1, audio_output=1), True, True),
        (Usage(input=1, output=1), False, True),
    ],
)
def test_text_without_output_tokens_is_not_plausible(usage: Usage, has_output: bool, plausible: bool) -> None:
    assert is_plausible(usage, has_output=has_output) is plausible


USAGE = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
NOTHING = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


@pytest.mark.parametrize(
    ("fields", "certainty"),
    [
        ({"usage": USAGE}, Certainty.EXACT),
        ({"usage": USAGE, "choices": [{"message": {"content": "Hi"}}]}, Certainty.EXACT),
        ({"usage": {"prompt_tokens": 9}, "choices": [{"message": {"content": "Hi"}}]}, Certainty.COUNTED),
        ({"usage": NOTHING}, Certainty.COUNTED),
        ({"usage": "none"}, Certainty.COUNTED),
        ({"usage": None}, Certainty.COUNTED),
        ({}, Certainty.COUNTED),
    ],
)
def test_certainty(fields: Json, certainty: Certainty) -> None:
    assert certainty_of(read_answer(**fields)) is certainty


# Whole answers


def test_a_whole_answer_is_read() -> None:
    reader = read_answer(
        model="small-2026",
        usage=USAGE,
        choices=[
            {"index": 0, "message": {"role": "assistant", "content": "Hi", "refusal": None}, "finish_reason": "stop"},
            {"index": 1, "message": {"content": None, "refusal": "No."}, "finish_reason": "length"},
        ],
    )
    assert (reader.model, reader.finish_reason, reader.usage) == ("small-2026", "length", Usage(input=9, output=12))
    assert reader.texts == ["Hi", "No."]
    assert reader.is_finished


def test_everything_that_was_produced_is_kept_for_counting() -> None:
    calls = [
        {"function": {"name": "look", "arguments": '{"up":1}'}},
        {"function": {"name": 5, "arguments": None}},
        {"function": "look"},
        "call",
    ]
    message = {
        "content": "a",
        "reasoning_content": "b",
        "reasoning": "c",
        "refusal": "d",
        "function_call": {"name": "e", "arguments": "f"},
        "tool_calls": calls,
    }
    texts = ["a", "b", "c", "d", "e", "f", "look", '{"up":1}']
    assert read_answer(choices=[{"message": message}]).texts == texts
    assert read_events(event({"index": 0, "delta": message})).texts == texts
    assert read_answer(choices=[{"text": "g"}]).texts == ["g"]
    assert read_events(event({"index": 0, "text": "g"})).texts == ["g"]


@pytest.mark.parametrize(
    "raw", [b"", b"<html>", b"[]", b'"text"', b"null", b"5", b'{"usage": NaN}', b'{"a": "\xff"}', b"[" * 5000]
)
def test_what_is_no_answer(raw: bytes) -> None:
    for read in (AnswerReader().read_answer, AnswerReader().read_event):
        with pytest.raises(NotAnAnswer):
            read(raw)


@pytest.mark.parametrize(
    ("error", "kept"),
    [({"message": "overloaded"}, {"message": "overloaded"}), ("overloaded", {"message": "overloaded"})],
)
def test_an_error_in_the_clothes_of_an_answer(error: Any, kept: Json) -> None:
    reader = AnswerReader()
    with pytest.raises(NotAnAnswer):
        reader.read_answer(orjson.dumps({"error": error, "usage": USAGE}))
    assert reader.error == kept
    assert reader.usage is None


@pytest.mark.parametrize("error", [None, {}, "", False])
def test_no_error_is_no_error(error: Any) -> None:
    assert read_answer(error=error, model="m").error is None


@given(st.dictionaries(st.sampled_from(["model", "usage", "choices"]), json_values))
def test_odd_answers_are_read_without_harm(answer: Json) -> None:
    for read in (AnswerReader().read_answer, AnswerReader().read_event):
        read(orjson.dumps(answer))


@given(st.dictionaries(st.sampled_from(["index", "delta", "message", "text", "finish_reason"]), json_values))
def test_odd_choices_are_read_without_harm(choice: Json) -> None:
    reader = AnswerReader()
    reader.read_answer(orjson.dumps({"choices": [choice]}))
    reader.read_event(orjson.dumps({"choices": [choice]}))
    assert len(reader.begun) == 1


# Streams


def test_a_stream_is_read_event_by_event() -> None:
    reader = AnswerReader()
    assert reader.read_event(event(delta(role="assistant", content=""))) is False
    assert (reader.begun, reader.ended, reader.is_finished) == ({0}, set(), False)
    assert reader.read_event(event(delta(content="Hi"))) is False
    assert reader.read_event(event(delta(content=" there"))) is False
    assert reader.read_event(event(delta(finish_reason="stop"))) is False
    assert reader.is_finished
    assert reader.read_event(event(usage=USAGE)) is True
    assert (reader.usage, reader.finish_reason) == (Usage(input=9, output=12), "stop")
    assert reader.texts == ["Hi", " there"]


def test_a_stream_is_finished_when_every_choice_is() -> None:
    reader = read_events(event(delta(0, content="a")), event(delta(1, content="b")), event(delta(0, "stop")))
    assert not reader.is_finished
    reader.read_event(event(delta(1, "length")))
    assert reader.is_finished


def test_a_stream_that_brought_nothing_is_not_finished() -> None:
    assert not AnswerReader().is_finished
    assert not read_events(event(usage=USAGE)).is_finished


@pytest.mark.parametrize(
    ("raw", "closing"),
    [
        (event(usage=USAGE), True),
        (event(usage=NOTHING), True),
        (event(usage=None), False),
        (event(), False),
        (event(delta(content="a"), usage=USAGE), False),
        (orjson.dumps({"usage": USAGE}), False),
        (orjson.dumps({"choices": None, "usage": USAGE}), False),
    ],
)
def test_the_closing_report_has_usage_and_no_choice(raw: bytes, closing: bool) -> None:
    assert AnswerReader().read_event(raw) is closing


def test_of_running_reports_the_last_counts() -> None:
    running = [event(delta(content="a"), usage={"prompt_tokens": 9, "completion_tokens": k}) for k in (1, 2, 3)]
    assert read_events(*running).usage == Usage(input=9, output=3)


def test_a_report_that_says_nothing_does_not_undo_one_that_did() -> None:
    assert read_events(event(usage=USAGE), event(usage=NOTHING), event(usage=None)).usage == Usage(input=9, output=12)


def test_the_first_name_of_the_model_stays_and_is_kept_short_and_clean() -> None:
    reader = read_events(event(model=""), event(model="a\0b" + "x" * 300), event(model="other"))
    assert reader.model == "ab" + "x" * 197
    assert read_events(event(model=5)).model == ""
    assert read_events(event(delta(finish_reason="s\0" * 200))).finish_reason == "s" * 100


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (
            b'{"error": {"message": "No.", "type": "t", "code": "c", "param": "model"}}',
            ("No.", "c", "model"),
        ),
        (b'{"error": {"message": "No.", "type": "t", "code": null, "param": null}}', ("No.", "t", None)),
        (b'{"error": {"message": null, "code": 5, "param": 5}}', ("", "", None)),
        (b'{"error": {"message": {"a": 1}}}', ("{'a': 1}", "", None)),
        (b'{"error": "No."}', ("No.", "", None)),
        (b'{"error": 5}', ("", "", None)),
        (b'{"detail": "No."}', ("", "", None)),
        (b'["error"]', ("", "", None)),
        (b"<html>", ("", "", None)),
        (b"", ("", "", None)),
    ],
)
def test_what_an_error_body_tells(raw: bytes, told: tuple[str, str, str | None]) -> None:
    assert error_message(raw) == told


def test_an_error_body_is_cut_to_a_readable_length() -> None:
    long = "x" * 5_000
    message, code, _ = error_message(orjson.dumps({"error": {"message": long, "code": "c\0" * 200}}))
    assert (message, code) == ("x" * 2_000, "c" * 100)
    assert error_message(orjson.dumps({"error": long}))[0] == "x" * 2_000


def test_reasoning_that_stands_beside_the_completion_is_output_too() -> None:
    """xAI's reports: the total tells that reasoning is not inside completion_tokens."""
    reported = {
        "prompt_tokens": 10_120,
        "completion_tokens": 1_499,
        "total_tokens": 14_428,
        "completion_tokens_details": {"reasoning_tokens": 2_809},
    }
    assert normalise_usage(reported) == Usage(input=10_120, output=4_308, reasoning=2_809)
    assert normalise_usage(reported | {"total_tokens": 11_619}) == Usage(input=10_120, output=1_499, reasoning=1_499)
