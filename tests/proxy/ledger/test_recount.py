"""Counters from the ledger: exact whenever it is done, whatever goes on meanwhile."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final
from uuid import uuid4

import orjson
import psycopg
import pytest
import redis
import time_machine
from django.db import connection, connections

from costhub.lib import clock, keyspace
from costhub.lib.moments import to_ms
from costhub.lib.redis import client
from proxy.core.budgets import make_scope
from proxy.ledger import counts, drain, recount
from proxy.ledger.recount import RecountFailed
from tenants.access import org_scope
from tenants.choices import BudgetPeriod, BudgetScope
from tenants.models import Budget, Organization
from tenants.selectors import load_org_snapshot
from tests.billing.ledger import record_call
from tests.proxy.edges.entries import find_scope, line_of, make_event, make_row, move_to, sum_ledger
from tests.proxy.edges.till import Line, Till
from tests.world import Tenant, World, make_budget, make_catalog


def spend(till: Till, tenant: Tenant, cost: int, *, drained: bool = True, **fields: Any) -> None:
    """A call that no counter knows of."""
    till.add_event(make_event(tenant, cost, **fields))
    if drained:
        assert drain.drain(till.shard) == 1


class _Half:
    """A client whose scripts are somebody else's."""

    def __init__(self, scripts: Any) -> None:
        self.register_script = scripts.register_script

    def __getattr__(self, name: str) -> Any:
        return getattr(client(), name)


#: calls that cost 1, 10, 100 ... nanos: the digits of a sum say which of them are in it
CALLS: Final[list[dict[str, Any]]] = [
    {"end_user": "ann", "request_model": "small", "tags": {"team": "a=b", "other": "x"}},
    {"end_user": "ann", "request_model": "large", "tags": {"team": "a"}},
    {"end_user": "Ann", "request_model": "small", "tags": {}, "session": "run-7"},
    {"end_user": "an", "request_model": "small-2", "tags": {"team": "a=b"}, "session": "run-71"},
    {"end_user": "", "request_model": "small", "tags": {"other": "a=b"}},
    {"end_user": "ann", "request_model": "", "tags": {"a": "team"}, "session": "run-7"},
]


class TestAbsurdAmounts:
    """A tenant's own upstream may report any usage: its sums may grow beyond a column, and nobody else's may suffer."""

    def test_a_counter_at_its_end_lets_its_calls_settle(self, till: Till) -> None:
        line = till.line("warns")
        till.put(line, 92 * 10**17)
        till.reserve("a", line, fixed=5_000)
        assert till.settle("a", 10**17) == 1
        assert len(till.events()) == 1
        assert till.read(line) == (92 * 10**17, 0)

    def test_a_shard_opens_whatever_one_of_its_tenants_has_spent(
        self, acme: Tenant, committed_world: World, till: Till
    ) -> None:
        mallcorp = committed_world.mallcorp
        move_to(mallcorp, till.shard)
        scope = find_scope(mallcorp, make_budget(mallcorp, "10.00"))
        for _ in range(93):
            record_call(mallcorp, clock.now(), cost=10**17)
        till.lose_everything()
        recount.recount(till.shard, "", ())
        assert client().exists(keyspace.epoch_key(till.shard))
        assert till.read(line_of(scope)) == (9 * 10**18, 0)


