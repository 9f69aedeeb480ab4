"""Bodies as upstreams of OpenAI's format get them."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.field_names import fold
from proxy.dialects import openai_chat, openai_responses
from proxy.values.request import LOGPROBS_OF_RESPONSES, Endpoint
from tests.proxy.core.examples import encode, make_chat, make_request

CHAT: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "Hi"}]}
COMPLETION: dict[str, Any] = {"model": "small", "prompt": "Hi"}

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


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), json_values, max_size=5))
def test_unknown_fields_reach_the_upstream_untouched(unknown: dict[str, Any]) -> None:
    # hypothesis tries the names that stand in the source, too
    fields = {name: value for name, value in unknown.items() if fold(name) not in openai_chat._KNOWN}
    request = make_chat(**fields)
    sent = orjson.loads(encode(request, model="small-2026"))
    assert sent == {**request.body, "model": "small-2026"}
    assert {name: sent[name] for name in fields} == fields


def test_the_request_itself_is_not_changed_by_what_is_sent() -> None:
    request = make_chat(stream=True, stream_options={"include_usage": False, "x": 1})
    before = orjson.dumps(request.body)
    sent = orjson.loads(encode(request, model="small-2026", max_output=7))
    assert sent["stream_options"] == {"include_usage": True, "x": 1}
    assert orjson.dumps(request.body) == before


def test_a_stream_always_reports_its_usage() -> None:
    sent = orjson.loads(encode(make_chat(stream=True)))
    assert sent["stream_options"] == {"include_usage": True}
    assert "stream_options" not in orjson.loads(encode(make_chat()))


def test_probabilities_are_asked_for_beside_whatever_a_caller_wants_included() -> None:
    odd: list[Any] = [{"odd": 1}, "reasoning.encrypted_content"]
    body = {"model": "small", "input": "Hi", "include": odd, "reasoning": {"effort": "low"}}
    asked = openai_responses.parse_request(Endpoint.RESPONSES, orjson.dumps(body))
    request = asked._replace(is_judged=True)
    sent = orjson.loads(encode(request, habits={"responses": True}))
    assert sent["include"] == [*odd, LOGPROBS_OF_RESPONSES]


def limits_sent(endpoint: Endpoint, kind: str, **given: Any) -> dict[str, Any]:
    good = CHAT if endpoint is Endpoint.CHAT else COMPLETION
    sent = orjson.loads(encode(make_request(endpoint, {**good, **given}), kind=kind, max_output=20))
    return {name: value for name, value in sent.items() if name not in {"model", "messages", "prompt", "stream"}}


@pytest.mark.parametrize(
    ("endpoint", "kind", "given", "sent"),
    [
        (Endpoint.CHAT, "openai", {}, {"max_completion_tokens": 20}),
        (Endpoint.CHAT, "openai_compatible", {}, {"max_tokens": 20}),
        (Endpoint.CHAT, "openai", {"max_tokens": 50}, {"max_tokens": 20}),
        (Endpoint.CHAT, "openai", {"max_completion_tokens": 50}, {"max_completion_tokens": 20}),
        # in one place, never in two
        (Endpoint.CHAT, "openai", {"max_tokens": 60, "max_completion_tokens": 50}, {"max_completion_tokens": 20}),
        (Endpoint.CHAT, "openai_compatible", {"max_tokens": 60, "max_completion_tokens": 50}, {"max_tokens": 20}),
        # many servers know only the older name, and a limit that is not obeyed is none
        (Endpoint.CHAT, "openai_compatible", {"max_completion_tokens": 50}, {"max_tokens": 20}),
        (Endpoint.CHAT, "openai", {"max_tokens": None}, {"max_completion_tokens": 20}),
        (Endpoint.COMPLETIONS, "openai", {}, {"max_tokens": 20}),
        (Endpoint.COMPLETIONS, "openai_compatible", {"max_tokens": 50}, {"max_tokens": 20}),
        # /completions need not know the chat's name for it
        (Endpoint.COMPLETIONS, "openai_compatible", {"max_completion_tokens": 50}, {"max_tokens": 20}),
        # llama.cpp obeys its own name before the others
        (Endpoint.CHAT, "openai_compatible", {"n_predict": 50}, {"n_predict": 20, "max_tokens": 20}),
        (Endpoint.CHAT, "openai_compatible", {"n_predict": -1}, {"n_predict": 20, "max_tokens": 20}),
        (Endpoint.CHAT, "openai_compatible", {"n_predict": None}, {"n_predict": 20, "max_tokens": 20}),
        (Endpoint.COMPLETIONS, "openai_compatible", {"n_predict": "all", "max_tokens": 50}, {"n_predict": 20, "max_tokens": 20}),
    ],
)  # fmt: skip
def test_our_limit_stands_where_the_upstream_looks_for_one(
    endpoint: Endpoint, kind: str, given: dict[str, Any], sent: dict[str, Any]
) -> None:
    assert limits_sent(endpoint, kind, **given) == sent


@pytest.mark.parametrize("limit", [None, 20])
def test_whole_numbers_of_any_length_stay_whole(limit: int | None) -> None:
    wei = {
        "const": 19_876_543_210_987_654_321,
        "maximum": 2**256 - 1,
        "minimum": -(2**80),
        "small": 2**63,
        "half": 0.1,
        "one": 1.0,
    }
    raw = json.dumps({**CHAT, "response_format": wei}).encode()
    sent = encode(openai_chat.parse_request(Endpoint.CHAT, raw), max_output=limit)
    assert json.loads(sent)["response_format"] == wei
    assert b'"one":1.0' in sent


def test_digits_in_a_text_are_a_text() -> None:
    request = make_chat(messages=[{"role": "user", "content": "1" * 40 + " \u20ac"}])
    assert orjson.loads(encode(request))["messages"] == request.body["messages"]


@pytest.mark.parametrize("kind", ["openai", "openai_compatible"])
def test_our_limit_takes_the_place_of_minus_one(kind: str) -> None:
    name = "max_completion_tokens" if kind == "openai" else "max_tokens"
    assert limits_sent(Endpoint.CHAT, kind, max_tokens=-1)[name] == 20
