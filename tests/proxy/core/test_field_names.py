"""Names that a server may read as fields which decide what a call costs."""

from typing import Any

import orjson
import pytest

from proxy.core.field_names import fold
from proxy.dialects.openai_chat import parse_request
from proxy.errors import InvalidRequest
from proxy.values.request import Endpoint


def refuse(**more: Any) -> InvalidRequest:
    body = {"model": "small", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 16} | more
    with pytest.raises(InvalidRequest) as caught:
        parse_request(Endpoint.CHAT, orjson.dumps(body))
    return caught.value


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("max_token\u017f", "max_tokens"),  # the long s
        ("max_to\u212aens", "max_tokens"),  # the Kelvin sign
        ("max_complet\u0131on_tokens", "max_completion_tokens"),  # without its dot: upper case is I
        ("max_complet\u0130on_tokens", "max_completion_tokens"),  # with a dot: lower case is i
        ("\uff4dax_tokens", "max_tokens"),  # full width
        ("max_t\u00f6kens", "max_tokens"),  # for whom accents make no difference
        ("maxTokens", "max_tokens"),  # protobuf's JSON
        ("N", "n"),
        ("\u017fTREAM", "stream"),
        ("Tools", "tools"),
        ("re\u017fponse_format", "response_format"),
        ("\uff3fmax_tokens", "max_tokens"),
    ],
)
def test_a_name_that_folds_to_one_of_ours_is_refused(name: str, meant: str) -> None:
    if fold(name) != fold(meant):
        pytest.fail(f"{name!r} does not fold to {meant}")
    error = refuse(**{name: 100_000})
    assert (error.status, error.param) == (400, name)
    assert error.message.startswith(f"Write {meant} ")


@pytest.mark.parametrize("name", ["max_tokens_2", "ma\u0445_tokens", "xn", "", "\u00df", "temperature", "n" * 65])
def test_other_names_pass(name: str) -> None:
    body = {"model": "small", "messages": [{"role": "user", "content": "hi"}], name: 1}
    assert parse_request(Endpoint.CHAT, orjson.dumps(body)).body[name] == 1


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"messages": [{"role": "user", "content": "hi", "Content": "x" * 999}]}, "messages[0].Content"),
        ({"messages": [{"role": "user", "conten\u0074s": "hi"}, {"role": "user", "NAME": "x"}]}, "messages[1].NAME"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "Type": "text", "text": "x"}]}]},
            "messages[0].content[0].Type",
        ),
        ({"stream": True, "stream_options": {"include_u\u017fage": False}}, "stream_options.include_u\u017fage"),
    ],
)
def test_so_are_those_inside_that_matter(more: dict[str, Any], param: str) -> None:
    assert refuse(**more).param == param
