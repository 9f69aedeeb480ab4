"""JSON that the standard's parser refuses, and a relay must not."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstreams import lenient_json

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(json_values)
def test_what_is_json_is_read_as_ever(value: Any) -> None:
    assert lenient_json.read(orjson.dumps(value)) == value


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (rb'"\ud83c"', "\ud83c"),
        (rb'{"a": "\udf89 and more"}', {"a": "\udf89 and more"}),
        (b'{"p": -Infinity}', {"p": float("-inf")}),
        (b'{"a": "\x00\x01\t"}', {"a": "\0\1\t"}),
        (b"\xef\xbb\xbf[1]", [1]),
        (b" [1] ", [1]),
    ],
)
def test_what_servers_write_beside_the_standard(raw: bytes, value: Any) -> None:
    assert lenient_json.read(raw) == value


def test_no_number_at_all_is_a_number_too() -> None:
    value = lenient_json.read(b'{"p": NaN}')["p"]
    assert value != value


@pytest.mark.parametrize("raw", [b"", b"{", b"<html>", b"[1,]", b"\xff", b"{'a': 1}", b"[" * 100_000])
def test_what_nobody_can_read(raw: bytes) -> None:
    with pytest.raises(lenient_json.Unreadable):
        lenient_json.read(raw)


@pytest.mark.parametrize(
    ("raw", "is_read"),
    [
        (b"[%b]" % b",".join([b"1"] * 999_999), True),
        (b"[%b]" % b",".join([b"1"] * 1_000_001), False),
        (b"[%b]" % b",".join([b"[]"] * 499_999), True),
        (b"[%b]" % b",".join([b"[]"] * 500_001), False),
        (b'["%b"]' % (b"," * 2_000_000), True),
    ],
)
def test_what_holds_too_many_values_is_not_read(raw: bytes, is_read: bool) -> None:
    if is_read:
        assert lenient_json.read(raw) == orjson.loads(raw)
    else:
        with pytest.raises(lenient_json.Unreadable):
            lenient_json.read(raw)
