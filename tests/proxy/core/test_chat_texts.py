"""Runs of texts in a streamed chat: found however a server writes them, and never where something else stands."""

import json
from time import thread_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.chat_stream import read_chunks
from proxy.core.chat_texts import TextRuns
from proxy.dialects.anthropic_messages.answers import MessageTranslation
from proxy.dialects.openai_responses.answers import ResponseTranslation
from proxy.upstreams.openai import AnswerReader
from proxy.values.attempt import Usage

Json = dict[str, Any]
USAGE = Usage(input=7, output=3)


def chunk(delta: Json, reason: str | None = None, **more: Any) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **more}


def write(*chunks: Json, separators: tuple[str, str] = (",", ":"), ascii_only: bool = True) -> bytes:
    dumped = (json.dumps(one, separators=separators, ensure_ascii=ascii_only) for one in chunks)
    return b"".join(b"data: %b\n\n" % one.encode() for one in dumped)


def texts(*said: str) -> list[Json]:
    return [chunk({"content": text}) for text in said]


OPENING = chunk({"role": "assistant", "content": ""})
CLOSING = chunk({}, "stop")


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_a_run_is_found_between_other_events(separators: tuple[str, str]) -> None:
    said = ["one", ' "two"', "\n\nthree \\ data: {", "vier é", "五"]
    before, after = write(OPENING, separators=separators), write(CLOSING, separators=separators)
    run = TextRuns().find(before + write(*texts(*said), separators=separators) + after)
    assert run is not None
    assert (run.before, run.after) == (before, after)
    assert run.first == write(*texts("one"), separators=separators)
    assert run.texts == said == [json.loads(raw) for raw in run.raws]


def test_a_run_stays_one_where_what_follows_it_is_left_out() -> None:
    before, said, after = write(OPENING), write(*texts("a", "b", "c")), write(CLOSING)
    run = TextRuns().find(before + said + after + b"data: [DONE]\n\n")
    assert run is not None
    assert run.within(before + said + after) == TextRuns().find(before + said + after)
    assert run.within(before + said) == TextRuns().find(before + said)
    assert run.within((before + said)[:-1]) is None
    assert run.within(said + after) is None


@pytest.mark.parametrize(
    "between",
    [
        chunk({"content": "x"}, "length"),
        chunk({"content": "x", "role": "assistant"}),
        chunk({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{"}}]}),
        chunk({"content": "x"}, usage={"prompt_tokens": 1}),
        chunk({"content": ["x"]}),
    ],
)
def test_none_is_found_where_something_else_stands_in_the_middle(between: Json) -> None:
    runs = TextRuns()
    assert runs.find(write(*texts("a", "b"))) is not None
    assert runs.find(write(*texts("a"), between, *texts("b"))) is None
    assert runs.find(write(*texts("c", "d"))) is not None


@pytest.mark.parametrize(
    "events",
    [
        b"",
        b": a comment\n\n",
        b"data: [DONE]\n\n",
        write(OPENING, CLOSING),
        write(*texts("a")).replace(b"\n\n", b"\r\n\r\n"),
        b"id: 1\n" + write(*texts("a")),
        write(*texts("a")).replace(b'"a"', b'"a","b"'),
        write(*texts("a")).replace(b'"a"', b'"\\ud800"'),
        write(*texts("a")).replace(b"[{", b"[{},{"),
        write(*texts("a")).replace(b'"a"', b'"a'),
    ],
)
def test_what_is_no_run_is_none(events: bytes) -> None:
    assert TextRuns().find(events) is None
    runs = TextRuns()
    assert runs.find(write(*texts("b"))) is not None
    assert runs.find(events) is None


def test_a_server_that_writes_no_two_alike_is_not_looked_through_for_ever() -> None:
    runs = TextRuns()
    for _ in range(8):
        assert runs.find(write(OPENING)) is None
    assert runs.find(write(*texts("late"))) is None


def test_a_long_line_that_is_nearly_a_chunk_keeps_nobody_waiting() -> None:
    """200 kB of it took two seconds, and megabytes minutes; of each piece the beginning is looked through now."""
    nearly = b'data: {"a":[%b1]}\nid: 1\n\n' % (b'{"delta":{"content":"x"}},' * 8_000)
    began = thread_time()
    runs = TextRuns()
    for _ in range(8):
        assert runs.find(nearly) is None
    assert thread_time() - began < 2


deltas = st.one_of(
    st.builds(lambda text: {"content": text}, st.text(max_size=8)),
    st.builds(lambda text: {"content": text}, st.text(max_size=8)),
    st.sampled_from(
        [
            {"reasoning_content": "hm"},
            {"refusal": "no"},
            {"role": "assistant", "content": ""},
            {"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f", "arguments": "{}"}}]},
        ]
    ),
)


@given(st.lists(deltas, max_size=12), st.data(), st.booleans(), st.booleans())
def test_however_a_stream_is_cut_its_translation_says_the_same(
    said: list[Json], data: st.DataObject, is_message: bool, ascii_only: bool
) -> None:
    """Event by event each run is one text; together they are many, between other events."""
    events = [write(chunk(delta), ascii_only=ascii_only) for delta in said] + [write(CLOSING)]
    parts, rest = [], list(events)
    while rest:
        taken = data.draw(st.integers(1, len(rest)))
        parts.append(b"".join(rest[:taken]))
        del rest[:taken]
    assert translate(parts, is_message=is_message) == translate(events, is_message=is_message)


@given(st.lists(deltas, max_size=12), st.data(), st.booleans())
def test_a_run_that_the_reader_has_found_is_translated_as_one_that_is_looked_for(
    said: list[Json], data: st.DataObject, is_message: bool
) -> None:
    """Its report of usage is kept back, so that not all that came goes on."""
    report = chunk({}, usage={"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}) | {"choices": []}
    rest = [write(one) for one in (*map(chunk, said), chunk({}, "stop"), report)] + [b"data: [DONE]\n\n"]
    reader, given, alone = AnswerReader(), make(is_message=is_message), make(is_message=is_message)
    while rest:
        taken = data.draw(st.integers(1, len(rest)))
        outgoing, _ = reader.read_part(rest[:taken], wants_usage=True)
        assert given.events(outgoing, reader.run) == alone.events(outgoing)
        del rest[:taken]
    assert given.end({}, USAGE) == alone.end({}, USAGE)


def test_the_reader_tells_a_run_without_the_report_that_it_keeps_back() -> None:
    said, report = write(*texts("a", "b", "c"), CLOSING), write(chunk({}, usage={"prompt_tokens": 7}) | {"choices": []})
    reader = AnswerReader()
    first, *events = [write(one) for one in (*texts("a", "b", "c"), CLOSING)]
    assert reader.read_part([first, *events, report, b"data: [DONE]\n\n"], wants_usage=True) == (said, True)
    assert reader.run == TextRuns().find(said)
    assert (reader.read_part([b": still there\n\n"], wants_usage=True), reader.run) == (
        (b": still there\n\n", False),
        None,
    )


def make(*, is_message: bool) -> MessageTranslation | ResponseTranslation:
    return MessageTranslation("a-1", "m") if is_message else ResponseTranslation("a-1", "m", {}, 1_000)


def translate(parts: list[bytes], *, is_message: bool) -> list[Json]:
    made = make(is_message=is_message)
    told = b"".join([*(made.events(part) for part in parts), made.end({"x-costhub-cost": "0.1"}, USAGE)])
    return read_chunks(told)
