"""A budget that begins while calls are in flight counts them from its first moment: what they hold, and what they come
to cost, whoever ends them and however."""

from typing import Any
from uuid import uuid4

import orjson
import pytest

from costhub.lib import clock, keyspace
from costhub.lib.redis import client
from proxy.core.budgets import find_scopes
from proxy.ledger import drain, reaper, recount
from proxy.ledger.counts import count_scopes
from proxy.values.windows import Scope
from tenants.access import org_scope
from tenants.actions.budgets import update_budget
from tenants.actions.keys import rotate_key
from tenants.actions.orgs import update_organization
from tenants.choices import BudgetScope
from tenants.models import Budget
from tenants.selectors import load_org_snapshot, read_version
from tenants.snapshots import KeySnapshot
from tests.proxy.edges.entries import find_scope, line_of, make_event, make_row
from tests.proxy.edges.till import Line, Till
from tests.world import Tenant, World, make_budget, make_catalog

ANN: dict[str, Any] = {
    "end_user": "ann",
    "request_model": "small",
    "session": "run-7",
    "tags": {"team": "search", "env": "prod"},
}


def hold(till: Till, tenant: Tenant, *lines: Line, nanos: int, **fields: Any) -> dict[str, Any]:
    """A call in flight, planned before there was any budget but those of ``lines``. Gives its row."""
    row = make_row(tenant, **ANN | fields)
    ends = clock.now_ms() + 600_000
    assert till.reserve(row["id"], *lines, fixed=nanos * 1_000, row=row, ends=ends, org_id=tenant.org_id)[0] == 1
    return row


def settle(till: Till, row: dict[str, Any], cost: int) -> int:
    return till.settle(row["id"], cost, event=orjson.dumps(row | {"effective_cost": cost, "list_cost": cost}))


def begin(tenant: Tenant, till: Till, scope: Scope) -> tuple[int, int] | None:
    """Its first call finds the counter missing, as ``Reservations`` does."""
    line = line_of(scope)
    version = read_version(tenant.org_id)
    first: dict[str, Any] = {"org_id": tenant.org_id, "version": version}
    assert till.reserve("first", line, **first) == [-2, 1]
    recount.recount(till.shard, tenant.org_id, [scope], only_missing=True)
    assert till.reserve("first", line, **first)[0] == 1
    till.give_up("first", event=make_event(tenant, 0))
    return till.read(line)


