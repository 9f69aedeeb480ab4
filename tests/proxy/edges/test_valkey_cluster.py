"""The hot path's client on a real Valkey Cluster whose masters die and whose slots move, and on one that Sentinels
watch."""

import asyncio
import os
import signal
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from costhub.lib.broker import broker_options
from costhub.lib.keyspace import CHANGES, SHARDS, VERSIONS, ledger_key, tag
from costhub.lib.redis import connect, connect_async, publish
from costhub.lib.valkey_slots import even_ranges, slot_of
from costhub.lib.valkey_url import parse_valkey_url
from costhub.stack.ports import HOST
from proxy.edges.announcements import Announcements
from proxy.edges.settle_batch import SETTLE, Settle, settle_command
from proxy.edges.valkey import OutcomeUnknown, Valkey, ValkeyUnavailable
from proxy.edges.valkey_cluster import ValkeyCluster, _merge, make_valkey
from proxy.edges.valkey_dial import Dial
from tests.patience import PATIENCE_SECONDS
from tests.valkeys import (
    MASTER,
    Certificates,
    ClusterOfNodes,
    Watched,
    cluster,
    find_tls_server,
    until,
    wait_replicated,
    watched,
)

pytestmark = pytest.mark.processes
#: what nobody here runs into but who is stopped
TIMEOUT_MS = 10_000
#: what a replica that is stopped has for its confirmation
SOON_MS = 1_000


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterOfNodes]:
    with cluster(tmp_path_factory.mktemp("cluster"), more="enable-debug-command yes") as found:
        yield found


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(tmp_path_factory.mktemp("sentinel")) as found:
        yield found


@pytest.fixture
async def valkey(nodes: ClusterOfNodes) -> AsyncIterator[Valkey]:
    nodes.wait_whole()
    found = make_valkey(nodes.url, [SETTLE], TIMEOUT_MS)
    await open_whole(found)
    yield found
    await found.close()


async def open_whole(valkey: Valkey) -> None:
    """Open it, and return when every slot is served, however long that takes."""
    await valkey.open()
    await asyncio.wait_for(valkey.wait_connected(), PATIENCE_SECONDS)