class TestDrift:
    def test_a_call_that_settles_while_drift_is_looked_for_is_no_drift(
        self, acme: Tenant, till: Till, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scope = find_scope(acme, make_budget(acme, "10.00"))
        till.open()
        till.put(line_of(scope), 0)
        real = counts.count_shard

        def count_and_settle(shard: int) -> Any:
            counted = [(org, list(counts)) for org, counts in real(shard)]
            till.put(line_of(scope), 400)
            till.add_event(make_event(acme, 400))
            return counted

        monkeypatch.setattr(recount, "count_shard", count_and_settle)
        assert recount.find_drift(till.shard) == []


class TestOneBudget:
    def test_a_budget_made_in_mid_period_knows_what_was_spent_before_it(self, acme: Tenant, till: Till) -> None:
        spend(till, acme, 400)
        spend(till, acme, 20, drained=False)
        scope = find_scope(acme, make_budget(acme, "10.00"))
        assert not scope.is_whole
        recount.recount(till.shard, acme.org_id, [scope])
        assert till.read(line_of(scope)) == (420, 0)
        assert client().pexpiretime(scope.counter) == scope.ends_ms + keyspace.COUNTER_KEPT_MS

    @pytest.mark.parametrize("drained", [True, False])
    @pytest.mark.parametrize(
        ("kind", "subject", "expected"),
        [
            (BudgetScope.ORGANIZATION, "", 111_111),
            (BudgetScope.PROJECT, "own", 111_111),
            (BudgetScope.KEY, "own", 111_111),
            (BudgetScope.END_USER, "ann", 100_011),
            (BudgetScope.MODEL, "small", 10_101),
            (BudgetScope.TAG, "team=a=b", 1_001),
            (BudgetScope.SESSION, "run-7", 100_100),
        ],
    )
    def test_it_counts_its_own_subject_only(
        self,
        acme: Tenant,
        committed_world: World,
        till: Till,
        kind: BudgetScope,
        subject: str,
        expected: int,
        drained: bool,
    ) -> None:
        make_catalog(acme)
        for place, fields in enumerate(CALLS):
            spend(till, acme, 10**place, drained=False, **fields)
            spend(till, committed_world.mallcorp, 10**place, drained=False, **fields)
        if drained:
            drain.drain(till.shard)
        if subject == "own":
            subject = str(acme.project.pk if kind is BudgetScope.PROJECT else acme.key.pk)
        scope = find_scope(acme, make_budget(acme, "10.00", scope=kind, subject=subject))
        recount.recount(till.shard, acme.org_id, [scope])
        assert till.read(line_of(scope)) == (expected, 0)

    @pytest.mark.parametrize("drained", [True, False])
    @pytest.mark.parametrize(
        ("kind", "subject", "expected"),
        [
            (BudgetScope.END_USER, "ann", 100_011),
            (BudgetScope.MODEL, "small", 10_101),
            (BudgetScope.TAG, "team=a=b", 1_001),
            (BudgetScope.SESSION, "run-7", 100_100),
        ],
    )
    @pytest.mark.parametrize("place", ["project", "key"])
    @pytest.mark.parametrize("is_default", [True, False])
    def test_a_narrowed_one_counts_the_calls_of_its_place_only(
        self,
        acme: Tenant,
        till: Till,
        kind: BudgetScope,
        subject: str,
        expected: int,
        place: str,
        is_default: bool,
        drained: bool,
    ) -> None:
        make_catalog(acme)
        elsewhere = str(uuid4())
        for number, fields in enumerate(CALLS):
            spend(till, acme, 10**number, drained=False, **fields)
            spend(till, acme, 7_000_000, drained=False, **fields | {f"{place}_id": elsewhere})
        if drained:
            drain.drain(till.shard)
        within = {place: str(acme.project.pk if place == "project" else acme.key.pk)}
        budget = make_budget(acme, "10.00", scope=kind, subject="" if is_default else subject, within=within)
        scope = find_scope(acme, budget, subject)
        recount.recount(till.shard, acme.org_id, [scope])
        assert till.read(line_of(scope)) == (expected, 0)
        recount.recount(till.shard, "", ())
        assert till.read(line_of(scope)) == (expected, 0)
        assert recount.find_drift(till.shard) == []

    def test_end_users_under_a_default_budget(self, acme: Tenant, till: Till) -> None:
        for user in ("ann", "bob", "ann"):
            spend(till, acme, 100, end_user=user)
        budget = make_budget(acme, "1.00", scope=BudgetScope.END_USER)
        scopes = [find_scope(acme, budget, user) for user in ("ann", "bob", "cyd")]
        recount.recount(till.shard, acme.org_id, scopes)
        assert [till.read(line_of(scope)) for scope in scopes] == [(200, 0), (100, 0), (0, 0)]

    def test_who_asks_first_has_everybody_counted(self, acme: Tenant, till: Till) -> None:
        """A default budget made in mid-period: thousands of keys must not have the ledger summed for each of them."""
        for user, nanos in (("ann", 100), ("bob", 20), ("", 3)):
            spend(till, acme, nanos, end_user=user)
        spend(till, acme, 4, end_user="ann", drained=False)
        budget = make_budget(acme, "1.00", scope=BudgetScope.END_USER)
        ann, bob, cyd, dan = (find_scope(acme, budget, user) for user in ("ann", "bob", "cyd", "dan"))
        till.open()
        assert till.reserve("before", Line(dan.counter, is_whole=False)) == [-2, 1]
        recount.recount(till.shard, acme.org_id, [cyd], only_missing=True)
        assert [till.read(line_of(scope)) for scope in (ann, bob, cyd, dan)] == [(104, 0), (20, 0), (0, 0), None]
        assert till.reserve("a", Line(dan.counter, is_whole=False), wanted=7)[0] == 1
        assert till.read(line_of(dan)) == (0, 7)
        other = find_scope(acme, make_budget(acme, "1.00", scope=BudgetScope.END_USER), "dan")
        assert till.reserve("b", Line(other.counter, is_whole=False)) == [-2, 1], "of another budget nothing is known"

    def test_the_mark_comes_after_everybody_it_speaks_of(
        self, acme: Tenant, till: Till, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Counters are written in groups, and a process may die between two of them."""
        monkeypatch.setattr(recount, "_COUNTERS_A_CALL", 2)
        for user in ("ann", "bob", "cyd", "dan", "eve"):
            spend(till, acme, 100, end_user=user)
        budget = make_budget(acme, "1.00", scope=BudgetScope.END_USER)
        scopes = [find_scope(acme, budget, user) for user in ("ann", "bob", "cyd", "dan", "eve")]
        written: list[str] = []
        script = client().register_script(recount.REBUILD.source)

        class Dying:
            def register_script(self, source: bytes) -> Any:
                return self

            def __call__(self, keys: list[str], args: list[Any]) -> Any:
                if len(written) >= 4:
                    raise redis.ConnectionError
                written.extend(keys[3:])
                return script(keys=keys, args=args)

        with monkeypatch.context() as patch, pytest.raises(RecountFailed):
            patch.setattr(recount, "client", lambda: _Half(Dying()))
            recount.recount(till.shard, acme.org_id, scopes[:1])
        assert client().exists(keyspace.mark_key(scopes[0].counter)) == 0
        recount.recount(till.shard, acme.org_id, scopes[:1])
        assert client().exists(keyspace.mark_key(scopes[0].counter)) == 1
        assert [till.read(line_of(scope)) for scope in scopes] == [(100, 0)] * 5

    def test_the_others_are_not_counted_again(self, acme: Tenant, till: Till) -> None:
        budget = make_budget(acme, "1.00", scope=BudgetScope.END_USER)
        ann, bob = (find_scope(acme, budget, user) for user in ("ann", "bob"))
        recount.recount(till.shard, acme.org_id, [ann])
        till.put(line_of(ann), 5, 6)
        recount.recount(till.shard, acme.org_id, [bob], only_missing=True)
        assert till.read(line_of(ann)) == (5, 6)

    def test_a_budget_that_began_anew_meanwhile_is_counted_under_its_old_name(self, acme: Tenant, till: Till) -> None:
        """The call was planned before: its own counter is what it will be held in."""
        spend(till, acme, 100, end_user="ann")
        budget = make_budget(acme, "1.00", scope=BudgetScope.END_USER)
        planned = find_scope(acme, budget, "ann")
        with org_scope(acme.org_id):
            Budget.objects.filter(pk=budget.pk).update(created_at=clock.now())
        assert find_scope(acme, budget, "ann").counter != planned.counter
        recount.recount(till.shard, acme.org_id, [planned])
        assert till.read(line_of(planned)) == (100, 0)

    def test_a_correction_is_in_the_sum(self, acme: Tenant, till: Till) -> None:
        row = make_row(acme, 500)
        till.add_event(orjson.dumps(row))
        drain.drain(till.shard)
        correction = row | {"id": clock.new_request_id()[0], "kind": "correction", "corrects": row["id"]}
        till.add_event(orjson.dumps(correction | {"effective_cost": -80}))
        scope = find_scope(acme, make_budget(acme, "1.00"))
        recount.recount(till.shard, acme.org_id, [scope])
        assert till.read(line_of(scope)) == (420, 0)

    def test_what_is_there_already_is_left_when_asked_so(self, acme: Tenant, till: Till) -> None:
        spend(till, acme, 400)
        scope = find_scope(acme, make_budget(acme, "1.00"))
        till.put(line_of(scope), 5, 6)
        recount.recount(till.shard, acme.org_id, [scope], only_missing=True)
        assert till.read(line_of(scope)) == (5, 6)
        recount.recount(till.shard, acme.org_id, [scope])
        assert till.read(line_of(scope)) == (400, 0)


class TestPeriods:
    def test_a_day_is_that_of_the_organisations_time_zone(self, acme: Tenant, till: Till) -> None:
        with org_scope(acme.org_id):
            Organization.objects.filter(pk=acme.org.pk).update(time_zone="America/Sao_Paulo")
        budget = make_budget(acme, "1.00")
        midnight = to_ms(datetime(2031, 6, 3, 3, tzinfo=UTC))
        for at_ms, cost in (
            (midnight - 1, 1),
            (midnight, 20),
            (midnight + 86_399_999, 300),
            (midnight + 86_400_000, 4_000),
        ):
            spend(till, acme, cost, at_ms=at_ms, drained=False)
        days = [find_scope(acme, budget, at_ms=midnight + day * 86_400_000) for day in (-1, 0, 1)]
        recount.recount(till.shard, acme.org_id, days)
        assert [till.read(line_of(day)) for day in days] == [(1, 0), (320, 0), (4_000, 0)]

    def test_a_call_that_came_before_midnight_may_reserve_after_it(self, acme: Tenant, till: Till) -> None:
        budget = make_budget(acme, "1.00")
        with org_scope(acme.org_id):
            Budget.objects.filter(pk=budget.pk).update(created_at=datetime(2026, 1, 1, tzinfo=UTC))
        midnight = datetime(2031, 6, 3, tzinfo=UTC)
        spend(till, acme, 7, at_ms=to_ms(midnight) - 1)
        spend(till, acme, 400, at_ms=to_ms(midnight))
        with time_machine.travel(midnight.replace(second=20), tick=False):
            recount.recount(till.shard, "", ())
        days = [find_scope(acme, budget, at_ms=to_ms(midnight) - 1), find_scope(acme, budget, at_ms=to_ms(midnight))]
        assert [till.read(line_of(day)) for day in days] == [(7, 0), (400, 0)]


class TestRollover:
    NOON = datetime(2031, 6, 3, 12, tzinfo=UTC)

    def make(self, acme: Tenant, **more: Any) -> Budget:
        budget = make_budget(acme, "1.00", rollover=True, **more)
        with org_scope(acme.org_id):
            Budget.objects.filter(pk=budget.pk).update(created_at=datetime(2026, 1, 1, tzinfo=UTC))
        return budget

    def test_the_period_before_is_counted_too_and_kept(self, acme: Tenant, till: Till) -> None:
        noon_ms = to_ms(self.NOON)
        of_org, of_users = self.make(acme), self.make(acme, scope=BudgetScope.END_USER, period=BudgetPeriod.MONTH)
        for days, cost in ((0, 1), (1, 20), (2, 300), (33, 4_000)):
            spend(till, acme, cost, at_ms=noon_ms - days * 86_400_000, end_user="ann")
        with time_machine.travel(self.NOON, tick=False):
            recount.recount(till.shard, "", ())
            today, this_month = (find_scope(acme, of_org), find_scope(acme, of_users, "ann"))
            assert today.before is not None
            assert this_month.before is not None
            read = [till.read(line_of(scope)) for scope in (today, today.before, this_month, this_month.before)]
            assert read == [(1, 0), (20, 0), (321, 0), (4_000, 0)]
            assert client().pexpiretime(this_month.before.counter) > this_month.ends_ms
            assert recount.find_drift(till.shard) == []
            client().delete(today.before.counter)
            assert recount.find_drift(till.shard) == [], "it is counted when somebody needs it"
            recount.recount(till.shard, acme.org_id, [today.before], only_missing=True)
            assert till.read(line_of(today.before)) == (20, 0)


class TestWholeShard:
    def test_lost_data_is_made_anew_and_the_shard_opened(
        self, acme: Tenant, committed_world: World, till: Till
    ) -> None:
        mallcorp = committed_world.mallcorp
        with org_scope(mallcorp.org_id):
            Organization.objects.filter(pk=mallcorp.org.pk).update(shard=till.shard)
        of_org = make_budget(acme, "10.00")
        of_key = make_budget(acme, "5.00", scope=BudgetScope.KEY, subject=str(acme.key.pk))
        of_users = make_budget(acme, "1.00", scope=BudgetScope.END_USER, period=BudgetPeriod.TOTAL)
        of_tags = make_budget(acme, "1.00", scope=BudgetScope.TAG, period=BudgetPeriod.MONTH)
        theirs = make_budget(mallcorp, "10.00")
        for cost, user in ((1, "ann"), (20, "bob"), (300, "ann")):
            spend(till, acme, cost, end_user=user, tags={"team": user})
        spend(till, mallcorp, 5_000)
        till.lose_everything()
        spend(till, acme, 4_000, drained=False, end_user="bob", tags={"team": "x"})

        recount.recount(till.shard, "", ())

        scopes = {
            find_scope(acme, of_org): 4_321,
            find_scope(acme, of_key): 4_321,
            find_scope(acme, of_users, "ann"): 301,
            find_scope(acme, of_users, "bob"): 4_020,
            find_scope(acme, of_tags, "team=ann"): 301,
            find_scope(acme, of_tags, "team=x"): 4_000,
            find_scope(mallcorp, theirs): 5_000,
        }
        assert {scope.counter: till.read(line_of(scope)) for scope in scopes} == {
            scope.counter: (settled, 0) for scope, settled in scopes.items()
        }
        assert till.reserve("a", line_of(find_scope(acme, of_org)), wanted=10)[:3] == [1, 10, 10]

    def test_open_holds_are_in_it(self, acme: Tenant, till: Till) -> None:
        scope = find_scope(acme, make_budget(acme, "10.00"))
        recount.recount(till.shard, "", ())
        line = line_of(scope)
        till.reserve("a", line, wanted=50)
        till.reserve("a", line, wanted=30, attempt=2)
        till.reserve("b", line, wanted=700)
        till.settle("b", 600, event=make_event(acme, 600))
        till.put(line, 123, 456)
        recount.recount(till.shard, "", ())
        assert till.read(line) == (600, 80)
        till.settle("a", 5, event=make_event(acme, 5))
        assert till.read(line) == (605, 0)
        assert recount.find_drift(till.shard) == []

    def test_unread_events_are_counted_once_however_often(self, acme: Tenant, till: Till) -> None:
        scope = find_scope(acme, make_budget(acme, "10.00"))
        for cost in (1, 20, 300):
            spend(till, acme, cost, drained=False)
        for _ in range(3):
            recount.recount(till.shard, "", ())
            assert till.read(line_of(scope)) == (321, 0)
            assert sum_ledger(acme) == 321
        assert len(till.events()) == 3, "they are cut off by the drain alone"
        assert drain.drain(till.shard) == 3
        recount.recount(till.shard, "", ())
        assert till.read(line_of(scope)) == (321, 0)

    def test_drift_is_found_and_ended(self, acme: Tenant, till: Till) -> None:
        budget = make_budget(acme, "10.00")
        scope = find_scope(acme, budget)
        spend(till, acme, 400)
        assert recount.find_drift(till.shard) == [], "a counter that nobody has needed yet is no drift"
        till.put(line_of(scope), 399)
        assert recount.find_drift(till.shard) == [(scope.counter, 399, 400)]
        recount.recount(till.shard, "", ())
        assert recount.find_drift(till.shard) == []


class TestFailing:
    def test_without_postgresql_nothing_is_opened(self, acme: Tenant, till: Till) -> None:
        till.lose_everything()
        with psycopg.connect(os.environ["DATABASE_URL"]) as other:
            other.execute("SELECT pg_advisory_xact_lock(%s, %s)", [drain._LOCK_CLASS, till.shard])
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '50ms'")
            with pytest.raises(RecountFailed):
                recount.recount(till.shard, "", ())
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")
        assert client().exists(keyspace.epoch_key(till.shard)) == 0
        recount.recount(till.shard, "", ())
        assert client().exists(keyspace.epoch_key(till.shard)) == 1


class TestStorm:
    def test_calls_under_way_lose_and_double_nothing(self, acme: Tenant, till: Till) -> None:
        """Holds are taken and settled without a pause while counters are rebuilt, lost and counted, and events
        drained."""
        lines = [
            line_of(find_scope(acme, make_budget(acme, "9000000.00", scope=scope, subject=subject)))
            for scope, subject in ((BudgetScope.ORGANIZATION, ""), (BudgetScope.KEY, str(acme.key.pk)))
        ]
        recount.recount(till.shard, "", ())
        numbers = count(1)
        calls, workers = 250, 4

        def call_on(worker: int) -> int:
            spent = 0
            for number in range(calls):
                row = make_row(acme, next(numbers))
                hold = str(row["id"])
                assert till.reserve(hold, *lines, wanted=5_000)[0] == 1
                if number % 5 == worker:
                    till.reserve(hold, *lines, wanted=700, attempt=2)
                assert till.settle(hold, row["effective_cost"], event=orjson.dumps(row)) == 1
                spent += row["effective_cost"]
            return spent

        def recount_until(done: list[bool]) -> int:
            rounds = 0
            while not done:
                recount.recount(till.shard, *(("", ()) if rounds % 2 else (acme.org_id, scopes)))
                rounds += 1
            connections.close_all()
            return rounds

        def drain_until(done: list[bool]) -> int:
            moved = 0
            while not done or till.events():
                moved += drain.drain(till.shard)
            connections.close_all()
            return moved

        org = load_org_snapshot(acme.org_id)
        assert org is not None
        scopes = [
            make_scope(
                org, budget, org.id if budget.scope == BudgetScope.ORGANIZATION else budget.subject, clock.now_ms()
            )
            for budget in org.budgets
        ]
        done: list[bool] = []
        with ThreadPoolExecutor(workers + 3) as pool:
            jobs = [pool.submit(recount_until, done) for _ in range(2)]
            draining = pool.submit(drain_until, done)
            spent = sum(call.result() for call in [pool.submit(call_on, worker) for worker in range(workers)])
            done.append(True)
            assert all(job.result() > 0 for job in jobs)
            assert draining.result() >= calls * workers
        assert spent == sum(range(1, calls * workers + 1))
        assert [till.read(line) for line in lines] == [(spent, 0)] * 2
        assert sum_ledger(acme) == spent
        assert recount.find_drift(till.shard) == []
