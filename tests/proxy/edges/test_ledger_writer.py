"""A call's money from reserve to ledger event, through the hot path's own objects, when Valkey, workers and data
fail."""

import asyncio
import dataclasses
import gc
import weakref
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson
import pytest
from django.conf import settings

from costhub.lib import clock, keyspace
from costhub.lib.redis import client
from proxy.core.plan import make_plan
from proxy.dialects.openai_chat import parse_request
from proxy.edges import ledger_writer, reserve_batch, settle, settle_batch
from proxy.edges.entry import Entry
from proxy.edges.ledger_writer import LedgerWriter
from proxy.edges.recent import Written
from proxy.edges.reserve import GIVE_BACK, TURN, Replan, Reservations
from proxy.edges.valkey import Answer, Valkey, ValkeyUnavailable
from proxy.errors import BudgetExceeded, GovernanceUnavailable
from proxy.ledger import drain, reaper, recount
from proxy.models import LedgerEntry
from proxy.values.attempt import Attempt, Certainty, Usage
from proxy.values.plan import Hold, Plan
from proxy.values.request import Controls, Endpoint
from tenants.choices import BudgetScope
from tenants.selectors import load_key_snapshot, load_org_snapshot
from tenants.snapshots import KeySnapshot, OrgSnapshot
from tests.patience import PATIENCE_SECONDS, until
from tests.proxy.edges.entries import line_of, read_ledger
from tests.proxy.edges.test_standing_tasks import count_faults
from tests.proxy.edges.threads import in_thread
from tests.proxy.edges.till import Till
from tests.proxy.test_deaths import pid_of, stack, stopped
from tests.stack_fixtures import TestStack
from tests.world import Tenant, make_budget, make_catalog

__all__ = ["stack"]

TIMEOUT_MS = PATIENCE_SECONDS * 1000
#: a server that is made to hang does so for longer than anybody waits, unless it is told to go on
HANGS_MS = 30_000
#: of a connection to one
HANGS_SECONDS = 0.15
BODY = orjson.dumps({"model": "small", "max_tokens": 100, "messages": [{"role": "user", "content": "Where?"}]})


@dataclass
class Desk:
    """A worker's edges, and what it knows of Acme."""

    tenant: Tenant
    till: Till
    org: OrgSnapshot
    key: KeySnapshot
    valkey: Valkey
    reservations: Reservations
    ledger: LedgerWriter

    def make_plan(self, **controls: Any) -> Plan:
        request = parse_request(Endpoint.CHAT, BODY)
        return make_plan(request, Controls(**controls), self.key, self.org, clock.now_ms())

    def entry(self) -> Any:
        request_id, now = clock.new_request_id()
        return self.ledger.entry(request_id, now, clock.monotonic_ns(), self.key, self.org, Endpoint.CHAT)

    async def reserve(self, plan: Plan, entry: Entry) -> Hold:
        """Have a call admitted whose plan holds."""
        admitted, hold = await self.reservations.admit(plan, entry, _as_it_is())
        assert admitted is plan
        return hold

    async def reserve_again(self, plan: Plan, entry: Entry) -> Hold:
        """Have a further attempt admitted."""
        _, _, hold = await self.reservations.readmit(plan, entry, plan.first, _as_it_is())
        return hold

    async def written(self) -> list[LedgerEntry]:
        """Wait until this worker has written everything. Gives the ledger, drained."""
        await asyncio.wait_for(self.ledger._quiet.wait(), PATIENCE_SECONDS)
        await in_thread(lambda: drain.drain(self.till.shard))
        return await in_thread(lambda: read_ledger(self.tenant))

    def counters(self, plan: Plan) -> set[tuple[int, int] | None]:
        """(settled, held) of the plan's budgets: one of them, where all agree."""
        return {self.till.read(line_of(scope)) for scope in plan.first.scopes}


def _as_it_is() -> Replan:
    async def decide(_: Mapping[str, int]) -> Plan:
        raise AssertionError("nothing has changed since it was planned")

    async def renew(_: int) -> None:
        raise AssertionError("nothing has changed since it was planned")

    return Replan(decide, renew)


