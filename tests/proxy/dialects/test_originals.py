"""Bodies that are no chats: what they may cost is bounded by all that a model reads of them."""

import time
from dataclasses import replace
from typing import Any

import orjson
import pytest

from proxy.core.bounds import exact_bound
from proxy.core.demand import find_demand
from proxy.core.plan import make_plan
from proxy.core.weight import MAX_NODES
from proxy.dialects import anthropic_messages, openai_responses
from proxy.errors import InvalidRequest, ModelNotPriced
from proxy.values.attempt import Usage
from proxy.values.request import Endpoint, Request, Wire
from tests.proxy.core.examples import KEY, MODEL, NO_CONTROLS, NOON_MS, ORG, PRICE, UPSTREAM

Json = dict[str, Any]

THOUGHTS = "Hm, " * 500


def read_message(*messages: Json, **fields: Any) -> Request:
    body = {"model": "small", "max_tokens": 50, "messages": messages, **fields}
    return anthropic_messages.parse_request(Endpoint.MESSAGES, orjson.dumps(body))


def read_response(given: Any, **fields: Any) -> Request:
    body = {"model": "small", "input": given, **fields}
    return openai_responses.parse_request(Endpoint.RESPONSES, orjson.dumps(body))


def say(role: str, *blocks: Json) -> Json:
    return {"role": role, "content": list(blocks)}


TEXT = {"type": "text", "text": "Hi"}
LETTER = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Dear"}}
QUESTION = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    "request_",
    [
        read_message(
            say("user", TEXT), say("assistant", {"type": "thinking", "thinking": THOUGHTS, "signature": "s"}, TEXT)
        ),
        read_message(say("user", TEXT), say("assistant", {"type": "redacted_thinking", "data": THOUGHTS}, TEXT)),
        read_message(QUESTION, tools=[{"name": "find", "input_schema": {}, "input_examples": [{"a": THOUGHTS}]}]),
        read_message(say("user", LETTER | {"context": THOUGHTS})),
        read_response(
            [{"role": "user", "content": "Hi"}, {"type": "reasoning", "id": "r", "encrypted_content": THOUGHTS}]
        ),
        read_response([{"role": "user", "content": "Hi"}, {"type": "compaction", "encrypted_content": THOUGHTS}]),
        read_response(
            [{"role": "user", "content": "Hi"}, {"type": "file_search_call", "results": [{"text": THOUGHTS}]}]
        ),
    ],
)
def test_an_exact_bound_holds_what_no_chat_carries_where_it_is_sent(request_: Request) -> None:
    candidate = make_plan(request_, NO_CONTROLS, KEY, ORG, NOON_MS).first
    home = "anthropic" if request_.wire is Wire.MESSAGES else "openai"
    for kind in ("openai", "anthropic", "openai_compatible"):
        there = candidate._replace(upstream=replace(UPSTREAM, kind=kind))
        counted = exact_bound(request_, there).input_tokens
        assert candidate.bound.input_tokens >= counted
        assert (counted >= len(THOUGHTS)) == (kind == home), kind


@pytest.mark.parametrize(("habit", "is_sent"), [(True, True), (False, False)])
def test_who_is_asked_for_responses_in_their_own_form_is_sent_them(*, habit: bool, is_sent: bool) -> None:
    request = read_response([{"type": "reasoning", "id": "r", "encrypted_content": THOUGHTS}, QUESTION])
    candidate = make_plan(request, NO_CONTROLS, KEY, ORG, NOON_MS).first
    for kind in ("openai", "openai_compatible"):
        there = candidate._replace(upstream=replace(UPSTREAM, kind=kind, habits={"responses": habit}))
        assert (exact_bound(request, there).input_tokens >= len(THOUGHTS)) == is_sent


def test_a_cache_that_a_tools_result_asks_for_is_bounded() -> None:
    kept = {
        "type": "tool_result",
        "tool_use_id": "t",
        "content": "1",
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
    }
    asked = read_message(
        say("user", TEXT),
        say("assistant", TEXT, {"type": "tool_use", "id": "t", "name": "f", "input": {}}),
        say("user", kept),
    )
    assert find_demand(asked, MODEL, PRICE, UPSTREAM).has_long_cache
    without = {name: value for name, value in kept.items() if name != "cache_control"}
    assert not find_demand(read_message(say("user", without)), MODEL, PRICE, UPSTREAM).has_long_cache


def test_an_answer_from_one_place_has_no_price_here() -> None:
    assert read_message(say("user", TEXT), inference_geo="global").model == "small"
    with pytest.raises(ModelNotPriced) as caught:
        read_message(say("user", TEXT), inference_geo="us")
    assert (caught.value.param, caught.value.error_code) == ("inference_geo", "feature_not_priced")


