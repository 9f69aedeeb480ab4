"""Bodies: what is understood of them, what is refused, and what the upstream is sent."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core import wire
from proxy.core.wire import parse_request, upstream_body
from proxy.errors import InvalidRequest, ModelNotPriced
from proxy.types import Endpoint
from tests.proxy.core.examples import make_chat, make_request

CHAT: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "Hi"}]}
COMPLETION: dict[str, Any] = {"model": "small", "prompt": "Hi"}
EMBEDDING: dict[str, Any] = {"model": "small", "input": "Hi"}
DEEPEST = 254

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    # what orjson reads it never writes: lone surrogates
    | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)


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
NO_LIMITS: list[Any] = [0, -1, 10_000_001, 16.0, "16", True, [], {}, 10**30]
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
    assert (request.endpoint, request.model, request.end_user) == (Endpoint.CHAT, "small", "ben")
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
    sent = upstream_body(request, "small", kind="openai", max_output=9)
    assert orjson.loads(sent) == request.body


def test_the_last_of_two_equal_keys_counts_and_is_the_only_one_sent() -> None:
    raw = b'{"model": "dear", "messages": [], "max_tokens": 9, "model": "small", "messages": [{"a": 1, "a": 2}]}'
    request = parse_request(Endpoint.CHAT, raw)
    assert request.model == "small"
    sent = upstream_body(request, "small-2026", kind="openai", max_output=None)
    assert sent == b'{"model":"small-2026","messages":[{"a":2}],"max_tokens":9}'


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), json_values, max_size=5))
def test_unknown_fields_reach_the_upstream_untouched(unknown: dict[str, Any]) -> None:
    # hypothesis tries the names that stand in the source, too
    fields = {name: value for name, value in unknown.items() if name.lower() not in wire._GOVERNING}
    request = make_chat(**fields)
    sent = orjson.loads(upstream_body(request, "small-2026", kind="openai", max_output=None))
    assert sent == {**request.body, "model": "small-2026"}
    assert {name: sent[name] for name in fields} == fields


def test_the_request_itself_is_not_changed_by_what_is_sent() -> None:
    request = make_chat(stream=True, stream_options={"include_usage": False, "x": 1})
    before = orjson.dumps(request.body)
    sent = orjson.loads(upstream_body(request, "small-2026", kind="openai", max_output=7))
    assert sent["stream_options"] == {"include_usage": True, "x": 1}
    assert orjson.dumps(request.body) == before


def test_a_stream_always_reports_its_usage() -> None:
    sent = orjson.loads(upstream_body(make_chat(stream=True), "small", kind="openai", max_output=None))
    assert sent["stream_options"] == {"include_usage": True}
    assert "stream_options" not in orjson.loads(upstream_body(make_chat(), "small", kind="openai", max_output=None))


def limits_sent(endpoint: Endpoint, kind: str, **given: Any) -> dict[str, Any]:
    good = CHAT if endpoint is Endpoint.CHAT else COMPLETION
    sent = orjson.loads(upstream_body(make_request(endpoint, {**good, **given}), "small", kind=kind, max_output=20))
    return {name: value for name, value in sent.items() if name not in {"model", "messages", "prompt"}}


@pytest.mark.parametrize(
    ("endpoint", "kind", "given", "sent"),
    [
        (Endpoint.CHAT, "openai", {}, {"max_completion_tokens": 20}),
        (Endpoint.CHAT, "openai_compatible", {}, {"max_tokens": 20}),
        (Endpoint.CHAT, "openai", {"max_tokens": 50}, {"max_tokens": 20}),
        (Endpoint.CHAT, "openai", {"max_completion_tokens": 50}, {"max_completion_tokens": 20}),
        (
            Endpoint.CHAT,
            "openai_compatible",
            {"max_tokens": 60, "max_completion_tokens": 50},
            {"max_tokens": 20, "max_completion_tokens": 20},
        ),
        (Endpoint.CHAT, "openai", {"max_tokens": None}, {"max_tokens": None, "max_completion_tokens": 20}),
        (Endpoint.COMPLETIONS, "openai", {}, {"max_tokens": 20}),
        (Endpoint.COMPLETIONS, "openai_compatible", {"max_tokens": 50}, {"max_tokens": 20}),
        # /completions need not know the chat's name for it
        (
            Endpoint.COMPLETIONS,
            "openai_compatible",
            {"max_completion_tokens": 50},
            {"max_completion_tokens": 20, "max_tokens": 20},
        ),
        # llama.cpp obeys its own name before the others
        (Endpoint.CHAT, "openai_compatible", {"n_predict": 50}, {"n_predict": 20, "max_tokens": 20}),
        (Endpoint.CHAT, "openai_compatible", {"n_predict": -1}, {"n_predict": 20, "max_tokens": 20}),
        (Endpoint.CHAT, "openai_compatible", {"n_predict": None}, {"n_predict": 20, "max_tokens": 20}),
        (
            Endpoint.COMPLETIONS,
            "openai_compatible",
            {"n_predict": "many", "max_tokens": 50},
            {"n_predict": 20, "max_tokens": 20},
        ),
    ],
)
def test_our_limit_stands_wherever_the_upstream_looks_for_one(
    endpoint: Endpoint, kind: str, given: dict[str, Any], sent: dict[str, Any]
) -> None:
    assert limits_sent(endpoint, kind, **given) == sent


@pytest.mark.parametrize(
    ("given", "limit"), [({"n_predict": 5}, 5), ({"n_predict": 5, "max_tokens": 3}, 3), ({"n_predict": -1}, None)]
)
def test_the_limit_of_llama_cpp_is_a_limit(given: dict[str, Any], limit: int | None) -> None:
    assert make_chat(**given).max_output == limit


@pytest.mark.parametrize("levels", [10, 250, DEEPEST])
def test_depth_that_can_be_written_is_passed_on(levels: int) -> None:
    request = parse_request(Endpoint.CHAT, nested(levels))
    assert orjson.loads(upstream_body(request, "small", kind="openai", max_output=None)) == request.body


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
        ("web_search_options", {}),
        ("search_parameters", {"mode": "on"}),
        ("plugins", [{"id": "web"}]),
        ("models", ["dear"]),
        ("fallbacks", ["dear"]),
        ("service_tier", "priority"),
        ("service_tier", "flex"),
        ("service_tier", ["priority"]),
    ],
)
def test_what_has_no_price_here_is_refused(name: str, value: object) -> None:
    body = {"model": "small", "messages": [{"role": "user", "content": "hi"}], name: value}
    with pytest.raises(ModelNotPriced) as caught:
        parse_request(Endpoint.CHAT, orjson.dumps(body))
    assert (caught.value.status, caught.value.error_code, caught.value.param) == (402, "feature_not_priced", name)


@pytest.mark.parametrize("tier", [None, "auto", "default"])
def test_the_usual_service_tiers_pass(tier: str | None) -> None:
    body = {"model": "small", "messages": [{"role": "user", "content": "hi"}], "service_tier": tier}
    assert parse_request(Endpoint.CHAT, orjson.dumps(body)).body["service_tier"] == tier
