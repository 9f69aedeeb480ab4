"""Whole numbers stay what they are, or are refused: none is rounded."""

import orjson
import pytest

from proxy.core import exact_json
from proxy.core.exact_json import MOST_BYTES, Rounded
from proxy.dialects.openai_chat import parse_request
from proxy.errors import InvalidRequest
from proxy.values.request import Endpoint

LARGE = 2**64
PADDING = b"x" * MOST_BYTES


def padded(number: bytes) -> bytes:
    return b'{"text": "%b", "deep": [1, {"number": %b}]}' % (PADDING, number)


@pytest.mark.parametrize("number", [LARGE, -LARGE, 10**40, 2**63])
def test_in_a_short_body_they_have_any_length(number: int) -> None:
    raw = b'{"number": %d}' % number
    assert exact_json.loads(raw) == {"number": number}
    assert exact_json.dumps(exact_json.loads(raw)) == b'{"number":%d}' % number


@pytest.mark.parametrize("number", [LARGE, -LARGE, 10**40])
def test_in_a_long_one_they_are_refused(number: int) -> None:
    with pytest.raises(Rounded):
        exact_json.loads(padded(b"%d" % number))


@pytest.mark.parametrize(
    "number", [b"18446744073709551615", b"-9223372036854775808", b"1e30", b"0.5", b"12345678901234567890.5e-9"]
)
def test_what_is_not_rounded_is_taken_in_a_long_one_too(number: bytes) -> None:
    raw = padded(number)
    assert exact_json.loads(raw) == orjson.loads(raw)


def test_the_digits_of_a_text_are_none() -> None:
    raw = b'{"text": "%b 18446744073709551616"}' % PADDING
    assert exact_json.loads(raw) == orjson.loads(raw)


def test_a_caller_is_told_what_to_do() -> None:
    raw = b'{"model": "small", "messages": [{"role": "user", "content": "%b"}], "seed": %d}' % (PADDING, LARGE)
    with pytest.raises(InvalidRequest, match="send it as a text") as caught:
        parse_request(Endpoint.CHAT, raw)
    assert caught.value.error_code == "number_too_large"


def test_what_no_caller_can_write_anew_is_rounded_where_it_is_long() -> None:
    number = LARGE + 1
    assert exact_json.loads_rounded(b"[%d]" % number) == [number]
    assert exact_json.loads_rounded(padded(b"%d" % number))["deep"] == [1, {"number": float(LARGE)}]
