"""Bodies: what is understood of them, what is refused, and what the upstream is sent."""

import json
from typing import Any

import orjson
import pytest
from openai._streaming import SSEDecoder

from proxy.core.tokens import bound_by_bytes, count_exactly
from proxy.dialects.openai_chat import end_stream, parse_request
from proxy.errors import InvalidRequest, ModelNotPriced
from proxy.values.request import Endpoint, Operation
from tests.proxy.core.examples import MODEL, encode, make_chat, make_request

CHAT: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "Hi"}]}
COMPLETION: dict[str, Any] = {"model": "small", "prompt": "Hi"}
EMBEDDING: dict[str, Any] = {"model": "small", "input": "Hi"}
DEEPEST = 254


def nested(levels: int) -> bytes:
    """A chat whose deepest value lies so many levels down, the body itself being the first."""
    inner = b"[" * (levels - 1) + b"]" * (levels - 1)
    return b'{"model": "small", "messages": [{}], "deep": ' + inner + b"}"


def refusal(endpoint: Endpoint, raw: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(endpoint, raw)
    assert caught.value.status == 400
    return caught.value


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"not json",
        b'{"model": "small"',
        b'{"model": "small",}',
        b"{'model': 'small'}",
        b'{"temperature": NaN}',
        b'{"temperature": Infinity}',
        b'{"temperature": -Infinity}',
        b'{"temperature": 1e400}',
        b'{"seed": ' + b"9" * 400 + b"}",
        b'{"user": "\\ud800"}',
        b'{"user": "\\udc00\\ud800"}',
        b'{"user": "\xed\xa0\x80"}',
        b'{"user": "\xff\xfe"}',
        b'{"user": "a\x00b"}',
        b'\xef\xbb\xbf{"model": "small"}',
        b"\x1f\x8b\x08\x00",
        nested(1_025),
        nested(100_000),
    ],
)
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    error = refusal(Endpoint.CHAT, raw)
    assert error.error_code == "invalid_json"
    assert error.param is None
    assert error.message.startswith("The body is not valid JSON: ")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "The body is empty: send a JSON object."),
        (b"[]", "The body must be a JSON object."),
        (b"null", "The body must be a JSON object."),
        (b'"text"', "The body must be a JSON object."),
        (b"1", "The body must be a JSON object."),
    ],
)
def test_what_is_no_object_is_refused(raw: bytes, message: str) -> None:
    error = refusal(Endpoint.CHAT, raw)
    assert (error.message, error.error_code) == (message, "invalid_request")


NO_COUNTS: list[Any] = [0, -1, 129, 1.0, "1", True, [], {}, 10**30]
NO_LIMITS: list[Any] = [0, -2, -1.0, 10_000_001, 16.0, "16", True, [], {}, 10**30]
NO_TEXTS: list[Any] = [None, [], {}, 5, True, [True], [1, "a"], ["a", 1], [None], [{}], [1.5]]
NO_MESSAGES: list[Any] = [None, [], {}, "Hi", 5, True]
NO_OBJECTS: list[Any] = [None, [], "Hi", 5, True]
NO_FLAGS: list[Any] = ["true", 1, [], {}]
NO_NAMES: list[Any] = [5, True, [], {}, "x" * 201, "a\nb", "a\0b", "a\u202eb"]


