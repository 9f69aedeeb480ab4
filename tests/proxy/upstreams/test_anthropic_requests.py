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


def send(model: str = "claude", **fields: Any) -> Json:
    sent: Json = json.loads(encode_request(make_chat(**fields), model, habits=HABITS, max_output=20_000))
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


BUDGET: Final = {"thinking": {"type": "enabled", "budget_tokens": 4_096}}


def adapt(effort: str) -> Json:
    return {"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}}


@pytest.mark.parametrize(
    ("model", "effort", "meant"),
    [
        ("claude-3-7-sonnet-20250219", "medium", BUDGET),
        ("claude-sonnet-4-20250514", "medium", BUDGET),
        ("claude-haiku-4-5-20251001", "medium", BUDGET),
        ("anthropic.claude-opus-4-5-20251101-v1:0", "medium", BUDGET),
        ("kimi-k2.5", "medium", BUDGET),
        ("claude-sonnet-4-5", "max", {"thinking": {"type": "enabled", "budget_tokens": 15_000}}),
        ("claude-sonnet-4-5", "none", {}),
        ("claude-sonnet-4-6", "medium", adapt("medium")),
        ("anthropic.claude-opus-4-6-v1", "xhigh", adapt("high")),
        ("anthropic/claude-opus-4.7", "xhigh", adapt("xhigh")),
        ("claude-opus-4-8", "max", adapt("max")),
        ("claude-haiku-5-5", "minimal", adapt("low")),
        ("claude-sonnet-5", "low", adapt("low")),
        ("claude-fable-5-20260601", "high", adapt("high")),
        ("claude-mythos-preview", "high", adapt("high")),
        ("claude-opus-5", "none", {"output_config": {"effort": "low"}}),
    ],
)
def test_each_model_is_told_how_much_to_think_in_its_own_words(model: str, effort: str, meant: Json) -> None:
    """Later ones refuse a number of tokens, earlier ones know no other way."""
    sent = send(model, reasoning_effort=effort)
    assert {name: sent[name] for name in ("thinking", "output_config") if name in sent} == meant


def test_an_answers_shape_and_effort_stand_side_by_side() -> None:
    shape = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, "strict": True}}
    sent = send("claude-opus-5", reasoning_effort="high", response_format=shape)
    assert sent["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "high"}


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "find"}}])
@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-opus-5"])
def test_who_must_call_a_tool_does_not_think(model: str, choice: Any) -> None:
    fields = {"tools": [{"name": "find", "input_schema": SCHEMA}], "tool_choice": choice, "reasoning_effort": "high"}
    assert {"thinking", "output_config"}.isdisjoint(send(model, **fields))
    assert find_unsaid(make_chat(**fields), Wire.CHAT).hints == ("reasoning_effort",)


def test_an_effort_that_nobody_knows_is_named() -> None:
    assert find_unsaid(make_chat(reasoning_effort="utmost"), Wire.CHAT).fields == ("reasoning_effort",)
    assert find_unsaid(make_chat(reasoning_effort="none"), Wire.CHAT).fields == ()


def test_who_calls_no_tool_calls_none_beside_another() -> None:
    fields: Json = {"tools": [{"name": "find", "input_schema": SCHEMA}], "parallel_tool_calls": False}
    assert send(tool_choice="none", **fields)["tool_choice"] == {"type": "none"}
    assert send(**fields)["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


def test_what_a_model_would_not_say_before_is_said_again() -> None:
    refused = {"role": "assistant", "content": None, "refusal": "I will not."}
    messages = [{"role": "user", "content": "Hi"}, refused, {"role": "user", "content": "Please"}]
    assert send(messages=messages)["messages"][1] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "I will not."}],
    }


def test_unsigned_thoughts_and_what_only_openais_cache_reads_are_left_out_and_named() -> None:
    thought = {"role": "assistant", "content": "Hello", "reasoning_content": "Hm"}
    chat = make_chat(messages=[{"role": "user", "content": "Hi"}, thought], prompt_cache_options={"ttl": "30m"})
    assert find_unsaid(chat, Wire.CHAT).hints == ("prompt_cache_options", "reasoning_content")
    sent = send(messages=chat.body["messages"], prompt_cache_options={"ttl": "30m"})
    assert "prompt_cache_options" not in sent
    assert sent["messages"][1]["content"] == [{"type": "text", "text": "Hello"}]


def test_where_a_chat_is_answered_is_not_to_be_chosen() -> None:
    assert find_unsaid(make_chat(inference_geo="us"), Wire.CHAT).fields == ("inference_geo",)
    assert "inference_geo" not in send(inference_geo="us")
