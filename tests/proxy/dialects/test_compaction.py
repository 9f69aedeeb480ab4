"""Conversations made short: what a model is asked, what its summary becomes, and how that is read again."""

from typing import Any

import orjson
import pytest

from proxy.core.exact_json import MOST_BYTES
from proxy.dialects import openai_responses
from proxy.dialects.openai_responses.compaction import write_item
from proxy.errors import InvalidRequest
from proxy.values.attempt import Usage
from proxy.values.request import Endpoint, Request, Wire

Json = dict[str, Any]
ITEMS: list[Json] = [
    {"type": "message", "role": "user", "content": "one"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "two", "annotations": []}]},
]
USED = Usage(input=20, output=3)


def parse(endpoint: Endpoint, **body: Any) -> Request:
    return openai_responses.parse_request(endpoint, orjson.dumps({"model": "small", **body}))


def summarise(**body: Any) -> Request:
    return openai_responses.summarise(parse(Endpoint.COMPACTIONS, **body))


def compact(request: Request, answer: Json) -> Json:
    translation = openai_responses.make_translation(request, "0-1", 5_000)
    assert translation is not None
    found: Json = orjson.loads(translation.whole(orjson.dumps(answer), USED))
    return found


def test_a_model_is_asked_for_a_summary_of_all_that_was_said() -> None:
    request = summarise(input=ITEMS, instructions="Be kind.", service_tier="flex", prompt_cache_key="k")
    roles = [message["role"] for message in request.body["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert request.body["service_tier"] == "flex"
    assert request.original is not None
    assert (request.wire, request.is_compacting, request.original.body["store"]) == (Wire.RESPONSES, True, False)
    assert request.original.body["input"][:2] == ITEMS


@pytest.mark.parametrize(
    "answer",
    [
        {"model": "m", "choices": [{"message": {"role": "assistant", "content": "short"}, "finish_reason": "stop"}]},
        {"object": "response", "output": [{"type": "message", "content": [{"type": "output_text", "text": "short"}]}]},
    ],
)
def test_its_answer_is_a_compaction_whichever_format_it_came_in(answer: Json) -> None:
    told = compact(summarise(input=ITEMS), answer)
    assert (told["object"], told["created_at"], told["id"]) == ("response.compaction", 5, "resp_01")
    assert [item["type"] for item in told["output"]] == ["message", "compaction"]
    assert told["output"][0]["content"] == [{"type": "input_text", "text": "one"}]
    assert (told["usage"]["input_tokens"], told["usage"]["output_tokens"]) == (20, 3)
    again = parse(Endpoint.RESPONSES, input=[told["output"][1], {"role": "user", "content": "three"}])
    first, second = again.body["messages"]
    assert (first["role"], second["content"]) == ("user", "three")
    assert first["content"].endswith("\n\nshort")
    assert again.original is not None
    assert again.original.body["input"][0]["type"] == "message", "an upstream is never sent ours"


def test_a_providers_own_passes_and_ours_in_pieces_does_not() -> None:
    theirs = {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAAA=="}
    request = parse(Endpoint.RESPONSES, input=[theirs, {"role": "user", "content": "three"}])
    assert request.original is not None
    assert request.original.body["input"][0] == theirs
    broken = write_item("1", "short") | {"encrypted_content": "costhub1.!"}
    with pytest.raises(InvalidRequest) as error:
        parse(Endpoint.RESPONSES, input=[broken])
    assert error.value.param == "input[0].encrypted_content"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "a", "stream": True}, "stream"),
        ({"input": "a", "background": True}, "background"),
        ({"input": "a", "tools": []}, "tools"),
        ({"input": 7}, "input"),
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": "a", "Input": "b"}, "Input"),
    ],
)
def test_what_is_no_compaction_is_refused_by_name(body: Json, param: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        summarise(**body)
    assert error.value.param == param


def test_a_long_answer_may_hold_a_number_that_is_rounded() -> None:
    item = {"type": "message", "content": [{"type": "output_text", "text": "x" * MOST_BYTES}]}
    told = compact(summarise(input=ITEMS), {"object": "response", "output": [item], "odd": 2**63 * 4.0})
    raw = orjson.dumps({"object": "response", "output": [item], "odd": 1}).replace(b'"odd":1', b'"odd":%d' % 2**65)
    translation = openai_responses.make_translation(summarise(input=ITEMS), "0-1", 5_000)
    assert translation is not None
    assert orjson.loads(translation.whole(raw, USED)) == told
