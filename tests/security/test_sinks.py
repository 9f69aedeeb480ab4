"""A search that finds nothing proves nothing, unless it finds what is there."""

import base64
import logging
import zlib
from pathlib import Path
from secrets import token_bytes

import pytest

from costhub.lib.redis import client
from tests.security.sinks import Canaries, dump_valkey, keep_logs


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_a_secret_is_found_in_each_disguise(before: str) -> None:
    canaries = Canaries()
    secret = canaries.put("the one").encode()
    canaries.put("another")
    whole = before.encode() + secret + b" and more"
    for data in (whole, whole.hex().encode(), base64.b64encode(whole)):
        assert canaries.find(data) == {"the one"}
    assert canaries.find(b"nothing of the kind") == set()


@pytest.mark.parametrize("level", [1, 6, 9])
def test_it_is_found_in_what_is_compressed(level: int) -> None:
    canaries = Canaries()
    secret = canaries.put("the one").encode()
    packed = zlib.compress(b"much of something else " * 9 + secret + token_bytes(100), level)
    assert secret not in packed
    assert canaries.find(b"before x\x01y" + packed + b"and after") == {"the one"}
    assert canaries.find(b"before" + packed[:-20]) == {"the one"}, "though its end is not there"
    assert canaries.find(b"\x78\x9c" + bytes(4_000)) == set()


def test_it_is_found_in_files_and_over_the_edge_of_what_is_read_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.security.sinks._CHUNK", 100)
    canaries = Canaries()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "wal").write_bytes(b"x" * 90 + canaries.put("one").encode() + b"y" * 300)
    assert canaries.find_in_files(tmp_path) == {"deep/wal": {"one"}}


def test_it_is_found_in_logs_that_nobody_would_write(caplog: pytest.LogCaptureFixture) -> None:
    canaries = Canaries()
    with keep_logs() as logs:
        logging.getLogger("asyncio").debug("sent %s", canaries.put("message"))
        logging.getLogger("x").info("sent", extra={"header": canaries.put("extra")})
    assert canaries.find("\n".join(logs.lines).encode()) == {"message", "extra"}


def test_it_is_found_in_each_type_of_value_in_valkey() -> None:
    canaries, store = Canaries(), client()
    store.set("canary:string", canaries.put("string"), ex=60)
    store.set(f"canary:{canaries.put('key')}", "", ex=60)
    store.hset("canary:hash", canaries.put("field"), "x")
    store.sadd("canary:set", canaries.put("member"))
    store.zadd("canary:zset", {canaries.put("scored"): 1})
    store.rpush("canary:list", canaries.put("item"))
    store.xadd("canary:stream", {"h": canaries.put("event")})
    try:
        assert canaries.find(dump_valkey(store)) == set(canaries.known)
    finally:
        store.delete(*store.scan_iter("canary:*"))
