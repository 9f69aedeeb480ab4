"""What a message says of how it was answered."""

from typing import Any

import orjson
import pytest

from proxy.core.chat_stream import assemble, read_chunks
from proxy.upstreams.anthropic_answers import MessageReader

ANSWER: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-5",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
}


@pytest.mark.parametrize(
    ("said", "tier"),
    [
        ({"service_tier": "standard"}, "standard"),
        ({"service_tier": "priority"}, "priority"),
        ({"service_tier": "standard", "speed": "standard"}, "standard"),
        ({"service_tier": "standard", "speed": "fast"}, "fast"),
        ({"speed": "fast"}, "fast"),
        ({"speed": None}, ""),
        ({}, ""),
    ],
)
def test_its_speed_is_a_tier(said: dict[str, Any], tier: str) -> None:
    reader = MessageReader()
    usage = {"input_tokens": 9, "output_tokens": 2, **said}
    reader.read_answer(orjson.dumps(ANSWER | {"usage": usage}))
    assert (reader.service_tier, reader.report is not None) == (tier, True)


def write(*events: dict[str, Any]) -> list[bytes]:
    return [b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event)) for event in events]


def call(place: int, name: str, given: dict[str, Any], *pieces: str) -> list[dict[str, Any]]:
    """The events of a call of a tool."""
    block = {"type": "tool_use", "id": f"toolu_{place}", "name": name, "input": given}
    return [
        {"type": "content_block_start", "index": place, "content_block": block},
        *(
            {
                "type": "content_block_delta",
                "index": place,
                "delta": {"type": "input_json_delta", "partial_json": piece},
            }
            for piece in pieces
        ),
        {"type": "content_block_stop", "index": place},
    ]


def test_arguments_of_a_call_are_an_object_however_it_is_streamed() -> None:
    """One without arguments has an empty piece or none, and Kimi's have all of theirs from the beginning."""
    told = [
        {"type": "message_start", "message": {**ANSWER, "content": [], "usage": {"input_tokens": 9}}},
        *call(0, "now", {}, ""),
        *call(1, "here", {}),
        *call(2, "find", {}, "", '{"what"', ':"it"}'),
        *call(3, "read", {"path": "/a"}),
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 20}},
        {"type": "message_stop"},
    ]
    whole = MessageReader(is_native=False).read_part(write(*told), wants_usage=False)[0]
    apart = MessageReader(is_native=False)
    assert b"".join(apart.read_part([event], wants_usage=False)[0] for event in write(*told)) == whole
    chat = assemble(read_chunks(whole))
    assert chat is not None
    (choice,) = chat["choices"]
    calls = [(one["index"], one["id"], one["function"]) for one in choice["message"]["tool_calls"]]
    assert calls == [
        (0, "toolu_0", {"name": "now", "arguments": "{}"}),
        (1, "toolu_1", {"name": "here", "arguments": "{}"}),
        (2, "toolu_2", {"name": "find", "arguments": '{"what":"it"}'}),
        (3, "toolu_3", {"name": "read", "arguments": '{"path": "/a"}'}),
    ]
    assert choice["finish_reason"] == "tool_calls"
    native = MessageReader()
    assert native.read_part(write(*told), wants_usage=False)[0] == b"".join(write(*told)[:-1])
