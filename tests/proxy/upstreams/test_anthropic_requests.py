"""What Anthropic is sent of a chat whose tools are written in unusual ways."""

import json
from typing import Any, Final

import pytest

from proxy.upstreams.anthropic import encode_request, find_habits, find_unsaid
from proxy.values.request import Wire
from tests.proxy.core.examples import UPSTREAM, make_chat

Json = dict[str, Any]

HABITS: Final = find_habits(UPSTREAM, "claude")
SCHEMA: Final = {"type": "object"}


def send(**fields: Any) -> Json:
    sent: Json = json.loads(encode_request(make_chat(**fields), "claude", habits=HABITS, max_output=50))
    return sent


def hand_in(arguments: str) -> Json:
    """What a tool was called with, as it is sent."""
    call = {"id": "c", "type": "function", "function": {"name": "find", "arguments": arguments}}
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": None, "tool_calls": [call]}]
    (block,) = send(messages=messages)["messages"][1]["content"]
    return dict(block["input"])


def test_arguments_that_are_nested_too_deeply_stay_a_text() -> None:
    assert hand_in('{"a":' * 200 + "1" + "}" * 200)["a"]["a"]
    deep = '{"a":' * 300 + "1" + "}" * 300
    assert hand_in(deep) == {"INVALID_JSON": deep}


def test_a_large_number_beside_half_a_character_is_sent() -> None:
    arguments = f'{{"n":{2**70},"half":"\\ud800"}}'
    assert hand_in(arguments) == {"n": 2**70, "half": "\ud800"}


def test_a_tool_in_anthropics_own_form_is_sent() -> None:
    tool = {"name": "find", "input_schema": SCHEMA}
    assert send(tools=[tool])["tools"] == [tool]
    assert find_unsaid(make_chat(tools=[tool]), Wire.CHAT).fields == ()


@pytest.mark.parametrize(
    "tool", [{"type": "function", "name": "find"}, {"type": "bash_20250124", "name": "bash", "input_schema": SCHEMA}]
)
def test_a_tool_that_is_not_sent_is_named(tool: Json) -> None:
    assert "tools" not in send(tools=[tool])
    assert find_unsaid(make_chat(tools=[tool]), Wire.CHAT).fields == ("tools[0]",)


def test_where_a_chat_is_answered_is_not_to_be_chosen() -> None:
    assert find_unsaid(make_chat(inference_geo="us"), Wire.CHAT).fields == ("inference_geo",)
    assert "inference_geo" not in send(inference_geo="us")
