"""What operators see of spend and budgets, made by a recount: exact, of now, and cheap to read."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import DatabaseError

from costhub.lib import clock, keyspace
from costhub.lib.moments import to_ms
from costhub.lib.money import parse_usd
from costhub.lib.redis import client
from proxy import tasks
from proxy.ledger import drain, recount
from proxy.telemetry import figures
from proxy.telemetry.figures import Figures, keep, read_figures
from tenants.access import org_scope
from tenants.choices import BudgetAction, BudgetPeriod, BudgetScope
from tenants.models import Budget, Organization
from tests.proxy.edges.entries import find_scope, make_event, move_to
from tests.proxy.edges.till import Till
from tests.world import Tenant, World, make_budget

DOLLAR = parse_usd("1.00")


@pytest.fixture(autouse=True)
def _none_before() -> Iterator[None]:
    client().delete(keyspace.FIGURES)
    yield
    client().delete(keyspace.FIGURES)


def spend(till: Till, tenant: Tenant, cost: int, **fields: object) -> None:
    till.add_event(make_event(tenant, cost, **fields))
    drain.drain(till.shard)


def count_anew(till: Till) -> Figures:
    keep(till.shard, recount.recount(till.shard, "", ()))
    return read_figures()


class TestRemaining:
    def test_the_least_of_each_scope(self, acme: Tenant, till: Till) -> None:
        make_budget(acme, "1.00", period=BudgetPeriod.DAY)
        make_budget(acme, "2.00", period=BudgetPeriod.TOTAL)
        make_budget(acme, "0.50", scope=BudgetScope.END_USER)
        make_budget(acme, "0.25", scope=BudgetScope.KEY, subject=str(acme.key.pk))
        spend(till, acme, 1_000, end_user="ann")
        spend(till, acme, 500, end_user="bob")
        assert count_anew(till).remaining == {
            (acme.org.slug, "organization"): DOLLAR - 1_500,
            (acme.org.slug, "end_user"): DOLLAR // 2 - 1_000,
            (acme.org.slug, "key"): DOLLAR // 4 - 1_500,
        }

    def test_a_default_that_nobody_has_used_is_whole(self, acme: Tenant, till: Till) -> None:
        make_budget(acme, "0.50", scope=BudgetScope.END_USER)
        assert count_anew(till).remaining == {(acme.org.slug, "end_user"): DOLLAR // 2}

    def test_who_has_a_budget_of_its_own_is_not_held_by_the_default(self, acme: Tenant, till: Till) -> None:
        make_budget(acme, "0.50", scope=BudgetScope.END_USER)
        make_budget(acme, "3.00", scope=BudgetScope.END_USER, subject="ann")
        spend(till, acme, 2 * DOLLAR, end_user="ann")
        spend(till, acme, 700, end_user="bob")
        assert count_anew(till).remaining == {(acme.org.slug, "end_user"): DOLLAR // 2 - 700}

    def test_less_than_nothing_is_told_as_it_is(self, acme: Tenant, till: Till) -> None:
        make_budget(acme, "0.000001")
        spend(till, acme, 1_700)
        assert count_anew(till).remaining == {(acme.org.slug, "organization"): -700}

    def test_what_refuses_nobody_leaves_nothing(self, acme: Tenant, till: Till) -> None:
        make_budget(acme, "1.00", action=BudgetAction.WARN)
        shadow = make_budget(acme, "1.00")
        with org_scope(acme.org_id):
            Budget.objects.filter(pk=shadow.pk).update(is_shadow=True)
        assert count_anew(till).remaining == {}


class TestDays:
    def test_today_is_the_organisations_own(self, acme: Tenant, committed_world: World, till: Till) -> None:
        mallcorp = committed_world.mallcorp
        move_to(mallcorp, till.shard)
        with org_scope(acme.org_id):
            Organization.objects.filter(pk=acme.org.pk).update(time_zone="Pacific/Auckland")
        noon = datetime(2026, 11, 25, 12, tzinfo=UTC)  # one o'clock in the night of the 26th in Auckland
        for tenant in (acme, mallcorp):
            spend(till, tenant, 100, at_ms=to_ms(noon - timedelta(hours=2)))
            spend(till, tenant, 7, at_ms=to_ms(noon - timedelta(minutes=30)))
            spend(till, tenant, -2, at_ms=to_ms(noon - timedelta(minutes=30)), kind="correction")
        with time_machine.travel(noon, tick=False):
            assert count_anew(till).day_costs == {acme.org.slug: 5, mallcorp.org.slug: 105}

    def test_an_organisation_that_is_switched_off_is_not_told_of(self, acme: Tenant, till: Till) -> None:
        with org_scope(acme.org_id):
            Organization.objects.filter(pk=acme.org.pk).update(is_active=False)
        assert count_anew(till).day_costs == {}


class TestDrift:
    def test_it_is_what_the_recount_set_right(self, acme: Tenant, till: Till) -> None:
        scopes = [find_scope(acme, make_budget(acme, limit)) for limit in ("1.00", "2.00")]
        spend(till, acme, 400)
        assert count_anew(till).drift == 0, "a counter that was not there was not wrong"
        client().hincrby(scopes[0].counter, "s", 17)
        client().hincrby(scopes[1].counter, "s", -5)
        assert count_anew(till).drift == 22
        assert count_anew(till).drift == 0

    def test_an_event_on_its_way_is_none(self, acme: Tenant, till: Till) -> None:
        scope = find_scope(acme, make_budget(acme, "1.00"))
        count_anew(till)
        till.add_event(make_event(acme, 30))
        client().hincrby(scope.counter, "s", 30)
        assert count_anew(till).drift == 0


class TestKeeping:
    def test_figures_that_nobody_renews_end(self, acme: Tenant, till: Till) -> None:
        make_budget(acme, "1.00")
        assert count_anew(till).drift == 0
        with time_machine.travel(clock.now() + timedelta(minutes=16), tick=False):
            assert read_figures() == Figures()

    def test_shards_are_told_together(self, acme: Tenant, till: Till) -> None:
        scope = find_scope(acme, make_budget(acme, "1.00"))
        count_anew(till)
        client().hincrby(scope.counter, "s", 2)
        keep(99_999, recount.Recount(drift=5))
        assert count_anew(till).drift == 7

    def test_the_job_keeps_them_and_a_figure_that_cannot_be_had_stops_no_counter(
        self, acme: Tenant, till: Till, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scope = find_scope(acme, make_budget(acme, "1.00"))
        spend(till, acme, 400)
        monkeypatch.setattr(tasks, "list_shards", lambda: [till.shard])
        tasks.rebuild_counters()
        assert read_figures().day_costs == {acme.org.slug: 400}
        monkeypatch.setattr(figures, "keep", fail)
        client().delete(scope.counter)
        tasks.rebuild_counters()
        assert client().hget(scope.counter, "s") == b"400"


def fail(*_: object) -> None:
    raise DatabaseError("gone")
