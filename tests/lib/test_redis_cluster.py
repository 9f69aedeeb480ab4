"""What jobs, pages and the subscription ask of Valkey, on a real cluster."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from costhub.lib import keyspace
from costhub.lib.redis import connect, connect_async, each_server, publish, run_script, subscription
from tests.patience import PATIENCE_SECONDS
from tests.valkeys import ClusterOfNodes, cluster

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterOfNodes]:
    with cluster(tmp_path_factory.mktemp("cluster"), replicas=0) as found:
        yield found


@pytest.fixture
def store(nodes: ClusterOfNodes) -> Iterator[redis.Redis]:
    found = connect(nodes.url, protocol=3)
    yield found
    found.close()


def test_every_master_is_known(store: redis.Redis) -> None:
    assert store.ping()
    versions = [server.info("server")["valkey_version"] for server in each_server(store)]
    assert len(versions) == 3


def test_a_pipeline_reaches_every_shard(store: redis.Redis) -> None:
    pipe = store.pipeline(transaction=False)
    for shard in range(keyspace.SHARDS):
        pipe.xlen(keyspace.ledger_key(shard))
        run_script(pipe, b"return {KEYS[1], ARGV[1]}", [f"{keyspace.tag(shard)}:x"], [shard])
    answers = pipe.execute()
    assert answers[0::2] == [0] * keyspace.SHARDS
    assert answers[1::2] == [
        [f"{keyspace.tag(shard)}:x".encode(), str(shard).encode()] for shard in range(keyspace.SHARDS)
    ]


def test_scripts_moves_and_searches(store: redis.Redis) -> None:
    assert store.register_script("return ARGV[1]")(keys=[f"{keyspace.tag(3)}:x"], args=["y"]) == b"y"
    store.sadd(keyspace.moved_key(1), "a")
    assert store.renamenx(keyspace.moved_key(1), keyspace.looked_at_key(1)) == 1
    assert store.exists(keyspace.moved_key(1), keyspace.looked_at_key(1)) == 1
    names = {f"found:{number}".encode() for number in range(50)}
    for name in names:
        store.set(name, "1")
    assert {name for name in store.scan_iter(count=10) if name.startswith(b"found:")} == names
    assert store.delete(*names) == 50


def test_announcements_are_heard(store: redis.Redis) -> None:
    with subscription(store, keyspace.VERSIONS) as heard:
        heard.subscribe(keyspace.CHANGES)
        assert heard.get_message(timeout=PATIENCE_SECONDS)["type"] == "subscribe"
        publish(store, keyspace.CHANGES, "acme 7", beside=keyspace.VERSIONS)
        assert heard.get_message(timeout=PATIENCE_SECONDS)["data"] == b"acme 7"
        heard.ping()
        assert heard.get_message(timeout=PATIENCE_SECONDS)["type"] == "pong"


async def test_snapshots_are_read_by_the_hot_path(nodes: ClusterOfNodes) -> None:
    store: Any = connect_async(nodes.url, seconds=5)
    for number in range(20):
        await store.set(keyspace.key_snapshot_key(bytes([number])), number)
    pipe = store.pipeline(transaction=False)
    for number in range(21):
        pipe.get(keyspace.key_snapshot_key(bytes([number])))
    assert await pipe.execute() == [*(str(number).encode() for number in range(20)), None]
    await store.aclose()


async def test_a_cluster_that_is_away_is_an_error_of_redis(nodes: ClusterOfNodes) -> None:
    nowhere = "valkey+cluster://127.0.0.1:1"
    with pytest.raises(redis.RedisError):
        connect(nowhere)
    store: Any = connect_async(nowhere, seconds=1)
    with pytest.raises(redis.RedisError):
        await store.get("x")
    pipe = store.pipeline(transaction=False)
    pipe.get("x")
    with pytest.raises(redis.RedisError):
        await pipe.execute()
    await store.aclose()


def test_a_slot_that_nobody_has_is_an_error_of_redis(store: Any) -> None:
    store.nodes_manager.slots_cache.pop(store.keyslot(keyspace.VERSIONS))
    with pytest.raises(redis.RedisError):
        subscription(store, keyspace.VERSIONS)
    with pytest.raises(redis.RedisError):
        publish(store, keyspace.CHANGES, "acme 7", beside=keyspace.VERSIONS)


def test_connections_that_another_task_closes_are_out_of_reach(nodes: ClusterOfNodes) -> None:
    """As when a master is lost: the first to notice closes them all, and others write at that moment."""

    async def ask(store: Any) -> int:
        refused = 0
        for number in range(50):
            try:
                await store.get(f"key-{number}")
            except redis.RedisError:
                refused += 1
            if number % 10 == 0:
                for node in store.get_nodes():
                    await node.disconnect()
        return refused

    async def all_at_once() -> list[int]:
        async with connect_async(nodes.url, seconds=5) as store:
            return await asyncio.gather(*(ask(store) for _ in range(20)))

    assert len(asyncio.run(all_at_once())) == 20
