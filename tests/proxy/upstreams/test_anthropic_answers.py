"""What a message says of how it was answered."""

from typing import Any

import orjson
import pytest

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
