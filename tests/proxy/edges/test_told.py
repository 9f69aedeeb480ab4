"""tell.lua: what responses in the background say takes so much of a shard and no more, and what is being made is never
cut for another."""

from collections.abc import AsyncIterator
from typing import cast

import pytest
from django.conf import settings

from costhub.lib import keyspace
from costhub.lib.redis import client
from proxy.edges import told
from proxy.edges.told import TELL, forget_told, send_words, tell_end
from proxy.edges.valkey import Valkey
from tests.proxy.edges.till import Till

#: with what a stream has around each, the script says
PIECE = 1_000
AROUND = 200


@pytest.fixture
async def valkey() -> AsyncIterator[Valkey]:
    valkey = Valkey(settings.REDIS_URL, [TELL], 2_000)
    await valkey.open()
    yield valkey
    await valkey.close()


@pytest.fixture
def shard(till: Till, monkeypatch: pytest.MonkeyPatch) -> int:
    """With room for three pieces."""
    monkeypatch.setattr(told, "MOST_BYTES", 3 * (PIECE + AROUND))
    return till.shard


async def say(valkey: Valkey, shard: int, name: str, size: int = PIECE) -> int:
    return cast("int", await send_words(valkey, shard, name, by="call", first=2, events=b"x" * size))


async def settled(valkey: Valkey) -> None:
    """What was sent before is done."""
    await valkey.send(b"PING")


def sizes(shard: int) -> dict[str, int]:
    found = cast("dict[bytes, bytes]", client().hgetall(keyspace.told_sizes_key(shard)))
    return {name.decode(): int(size) for name, size in found.items()}


def kept(shard: int, *names: str) -> list[str]:
    return [name for name in names if client().exists(keyspace.told_key(shard, name))]


async def test_what_is_being_made_is_told_while_there_is_room(valkey: Valkey, shard: int) -> None:
    assert [await say(valkey, shard, name) for name in ("a", "b", "a", "b", "c")] == [1, 1, 1, 0, 0]
    assert sizes(shard) == {"a": 2_400, "b": 1_200, "": 3_600}
    assert client().xlen(keyspace.told_key(shard, "a")) == 2
    assert kept(shard, "a", "b", "c") == ["a", "b"]


async def test_what_ended_first_goes_first(valkey: Valkey, shard: int) -> None:
    for name in ("a", "b", "c"):
        assert await say(valkey, shard, name)
    for name in ("b", "a"):
        tell_end(valkey, shard, name)
    await settled(valkey)
    # Both ended within a millisecond, perhaps: the order is what is said of them.
    client().zincrby(keyspace.told_until_key(shard), -1_000, "b")
    assert await say(valkey, shard, "d") == 1
    assert kept(shard, "a", "b", "c", "d") == ["a", "c", "d"]
    assert await say(valkey, shard, "d") == 1
    assert await say(valkey, shard, "d") == 0
    assert kept(shard, "a", "b", "c", "d") == ["c", "d"]
    assert sizes(shard) == {"c": 1_200, "d": 2_400, "": 3_600}


async def test_nothing_goes_for_what_is_larger_than_all(valkey: Valkey, shard: int) -> None:
    assert await say(valkey, shard, "a")
    assert await say(valkey, shard, "b", 4 * PIECE) == 0
    assert kept(shard, "a", "b") == ["a"]


async def test_room_comes_back_with_time_and_with_deletion(valkey: Valkey, shard: int) -> None:
    for name in ("a", "b", "c"):
        assert await say(valkey, shard, name)
    assert await say(valkey, shard, "d") == 0
    forget_told(valkey, shard, "b")
    assert await say(valkey, shard, "d") == 1
    # As it is when what it said is past.
    client().delete(keyspace.told_key(shard, "a"))
    client().zadd(keyspace.told_until_key(shard), {"a": 1})
    assert await say(valkey, shard, "e") == 1
    assert sizes(shard) == {"c": 1_200, "d": 1_200, "e": 1_200, "": 3_600}
    assert kept(shard, "a", "b", "c", "d", "e") == ["c", "d", "e"]


async def test_nothing_stays_for_ever(valkey: Valkey, shard: int) -> None:
    assert await say(valkey, shard, "a")
    tell_end(valkey, shard, "a")
    tell_end(valkey, shard, "never told")
    await settled(valkey)
    left = {
        name: client().pttl(key)
        for name, key in (
            ("a", keyspace.told_key(shard, "a")),
            ("end", keyspace.told_key(shard, "never told")),
            ("until", keyspace.told_until_key(shard)),
            ("sizes", keyspace.told_sizes_key(shard)),
        )
    }
    assert 0 < left["end"] <= 60_000 < left["a"] <= 3_600_000 < left["until"] <= 7_200_000
    assert left["sizes"] > 3_600_000
    assert sizes(shard) == {"a": 1_200, "": 1_200}
