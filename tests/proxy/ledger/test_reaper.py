"""The reaper: a dead worker's hold is charged at what was held, once, and nobody else's is touched."""

import orjson
import pytest

from costhub.lib import clock, keyspace
from costhub.lib.redis import client
from proxy.ledger import drain, reaper
from tests.patience import PATIENCE_SECONDS
from tests.proxy.edges import job
from tests.proxy.edges.entries import make_row, read_ledger
from tests.proxy.edges.till import Line, Till
from tests.world import Tenant


def hold(till: Till, tenant: Tenant, amount: int, *lines: Line, ends_in_ms: int = -1) -> str:
    """Money set aside for a call whose lease ends then. Gives the hold's id."""
    row = make_row(tenant, 0, status=0, request_model="small", tags={"team": "a"})
    till.reserve(row["id"], *lines, wanted=amount, fewest=1, row=row, ends=clock.now_ms() + ends_in_ms)
    return str(row["id"])


@pytest.fixture
def line(till: Till) -> Line:
    return till.line("org", 10**9)


class TestUnsettled:
    def test_one_that_cannot_be_settled_holds_up_no_other(self, acme: Tenant, till: Till, line: Line) -> None:
        broken, whole = hold(till, acme, 5, line), hold(till, acme, 420, line)
        client().hset(keyspace.hold_key(till.shard, broken), "row", b"no row")
        assert reaper.reap(till.shard) == 1
        assert till.read(line) == (420, 5)
        assert till.hold(whole) == {}
        lease = till.lease(broken)
        assert lease is not None
        assert lease > clock.now_ms()


class TestExpired:
    def test_it_is_charged_at_its_bound_in_the_workers_name(self, acme: Tenant, till: Till, line: Line) -> None:
        hold_id = hold(till, acme, 420, line)
        assert reaper.reap(till.shard) == 1
        assert till.read(line) == (420, 0)
        assert (till.hold(hold_id), till.lease(hold_id)) == ({}, None)
        assert client().get(keyspace.closed_key(till.shard, hold_id)) == b"reaped 420"
        drain.drain(till.shard)
        (row,) = read_ledger(acme)
        assert (str(row.id), row.kind, row.effective_cost, row.list_cost, row.held) == (hold_id, "call", 420, 420, 420)
        assert (row.is_estimated, row.error_code, row.status) == (True, "worker_died", 0)
        assert (row.request_model, row.tags) == ("small", {"team": "a"})
        assert [(attempt["number"], attempt["cost"], attempt["certainty"]) for attempt in row.attempts] == [
            (1, 420, "bound")
        ]

    def test_every_attempt_is_in_it(self, acme: Tenant, till: Till, line: Line) -> None:
        hold_id = hold(till, acme, 400, line)
        till.reserve(hold_id, line, wanted=20, attempt=2, ends=clock.now_ms() - 1)
        reaper.reap(till.shard)
        drain.drain(till.shard)
        (row,) = read_ledger(acme)
        assert row.effective_cost == row.held == 420
        assert [(attempt["number"], attempt["cost"]) for attempt in row.attempts] == [(1, 420), (2, 0)]

    def test_twice_is_once(self, acme: Tenant, till: Till, line: Line) -> None:
        hold(till, acme, 420, line)
        assert (reaper.reap(till.shard), reaper.reap(till.shard)) == (1, 0)
        assert till.read(line) == (420, 0)
        assert len(till.events()) == 1

    def test_a_whole_farm_that_died_is_reaped_in_one_go(self, acme: Tenant, till: Till, line: Line) -> None:
        for _ in range(1_100):
            hold(till, acme, 3, line)
        assert reaper.reap(till.shard) == 1_100
        assert till.read(line) == (3_300, 0)
        assert client().zcard(till.leases) == 0

    def test_in_two_places_at_once_each_is_reaped_once(self, acme: Tenant, till: Till, line: Line) -> None:
        for _ in range(300):
            hold(till, acme, 3, line)
        workers = [job.start("reap", till.shard) for _ in range(2)]
        assert [worker.wait(timeout=PATIENCE_SECONDS) for worker in workers] == [0, 0]
        assert till.read(line) == (900, 0)
        assert len(till.events()) == 300


class TestAlive:
    def test_a_running_lease_is_let_be(self, acme: Tenant, till: Till, line: Line) -> None:
        hold(till, acme, 420, line, ends_in_ms=60_000)
        assert reaper.reap(till.shard) == 0
        assert till.read(line) == (0, 420)

    def test_so_is_one_that_is_renewed_while_the_reaper_looks(self, acme: Tenant, till: Till, line: Line) -> None:
        hold_id = hold(till, acme, 420, line)
        seen = clock.now_ms()
        client().zadd(till.leases, {hold_id: seen + 45_000}, xx=True)
        assert reaper._reap_one(till.shard, hold_id, seen) == 0
        assert till.read(line) == (0, 420)

    def test_a_lease_without_a_hold_is_swept_away(self, acme: Tenant, till: Till) -> None:
        client().zadd(till.leases, {"gone": 1})
        assert reaper.reap(till.shard) == 0
        assert client().zcard(till.leases) == 0
        assert till.events() == []


class TestKilled:
    @pytest.mark.parametrize(("failpoint", "events"), [("reap_found", 0), ("reap_settled", 1)])
    def test_the_next_one_goes_on(self, acme: Tenant, till: Till, line: Line, failpoint: str, events: int) -> None:
        ids = [hold(till, acme, amount, line) for amount in (400, 20)]
        assert job.run("reap", till.shard, failpoint=failpoint) == -9
        assert len(till.events()) == events
        assert reaper.reap(till.shard) == 2 - events
        assert sorted(orjson.loads(event)["id"] for event in till.events()) == sorted(ids)
        assert till.read(line) == (420, 0)
