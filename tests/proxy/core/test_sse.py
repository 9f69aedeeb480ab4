"""Streams, cut anywhere: the same events, and no byte lost."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.core.sse import (
    DONE,
    MAX_EVENT_BYTES,
    EventSplitter,
    EventTooLong,
    close_event,
    data_of,
    is_done,
    is_stream,
    read_plain,
)

line_texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12)
data_lines = st.builds("data: {}".format, line_texts) | st.builds("data:{}".format, line_texts)
other_lines = st.builds(": {}".format, line_texts) | st.sampled_from(
    ["event: error", "id: 7", "retry: 100", ":", "data", "dat"]
)
events_of_lines = st.lists(data_lines | other_lines, min_size=1, max_size=4)
line_ends = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def streams(draw: st.DrawFn, *, mixed: bool = False) -> bytes:
    """Whole events in one style of line ends, or each line in a style of its own."""
    style = draw(line_ends)
    text = ""
    for lines in draw(st.lists(events_of_lines, max_size=6)):
        for line in [*lines, ""]:
            text += line + (draw(line_ends) if mixed else style)
        text += style * draw(st.integers(0, 2))
    return text.encode()


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({min(place, len(stream)) for place in places} | {len(stream)})
    return [stream[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def read(parts: list[bytes]) -> tuple[list[bytes], bytes]:
    splitter = EventSplitter()
    events = [event for part in parts for event in splitter.feed(part)]
    return events, splitter.finish()


def parse_by_the_standard(stream: bytes) -> list[bytes]:
    """WHATWG HTML 9.2.6, as far as data goes: the data of each event that has any and is closed by a blank line."""
    found, data = [], None
    # What follows the last line end is no line.
    for line in re.split(rb"\r\n|\n|\r", stream)[:-1]:
        name, _, value = line.partition(b":")
        if not line:
            if data:
                found.append(data)
            data = None
        elif name == b"data" and b":" in line:
            value = value.removeprefix(b" ")
            data = value if data is None else data + b"\n" + value
    return found


def data_in(events: list[bytes]) -> list[bytes]:
    return [data for event in events if (data := data_of(event)) is not None]


cuts = st.lists(st.integers(0, 200), max_size=12)


@given(streams(), cuts)
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", [8, 9, 10, 11])
@example(b"data: a\r\rdata: b\r\r", [8, 9])
@example(b"data: a\n\ndata: b\n\n", [8, 17])
def test_any_cut_gives_the_same_events_and_loses_no_byte(stream: bytes, places: list[int]) -> None:
    events, rest = read(cut(stream, places))
    assert b"".join(events) + rest == stream
    assert data_in(events) == parse_by_the_standard(stream)
    assert rest.strip() == b""


@given(streams(mixed=True), cuts)
@example(b"data: a\n\r\ndata: b\r\n\n", [8, 9])
@example(b"data: a\r\n\rdata: b\n\rdata: c\n\n", [10])
@example(b"data: a\r\r\ndata: b\n\n", [9])
def test_line_ends_may_be_mixed(stream: bytes, places: list[int]) -> None:
    # A lone CR at the very end may be half a CRLF, so what it closes waits for the next byte.
    stream += b": the end\n\n"
    events, rest = read(cut(stream, places))
    assert (b"".join(events), rest) == (stream, b"")
    assert data_in(events) == parse_by_the_standard(stream)


@given(streams())
def test_byte_by_byte_is_the_hardest_cut(stream: bytes) -> None:
    events, rest = read([stream[at : at + 1] for at in range(len(stream))])
    assert b"".join(events) + rest == stream
    assert data_in(events) == parse_by_the_standard(stream)


@given(st.binary(max_size=200), cuts)
def test_no_byte_of_garbage_is_lost_or_added(stream: bytes, places: list[int]) -> None:
    events, rest = read(cut(stream, places))
    assert b"".join(events) + rest == stream


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: {}\n\n", b"{}"),
        (b"data:{}\n\n", b"{}"),
        (b"data:  {}\n\n", b" {}"),
        (b"data: \n\n", None),
        (b"data:\n\n", None),
        (b"event: ping\ndata:\n\n", None),
        (b"data: \ndata: \n\n", b"\n"),
        (b"\xef\xbb\xbfdata: {}\n\n", b"{}"),
        (b"\xef\xbb\xbfdata: {}\r\n\r\n", b"{}"),
        (b"data: {}\r\n\r\n", b"{}"),
        (b"data: {}\r\r", b"{}"),
        (b"data: [1,\ndata: 2]\n\n", b"[1,\n2]"),
        (b"event: error\ndata: {}\n\n", b"{}"),
        (b": keep-alive\n\n", None),
        (b"id: 1\n\n", None),
        (b"\n\n", None),
        (b"data: [DONE]\n\n", DONE),
        ("data: \u20ac\n\n".encode(), "\u20ac".encode()),
        # other separators of lines, which are none here
        ("data: a\u2028b\x0bc\x85d\n\n".encode(), "a\u2028b\x0bc\x85d".encode()),
    ],
)
def test_the_data_of_an_event(event: bytes, data: bytes | None) -> None:
    assert data_of(event) == data


@given(streams() | streams(mixed=True), cuts)
@example(b"data: a\n\ndata: b\n\n", [])
@example(b"data: a\n\n: b\n\ndata: c\n\n", [])
@example(b"data: a\n\ndata: \n\n", [])
@example(b"data: a\ndata: b\n\n\ndata: c\n\n", [])
def test_plain_events_together_are_what_each_of_them_is(stream: bytes, places: list[int]) -> None:
    events, _ = read(cut(stream, places))
    plain = read_plain(events)
    if plain is None:
        assert not events or any(not (data := data_of(event)) or event != b"data: %b\n\n" % data for event in events)
    else:
        assert plain == [data_of(event) for event in events]


def test_what_is_not_plain_is_left_to_be_read_one_by_one() -> None:
    assert read_plain([b"data: {}\n\n", b"data: [DONE]\n\n"]) == [b"{}", b"[DONE]"]
    for odd in (b": still there\n\n", b"data: a\r\n\r\n", b"data: \n\n", b"data:a\n\n", b"data: a\ndata: b\n\n"):
        assert read_plain([b"data: {}\n\n", odd]) is None
        assert read_plain([odd, b"data: {}\n\n"]) is None
    assert read_plain([]) is None


def test_events_come_as_soon_as_they_are_whole() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\n") == []
    assert splitter.feed(b"\ndata: b") == [b"data: a\n\n"]
    assert splitter.feed(b"\r\n\r") == []
    assert splitter.feed(b"\n") == [b"data: b\r\n\r\n"]
    assert splitter.finish() == b""


def test_what_is_left_is_told_once() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: half") == []
    assert splitter.finish() == b"data: half"
    assert splitter.finish() == b""


def test_an_endless_event_is_given_up_at_its_limit() -> None:
    splitter = EventSplitter()
    quarter = b"x" * (MAX_EVENT_BYTES // 4)
    for _ in range(4):
        assert splitter.feed(quarter) == []
    with pytest.raises(EventTooLong):
        splitter.feed(b"x")


def test_a_long_event_within_the_limit_is_one_event() -> None:
    event = b"data: " + b"x" * (MAX_EVENT_BYTES - 8) + b"\n\n"
    splitter = EventSplitter()
    pieces = [event[at : at + 65_536] for at in range(0, len(event), 65_536)]
    assert [found for piece in pieces for found in splitter.feed(piece)] == [event]


@pytest.mark.parametrize("data", [b"[DONE]", b"[DONE] ", b" [DONE]", b"[DONE]\t ", b"[DONE]\r"])
def test_the_end_of_a_stream_may_have_blanks_around_it(data: bytes) -> None:
    assert is_done(data)


@pytest.mark.parametrize("data", [b"", b"[DONE]x", b'"[DONE]"', b"[done]", b"{}", b" " * 100 + b"[DONE]"])
def test_anything_else_is_no_end(data: bytes) -> None:
    assert not is_done(data)


@pytest.mark.parametrize(
    "begin",
    [b"data: {}", b"data:{}", b": hello", b"event: x", b"id: 1", b"retry: 5", b"\xef\xbb\xbfdata: {}", b"\r\n\n: x", b"",
     b"da", b"\n\n", b"d"],
)  # fmt: skip
def test_what_can_be_a_stream_of_events(begin: bytes) -> None:
    assert is_stream(begin)


@pytest.mark.parametrize(
    "begin", [b"{", b'{"error": 1}', b"<!doctype html>", b"[", b"upstream is down", b"\x1f\x8b\x08"]
)
def test_what_cannot(begin: bytes) -> None:
    assert not is_stream(begin)


@pytest.mark.parametrize("rest", [b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE]\r\n", b"data: [DONE]\r"])
def test_an_event_that_was_not_closed_is_closed(rest: bytes) -> None:
    assert close_event(rest) == b"data: [DONE]\n\n"
