"""Responses in their own form: however their events come, and whatever stands among them, they are read alike."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core import sse
from proxy.upstreams.anthropic_answers import MessageReader
from proxy.upstreams.openai_responses import ResponsesReader

Json = dict[str, Any]
USED = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}


def named(event: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())


def delta(text: Any, place: int = 0) -> bytes:
    return named({"type": "response.output_text.delta", "output_index": place, "delta": text, "sequence_number": 4})


def item(text: str, place: int = 0) -> bytes:
    content = [{"type": "output_text", "text": text}]
    told = {"type": "message", "role": "assistant", "content": content}
    return named({"type": "response.output_item.done", "output_index": place, "item": told})


BEGUN = named({"type": "response.created", "response": {"model": "m", "status": "in_progress"}})
OVER = named({"type": "response.completed", "response": {"model": "m", "status": "completed", "usage": USED}})
SEARCH = named({"type": "response.output_item.done", "output_index": 1, "item": {"type": "web_search_call"}})
FAILED = named({"type": "error", "code": "server_error", "message": "No.", "param": None})
ODD = (b": a comment\n\n", b"data: {broken\n\n", b"event: x\ndata: 1\n\n", b'data: {"type":"x"}\n\n', b"data:\n\n")


def read(parts: list[list[bytes]]) -> tuple[Any, ...]:
    reader, told, is_done = ResponsesReader(), b"", False
    for part in parts:
        outgoing, is_done = reader.read_part(part, wants_usage=False)
        told += outgoing
        if is_done or reader.refusal is not None:
            break
    report = reader.report
    return told, is_done, reader.texts, reader.closing, reader.refusal, report, reader.finish_reason, reader.hides


events = st.one_of(
    st.builds(delta, st.text(max_size=6)),
    st.builds(delta, st.text(max_size=6), st.integers(0, 2)),
    st.sampled_from([delta(None), delta(["x"]), item("said"), item("unsaid", 2), SEARCH, OVER, FAILED, *ODD]),
)


@given(st.lists(events, max_size=12))
def test_together_they_say_what_each_says_alone(told: list[bytes]) -> None:
    assert read([[BEGUN, *told, OVER]]) == read([[event] for event in (BEGUN, *told, OVER)])


def test_texts_and_pieces_of_a_whole_stream() -> None:
    told, is_done, texts, closing, refusal, report, reason, _ = read([[BEGUN, delta("Hel"), delta("lo"), SEARCH, OVER]])
    assert (told, is_done, texts, closing) == (BEGUN + delta("Hel") + delta("lo") + SEARCH, True, ["Hel", "lo"], OVER)
    assert (refusal, report.usage.web_searches, report.usage.output_tokens, reason) == (None, 1, 3, "stop")


@pytest.mark.parametrize("odd", ODD)
def test_of_messages_too(odd: bytes) -> None:
    said = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}
    stream = [named(said), odd, named(said), named({"type": "message_stop"})]
    together, apart = MessageReader(), MessageReader()
    told, is_done = together.read_part(stream, wants_usage=False)
    each = [apart.read_part([event], wants_usage=False) for event in stream]
    assert (told, is_done) == (b"".join(outgoing for outgoing, _ in each), each[-1][1])
    assert together.texts == apart.texts
    assert together.texts.count("Hello") == 2


def test_names_and_data_of_plain_events() -> None:
    events = [delta("a"), delta("b")]
    assert sse.read_named(events) == [event.split(b"\ndata: ")[1][:-2] for event in events]
    assert sse.read_named([]) == []
    for odd in (*ODD, b"event: x\ndata: 1\ndata: 2\n\n", b"event: x\nid: 1\ndata: 2\n\n", b"event: x\r\ndata: 1\n\n"):
        assert sse.read_named([*events, odd]) is None or odd == b"event: x\ndata: 1\n\n"
    # As many line ends as two plain ones have, in the wrong places.
    assert sse.read_named([b"event: x\ndata: 1\ndata: 2\n\n", b"data: 1\n\n"]) is None
