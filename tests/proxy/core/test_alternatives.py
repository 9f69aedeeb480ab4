"""What a token might have been is left out where an answer is read, and nothing else of it."""

from typing import Any

import orjson
import pytest

from proxy.core.alternatives import thin
from proxy.core.weight import SMALL_BYTES

#: whatever may stand in a text
ODD = ' a"\\]}[{,:\n \u00e9"top_logprobs":[1]'


def make_token(count: int, name: str = ODD) -> dict[str, Any]:
    """A token with so many alternatives."""
    more = [{"token": f"{name}{number}", "logprob": -1.5, "bytes": [32, 97, 34]} for number in range(count)]
    return {"token": name, "logprob": -0.25, "bytes": [32], "top_logprobs": more}


def make_answer(tokens: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """A chat's answer."""
    choice = {"index": 0, "message": {"content": ODD}, "finish_reason": "stop", "logprobs": {"content": tokens}}
    return {"choices": [choice], "top_logprobs": 20, **fields}


@pytest.mark.parametrize("option", [0, orjson.OPT_INDENT_2])
def test_alternatives_alone_are_left_out(option: int) -> None:
    raw = orjson.dumps(make_answer([make_token(20) for _ in range(200)]), option=option)
    assert len(raw) > SMALL_BYTES
    assert orjson.loads(thin(raw)) == make_answer([make_token(0) for _ in range(200)])


def test_a_short_answer_stays_as_it_is() -> None:
    raw = orjson.dumps(make_answer([make_token(20)]))
    assert thin(raw) is raw


@pytest.mark.parametrize(
    "found",
    [
        b'"top_logprobs":null',
        b'"top_logprobs": 20',
        b'"top_logprobs":{"a":-1}',
        b'"top_logprobs":[[[1]]]',
        b'"top_logprobs":["never ends',
        # A completion's list, of all tokens.
        b'"top_logprobs":[%b]' % b",".join([b'{"a":-1.5}'] * 10_000),
    ],
)
def test_what_is_no_list_of_one_token_stays(found: bytes) -> None:
    raw = b'{"a":"%b",%b}' % (b"a" * SMALL_BYTES, found)
    assert thin(raw) == raw


def test_what_never_is_one_is_not_looked_at_again_and_again() -> None:
    """Each would be read up to the next ones\' ends: of ten megabytes that takes hours."""
    raw = b'"top_logprobs":["' * 600_000
    assert thin(raw) == raw