async def write(valkey: Valkey, key: str, value: str) -> None:
    """Write it, however long nobody can."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await valkey.send(b"SET", key, value)
            except ValkeyUnavailable:
                await asyncio.sleep(0.02)
            else:
                return


def test_slots_are_those_of_the_server(nodes: ClusterOfNodes) -> None:
    for key in ("{s03}:hold:x", "costhub:versions", "a{}b", "a{b", "{}{x}", "é", "costhub:cache:{00ff}", ""):
        assert slot_of(key) == nodes.nodes[0].ask("CLUSTER", "KEYSLOT", key), key


@pytest.mark.parametrize("masters", range(1, 17))
def test_shards_are_spread_over_the_masters(masters: int) -> None:
    ranges = even_ranges(masters)
    slots = [slot_of(tag(shard)) for shard in range(SHARDS)]
    shares = [sum(first <= slot <= last for slot in slots) for first, last in ranges]
    assert sum(shares) == SHARDS
    assert max(shares) - min(shares) <= 1
    assert [first for first, _ in ranges] == [0, *(last + 1 for _, last in ranges[:-1])]
    assert ranges[-1][1] == 16_383


async def test_each_command_goes_to_the_master_of_its_slot(valkey: Valkey) -> None:
    assert isinstance(valkey, ValkeyCluster)
    assert valkey.is_connected
    sent = [valkey.send(b"SET", f"spread:{number}", number) for number in range(200)]
    assert await asyncio.gather(*sent) == [b"OK"] * 200
    read = [valkey.send(b"GET", f"spread:{number}") for number in range(200)]
    assert await asyncio.gather(*read) == [str(number).encode() for number in range(200)]
    assert len(valkey._lines) == 3


async def test_scripts_run_at_every_master(valkey: Valkey) -> None:
    for shard in range(SHARDS):
        keys = settle_command(shard, [Settle("nobody", 0, b"{}", b"")], 1)
        assert await valkey.run(SETTLE, *keys) == [0]


async def test_a_slot_that_moves_is_followed_and_order_is_kept(nodes: ClusterOfNodes, valkey: Valkey) -> None:
    key = f"{tag(7)}:moving"
    slot = slot_of(key)
    old = nodes.master_of(slot)
    new = next(node for node in nodes.living if node is not old and _is_master(node))
    old.ask("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", new.ask("CLUSTER", "MYID"))
    sent: list[asyncio.Future[Any]] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while nodes.master_of(slot) is old or len(sent) < 500:
            sent += [valkey.send(b"RPUSH", key, len(sent)), valkey.send(b"RPUSH", key, len(sent) + 1)]
            await sent[-1]
    assert await asyncio.gather(*sent) == list(range(1, len(sent) + 1))
    assert await valkey.send(b"LRANGE", key, 0, -1) == [str(number).encode() for number in range(len(sent))]
    assert new.ask("LLEN", key) == len(sent)


async def test_a_slot_between_two_masters_is_asked_for_at_the_new_one(nodes: ClusterOfNodes, valkey: Valkey) -> None:
    key = f"{tag(2)}:between"
    slot = slot_of(key)
    old = nodes.master_of(slot)
    new = next(node for node in nodes.living if node is not old and _is_master(node))
    new.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", old.ask("CLUSTER", "MYID"))
    old.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", new.ask("CLUSTER", "MYID"))
    try:
        # The key is not at the old master any more: it says ASK.
        assert await valkey.send(b"SET", key, "there") == b"OK"
        assert await valkey.send(b"GET", key) == b"there"
        assert key not in old.ask("CLUSTER", "GETKEYSINSLOT", slot, 100)
        assert key in new.ask("CLUSTER", "GETKEYSINSLOT", slot, 100)
        assert await valkey.send(b"DEL", key) == 1
    finally:
        for node in (new, old):
            node.ask("CLUSTER", "SETSLOT", slot, "STABLE")


async def test_a_master_that_dies_has_a_successor(nodes: ClusterOfNodes, valkey: Valkey) -> None:
    key = f"{tag(0)}:failover"
    await write(valkey, key, "before")
    dying = nodes.master_of(slot_of(key))
    elsewhere = next(f"{tag(n)}:x" for n in range(SHARDS) if nodes.master_of(slot_of(tag(n))) is not dying)
    wait_replicated(dying)
    pid = dying.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    dying.stop()
    with pytest.raises(ValkeyUnavailable):
        for _ in range(100):
            await valkey.send(b"SET", key, "while it is dead")
    # Other masters' organisations do not notice.
    assert await valkey.send(b"SET", elsewhere, "1") == b"OK"
    await write(valkey, f"{key}:after", "after")
    assert await valkey.send(b"GET", key) == b"before"
    dying.start()
    dying.wait_ready()
    nodes.wait_whole()
    assert await valkey.send(b"GET", f"{key}:after") == b"after"


def test_announcements_are_heard_after_a_failover(nodes: ClusterOfNodes) -> None:
    nodes.wait_whole()
    heard: list[str] = []
    announcements = Announcements(
        nodes.url, catch_up=lambda _: heard.append("caught up"), change=lambda change: heard.append(change.org_id)
    )
    announcements.open(PATIENCE_SECONDS)
    try:
        dying = nodes.master_of(slot_of(VERSIONS))
        until(lambda: heard == ["caught up"], "it listens")
        pid = dying.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        dying.stop()
        until(lambda: announcements.is_deaf, "it knows that it hears nothing")
        until(lambda: heard[-1] == "caught up" and not announcements.is_deaf, "it listens to the new master")
        dying.start()
        dying.wait_ready()
        nodes.wait_whole()
        store = connect(nodes.url)
        publish(store, CHANGES, "acme 7", beside=VERSIONS)
        store.close()
        until(lambda: "acme" in heard, "a change is heard")
    finally:
        announcements.close()


async def test_a_planned_failover_loses_and_repeats_nothing(nodes: ClusterOfNodes, valkey: Valkey) -> None:
    key = f"{tag(5)}:planned"
    slot = slot_of(key)
    old = nodes.master_of(slot)
    replica = nodes.replica_of(old)
    pushed, failed, number = [], 0, 0
    replica.ask("CLUSTER", "FAILOVER")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while nodes.master_of(slot) is old or number < 200:
            number += 1
            try:
                await valkey.send(b"RPUSH", key, number)
            except OutcomeUnknown:
                raise
            except ValkeyUnavailable:
                failed += 1
            else:
                pushed.append(str(number).encode())
    assert await valkey.send(b"LRANGE", key, 0, -1) == pushed
    assert replica.ask("LLEN", key) == len(pushed)


async def test_a_hung_master_holds_up_nobody_else(nodes: ClusterOfNodes) -> None:
    valkey = make_valkey(nodes.url, (), 200)
    await open_whole(valkey)
    hung = nodes.master_of(slot_of(tag(1)))
    others = [n for n in range(SHARDS) if nodes.master_of(slot_of(tag(n))) is not hung]
    pid = hung.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(OutcomeUnknown):
            await valkey.send(b"SET", f"{tag(1)}:hung", "1")
        for shard in others:
            assert await valkey.send(b"SET", f"{tag(shard)}:x", "1") == b"OK"
    finally:
        os.kill(pid, signal.SIGCONT)
        await valkey.close()
    nodes.wait_whole()


async def test_a_master_that_is_cut_off_is_not_believed(nodes: ClusterOfNodes, valkey: Valkey) -> None:
    assert isinstance(valkey, ValkeyCluster)
    # The first of whom the client thinks: it would be asked before the others.
    first = next(iter(valkey._lines))
    shard = next(n for n in range(SHARDS) if nodes.master_of(slot_of(tag(n))).address == first)
    key, slot = f"{tag(shard)}:cut-off", slot_of(tag(shard))
    cut_off = nodes.master_of(slot)
    successor = nodes.replica_of(cut_off)
    cut_off.ask("DEBUG", "DROP-CLUSTER-PACKET-FILTER", -2)
    try:
        successor.ask("CLUSTER", "FAILOVER", "TAKEOVER")
        until(lambda: "cluster_state:fail" in str(cut_off.ask("CLUSTER", "INFO")), "it notices that it is alone")
        assert next(line for line in cut_off.ask("CLUSTER", "SLOTS") if line[0] <= slot <= line[1])[2][1] == first[1]
        await write(valkey, key, "1")
        assert successor.ask("GET", key) == "1"
    finally:
        cut_off.ask("DEBUG", "DROP-CLUSTER-PACKET-FILTER", -1)
    nodes.wait_whole()


def test_the_highest_epoch_is_believed_slot_by_slot() -> None:
    old, new, other = ("old", 1), ("new", 1), ("other", 1)
    cut_off = [(1, 0, 99, old), (2, 100, 16_383, other)]
    told = [(1, 0, 9, old), (7, 10, 99, new), (2, 100, 16_383, other)]
    for views in ([(cut_off, [old]), (told, [new])], [(told, [new]), (cut_off, [old])]):
        owners, nodes = _merge(views)
        assert (owners[:10], owners[10:100], owners[100:]) == ([old] * 10, [new] * 90, [other] * 16_284)
        assert sorted(nodes) == [new, old]
    assert _merge([([(1, 0, 9, old)], [old])])[0][10] is None


async def test_writes_that_no_replica_has_are_not_known_to_have_happened(nodes: ClusterOfNodes) -> None:
    valkey = make_valkey(f"{nodes.url}?replicas=1", [SETTLE], SOON_MS)
    await open_whole(valkey)
    try:
        key = f"{tag(4)}:confirmed"
        sent = [valkey.send(b"RPUSH", key, number) for number in range(50)]
        assert await asyncio.gather(*sent) == list(range(1, 51))
        master = nodes.master_of(slot_of(key))
        replica = nodes.replica_of(master)
        assert replica.ask("INFO", "replication")["slave_repl_offset"] > 0
        pid = replica.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(OutcomeUnknown):
                await valkey.send(b"RPUSH", key, "unconfirmed")
        finally:
            os.kill(pid, signal.SIGCONT)
        # It has happened, and now the replica has it too.
        assert await valkey.send(b"LLEN", key) == 51
    finally:
        await valkey.close()
    nodes.wait_whole()


async def test_replicas_tell_who_the_masters_are(nodes: ClusterOfNodes) -> None:
    """Whoever was a master when the URL was written may be a replica by now: it confirms nothing, and can tell."""
    replicas = [node for node in nodes.living if not _is_master(node)]
    masters = {node.address for node in nodes.living if _is_master(node)}
    named = ",".join(f"{HOST}:{node.port}" for node in replicas)
    before, at, _ = nodes.url.rpartition("@")
    valkey = make_valkey(f"{before}{at}{named}/?replicas=1", [SETTLE], TIMEOUT_MS)
    await open_whole(valkey)
    try:
        assert isinstance(valkey, ValkeyCluster)
        assert set(valkey._lines) == masters
        assert await valkey.send(b"SET", f"{tag(5)}:told", "1") == b"OK"
    finally:
        await valkey.close()


async def test_a_cluster_that_is_away_refuses_and_is_found_when_it_comes(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    valkey = make_valkey("valkey+cluster://127.0.0.1:1,127.0.0.1:2", (), 100)
    keeper = asyncio.create_task(valkey.open())
    with pytest.raises(ValkeyUnavailable):
        valkey.send(b"GET", ledger_key(0))
    assert not valkey.is_connected
    await keeper
    await valkey.close()


class TestSentinel:
    async def test_the_master_is_found_and_its_successor_too(self, group: Watched) -> None:
        valkey = make_valkey(group.url, [SETTLE], TIMEOUT_MS)
        await open_whole(valkey)
        try:
            await write(valkey, "before", "1")
            master = group.master
            wait_replicated(master)
            assert master.ask("GET", "before") == "1"
            master.stop()
            await write(valkey, "after", "2")
            assert await valkey.send(b"GET", "before") == b"1"
            # the first Sentinel may be the last to hear of it
            until(lambda: group.master is not master, "the Sentinels agree on the successor")
            assert await valkey.run(SETTLE, *settle_command(1, [Settle("nobody", 0, b"{}", b"")], 1)) == [0]
            master.start()
            master.wait_ready()
            until(lambda: master.ask("INFO", "replication")["role"] == "slave", "the old master follows the new one")
        finally:
            await valkey.close()

    async def test_a_server_that_is_no_master_any_more_is_left(self, group: Watched) -> None:
        group.wait_watched()
        valkey = make_valkey(group.url, (), TIMEOUT_MS)
        await open_whole(valkey)
        try:
            master = group.master

            def is_replaced() -> bool:
                if group.master is master:
                    # on a busy machine one is begun and given up; while it runs this is an error
                    group.sentinels[0].ask("SENTINEL", "FAILOVER", MASTER)
                return group.master is not master

            until(is_replaced, "there is another master")
            # The old one takes writes until a Sentinel has told it.
            async with asyncio.timeout(PATIENCE_SECONDS):
                while group.master.ask("GET", "planned") != "3":
                    await write(valkey, "planned", "3")
        finally:
            await valkey.close()

    @pytest.mark.parametrize("silent", [False, True])
    async def test_a_sentinel_that_is_cut_off_is_not_believed(self, silent: bool) -> None:
        """The first of three tells of the master before; a second may not answer at all."""
        async with AsyncExitStack() as opened:
            told = [(1, 7001), None if silent else (2, 7002), (2, 7002)]
            ports = [await opened.enter_async_context(sentinel_that_says(one)) for one in told]
            hosts = ",".join(f"{HOST}:{port}" for port in ports)
            dial = Dial(parse_valkey_url(f"valkey+sentinel://{hosts}/{MASTER}"), (), 1)
            assert await dial.find_master() == (HOST, 7002)

    async def test_sentinels_who_know_no_master_tell_of_none(self) -> None:
        async with sentinel_that_says(None) as port:
            dial = Dial(parse_valkey_url(f"valkey+sentinel://{HOST}:{port}/{MASTER}"), (), 1)
            with pytest.raises(ValkeyUnavailable, match="no Sentinel names"):
                await dial.find_master()


@asynccontextmanager
async def sentinel_that_says(told: tuple[int, int] | None) -> AsyncIterator[int]:
    """A Sentinel that knows (epoch, port of the master), or answers nothing; gives its own port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while told is not None:
                words = [(await reader.readuntil(b"\r\n")).strip() for _ in range(2 * 3 + 1)]
                epoch, port = told
                address = [HOST, str(port)]
                fields = ["name", MASTER, "ip", HOST, "port", str(port), "config-epoch", str(epoch)]
                said = address if b"GET-MASTER-ADDR-BY-NAME" in words else fields
                writer.write("".join([f"*{len(said)}\r\n", *(f"${len(one)}\r\n{one}\r\n" for one in said)]).encode())
            await reader.read()
        writer.close()

    listening = await asyncio.start_server(answer, HOST, 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


@pytest.mark.skipif(find_tls_server() is None, reason="no server here speaks TLS: apt-get install redis-server")
class TestTls:
    """Servers that speak TLS alone, with each other too, and want a certificate from everybody."""

    async def test_a_cluster_loses_a_master(self, tmp_path: Path) -> None:
        with cluster(tmp_path / "nodes", certificates=Certificates(tmp_path)) as nodes:
            assert nodes.url.startswith("valkeys+cluster://")
            valkey = make_valkey(nodes.url, [SETTLE], TIMEOUT_MS)
            await open_whole(valkey)
            try:
                key = f"{tag(0)}:tls"
                await write(valkey, key, "before")
                dying = nodes.master_of(slot_of(key))
                wait_replicated(dying)
                dying.stop()
                await write(valkey, f"{key}:after", "after")
                assert await valkey.send(b"GET", key) == b"before"
                assert await valkey.run(SETTLE, *settle_command(0, [Settle("nobody", 0, b"{}", b"")], 1)) == [0]
            finally:
                await valkey.close()
            with connect(nodes.url) as store:
                assert store.get(f"{key}:after") == b"after"
            beside: Any = connect_async(nodes.url, seconds=PATIENCE_SECONDS)
            assert await beside.get(f"{key}:after") == b"after"
            await beside.aclose()
            stranger = make_valkey(nodes.url.partition("?")[0], (), TIMEOUT_MS)
            with pytest.raises(ssl.SSLCertVerificationError):
                await stranger._dial.node(stranger._dial.url.nodes[1])

    async def test_sentinels_lose_a_master(self, tmp_path: Path) -> None:
        with watched(tmp_path / "nodes", certificates=Certificates(tmp_path)) as group:
            assert group.url.startswith("valkeys+sentinel://")
            valkey = make_valkey(group.url, [SETTLE], TIMEOUT_MS)
            await open_whole(valkey)
            try:
                await write(valkey, "before", "1")
                dying = group.master
                wait_replicated(dying)
                dying.stop()
                await write(valkey, "after", "2")
                assert await valkey.send(b"GET", "before") == b"1"
            finally:
                await valkey.close()
            until(lambda: group.master is not dying, "the Sentinels agree on the successor")
            with connect(group.url) as store:
                assert store.get("after") == b"2"
            beside: Any = connect_async(group.url, seconds=PATIENCE_SECONDS)
            assert await beside.get("after") == b"2"
            await beside.aclose()
            # which does not close those to Sentinels
            for sentinel in beside.connection_pool.sentinel_manager.sentinels:
                await sentinel.aclose()
            assert queued(group.url) == "said"
            # Without a certificate of ours nobody is let in.
            with pytest.raises(redis.RedisError), connect(group.url.partition("&cert=")[0]) as store:
                store.ping()


def queued(url: str) -> Any:
    """What comes out of a queue of Celery's, where "said" goes in."""
    app = Celery(set_as_current=False, **broker_options(url))
    with app.connection_for_write() as connection, connection.SimpleQueue("tls") as queue:
        queue.put("said")
        message = queue.get(timeout=PATIENCE_SECONDS)
        message.ack()
        return message.payload


def _is_master(node: object) -> bool:
    return bool(node.ask("INFO", "replication")["role"] == "master")  # type: ignore[attr-defined]