@pytest.mark.parametrize(
    ("endpoint", "fields", "param"),
    [
        *((Endpoint.CHAT, {"model": value}, "model") for value in [*NO_NAMES, None, ""]),
        *((Endpoint.CHAT, {"user": value}, "user") for value in NO_NAMES),
        *((Endpoint.CHAT, {"messages": value}, "messages") for value in NO_MESSAGES),
        *((Endpoint.CHAT, {"messages": [{}, value]}, "messages[1]") for value in NO_OBJECTS),
        *((Endpoint.CHAT, {"stream": value}, "stream") for value in NO_FLAGS),
        *((Endpoint.CHAT, {"stream": True, "stream_options": value}, "stream_options") for value in NO_OBJECTS[1:]),
        *((Endpoint.CHAT, {"n": value}, "n") for value in NO_COUNTS),
        *((Endpoint.COMPLETIONS, {"n": value}, "n") for value in NO_COUNTS),
        *((Endpoint.COMPLETIONS, {"best_of": value}, "best_of") for value in NO_COUNTS),
        *((Endpoint.CHAT, {"max_tokens": value}, "max_tokens") for value in NO_LIMITS),
        *((Endpoint.CHAT, {"max_completion_tokens": value}, "max_completion_tokens") for value in NO_LIMITS),
        *((Endpoint.COMPLETIONS, {"prompt": value}, "prompt") for value in NO_TEXTS),
        *((Endpoint.EMBEDDINGS, {"input": value}, "input") for value in NO_TEXTS),
        (Endpoint.EMBEDDINGS, {"stream": "yes"}, "stream"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(endpoint: Endpoint, fields: dict[str, Any], param: str) -> None:
    good = {Endpoint.CHAT: CHAT, Endpoint.COMPLETIONS: COMPLETION, Endpoint.EMBEDDINGS: EMBEDDING}[endpoint]
    body = {**good, **fields}
    raw = orjson.dumps({name: value for name, value in body.items() if value != 10**30})
    if 10**30 in fields.values():
        raw = raw[:-1] + b',"%s":1000000000000000000000000000000}' % param.encode()
    error = refusal(endpoint, raw)
    assert error.param == param
    assert param in error.message


@pytest.mark.parametrize(("fields"), [{name: None} for name in ("user", "stream", "n", "max_tokens", "stream_options")])
def test_null_is_as_good_as_nothing(fields: dict[str, Any]) -> None:
    request = make_chat(**fields)
    assert (request.end_user, request.is_stream, request.choices, request.max_output) == ("", False, 1, None)


def test_a_request_is_what_its_body_says() -> None:
    raw = orjson.dumps(
        CHAT
        | {"stream": True, "stream_options": {"include_usage": True}, "n": 3, "max_tokens": 50, "user": "ben"}
        | {"max_completion_tokens": 20, "temperature": 0.5}
    )
    request = parse_request(Endpoint.CHAT, raw)
    assert (request.operation, request.model, request.end_user) == (Operation.CHAT, "small", "ben")
    assert (request.is_stream, request.wants_usage) == (True, True)
    assert (request.choices, request.max_output) == (3, 20)
    assert request.body_bytes == len(raw)
    assert request.body == orjson.loads(raw)


@pytest.mark.parametrize(
    ("options", "wants"), [({}, False), ({"include_usage": False}, False), ({"include_usage": "yes"}, False)]
)
def test_usage_is_wanted_only_where_it_is_asked_for(options: dict[str, Any], wants: bool) -> None:
    assert make_chat(stream=True, stream_options=options).wants_usage is wants
    assert make_chat(stream_options={"include_usage": True}).wants_usage is False


@pytest.mark.parametrize(
    ("fields", "choices"),
    [
        ({}, 1),
        ({"n": 4}, 4),
        ({"n": 2, "best_of": 5}, 5),
        ({"n": 5, "best_of": 2}, 5),
        ({"prompt": ["a", "b", "c"]}, 3),
        ({"prompt": ["a", "b", "c"], "n": 2}, 6),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": [[1, 2], [3]]}, 2),
    ],
)
def test_the_answers_that_a_completion_will_bill(fields: dict[str, Any], choices: int) -> None:
    assert make_request(Endpoint.COMPLETIONS, {**COMPLETION, **fields}).choices == choices


@pytest.mark.parametrize("given", ["Hi", ["Hi", "you"], [1, 2], [[1], [2]]])
def test_an_embedding_has_no_output_and_no_stream(given: Any) -> None:
    request = make_request(Endpoint.EMBEDDINGS, {"model": "small", "input": given, "stream": True, "max_tokens": 5})
    assert (request.choices, request.max_output, request.is_stream, request.wants_usage) == (1, 0, False, False)
    sent = encode(request, max_output=9)
    assert orjson.loads(sent) == request.body


def test_the_last_of_two_equal_keys_counts_and_is_the_only_one_sent() -> None:
    raw = b'{"model": "dear", "messages": [], "max_tokens": 9, "model": "small", "messages": [{"a": 1, "a": 2}]}'
    request = parse_request(Endpoint.CHAT, raw)
    assert request.model == "small"
    sent = encode(request, model="small-2026")
    assert sent == b'{"model":"small-2026","messages":[{"a":2}],"max_tokens":9}'


@pytest.mark.parametrize(
    ("given", "limit"), [({"n_predict": 5}, 5), ({"n_predict": 5, "max_tokens": 3}, 3), ({"n_predict": -1}, None)]
)
def test_the_limit_of_llama_cpp_is_a_limit(given: dict[str, Any], limit: int | None) -> None:
    assert make_chat(**given).max_output == limit


@pytest.mark.parametrize(
    ("given", "limit", "sent"),
    [
        ({"max_tokens": -1}, None, {}),
        ({"max_completion_tokens": -1}, None, {}),
        ({"max_tokens": -1, "max_completion_tokens": 9}, 9, {"max_completion_tokens": 9}),
        ({"max_tokens": 9, "max_completion_tokens": -1}, 9, {"max_tokens": 9}),
        ({"max_tokens": -1, "n_predict": 9}, 9, {"n_predict": 9}),
    ],
)
def test_minus_one_is_no_limit_and_is_not_passed_on(
    given: dict[str, Any], limit: int | None, sent: dict[str, Any]
) -> None:
    request = make_chat(**given)
    assert request.max_output == limit
    written = orjson.loads(encode(request))
    assert {name: value for name, value in written.items() if name not in {"model", "messages"}} == sent


@pytest.mark.parametrize("kind", [["text"], {"a": 1}, 5, True, [["text"]]])
def test_the_kind_of_a_part_is_a_text(kind: Any) -> None:
    content = [{"type": "text", "text": "Hi"}, {"type": kind, "text": "Hi"}]
    error = refusal(Endpoint.CHAT, orjson.dumps(CHAT | {"messages": [{"role": "user", "content": content}]}))
    assert error.param == "messages[0].content[1].type"


_PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ({"messages": [{"role": "user", "content": [_PICTURE]}]}, 1),
        ({"input": [{"type": "text", "text": "a kite"}, _PICTURE]}, 2),
        ({"input": [{"text": "a kite"}, {"image": "https://a.example/kite.png"}]}, 2),
        ({"input": ["a kite", {"image": "https://a.example/kite.png"}]}, 2),
        ({"input": "a kite", "messages": [{"role": "user", "content": [_PICTURE]}]}, 1),
    ],
)
def test_embeddings_of_pictures_are_bounded_by_a_window_each(given: dict[str, Any], inputs: int) -> None:
    request = make_request(Endpoint.EMBEDDINGS, {"model": "small", **given})
    assert bound_by_bytes(request, MODEL) == request.body_bytes + 64 + inputs * MODEL.context_window
    assert count_exactly(request, MODEL) >= inputs * MODEL.context_window
    assert orjson.loads(encode(request)) == {"model": "small", **given}


@pytest.mark.parametrize(
    ("body", "operation"),
    [(CHAT, Operation.CHAT), (COMPLETION, Operation.COMPLETION), (EMBEDDING, Operation.EMBEDDING)],
)
def test_a_body_tells_what_it_is_for(body: dict[str, Any], operation: Operation) -> None:
    assert parse_request(None, orjson.dumps(body)).operation is operation


@pytest.mark.parametrize("levels", [10, 250, DEEPEST])
def test_depth_that_can_be_written_is_passed_on(levels: int) -> None:
    request = parse_request(Endpoint.CHAT, nested(levels))
    assert orjson.loads(encode(request)) == request.body


@pytest.mark.parametrize("levels", [DEEPEST + 1, 300, 1_024])
def test_depth_that_cannot_be_written_is_refused(levels: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(Endpoint.CHAT, nested(levels))
    assert (caught.value.status, caught.value.message) == (400, "The body is nested too deeply: 250 levels at most.")


@pytest.mark.parametrize("name", ["Max_Tokens", "MODEL", "N", "Stream", "max_Completion_tokens", "Messages"])
def test_another_spelling_of_what_governs_a_call_is_refused(name: str) -> None:
    """Go's JSON takes names in any spelling, the last one wins: we would hold 16 tokens and the upstream make
    thousands."""
    body = {"model": "small", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 16, name: 100_000}
    with pytest.raises(InvalidRequest) as caught:
        parse_request(Endpoint.CHAT, orjson.dumps(body))
    assert (caught.value.param, caught.value.message) == (name, f"Write {name.lower()} in lower case.")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("models", ["dear"]),
        ("fallbacks", ["dear"]),
    ],
)
def test_what_has_no_price_here_is_refused(name: str, value: object) -> None:
    body = {"model": "small", "messages": [{"role": "user", "content": "hi"}], name: value}
    with pytest.raises(ModelNotPriced) as caught:
        parse_request(Endpoint.CHAT, orjson.dumps(body))
    assert (caught.value.status, caught.value.error_code, caught.value.param) == (402, "feature_not_priced", name)


