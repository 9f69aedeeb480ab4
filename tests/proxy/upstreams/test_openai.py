"""What an answer says of itself: usage in disjoint classes, texts, ends, errors."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstreams.openai import AnswerReader, normalise_usage
from proxy.values.attempt import Certainty, Usage
from proxy.values.vendor import NotAnAnswer, Refusal, Report

Json = dict[str, Any]

json_scalars = st.none() | st.booleans() | st.integers(-5, 2**40) | st.floats(allow_nan=False) | st.text(max_size=5)
json_values = st.recursive(
    json_scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


def event(*choices: Json, **fields: Any) -> bytes:
    return orjson.dumps({"model": "small-2026", "choices": list(choices), **fields})


def delta(index: int = 0, finish_reason: str | None = None, **fields: Any) -> Json:
    return {"index": index, "delta": fields, "finish_reason": finish_reason}


def read_event(reader: AnswerReader, data: bytes) -> bool:
    """Whether one event of a stream only reports usage."""
    return bool(reader.read_events([data]))


def read_events(*events: bytes) -> AnswerReader:
    reader = AnswerReader()
    for one in events:
        read_event(reader, one)
    return reader


def read_answer(**fields: Any) -> AnswerReader:
    reader = AnswerReader()
    reader.read_answer(orjson.dumps(fields))
    return reader


# Usage


USAGE = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
NOTHING = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


SAYS_HI: Json = {"message": {"content": "Hi"}}


@pytest.mark.parametrize(
    ("fields", "doubt"),
    [
        ({"usage": USAGE}, ""),
        ({"usage": USAGE, "choices": [SAYS_HI]}, ""),
        ({"usage": {"prompt_tokens": 9, "completion_tokens": 0}}, ""),
        ({"usage": {"prompt_tokens": 9}, "choices": [SAYS_HI]}, "no_output"),
        ({"usage": {"prompt_tokens": 9, "completion_tokens": 0}, "choices": [SAYS_HI]}, "no_output"),
        # a picture is output too, and so is what was thought and is not shown
        ({"usage": {"prompt_tokens": 9}, "choices": [{"message": {"images": [{"image_url": {"url": "u"}}]}}]}, "no_output"),
        ({"usage": {"completion_tokens": 9}, "choices": [SAYS_HI]}, "no_input"),
        ({"usage": USAGE | {"citation_tokens": 7}}, "unknown_class"),
        ({"usage": USAGE | {"total_tokens": 50}}, "total_disagrees"),
        ({"usage": NOTHING}, "no_report"),
        ({"usage": "none"}, "no_report"),
        ({"usage": None}, "no_report"),
        ({}, "no_report"),
    ],
)  # fmt: skip
def test_what_is_not_explained_is_not_exact(fields: Json, doubt: str) -> None:
    reader = read_answer(**fields)
    assert reader.doubt == doubt
    assert reader.certainty is (Certainty.COUNTED if doubt else Certainty.EXACT)


def test_geminis_thoughts_are_known_by_its_name() -> None:
    thinking = USAGE | {"total_tokens": 50}
    reader = read_answer(model="google/Gemini-3-pro", usage=thinking)
    assert reader.report == Report(Usage(input=9, output=41, reasoning=29))
    assert reader.certainty is Certainty.EXACT


def test_a_bill_is_believed_only_where_it_adds_up() -> None:
    assert normalise_usage(USAGE) == Usage(input=9, output=12)
    assert normalise_usage(USAGE | {"total_tokens": 50}) is None
    assert normalise_usage({"completion_tokens": 12}) is None
    assert normalise_usage(NOTHING) is None


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
    assert (reader.model, reader.finish_reason) == ("small-2026", "length")
    assert reader.report == Report(Usage(input=9, output=12))
    assert reader.texts == ["Hi", "No."]
    assert reader.is_finished


def test_everything_that_was_produced_is_kept_for_counting() -> None:
    message = {
        "content": [{"type": "text", "text": "a"}],
        "reasoning_content": "b",
        "tool_calls": [{"custom": {"input": "c"}}],
    }
    for reader in (read_answer(choices=[{"message": message}]), read_events(event({"index": 0, "delta": message}))):
        assert (reader.texts, reader.is_countable) == (["a", "b", "c"], True)
    assert read_answer(choices=[{"text": "g"}]).texts == ["g"]
    assert read_events(event({"index": 0, "text": "g"})).texts == ["g"]


@pytest.mark.parametrize("raw", [b"", b"<html>", b"[]", b'"text"', b"null", b"5", b'{"a": "\xff"}', b"[" * 5000])
def test_what_is_no_answer(raw: bytes) -> None:
    with pytest.raises(NotAnAnswer):
        AnswerReader().read_answer(raw)


def test_a_stream_in_the_place_of_an_answer_is_none_and_was_billed() -> None:
    reader = AnswerReader()
    with pytest.raises(NotAnAnswer):
        reader.read_answer(b"data: %b\n\ndata: %b\n\ndata: [DONE]" % (event(delta(content="Hi")), event(usage=USAGE)))
    assert (reader.texts, reader.report) == (["Hi"], Report(Usage(input=9, output=12)))


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        ({"error": {"message": "overloaded"}, "usage": USAGE}, Refusal("overloaded")),
        ({"error": "overloaded"}, Refusal("overloaded")),
        ([{"error": {"code": 429, "message": "slow"}}], Refusal("slow", "", None, 429)),
        ({"detail": "no such model"}, Refusal("no such model")),
    ],
)
def test_a_refusal_in_the_clothes_of_an_answer(answer: Any, refusal: Refusal) -> None:
    reader = AnswerReader()
    with pytest.raises(NotAnAnswer):
        reader.read_answer(orjson.dumps(answer))
    assert (reader.refusal, reader.report) == (refusal, None)
    reader = read_events(event(delta(content="Hi")), orjson.dumps(answer))
    assert (reader.refusal, reader.texts) == (refusal, ["Hi"])


@pytest.mark.parametrize("error", [None, {}, "", False])
def test_no_error_is_no_error(error: Any) -> None:
    assert read_answer(error=error, model="m").refusal is None


@given(st.dictionaries(st.sampled_from(["model", "usage", "choices"]), json_values))
def test_odd_answers_are_read_without_harm(answer: Json) -> None:
    AnswerReader().read_answer(orjson.dumps(answer))
    read_event(AnswerReader(), orjson.dumps(answer))


class LongWay(AnswerReader):
    """Takes every answer apart."""

    def _read_usual(self, answer: Json) -> bool:
        return False


@given(
    st.fixed_dictionaries(
        {"index": st.sampled_from([0, 1, None, True]), "finish_reason": st.sampled_from(["stop", "", None, 5])},
        optional={
            "message": st.fixed_dictionaries(
                {"content": st.sampled_from(["Hi", "", None, ["Hi"]])},
                optional=dict.fromkeys(("refusal", "annotations", "tool_calls", "audio", "reasoning"), json_values),
            ),
            "usage": st.just(USAGE),
            "text": st.just("Hi"),
        },
    )
)
def test_the_short_way_reads_what_the_long_one_does(choice: Json) -> None:
    raw = orjson.dumps({"model": "small", "choices": [choice], "usage": USAGE})
    short, long = AnswerReader(), LongWay()
    assert short.read_answer(raw) == long.read_answer(raw)
    for name in ("texts", "hides", "is_countable", "begun", "ended", "finish_reason", "report", "doubt"):
        assert getattr(short, name) == getattr(long, name), name


class OneByOne(AnswerReader):
    """Takes every event apart."""

    def read_events(self, datas: Sequence[bytes]) -> set[int]:
        return self._read_each(datas)


def as_event(data: bytes) -> bytes:
    return b"data: %b\n\n" % data


#: of a stream: texts that are alike, and what may stand among them
OF_A_STREAM = [
    *(as_event(event(delta(content=text))) for text in ("a", "b", " tok\u00e9n", "", '"', "\\\n", "\U0001f600")),
    as_event(event(delta(content="a"), usage=USAGE)),
    as_event(event(delta(content="a"), error={"message": "no"})),
    as_event(event(delta(1, content="a"))),
    as_event(event(delta(0, "stop", content="a"))),
    as_event(event(delta(role="assistant", content="a"))),
    as_event(event(delta(content="a"), delta(1, content="b"))),
    as_event(event(delta(0, "stop"))),
    as_event(event(usage=USAGE)),
    as_event(b'{"error":{"message":"no"}}'),
    as_event(b'{"model":"m","choices":[{"index":0,"delta":{"content":"x\\ud83d"},"finish_reason":null}]}'),
    as_event(b"{not json"),
    as_event(b"[DONE]"),
    b": still there\n\n",
    b"id: 1\n" + as_event(event(delta(content="a"))),
    as_event(event(delta(content="a"))).replace(b"\n", b"\r\n"),
    as_event(event(delta(content="a")).replace(b"{", b"{\r\r")),
]
TEXTS = 7
STATE = ("hides", "is_countable", "begun", "ended", "finish_reason", "report", "doubt", "refusal", "closing", "model")


@given(
    st.lists(
        st.lists(st.integers(0, TEXTS - 1) | st.integers(0, len(OF_A_STREAM) - 1), min_size=1, max_size=12),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_texts_that_are_found_together_are_read_as_one_by_one(parts: list[list[int]], wants_usage: bool) -> None:
    together, alone = AnswerReader(), OneByOne()
    for part in parts:
        events = [OF_A_STREAM[place] for place in part]
        assert together.read_part(events, wants_usage=wants_usage) == alone.read_part(events, wants_usage=wants_usage)
        assert "".join(together.texts) == "".join(alone.texts)
        for name in STATE:
            assert getattr(together, name) == getattr(alone, name), name
        if together.refusal is not None:
            return


@given(st.dictionaries(st.sampled_from(["index", "delta", "message", "text", "finish_reason"]), json_values))
def test_odd_choices_are_read_without_harm(choice: Json) -> None:
    reader = AnswerReader()
    reader.read_answer(orjson.dumps({"choices": [choice]}))
    read_event(reader, orjson.dumps({"choices": [choice]}))
    assert len(reader.begun) == 1


# Streams


def test_a_stream_is_read_event_by_event() -> None:
    reader = AnswerReader()
    assert read_event(reader, event(delta(role="assistant", content=""))) is False
    assert (reader.begun, reader.ended, reader.is_finished) == ({0}, set(), False)
    assert read_event(reader, event(delta(content="Hi"))) is False
    assert read_event(reader, event(delta(content=" there"))) is False
    assert read_event(reader, event(delta(finish_reason="stop"))) is False
    assert reader.is_finished
    assert read_event(reader, event(usage=USAGE)) is True
    assert (reader.report, reader.finish_reason) == (Report(Usage(input=9, output=12)), "stop")
    assert reader.texts == ["Hi", " there"]


def test_a_stream_is_finished_when_every_choice_is() -> None:
    reader = read_events(event(delta(0, content="a")), event(delta(1, content="b")), event(delta(0, "stop")))
    assert not reader.is_finished
    read_event(reader, event(delta(1, "length")))
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
    assert read_event(AnswerReader(), raw) is closing


def test_of_running_reports_the_last_counts() -> None:
    running = [event(delta(content="a"), usage={"prompt_tokens": 9, "completion_tokens": k}) for k in (1, 2, 3)]
    assert read_events(*running).report == Report(Usage(input=9, output=3))


def test_a_report_that_says_nothing_does_not_undo_one_that_did() -> None:
    reader = read_events(event(usage=USAGE), event(usage=NOTHING), event(usage=None))
    assert reader.report == Report(Usage(input=9, output=12))


def test_a_report_that_says_less_is_not_believed_and_leaves_a_doubt() -> None:
    reader = read_events(event(usage=USAGE), event(usage=USAGE | {"completion_tokens": 3, "total_tokens": 12}))
    assert reader.report == Report(Usage(input=9, output=12), "fell")


def test_usage_within_a_choice_and_where_groq_puts_it() -> None:
    said = delta(content="a") | {"usage": USAGE}
    assert read_events(event(said)).report == Report(Usage(input=9, output=12))
    assert read_answer(choices=[SAYS_HI | {"usage": USAGE}]).report == Report(Usage(input=9, output=12))
    assert read_events(event(delta(), x_groq={"id": "r", "usage": USAGE})).report == Report(Usage(input=9, output=12))
    # what each of several means nobody knows: together at most
    two = read_events(event(delta(0) | {"usage": USAGE}), event(delta(1) | {"usage": USAGE}))
    assert two.report == Report(Usage(input=9, output=24), "total_disagrees")
    # as they go on the last of each counts
    more = [delta(place) | {"usage": USAGE | {"completion_tokens": 14, "total_tokens": 23}} for place in (1, 0)]
    assert read_events(event(delta(0) | {"usage": USAGE}), *map(event, more)).report == Report(
        Usage(input=9, output=28), "total_disagrees"
    )


# What a relay may hand on


def sse_event(data: bytes, *before: bytes) -> bytes:
    return b"".join(line + b"\n" for line in before) + b"data: " + data + b"\n\n"


HI, END = sse_event(event(delta(content="Hi"))), sse_event(event(delta(finish_reason="stop")))
REPORT = sse_event(event(usage=USAGE))
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    "odd",
    [
        b"data:\n\n",
        b"data: \n\n",
        b": keep-alive\n\n",
        b"event: ping\ndata:\n\n",
        b"data: {not json\n\n",
        b"data: 5\n\n",
        b"data: null\n\n",
        b"data: \ndata: \n\n",
        b"data: \xff\n\n",
        b'data: {"choices": [{"index": 0, "delta": {"content": "\\ud83c"}}]}\n\n',
        b'data: {"choices": [{"index": 0, "delta": {}, "logprobs": {"p": -Infinity}}]}\n\n',
        b'data: {"type": "ping"}\n\n',
        b"\xef\xbb\xbf" + HI,
    ],
)
def test_what_only_our_books_cannot_read_is_handed_on_as_it_came(odd: bytes) -> None:
    for events in ([HI, odd, END, REPORT, DONE], [odd, HI, END, REPORT, DONE]):
        reader = AnswerReader()
        assert reader.read_part(events, wants_usage=False) == (b"".join(events[:3]), True)
        assert (reader.refusal, reader.is_finished) == (None, True)
        assert reader.report == Report(Usage(input=9, output=12))
        assert reader.texts[0] == "Hi" or odd in events[:1]


def test_what_cannot_be_read_is_counted_as_what_it_is() -> None:
    reader = AnswerReader()
    reader.read_part([HI, b"data: {not json\n\n"], wants_usage=False)
    assert (reader.texts, reader.is_countable) == (["Hi", "{not json"], False)


def test_halves_of_a_character_come_together_in_the_count() -> None:
    reader = AnswerReader()
    shape = b'data: {"choices": [{"index": 0, "delta": {"content": "%b"}}]}\n\n'
    halves = [shape % half for half in (rb"\ud83c", rb"\udf89")]
    assert reader.read_part(halves, wants_usage=False) == (b"".join(halves), False)
    assert "".join(reader.texts).encode("utf-16", "surrogatepass").decode("utf-16") == "\N{PARTY POPPER}"


@pytest.mark.parametrize("done", [DONE, b"data: [DONE] \n\n", b"id: 4\ndata: [DONE]\r\n\r\n", b"data:[DONE]\n\n"])
def test_the_end_is_kept_for_our_own_last_words(done: bytes) -> None:
    assert AnswerReader().read_part([HI, done], wants_usage=True) == (HI, True)


def test_the_closing_report_waits_for_the_cost_where_it_is_wanted() -> None:
    reader = AnswerReader()
    assert reader.read_part([HI, END, REPORT, DONE], wants_usage=True) == (HI + END, True)
    assert reader.closing == REPORT
    reader = AnswerReader()
    assert reader.read_part([HI, END, REPORT, DONE], wants_usage=False) == (HI + END, True)
    assert reader.closing == b""


def test_a_report_that_is_not_the_last_event_goes_on_in_its_place() -> None:
    reader = AnswerReader()
    assert reader.read_part([HI, REPORT, b": still there\n\n"], wants_usage=True) == (HI + b": still there\n\n", False)
    assert reader.read_part([REPORT, END], wants_usage=True) == (REPORT + REPORT + END, False)
    assert reader.closing == b""


def test_what_came_before_a_refusal_is_handed_on() -> None:
    reader = AnswerReader()
    refused = sse_event(b'{"error": {"message": "No more.", "code": 503}}')
    assert reader.read_part([b": hello\n\n", HI, refused, END], wants_usage=False) == (b": hello\n\n" + HI, False)
    assert (reader.refusal, reader.texts) == (Refusal("No more.", "", None, 503), ["Hi"])


@pytest.mark.parametrize(
    "choice",
    [
        {"index": 1, "delta": {"content": "b"}},
        {"index": True, "delta": {"content": "b"}},
        {"index": [], "delta": {"content": "b"}},
        {"index": 0, "delta": {"content": "b"}, "finish_reason": "length"},
        {"index": 0, "delta": {"content": "b", "refusal": None}},
        {"index": 0, "delta": {"content": ["b"]}},
        {"index": 0, "delta": "b"},
        {"index": 0, "text": "b"},
    ],
)
def test_an_event_that_says_more_than_a_text_is_read_whole(choice: Json) -> None:
    """Beside one that adds a text to a choice that has begun, which is read in a short way."""
    usual = event(delta(0, content="a"))
    reader = read_events(usual, usual, event(choice), usual)
    odd = ["b"] if choice.get("delta") != "b" else []
    assert reader.texts == ["a", "a", *odd, "a"]
    assert reader.begun == {0, 1} if choice["index"] in (1, True) else {0}
    assert reader.finish_reason == choice.get("finish_reason", "")


def test_the_first_name_of_the_model_stays_and_is_kept_short_and_clean() -> None:
    reader = read_events(event(model=""), event(model="a\0b" + "x" * 300), event(model="other"))
    assert reader.model == "ab" + "x" * 197
    assert read_events(event(model=5)).model == ""
    # half a character is in no UTF-8: a row that held it could not be written, and its money would stay held
    assert read_events(b'{"model": "m\\ud83d", "choices": []}').model == "m?"
    assert read_events(event(delta(finish_reason="s\0" * 200))).finish_reason == "s" * 100