@pytest.fixture
def snapshots(acme: Tenant) -> tuple[OrgSnapshot, KeySnapshot]:
    """Acme with a priced model and two budgets."""
    make_catalog(acme)
    make_budget(acme, "0.010000000")
    make_budget(acme, "0.010000000", scope=BudgetScope.KEY, subject=str(acme.key.pk))
    org, key = load_org_snapshot(acme.org_id), load_key_snapshot(bytes(acme.key.digest))
    assert org is not None
    assert key is not None
    return org, key


@pytest.fixture
async def desk(acme: Tenant, till: Till, snapshots: tuple[OrgSnapshot, KeySnapshot]) -> AsyncIterator[Desk]:
    scripts = (reserve_batch.RESERVE, TURN, GIVE_BACK, settle_batch.SETTLE, settle.GIVE_UP, settle.LATE, settle.CORRECT)
    valkey = Valkey(settings.REDIS_URL, scripts, TIMEOUT_MS)
    await valkey.open()
    reserver = Reservations(valkey)
    await reserver.open()
    writer = LedgerWriter(valkey, reserver)
    await writer.open()
    yield Desk(acme, till, *snapshots, valkey, reserver, writer)
    await writer.close(5)
    await reserver.close()
    await valkey.close()


def served(entry: Entry, cost: int, certainty: Certainty = Certainty.EXACT) -> None:
    """The upstream has answered."""
    used = Usage() if certainty is Certainty.BOUND else Usage(input=9, output=20)
    entry.attempts.append(Attempt(1, 200, certainty, used, cost))


async def expire(desk: Desk, entry: Entry) -> None:
    """The worker sleeps through its lease, and the reaper comes."""
    client().zadd(desk.till.leases, {entry.request_id: clock.now_ms() - 1}, xx=True)
    assert await in_thread(lambda: reaper.reap(desk.till.shard)) == 1


class TestSettled:
    async def test_a_call_is_held_then_charged_then_in_the_ledger(self, desk: Desk) -> None:
        plan = desk.make_plan()
        with desk.entry() as entry:
            entry.note_plan(plan)
            hold = await desk.reserve(plan, entry)
            assert desk.counters(plan) == {(0, hold.amount)}
            served(entry, 420)
        (row,) = await desk.written()
        assert (str(row.id), row.effective_cost, row.held, row.is_estimated) == (
            entry.request_id,
            420,
            hold.amount,
            False,
        )
        assert desk.counters(plan) == {(420, 0)}
        assert client().zcard(desk.till.leases) == 0

    async def test_more_new_budgets_than_tries_are_counted_at_once(self, desk: Desk, acme: Tenant) -> None:
        def add() -> OrgSnapshot:
            for _ in range(6):
                make_budget(acme, "0.020000000")
            org = load_org_snapshot(acme.org_id)
            assert org is not None
            return org

        desk.org = await in_thread(add)
        plan = desk.make_plan()
        assert len(plan.first.scopes) == 8
        with desk.entry() as entry:
            entry.note_plan(plan)
            hold = await desk.reserve(plan, entry)
        assert hold.amount > 0

    async def test_many_calls_that_meet_an_unknown_shard_are_all_served(self, desk: Desk) -> None:
        desk.till.lose_everything()
        plan = desk.make_plan()

        async def call() -> int:
            with desk.entry() as entry:
                entry.note_plan(plan)
                await desk.reserve(plan, entry)
                served(entry, 10)
                return 10

        assert sum(await asyncio.gather(*(call() for _ in range(30)))) == 300
        assert len(await desk.written()) == 30
        assert desk.counters(plan) == {(300, 0)}

    async def test_a_refusal_names_the_budget_and_is_a_row_of_no_cost(self, desk: Desk, acme: Tenant) -> None:
        plan = desk.make_plan()
        await in_thread(lambda: recount.recount(desk.till.shard, "", ()))
        for scope in plan.first.scopes[1:]:
            desk.till.put(line_of(scope), 9_999_000, 999)
        with pytest.raises(BudgetExceeded) as caught, desk.entry() as entry:
            entry.note_plan(plan)
            await desk.reserve(plan, entry)
        told = caught.value.more["budget"]
        assert (told["scope"], told["subject"]) == ("key", str(acme.key.pk))
        assert (told["limit"], told["spent"], told["held"]) == ("0.010000000", "0.009999000", "0.000000999")
        (row,) = await desk.written()
        assert (row.effective_cost, row.status, row.error_code) == (0, 402, "budget_exceeded")
        kept = {name: row.refused_by[name] for name in ("kind", "id", "scope", "limit", "spent", "needed")}
        assert kept == {"kind": "budget", **{name: told[name] for name in kept if name != "kind"}}

    async def test_a_caller_who_leaves_is_charged_what_was_known(self, desk: Desk) -> None:
        plan = desk.make_plan()
        is_served = asyncio.Event()

        async def call() -> None:
            with desk.entry() as entry:
                entry.note_plan(plan)
                await desk.reserve(plan, entry)
                served(entry, 77, Certainty.COUNTED)
                is_served.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(call())
        await is_served.wait()
        task.cancel()
        await asyncio.wait([task])
        (row,) = await desk.written()
        assert (row.effective_cost, row.status, row.is_estimated) == (77, 499, True)
        assert desk.counters(plan) == {(77, 0)}

    async def test_a_reserve_that_stumbles_half_way_holds_nothing(self, desk: Desk) -> None:
        """No key of ours is of another kind, but what others damaged must not hold money for ever."""
        plan = desk.make_plan()
        await in_thread(lambda: recount.recount(desk.till.shard, "", ()))
        last = line_of(plan.first.scopes[-1])
        desk.till.put(last, 0)
        client().hset(last.key, "h", "no number of nanos")
        with pytest.raises(GovernanceUnavailable), desk.entry() as entry:
            entry.note_plan(plan)
            await desk.reserve(plan, entry)
        (row,) = await desk.written()
        assert (row.effective_cost, row.status) == (0, 503)
        assert (desk.till.hold(str(row.id)), client().zcard(desk.till.leases)) == ({}, 0)
        assert client().get(keyspace.closed_key(desk.till.shard, str(row.id))) == b"given up"