@pytest.mark.parametrize("tier", [["priority"], 7, "", "Flex", "x" * 31, "flex\n", {}])
def test_what_is_no_name_of_a_tier_is_refused(tier: Any) -> None:
    body = {"model": "small", "messages": [{"role": "user", "content": "hi"}], "service_tier": tier}
    with pytest.raises(InvalidRequest) as caught:
        parse_request(Endpoint.CHAT, orjson.dumps(body))
    assert caught.value.param == "service_tier"


@pytest.mark.parametrize("tier", [None, "auto", "default"])
def test_a_service_tier_passes_here_and_is_priced_by_the_plan(tier: str | None) -> None:
    body = {"model": "small", "messages": [{"role": "user", "content": "hi"}], "service_tier": tier}
    assert parse_request(Endpoint.CHAT, orjson.dumps(body)).body["service_tier"] == tier


COST = {"x-costhub-cost": "0.000029000", "x-costhub-budget-remaining": "1.000000000"}
COMMENT = b": x-costhub-cost: 0.000029000\n: x-costhub-budget-remaining: 1.000000000\n"
TOLD = b'"costhub":{"cost":"0.000029000","budget_remaining":"1.000000000"}'


@pytest.mark.parametrize(
    ("closing", "told"),
    [
        (b"", b""),
        (b'data: {"choices":[],"usage":{"a":1}}\n\n', b'data: {"choices":[],"usage":{"a":1},' + TOLD + b"}\n\n"),
        (b'id: 3\r\ndata: {"usage":1 } \r\n\r\n', b'id: 3\r\ndata: {"usage":1 ,' + TOLD + b"} \r\n\r\n"),
        (b'data: {"usage":\ndata: 1}\n\n', b'data: {"usage":\ndata: 1,' + TOLD + b"}\n\n"),
        # what we do not understand stays as it is
        (b'data: {"usage":1}\nid: 3\n\n', b'data: {"usage":1}\nid: 3\n\n'),
        (b"data: {}\n\n", b"data: {}\n\n"),
    ],
)
def test_a_stream_ends_with_its_cost_in_no_block_of_its_own(closing: bytes, told: bytes) -> None:
    assert end_stream(COST, closing) == told + COMMENT + b"data: [DONE]\n\n"


@pytest.mark.parametrize("numbered", [b"", b"id: 7\n", b"event: message\n", b"id: 7\nevent: message\n"])
def test_the_official_client_finds_no_event_without_data_at_the_end(numbered: bytes) -> None:
    """openai-python's own decoder: once an event had an id, every blank line is an event to it."""
    events = numbered + b'data: {"choices":[]}\n\n' + end_stream(COST, b'data: {"choices":[],"usage":{"a":1}}\n\n')
    found = [one.data for one in SSEDecoder().iter_bytes(iter([events]))]
    assert [json.loads(data).keys() >= {"choices"} for data in found[:-1]] == [True, True]
    assert found[-1] == "[DONE]"
    assert json.loads(found[1])["costhub"]["cost"] == "0.000029000"
