"""Counting a body's values without reading it: never fewer than there are, and never a comma of a text."""

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.core import weight
from proxy.core.weight import MAX_DEPTH, MAX_ESCAPES, MAX_NODES, MAX_VALUES, weigh
from proxy.errors import InvalidRequest

_TEXTS = st.text(st.sampled_from('a,[{:"\\\n\u20ac'), max_size=12)
_VALUES = st.recursive(
    st.none() | st.integers(-5, 5) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)


def runs_through(raw: bytes, *most: int) -> bool:
    try:
        for _ in weigh(raw, *most):
            pass
    except InvalidRequest:
        return False
    return True


def count(value: Any) -> tuple[int, int]:
    """Commas, and lists, objects and members, of a value as JSON."""
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    nodes = isinstance(value, dict | list) + (len(value) if isinstance(value, dict) else 0)
    found = [count(each) for each in inner]
    commas = max(len(inner) - 1, 0) + sum(each for each, _ in found)
    return commas, nodes + sum(each for _, each in found)


@pytest.mark.parametrize(
    ("raw", "is_light"),
    [
        (b"[" + b"1," * MAX_VALUES + b"1]", False),
        (b"[" + b"1," * (MAX_VALUES - 1) + b"1]", True),
        (b"[" + b"{}," * MAX_NODES + b"1]", False),
        (b"[" + b"[]," * (MAX_NODES - 2) + b"[]]", True),
        (b"{" + b",".join(b'"%d":1' % place for place in range(MAX_NODES)) + b"}", False),
        (b"{" + b",".join(b'"%d":1' % place for place in range(MAX_NODES - 1)) + b"}", True),
        (b"[" + b'"",' * MAX_VALUES + b"1]", False),
        (orjson.dumps(["{}," * 1_000_000]), True),
        (orjson.dumps(['{"a":[1]},' * 300_000]), True),
        (orjson.dumps(["\\" * 999_999 + "," * 999_999]), True),
    ],
    ids=lambda value: str(value[:12]) if isinstance(value, bytes) else "",
)
def test_values_are_counted_and_texts_are_not(raw: bytes, is_light: bool) -> None:
    assert runs_through(raw) is is_light


@given(_VALUES, st.integers(1, 9))
@example(["\\", ","], 1)
@example(['\\"', "["], 2)
def test_wherever_it_is_cut_the_count_is_that_of_the_values(value: Any, size: int) -> None:
    raw = orjson.dumps(value)
    commas, nodes = count(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weight, "_SLICE_BYTES", size)
        assert runs_through(raw, commas + nodes, nodes)
        if nodes:
            assert not runs_through(raw, commas + nodes, nodes - 1)
        elif commas:
            assert not runs_through(raw, commas - 1, nodes)


def test_the_refusal_says_how_many_there_may_be() -> None:
    with pytest.raises(InvalidRequest, match="400000 at most, 50000 of them") as caught:
        [*weigh(b"[" + b"{}," * MAX_NODES + b"1]")]
    assert (caught.value.status, caught.value.error_code) == (400, "too_many_values")


@pytest.mark.parametrize("escape", [b'\\"', b"\\n", b"\\u00e9"])
def test_escapes_have_a_number(escape: bytes) -> None:
    assert runs_through(b'["' + escape * (MAX_ESCAPES - 100) + b'"]')
    with pytest.raises(InvalidRequest, match="4000000 at most") as caught:
        [*weigh(b'["' + escape * (MAX_ESCAPES + 1) + b'"]')]
    assert caught.value.error_code == "too_many_escapes"


@pytest.mark.parametrize("is_too_deep", [False, True])
def test_depth_has_an_end(is_too_deep: bool) -> None:
    """However the levels close and open again, and whatever stands in texts."""
    levels = MAX_DEPTH + is_too_deep
    raw = b'["[[[[",{"a":[1]},' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"]"
    assert runs_through(raw) is not is_too_deep


def test_what_is_no_json_is_left_to_the_parser() -> None:
    assert runs_through(b'{"a": "' + b"x" * 200_000)
    assert runs_through(b"\\" * 200_000)