def test_whether_a_model_thinks_between_tools_is_its_own_to_say() -> None:
    asked = read_message(say("user", TEXT), thinking={"type": "between_tools"})
    assert asked.original is not None
    assert (asked.original.body["thinking"], asked.original.unsaid.hints) == ({"type": "between_tools"}, ("thinking",))
    assert {"thinking", "reasoning_effort"}.isdisjoint(asked.body)


@pytest.mark.parametrize("fields", [{"output_format": "?"}, {"output_config": {"format": "?"}}])
def test_an_answers_shape_is_a_chats_by_either_of_its_names(fields: Json) -> None:
    shape = {"type": "json_schema", "schema": {"type": "object"}}
    named = orjson.loads(orjson.dumps(fields).replace(b'"?"', orjson.dumps(shape)))
    asked = read_message(say("user", TEXT), **named)
    assert asked.original is not None
    assert asked.original.unsaid.fields == ()
    assert asked.body["response_format"]["json_schema"] == {
        "name": "answer",
        "schema": {"type": "object"},
        "strict": True,
    }


@pytest.mark.parametrize(("length", "hints"), [(64, ()), (65, ("metadata.user_id",))])
def test_a_users_name_that_openai_refuses_is_ours_alone(length: int, hints: tuple[str, ...]) -> None:
    asked = read_message(say("user", TEXT), metadata={"user_id": "u" * length})
    assert asked.original is not None
    assert (asked.end_user, asked.original.unsaid.hints) == ("u" * length, hints)
    assert ("user" in asked.body) == (not hints)


def test_what_stands_in_a_thread_at_the_provider_has_no_bound_here() -> None:
    with pytest.raises(ModelNotPriced) as caught:
        read_message(say("user", TEXT), thread={"type": "continue", "previous_message_id": "msg_1"})
    assert (caught.value.param, caught.value.error_code) == ("thread", "feature_not_priced")


def test_a_tools_result_is_words_also_where_these_are_a_document() -> None:
    picture = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [LETTER, TEXT, picture]}
    asked = read_message(say("user", result))
    assert asked.original is not None
    assert asked.original.unsaid.fields == ("messages[0].content[0].content[2]",)
    alone = read_message(say("user", result | {"content": [LETTER]}))
    assert alone.original is not None
    assert (alone.original.unsaid.fields, alone.body["messages"][0]["content"]) == ((), "Dear")


def test_many_calls_in_a_row_take_no_longer_each_than_few() -> None:
    def measure(calls: int) -> float:
        call = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"}
        raw, spent = orjson.dumps({"model": "small", "input": [call] * calls}), []
        for _ in range(3):
            began = time.thread_time()
            (message,) = openai_responses.parse_request(Endpoint.RESPONSES, raw).body["messages"]
            spent.append(time.thread_time() - began)
            assert len(message["tool_calls"]) == calls
        return min(spent)

    # Eight times as many; each beside each would be sixty-four times.
    assert measure(16_000) < 24 * measure(2_000)


def test_what_was_said_before_is_bounded_like_any_body() -> None:
    asked = read_response("And?", previous_response_id="r")
    earlier = [{"type": "message", "role": "user", "content": "x" * 300_000}]
    assert openai_responses.continue_request(asked, earlier, 400_000).body["messages"][1] == {
        "role": "user",
        "content": "And?",
    }
    with pytest.raises(InvalidRequest) as caught:
        openai_responses.continue_request(asked, earlier, 300_000)
    assert (caught.value.param, caught.value.error_code) == ("previous_response_id", "request_too_large")
    many = [{"type": "message", "role": "user", "content": "x"}] * (MAX_NODES // 4 + 1)
    with pytest.raises(InvalidRequest) as caught:
        openai_responses.continue_request(asked, many, 10_000_000)
    assert caught.value.error_code == "too_many_values"


@pytest.mark.parametrize("levels", [300, 100_000])
def test_what_a_model_calls_a_tool_with_may_be_nested_too_deeply_to_be_written(levels: int) -> None:
    deep = '{"a":' * levels + "1" + "}" * levels
    call = {"id": "c", "type": "function", "function": {"name": "find", "arguments": deep}}
    answer = {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    translation = anthropic_messages.make_translation(read_message(say("user", TEXT)), "r", 0)
    assert translation is not None
    (block,) = orjson.loads(translation.whole(orjson.dumps(answer), Usage(input=9, output=2)))["content"]
    assert block["input"] == {"INVALID_JSON": deep}