class TestJoined:
    @pytest.mark.parametrize(
        ("kind", "subject"),
        [
            (BudgetScope.ORGANIZATION, ""),
            (BudgetScope.PROJECT, "own"),
            (BudgetScope.KEY, "own"),
            (BudgetScope.END_USER, "ann"),
            (BudgetScope.MODEL, "small"),
            (BudgetScope.TAG, "env=prod"),
            (BudgetScope.SESSION, "run-7"),
        ],
    )
    @pytest.mark.parametrize("is_default", [False, True])
    def test_what_is_held_counts_from_the_first_moment_and_what_it_costs_after_it(
        self, acme: Tenant, till: Till, kind: BudgetScope, subject: str, is_default: bool
    ) -> None:
        make_catalog(acme)
        ids = {BudgetScope.PROJECT: str(acme.project.pk), BudgetScope.KEY: str(acme.key.pk)}
        subject = ids.get(kind, subject)
        rows = [hold(till, acme, nanos=nanos) for nanos in (1_000, 200)]
        strangers: dict[str, Any] = {"project_id": str(uuid4()), "key_id": str(uuid4()), "end_user": "bob"}
        other = hold(till, acme, nanos=7, request_model="", session="", tags={}, **strangers)
        strange = 7 if kind is BudgetScope.ORGANIZATION else 0
        budget = make_budget(acme, "0.000002", scope=kind, subject="" if is_default else subject)
        scope = find_scope(acme, budget, subject)
        assert begin(acme, till, scope) == (0, 1_200 + strange)
        assert settle(till, rows[0], 900) == 1
        assert till.read(line_of(scope)) == (900, 200 + strange)
        assert settle(till, other, 7) == 1
        assert till.give_up(rows[1]["id"], event=orjson.dumps(rows[1])) == 1
        assert till.read(line_of(scope)) == (900 + strange, 0)
        recount.recount(till.shard, acme.org_id, [scope])
        assert till.read(line_of(scope)) == (900 + strange, 0)

    def test_a_subject_of_whom_the_ledger_has_nothing_is_known_by_what_is_held(self, acme: Tenant, till: Till) -> None:
        """The default of many has a mark: whoever has no counter is known to have spent nothing."""
        held = {user: hold(till, acme, nanos=100, end_user=user) for user in ("ann", "bob", "")}
        budget = make_budget(acme, "0.000002", scope=BudgetScope.END_USER)
        ann, bob, cyd, nobody = (find_scope(acme, budget, user) for user in ("ann", "bob", "cyd", ""))
        recount.recount(till.shard, acme.org_id, [cyd])
        assert [till.read(line_of(scope)) for scope in (ann, bob, cyd, nobody)] == [(0, 100), (0, 100), (0, 0), (0, 0)]
        assert settle(till, held["bob"], 40) == 1
        assert till.read(line_of(bob)) == (40, 0)
        assert client().pexpiretime(bob.counter) == client().pexpiretime(cyd.counter) > 0

    def test_one_that_holds_already_is_not_counted_twice(self, acme: Tenant, till: Till) -> None:
        old = line_of(find_scope(acme, make_budget(acme, "0.000002")))
        client().hset(old.key, mapping={"s": 0, "h": 0})
        row = hold(till, acme, old, nanos=300)
        scope = find_scope(acme, make_budget(acme, "0.000002"))
        for _ in range(2):
            recount.recount(till.shard, acme.org_id, [scope])
        recount.recount(till.shard, "", ())
        assert [till.read(old), till.read(line_of(scope))] == [(0, 300), (0, 300)]
        assert till.hold(row["id"])["counters"].split("\n") == [old.key, scope.counter]
        assert settle(till, row, 250) == 1
        assert [till.read(old), till.read(line_of(scope))] == [(250, 0), (250, 0)]

    def test_another_organisation_on_the_shard_is_not_concerned(
        self, acme: Tenant, committed_world: World, till: Till
    ) -> None:
        hold(till, committed_world.mallcorp, nanos=300)
        scope = find_scope(acme, make_budget(acme, "0.000002"))
        recount.recount(till.shard, acme.org_id, [scope])
        assert till.read(line_of(scope)) == (0, 0)

    def test_a_call_of_the_period_before_is_not_of_this_one(self, acme: Tenant, till: Till) -> None:
        scope = find_scope(acme, make_budget(acme, "0.000002"))
        hold(till, acme, nanos=300, at_ms=scope.starts_ms - 1)
        hold(till, acme, nanos=20, at_ms=scope.starts_ms)
        hold(till, acme, nanos=1, at_ms=scope.ends_ms)
        recount.recount(till.shard, acme.org_id, [scope])
        assert till.read(line_of(scope)) == (0, 20)

    def test_what_the_reaper_posts_and_its_worker_corrects(self, acme: Tenant, till: Till) -> None:
        row = hold(till, acme, nanos=300)
        scope = find_scope(acme, make_budget(acme, "0.000002"))
        recount.recount(till.shard, acme.org_id, [scope])
        client().zadd(till.leases, {row["id"]: clock.now_ms() - 1}, xx=True)
        assert reaper.reap(till.shard) == 1
        assert till.read(line_of(scope)) == (300, 0)
        # The worker knows only of the budgets by which it planned: none.
        for _ in range(2):
            till.correct(row["id"], -180, event=make_event(acme, -180))
            assert till.read(line_of(scope)) == (120, 0)