def lose_patience(desk: Desk) -> None:
    """The connection that there is is given up soon where nobody answers; the next one is not."""
    assert desk.valkey._line is not None
    desk.valkey._line._timeout = HANGS_SECONDS


class TestValkeyHangs:
    """CLIENT PAUSE: every script that was sent waits, and runs or not when it is over."""

    async def test_a_reserve_without_an_answer_holds_nothing(self, desk: Desk) -> None:
        plan = desk.make_plan()
        await in_thread(lambda: recount.recount(desk.till.shard, "", ()))
        lose_patience(desk)
        client().client_pause(HANGS_MS, all=False)
        with pytest.raises(GovernanceUnavailable), desk.entry() as entry:
            entry.note_plan(plan)
            await desk.reserve(plan, entry)
        client().client_unpause()
        (row,) = await desk.written()
        assert (row.effective_cost, row.status, row.error_code) == (0, 503, "governance_unavailable")
        assert desk.counters(plan) <= {(0, 0), None}
        assert client().zcard(desk.till.leases) == 0

    async def test_a_caller_who_leaves_while_it_is_reserved_holds_nothing(self, desk: Desk) -> None:
        plan = desk.make_plan()
        await in_thread(lambda: recount.recount(desk.till.shard, "", ()))

        async def call() -> None:
            with desk.entry() as entry:
                entry.note_plan(plan)
                await desk.reserve(plan, entry)

        client().client_pause(HANGS_MS, all=False)
        task = asyncio.create_task(call())
        await asyncio.sleep(0)  # the reserve is on its way, and Valkey does not look yet
        task.cancel()
        await asyncio.wait([task])
        client().client_unpause()
        (row,) = await desk.written()
        assert (row.effective_cost, row.status, row.error_code) == (0, 499, "client_disconnected")
        assert desk.counters(plan) == {(0, 0)}
        assert client().zcard(desk.till.leases) == 0

    async def test_a_reserve_without_an_answer_is_not_that_of_the_next_model(self, desk: Desk) -> None:
        plan = desk.make_plan()
        with desk.entry() as entry:
            entry.note_plan(plan)
            first = await desk.reserve(plan, entry)
            served(entry, 420, Certainty.COUNTED)
            unheard = asyncio.create_task(desk.reserve_again(plan, entry))
            await asyncio.sleep(0)  # it is on its way
            unheard.cancel()
            await asyncio.wait([unheard])
            desk.reservations.turn(entry)
            hold = await desk.reserve_again(plan, entry)
            assert (hold.amount, hold.for_attempt) == (first.amount, first.amount)
            assert desk.counters(plan) == {(0, 420 + first.amount)}
        assert [row.effective_cost for row in await desk.written()] == [420]
        assert desk.counters(plan) == {(420, 0)}

    async def test_a_settle_without_an_answer_happens_once(self, desk: Desk) -> None:
        plan = desk.make_plan()
        with desk.entry() as entry:
            entry.note_plan(plan)
            await desk.reserve(plan, entry)
            served(entry, 420)
            lose_patience(desk)
            before = desk.valkey._line
            client().client_pause(HANGS_MS, all=False)
        await until(lambda: desk.valkey._line is not before)
        client().client_unpause()
        (row,) = await desk.written()
        assert row.effective_cost == 420
        assert desk.counters(plan) == {(420, 0)}

    async def test_a_settle_that_ran_and_was_not_answered_is_not_counted_twice(self, desk: Desk) -> None:
        plan = desk.make_plan()
        with desk.entry() as entry:
            entry.note_plan(plan)
            await desk.reserve(plan, entry)
            served(entry, 420)
        await desk.written()
        desk.ledger._write(entry)
        await asyncio.wait_for(desk.ledger._quiet.wait(), PATIENCE_SECONDS)
        assert [sorted(fields) for fields in desk.till.entries()] == [[b"again", b"e"]]
        await in_thread(lambda: recount.recount(desk.till.shard, "", ()))
        assert [row.effective_cost for row in await desk.written()] == [420]
        assert desk.counters(plan) == {(420, 0)}

    async def test_who_waits_for_what_a_shard_is_to_write_waits_for_no_other_and_not_for_ever(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plan, shard = desk.make_plan(), desk.org.shard
        with desk.entry() as entry:
            entry.note_plan(plan)
            await desk.reserve(plan, entry)
            served(entry, 420)
            client().client_pause(HANGS_MS, all=False)
        await asyncio.wait_for(desk.ledger.wait_written(shard + 1), PATIENCE_SECONDS)
        with monkeypatch.context() as patch, pytest.raises(GovernanceUnavailable, match="cannot be written down"):
            patch.setattr(ledger_writer, "_WRITTEN_WITHIN_SECONDS", 0.01)
            await desk.ledger.wait_written(shard)
        client().client_unpause()
        await desk.ledger.wait_written(shard)
        assert desk.ledger._quiet.is_set()
        assert [row.effective_cost for row in await desk.written()] == [420]


class TestFaultsOfOurOwn:
    """What is done beside calls goes on after a turn that failed."""

    async def test_leases_are_renewed_when_the_fault_is_gone(self, desk: Desk) -> None:
        plan, before = desk.make_plan(), count_faults("leases")
        reservations = Reservations(desk.valkey, renewal_seconds=0.01)
        with desk.entry() as entry:
            entry.note_plan(plan)
            hold = await desk.reserve(plan, entry)
            # An id of which no bytes can be made, beside it.
            odd = Entry("\ud800", 0, 0, desk.key, desk.org, {})
            for one in (entry, odd):
                reservations.take_over(one, plan.first, hold.amount, hold.max_output, entry.epoch)
            client().zadd(desk.till.leases, {entry.request_id: 1}, xx=True)
            await reservations.open()
            await until(lambda: count_faults("leases") > before)
            assert client().zscore(desk.till.leases, entry.request_id) == 1
            reservations.forget(odd.request_id)
            renewed_from = clock.now_ms() + reserve_batch.RESERVATION_LEASE_SECONDS * 1000
            await until(lambda: client().zscore(desk.till.leases, entry.request_id) != 1)
            assert (client().zscore(desk.till.leases, entry.request_id) or 0) >= renewed_from
            await reservations.close()
            served(entry, 420)
        await desk.written()
        assert desk.counters(plan) == {(420, 0)}

    async def test_one_shards_fault_keeps_no_other_shards_leases_from_being_renewed(self, desk: Desk) -> None:
        plan = desk.make_plan()
        reservations = Reservations(desk.valkey, renewal_seconds=0.01)
        elsewhere = dataclasses.replace(desk.org, shard=desk.till.shard + 1)
        with desk.entry() as entry:
            entry.note_plan(plan)
            hold = await desk.reserve(plan, entry)
            for one in (Entry("\ud800", 0, 0, desk.key, elsewhere, {}), entry):
                reservations.take_over(one, plan.first, hold.amount, hold.max_output, entry.epoch)
            client().zadd(desk.till.leases, {entry.request_id: 1}, xx=True)
            await reservations.open()
            await until(lambda: client().zscore(desk.till.leases, entry.request_id) != 1)
            await reservations.close()

    async def test_a_posting_is_not_forgotten_for_it_and_keeps_no_other_waiting(self, desk: Desk) -> None:
        before, sent = count_faults("postings"), list[str]()
        faults: list[Exception] = [LookupError("when it came"), LookupError("when it was repeated")]

        def send_first() -> Answer:
            if faults:
                raise faults.pop(0)
            sent.append("first")
            return desk.valkey.send("PING")

        def send_second() -> Answer:
            sent.append("second")
            if len(sent) == 1:
                raise ValkeyUnavailable
            return desk.valkey.send("PING")

        with pytest.raises(LookupError, match="when it came"):
            desk.ledger._post(Written(send_first, desk.till.shard, lambda _: None))
        desk.ledger._post(Written(send_second, desk.till.shard, lambda _: None))
        await asyncio.wait_for(desk.ledger._quiet.wait(), PATIENCE_SECONDS)
        assert sent == ["second", "second", "first"]
        assert count_faults("postings") - before == 1

    async def test_figures_that_cannot_be_counted_keep_no_row_waiting(self, desk: Desk) -> None:
        """Prometheus's counters only rise."""
        before = count_faults("postings")
        row = {"endpoint": "chat", "status": 200, "request_model": "small", "savings": {}, "attempts": []}
        odd = row | {"effective_cost": -1, "input_tokens": 0, "output_tokens": 0, "is_overrun": False}
        desk.ledger._metrics.count(desk.org.slug, odd)
        await until(lambda: count_faults("postings") > before)
        sent = list[str]()

        def send() -> Answer:
            sent.append("row")
            if len(sent) == 1:
                raise ValkeyUnavailable
            return desk.valkey.send("PING")

        desk.ledger._post(Written(send, desk.till.shard, lambda _: None))
        await asyncio.wait_for(desk.ledger._quiet.wait(), PATIENCE_SECONDS)
        assert sent == ["row", "row"]
        assert count_faults("postings") - before == 1


class TestGivenBack:
    async def test_the_call_reserves_anew_and_has_one_row(self, desk: Desk) -> None:
        plan = desk.make_plan()
        with desk.entry() as first:
            first.note_plan(plan)
            await desk.reserve(plan, first)
            await desk.reservations.give_back(first)
            first.goes_on = True
        assert desk.counters(plan) == {(0, 0)}
        same = (first.request_id, first.started_at_ms, first.started_ns, desk.key, desk.org, Endpoint.CHAT)
        with desk.ledger.entry(*same) as entry:
            entry.note_plan(plan)
            hold = await desk.reserve(plan, entry)
            assert desk.counters(plan) == {(0, hold.amount)}
            served(entry, 420)
        (row,) = await desk.written()
        assert (str(row.id), row.effective_cost, row.held) == (first.request_id, 420, hold.amount)
        assert desk.counters(plan) == {(420, 0)}

    async def test_where_nobody_says_that_it_was_the_call_ends_at_nothing(self, desk: Desk) -> None:
        plan = desk.make_plan()
        lose_patience(desk)
        with pytest.raises(GovernanceUnavailable), desk.entry() as entry:
            entry.note_plan(plan)
            await desk.reserve(plan, entry)
            client().client_pause(HANGS_MS, all=False)
            await desk.reservations.give_back(entry)
        client().client_unpause()
        (row,) = await desk.written()
        assert (row.effective_cost, row.status, row.error_code) == (0, 503, "governance_unavailable")
        assert desk.counters(plan) == {(0, 0)}
        assert client().zcard(desk.till.leases) == 0


class TestTakenForDead:
    async def test_a_worker_that_only_slept_tells_the_truth(self, desk: Desk) -> None:
        plan = desk.make_plan()
        with desk.entry() as entry:
            entry.note_plan(plan)
            hold = await desk.reserve(plan, entry)
            await expire(desk, entry)
            assert desk.counters(plan) == {(hold.amount, 0)}
            served(entry, 420)
        call, correction = sorted(await desk.written(), key=lambda row: row.kind)
        assert (call.effective_cost, call.is_estimated, call.error_code) == (hold.amount, True, "worker_died")
        assert (str(correction.corrects), correction.effective_cost) == (entry.request_id, 420 - hold.amount)
        assert (correction.input_tokens, correction.output_tokens, correction.is_estimated) == (9, 20, False)
        assert desk.counters(plan) == {(420, 0)}

    async def test_what_it_counted_itself_is_better_than_the_bound_and_stays_an_estimate(self, desk: Desk) -> None:
        plan = desk.make_plan()
        with desk.entry() as entry:
            entry.note_plan(plan)
            await desk.reserve(plan, entry)
            await expire(desk, entry)
            served(entry, 77, Certainty.COUNTED)
        rows = await desk.written()
        assert sum(row.effective_cost for row in rows) == 77
        assert [row.is_estimated for row in rows] == [True, True]

    async def test_what_it_does_not_know_either_is_left_to_the_upstreams_bill(self, desk: Desk) -> None:
        plan = desk.make_plan()
        with desk.entry() as entry:
            entry.note_plan(plan)
            hold = await desk.reserve(plan, entry)
            await expire(desk, entry)
            served(entry, hold.amount, Certainty.BOUND)
        (row,) = await desk.written()
        assert (row.kind, row.effective_cost) == ("call", hold.amount)

    async def test_a_reserve_that_was_given_up_too_late_costs_nothing(self, desk: Desk) -> None:
        """The reserve ran, its answer was lost, and Valkey was out of this worker's reach until the reaper had come."""
        plan = desk.make_plan()
        with desk.entry() as entry:
            entry.note_plan(plan)
            hold = await desk.reserve(plan, entry)
            await expire(desk, entry)
            entry.hold, entry.is_hold_unknown = None, True
        rows = await desk.written()
        assert sorted(row.effective_cost for row in rows) == [-hold.amount, hold.amount]
        assert desk.counters(plan) == {(0, 0)}


class TestDataLost:
    async def test_a_call_under_way_is_counted_when_it_ends(self, desk: Desk) -> None:
        plan = desk.make_plan()
        with desk.entry() as entry:
            entry.note_plan(plan)
            await desk.reserve(plan, entry)
            desk.till.lose_everything()
            await in_thread(lambda: recount.recount(desk.till.shard, "", ()))
            assert desk.counters(plan) == {(0, 0)}
            served(entry, 420)
        (row,) = await desk.written()
        assert row.effective_cost == 420
        assert desk.counters(plan) == {(420, 0)}

    async def test_also_when_nobody_has_counted_anew_yet(self, desk: Desk) -> None:
        plan = desk.make_plan()
        with desk.entry() as entry:
            entry.note_plan(plan)
            await desk.reserve(plan, entry)
            desk.till.lose_everything()
            served(entry, 420)
        (row,) = await desk.written()
        assert (row.effective_cost, desk.counters(plan)) == (420, {None})
        with desk.entry() as entry:
            entry.note_plan(plan)
            hold = await desk.reserve(plan, entry)
            assert desk.counters(plan) == {(420, hold.amount)}
        assert client().get(keyspace.epoch_key(desk.till.shard)) is not None


def forget_event(desk: Desk, entry: Entry) -> None:
    """The call's event is not on the stream any more; it was there."""
    stream = keyspace.ledger_key(desk.till.shard)
    events = cast("list[tuple[bytes, dict[bytes, bytes]]]", client().xrange(stream))
    (event_id,) = (key for key, fields in events if orjson.loads(fields[b"e"])["id"] == entry.request_id)
    client().xdel(stream, event_id)


class TestForgotten:
    """Valkey comes back without what it acknowledged last, as a replica does that is made master."""

    async def come_back(self, desk: Desk) -> None:
        """Another server stands where this one stood: it is told by its run id, which a server keeps while it runs."""
        desk.valkey.generation += 1
        await asyncio.wait_for(self.seen(desk), PATIENCE_SECONDS)

    async def seen(self, desk: Desk) -> None:
        while desk.ledger._recent._generation != desk.valkey.generation:
            await asyncio.sleep(0.01)

    async def test_a_settle_that_was_forgotten_is_made_again(self, desk: Desk) -> None:
        plan = desk.make_plan()
        with desk.entry() as entry:
            entry.note_plan(plan)
            hold = await desk.reserve(plan, entry)
            name = keyspace.hold_key(desk.till.shard, hold.id)
            kept, lease = cast("bytes", client().dump(name)), cast("float", client().zscore(desk.till.leases, hold.id))
            served(entry, 420)
        await asyncio.wait_for(desk.ledger._quiet.wait(), PATIENCE_SECONDS)
        # as it was before the settle
        forget_event(desk, entry)
        client().restore(name, 0, kept)
        client().zadd(desk.till.leases, {hold.id: lease})
        for scope in plan.first.scopes:
            client().hincrby(scope.counter, "s", -420)
            client().hincrby(scope.counter, "h", hold.amount)
        await self.come_back(desk)
        (row,) = await desk.written()
        assert (str(row.id), row.effective_cost, row.is_estimated) == (entry.request_id, 420, False)
        assert desk.counters(plan) == {(420, 0)}
        assert not client().exists(name)

    async def test_a_call_that_was_forgotten_altogether_has_its_row(self, desk: Desk) -> None:
        plan = desk.make_plan()
        with desk.entry() as entry:
            entry.note_plan(plan)
            await desk.reserve(plan, entry)
            served(entry, 420)
        await asyncio.wait_for(desk.ledger._quiet.wait(), PATIENCE_SECONDS)
        forget_event(desk, entry)
        await self.come_back(desk)
        (row,) = await desk.written()
        assert (str(row.id), row.effective_cost) == (entry.request_id, 420)

    async def test_a_server_that_goes_is_missed_while_it_may_forget(self, desk: Desk, stack: TestStack) -> None:
        """Though nothing else is said to it: what was written last is kept until there is a server again."""
        plan = desk.make_plan()
        with desk.entry() as entry:
            entry.note_plan(plan)
            await desk.reserve(plan, entry)
            served(entry, 420)
        await asyncio.wait_for(desk.ledger._quiet.wait(), PATIENCE_SECONDS)
        lose_patience(desk)
        with stopped(pid_of(stack.valkey)):
            await until(lambda: not desk.valkey.is_whole)
        assert [written.hold_id for _, written in desk.ledger._recent._written] == [entry.request_id]

    async def test_what_is_kept_for_a_moment_is_the_event_and_not_the_call(self, desk: Desk) -> None:
        """A call's body may have megabytes, and two seconds of calls are kept."""
        plan = desk.make_plan()
        with desk.entry() as entry:
            entry.note_plan(plan)
            await desk.reserve(plan, entry)
            served(entry, 420)
        await asyncio.wait_for(desk.ledger._quiet.wait(), PATIENCE_SECONDS)
        hold_id, call = entry.request_id, weakref.ref(entry)
        del entry
        gc.collect()
        assert [written.hold_id for _, written in desk.ledger._recent._written] == [hold_id]
        assert call() is None

    async def test_what_was_not_forgotten_counts_once(self, desk: Desk) -> None:
        plan = desk.make_plan()
        with desk.entry() as entry:
            entry.note_plan(plan)
            await desk.reserve(plan, entry)
            served(entry, 420)
        await asyncio.wait_for(desk.ledger._quiet.wait(), PATIENCE_SECONDS)
        for _ in range(2):
            await self.come_back(desk)
        assert [row.effective_cost for row in await desk.written()] == [420]
        assert desk.counters(plan) == {(420, 0)}
        await in_thread(lambda: recount.recount(desk.till.shard, desk.org.id, plan.first.scopes, only_missing=False))
        assert desk.counters(plan) == {(420, 0)}
