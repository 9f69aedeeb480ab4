"""A cluster, and what Sentinels watch, lose a master while calls run: the ledger is the bank's bill."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from pytest_django.fixtures import Settings

from costhub.lib import keyspace
from costhub.lib.redis import ShardsAway, broker, client
from costhub.lib.valkey_slots import slot_of
from costhub.ops.backlog import read_backlog
from costhub.ops.doctor import Subject, check_valkey
from costhub.ops.watch import find_troubles, tell_troubles
from proxy import tasks
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tests.bank import Bank
from tests.proxy.deployment import deploy
from tests.proxy.edges.entries import make_event
from tests.proxy.scene import Scene, acme
from tests.proxy.test_deaths import at_call
from tests.proxy.test_operations import get
from tests.valkeys import Certificates, Node, cluster, find_tls_server, read_cluster_info, until, watched
from tests.world import Tenant

__all__ = ["acme"]

pytestmark = pytest.mark.processes
#: calls wait for a failover no longer than this
TIMEOUT_MS = "1000"
#: how often a master is killed, and whether everybody speaks TLS
ONCE = pytest.param(1, False, id="once")
TLS = pytest.param(
    *(2, True),
    id="tls",
    marks=[pytest.mark.soak, pytest.mark.skipif(find_tls_server() is None, reason="no server here speaks TLS")],
)


@contextmanager
def using(settings: Settings, url: str) -> Iterator[None]:
    """Jobs and pages of this process use another Valkey."""
    before = settings.REDIS_URL
    client.cache_clear()
    settings.REDIS_URL = url
    try:
        yield
    finally:
        client().close()
        client.cache_clear()
        settings.REDIS_URL = before


def kill(node: Node) -> None:
    """kill -9: what was acknowledged a moment ago, its replica may not have."""
    pid = node.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    node.stop()


def run_through(scene: Scene, act: Callable[[], None]) -> None:
    """Calls, and something that happens among them; every one is answered or refused."""
    outcomes = scene.run(on_end=at_call(100, act))
    assert {outcome.status for outcome in outcomes} <= {200, 503}
    assert {outcome.error_code for outcome in outcomes if outcome.status == 503} <= {"governance_unavailable"}
    assert sum(outcome.status == 200 for outcome in outcomes) >= 100


@pytest.mark.parametrize(("rounds", "is_tls"), [ONCE, pytest.param(6, False, id="often", marks=pytest.mark.soak), TLS])
def test_masters_of_a_cluster_are_killed(
    acme: Tenant, bank: Bank, tmp_path: Path, settings: Settings, rounds: int, is_tls: bool
) -> None:
    certificates = Certificates(tmp_path / "certificates") if is_tls else None
    slot = slot_of(keyspace.tag(acme.org.shard))
    with (
        cluster(tmp_path / "nodes", certificates=certificates) as nodes,
        using(settings, nodes.url),
        deploy(
            tmp_path,
            workers=2,
            COSTHUB_GOVERNANCE_TIMEOUT_MS=TIMEOUT_MS,
            REDIS_URL=nodes.url,
            COSTHUB_BROKER_URL=os.environ["REDIS_URL"],
        ) as proxy,
    ):
        scene = Scene(acme, bank, proxy)

        def replace_master() -> None:
            dying = nodes.master_of(slot)
            kill(dying)
            dying.start()

        for _ in range(rounds):
            nodes.wait_whole()
            run_through(scene, replace_master)
        nodes.wait_whole()
        scene.run(calls=20)
        tasks.rebuild_counters()
        books = scene.balance()
    assert sum(row.status == 200 for row in books.rows) >= rounds * 100 + 20


@pytest.mark.parametrize("covers_all", ["no", "yes"])
def test_a_master_that_stays_dead_stops_its_own_shards_alone(
    acme: Tenant, bank: Bank, tmp_path: Path, settings: Settings, covers_all: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the cluster does not want all slots to be covered, which the doctor asks for; else it stops all of them
    once it has noticed."""
    shards = set(range(keyspace.SHARDS))
    with (
        cluster(
            tmp_path / "nodes", replicas=0, more=f"cluster-require-full-coverage {covers_all}\nappendonly yes"
        ) as nodes,
        using(settings, nodes.url),
        deploy(
            tmp_path,
            COSTHUB_GOVERNANCE_TIMEOUT_MS=TIMEOUT_MS,
            REDIS_URL=nodes.url,
            COSTHUB_BROKER_URL=os.environ["REDIS_URL"],
        ) as proxy,
    ):
        scene = Scene(acme, bank, proxy)
        found = check_valkey(Subject(tmp_path, {}))
        assert found.ok is (covers_all == "no")
        assert found.ok or found.sentence == (
            "cluster-require-full-coverage is 'yes', not 'no': while one master is away all others would refuse every call"
        )
        assert {outcome.status for outcome in scene.run(calls=3)} == {200}
        masters = {shard: nodes.master_of(slot_of(keyspace.tag(shard))) for shard in shards}
        dying = next(master for master in masters.values() if master is not masters[acme.org.shard])
        away = shards if covers_all == "yes" else {shard for shard in shards if masters[shard] is dying}
        for shard in shards:
            client().xadd(keyspace.ledger_key(shard), {"e": make_event(acme, 1_000)})
        kill(dying)
        until(
            lambda: all(int(read_cluster_info(node)["cluster_slots_fail"]) > 0 for node in nodes.living),
            "the others take it for dead",
        )
        with pytest.raises(ShardsAway) as told:
            tasks.drain_ledger()
        assert str(told.value) == str(ShardsAway(away))
        with pytest.raises(ShardsAway):
            tasks.reap_reservations()
        if covers_all == "no":
            backlog = read_backlog()
            assert set(backlog.away) == away
            assert backlog.events == 0
            # Told wherever the cluster would have kept that it was.
            monkeypatch.setattr(keyspace, "ALARMS", f"{keyspace.tag(min(away))}:alarms")
            assert tell_troubles(find_troubles()) >= 1
            told_of = broker().hkeys(keyspace.ALARMS)
            broker().delete(keyspace.ALARMS)
            assert b"valkey shards" in cast("list[bytes]", told_of)
            assert get(proxy, "/readyz?for=calls").status_code == 200
        status = 200 if covers_all == "no" else 503
        assert {outcome.status for outcome in scene.run(calls=3)} == {status}
        with org_scope(acme.org_id):
            drained = LedgerEntry.objects.filter(org_id=acme.org_id, effective_cost=1_000).count()
        assert drained == len(shards - away)


@pytest.mark.parametrize(("rounds", "is_tls"), [ONCE, pytest.param(4, False, id="often", marks=pytest.mark.soak), TLS])
def test_the_master_that_sentinels_watch_is_killed(
    acme: Tenant, bank: Bank, tmp_path: Path, settings: Settings, rounds: int, is_tls: bool
) -> None:
    certificates = Certificates(tmp_path / "certificates") if is_tls else None
    with (
        watched(tmp_path / "nodes", certificates=certificates) as group,
        using(settings, group.url),
        deploy(tmp_path, workers=2, COSTHUB_GOVERNANCE_TIMEOUT_MS=TIMEOUT_MS, REDIS_URL=group.url) as proxy,
    ):
        scene = Scene(acme, bank, proxy)

        def replace_master() -> None:
            dying = group.master
            kill(dying)
            dying.start()

        for _ in range(rounds):
            group.wait_watched()
            run_through(scene, replace_master)
        group.wait_watched()
        scene.run(calls=20)
        tasks.rebuild_counters()
        books = scene.balance()
    assert sum(row.status == 200 for row in books.rows) >= rounds * 100 + 20