class TestTurned:
    """Calls of which another model is asked now, or is about to be: what earlier tries may have been billed counts
    too, in budgets of the model that was asked then."""

    @pytest.mark.parametrize("is_default", [False, True])
    def test_between_two_models_and_after(self, acme: Tenant, till: Till, *, is_default: bool) -> None:
        make_catalog(acme)
        make_catalog(acme, model="large")
        row = hold(till, acme, nanos=500)
        assert till.turn(row["id"], 300) == 1
        each = "" if is_default else "small"
        whole = find_scope(acme, make_budget(acme, "0.000002"))
        of_small = find_scope(acme, make_budget(acme, "0.000002", scope=BudgetScope.MODEL, subject=each), "small")
        of_large = find_scope(acme, make_budget(acme, "0.000002", scope=BudgetScope.MODEL, subject="large"))
        scopes = (whole, of_small, of_large)
        # The ledger's count of a default finds its own subjects: nobody asks for each.
        recount.recount(till.shard, acme.org_id, scopes)
        assert [till.read(line_of(scope)) for scope in scopes] == [(0, 300), (0, 300), (0, 0)]
        # As the worker would: its plan knows of all of them.
        again: dict[str, Any] = {"attempt": 2, "org_id": acme.org_id, "version": read_version(acme.org_id)}
        lines = (line_of(whole), line_of(of_large))
        fields: dict[str, Any] = {"row": row | {"model": "large"}, "ends": clock.now_ms() + 600_000}
        assert till.reserve(row["id"], *lines, fixed=1_000_000, **again, **fields)[0] == 1
        assert [till.read(line_of(scope)) for scope in scopes] == [(0, 1_300), (0, 300), (0, 1_000)]
        assert settle(till, row, 700) == 1
        assert [till.read(line_of(scope)) for scope in scopes] == [(1_000, 0), (300, 0), (700, 0)]

    def test_each_of_several_models_in_its_own(self, acme: Tenant, till: Till) -> None:
        """Two models were asked in vain and a third is under way when budgets begin; the reaper settles in them."""
        for name in ("small", "large", "third"):
            make_catalog(acme, model=name)
        old = line_of(find_scope(acme, make_budget(acme, "1")))
        client().hset(old.key, mapping={"s": 0, "h": 0})
        row = hold(till, acme, old, nanos=500)
        fields: dict[str, Any] = {"org_id": acme.org_id, "ends": clock.now_ms() + 600_000}
        assert till.turn(row["id"], 300) == 1
        assert till.reserve(row["id"], old, fixed=90_000, attempt=2, row=row | {"model": "large"}, **fields)[0] == 1
        assert till.turn(row["id"], 40, model="large") == 1
        assert till.reserve(row["id"], old, fixed=7_000, attempt=3, row=row | {"model": "third"}, **fields)[0] == 1
        models = [
            find_scope(acme, make_budget(acme, "1", scope=BudgetScope.MODEL, subject=name))
            for name in ("small", "large", "third")
        ]
        user = find_scope(acme, make_budget(acme, "1", scope=BudgetScope.END_USER), "ann")
        for _ in range(2):
            recount.recount(till.shard, acme.org_id, [*models, user], only_missing=True)
        read = [till.read(line_of(scope)) for scope in (*models, user)]
        assert [*read, till.read(old)] == [(0, 300), (0, 40), (0, 7), (0, 347), (0, 347)]
        recount.recount(till.shard, "", ())
        assert [till.read(line_of(scope)) for scope in (*models, user)] == read
        client().zadd(till.leases, {row["id"]: clock.now_ms() - 1}, xx=True)
        assert reaper.reap(till.shard) == 1
        read = [till.read(line_of(scope)) for scope in (*models, user)]
        assert [*read, till.read(old)] == [(300, 0), (40, 0), (7, 0), (347, 0), (347, 0)]
        # Of what the last try cost its worker knows better: the others' budgets do not move.
        till.correct(row["id"], -2, old, event=make_event(acme, -2))
        read = [till.read(line_of(scope)) for scope in (*models, user)]
        assert [*read, till.read(old)] == [(300, 0), (40, 0), (5, 0), (345, 0), (345, 0)]


class TestAgain:
    """What makes a budget count anew: it is joined as a new one is."""

    def test_one_that_is_switched_on_again(self, acme: Tenant, till: Till) -> None:
        budget = make_budget(acme, "0.000002")
        with org_scope(acme.org_id):
            update_budget(actor=acme.owner, budget=budget, is_active=False)
        row = hold(till, acme, nanos=300)
        with org_scope(acme.org_id):
            update_budget(actor=acme.owner, budget=Budget.objects.get(pk=budget.pk), is_active=True)
        scope = find_scope(acme, budget)
        assert begin(acme, till, scope) == (0, 300)
        settle(till, row, 299)
        assert till.read(line_of(scope)) == (299, 0)

    def test_all_of_an_organisation_that_moves_to_another_zone(self, acme: Tenant, till: Till) -> None:
        budget = make_budget(acme, "0.000002")
        before = find_scope(acme, budget)
        client().hset(before.counter, mapping={"s": 0, "h": 0})
        row = hold(till, acme, line_of(before), nanos=300)
        with org_scope(acme.org_id):
            acme.org.refresh_from_db()
            update_organization(actor=acme.owner, time_zone="Etc/GMT+1")
        after = find_scope(acme, budget)
        assert after.counter != before.counter
        # By its own moment, which may be of the day before there.
        expected = 300 if after.starts_ms <= row["started_at_ms"] < after.ends_ms else 0
        assert begin(acme, till, after) == (0, expected)


