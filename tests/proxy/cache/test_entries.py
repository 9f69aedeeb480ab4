"""Answers as they are kept, and which may be given again."""

import pytest

from proxy.cache.entries import MAX_ENTRY_BYTES, is_usable, pack, show_tags, unpack
from tenants.snapshots import CachePurgeSnapshot
from tests.proxy.cache.examples import make_kept

NOW = 1_000_000_000
HOUR = 3_600_000
KEPT = make_kept(stored_ms=NOW - 1_000, scope="ab12", tags=("team=search",))


@pytest.mark.parametrize(
    "body", [b"", b"\n\n", b"short", b'data: {"a": "\xc3\xa9"}\n\n' * 1_000, bytes(range(256)) * 9]
)
def test_what_is_kept_comes_back_as_it_was(body: bytes) -> None:
    kept = make_kept(body, tags=("a=b", "c=d"))
    assert unpack(pack(kept)) == kept


def test_long_answers_take_less_room() -> None:
    assert len(pack(make_kept(b"the same words " * 1_000))) < 1_000


@pytest.mark.parametrize(
    "raw", [b"", b"{}\n", b"nothing", b"[]\n", b"\xff\n", b'{"usage":3,"zip":false}\n', b'{"usage":[1],"zip":true}\nxx']
)
def test_what_was_damaged_is_not_there(raw: bytes) -> None:
    assert unpack(raw) is None


def test_what_was_cut_short_is_not_there() -> None:
    packed = pack(make_kept(b"the same words " * 1_000))
    assert unpack(packed[:-5]) is None


def test_a_bomb_does_not_unfold() -> None:
    assert unpack(pack(make_kept(bytes(MAX_ENTRY_BYTES + 1)))) is None


@pytest.mark.parametrize(
    ("stored_ms", "usable"),
    [(NOW, True), (NOW - HOUR, True), (NOW - HOUR - 1, False), (NOW + 59_000, True), (NOW + 61_000, False)],
)
def test_an_answer_is_neither_too_old_nor_of_the_future(stored_ms: int, usable: bool) -> None:
    assert is_usable(make_kept(stored_ms=stored_ms), (), NOW, HOUR) is usable


@pytest.mark.parametrize(
    ("kind", "subject", "is_given"),
    [
        ("all", "", False),
        ("model", "small", False),
        ("model", "large", True),
        ("tag", "team=search", False),
        ("tag", "team", True),
        ("scope", "ab12", False),
        ("scope", "ab13", True),
        ("entry", KEPT.id, False),
        ("entry", "0197e9d4-0000-7000-8000-0000000000ab", True),
    ],
)
def test_a_purge_takes_what_it_names_and_nothing_else(kind: str, subject: str, is_given: bool) -> None:
    assert is_usable(KEPT, (CachePurgeSnapshot(kind, subject, NOW),), NOW, HOUR) is is_given


def test_what_came_after_a_purge_is_given() -> None:
    assert is_usable(KEPT, (CachePurgeSnapshot("all", "", KEPT.stored_ms),), NOW, HOUR)


def test_tags_have_one_order() -> None:
    assert show_tags({"b": "2", "a": "1"}) == ("a=1", "b=2")