class TestOldPlans:
    def test_no_call_is_planned_without_it_from_then_on(self, acme: Tenant, till: Till) -> None:
        old = read_version(acme.org_id)
        scope = find_scope(acme, make_budget(acme, "0.000002"))
        new = read_version(acme.org_id)
        assert new > old
        assert till.reserve("a", org_id=acme.org_id, version=old)[0] == 1
        recount.recount(till.shard, acme.org_id, [scope])
        assert till.reserve("b", org_id=acme.org_id, version=old) == [-7, new]
        assert till.reserve("a", org_id=acme.org_id, version=old)[:3] == [1, 0, 0], "it is held already"
        assert till.reserve("a", org_id=acme.org_id, version=old, attempt=2) == [-7, new]
        assert till.reserve("b", line_of(scope), org_id=acme.org_id, version=new)[0] == 1
        assert till.reserve("c", line_of(scope), org_id=acme.org_id, version=new + 1)[0] == 1
        assert till.reserve("d", org_id="another", version=0)[0] == 1

    def test_a_counter_that_was_there_moves_no_version(self, acme: Tenant, till: Till) -> None:
        scope = find_scope(acme, make_budget(acme, "0.000002"))
        recount.recount(till.shard, acme.org_id, [scope])
        since = keyspace.oldest_version_key(till.shard, acme.org_id)
        known = client().get(since)
        make_budget(acme, "0.000003")
        recount.recount(till.shard, acme.org_id, [scope])
        assert client().get(since) == known

    def test_what_old_plans_spent_while_it_was_counted_is_in_it(
        self, acme: Tenant, till: Till, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A call that nobody has heard of comes, and another ends, between the ledger's sums and the counters."""
        ends = hold(till, acme, nanos=300)
        each = make_budget(acme, "0.000002", scope=BudgetScope.END_USER)
        scopes = [find_scope(acme, make_budget(acme, "0.000002")), find_scope(acme, each, "ann")]

        def count_late(*args: Any) -> Any:
            counted = count_scopes(*args)
            settle(till, ends, 250)
            hold(till, acme, nanos=40)
            return counted

        monkeypatch.setattr(recount, "count_scopes", count_late)
        recount.recount(till.shard, acme.org_id, [*scopes, find_scope(acme, each, "cyd")])
        assert [till.read(line_of(scope)) for scope in scopes] == [(250, 40), (250, 40)]
        drain.drain(till.shard)
        assert recount.find_drift(till.shard) == []


class TestRotated:
    def test_a_key_and_what_became_of_it_are_one_in_the_ledger_too(self, acme: Tenant, till: Till) -> None:
        """Counted from rows, from events on their way and from holds; another key is another."""
        with org_scope(acme.org_id):
            new = rotate_key(actor=acme.owner, key=acme.key, grace_seconds=60).key
        heir = {"key_id": str(new.pk), "lineage": str(acme.key.pk)}
        for fields, nanos in ((ANN, 1_000), (ANN | heir, 200), (ANN | {"key_id": str(acme.project.pk)}, 70_000)):
            till.add_event(make_event(acme, nanos, **fields))
        drain.drain(till.shard)
        till.add_event(make_event(acme, 30, **ANN | heir))
        hold(till, acme, nanos=4, **heir)
        whole = find_scope(acme, make_budget(acme, "1", scope=BudgetScope.KEY, subject=str(new.pk)))
        each = find_scope(acme, make_budget(acme, "1", scope=BudgetScope.KEY), str(acme.key.pk))
        within = find_scope(
            acme, make_budget(acme, "1", scope=BudgetScope.END_USER, within={"key": str(new.pk)}), "ann"
        )
        recount.recount(till.shard, acme.org_id, [whole, each, within])
        assert [till.read(line_of(scope)) for scope in (whole, each, within)] == [(1_230, 4)] * 3
        recount.recount(till.shard, "", ())
        assert [till.read(line_of(scope)) for scope in (whole, each, within)] == [(1_230, 4)] * 3
        assert recount.find_drift(till.shard) == []
        org = load_org_snapshot(acme.org_id)
        assert org is not None
        for key_id, lineage in ((str(acme.key.pk), ""), (str(new.pk), str(acme.key.pk))):
            key = KeySnapshot(key_id, org.id, str(acme.project.pk), 1, None, None, None, False, lineage)
            found = find_scopes(org, key, end_user="ann", model="", tags={}, session="", at_ms=clock.now_ms())
            assert {scope.counter for scope in found} == {whole.counter, each.counter, within.counter}
