"""Budgets are watched by their counters: what moved is looked at, once, and nothing that moved is missed."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine

from billing.alerts.actions.alerts import report
from billing.alerts.checks import budgets
from billing.alerts.checks.budgets import list_alerted_orgs, review_open, watch_changed
from billing.alerts.core.texts import describe
from billing.alerts.models import Alert
from billing.choices import AlertEvent, AlertKind
from costhub.lib import clock, keyspace
from costhub.lib.moments import from_ms, to_ms
from costhub.lib.money import Nanos, parse_usd
from costhub.lib.redis import client
from proxy.core.budgets import make_scope
from proxy.ledger.changed_counters import forget_changed, list_changed_shards, take_changed
from tenants.access import org_scope
from tenants.actions.budgets import update_budget
from tenants.actions.increases import increase_budget
from tenants.choices import BudgetAction, BudgetPeriod, BudgetScope
from tenants.models import Budget
from tenants.selectors import load_org_snapshot
from tests.proxy.edges.till import Till, next_shard
from tests.world import Tenant, World, make_budget

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clocks() -> Any:
    # What other tests moved is not ours.
    for shard in list_changed_shards():
        take_changed(shard)
        forget_changed(shard)
        client().delete(keyspace.moved_key(shard))
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def spend(tenant: Tenant, budget: Budget, nanos: int, subject: str | None = None) -> str:
    """Settle so much on a budget's counter, as the scripts do."""
    org = load_org_snapshot(tenant.org_id)
    assert org is not None
    (snapshot,) = (each for each in org.budgets if each.id == str(budget.pk))
    scope = make_scope(org, snapshot, tenant.org_id if subject is None else subject, clock.now_ms())
    client().hincrby(scope.counter, "s", nanos)
    client().sadd(keyspace.moved_key(org.shard), scope.counter)
    return scope.counter


def alerts(tenant: Tenant) -> list[Alert]:
    with org_scope(tenant.org.pk):
        return list(Alert.objects.filter(org=tenant.org).order_by("created_at", "threshold"))


def test_a_crossing_is_seen_with_its_figures(world: World) -> None:
    budget = make_budget(world.acme, "1.00")
    spend(world.acme, budget, 799_999_999)
    assert watch_changed() == 1
    assert [alert.threshold for alert in alerts(world.acme)] == [50]
    spend(world.acme, budget, 1)
    watch_changed()
    assert [alert.threshold for alert in alerts(world.acme)] == [50, 80]
    assert alerts(world.acme)[1].facts == {
        "budget": str(budget.pk),
        "name": "",
        "scope": "organization",
        "subject": world.acme.org_id,
        "who": "Acme",
        "within": "",
        "period": "day",
        "spent": 800_000_000,
        "limit": 1_000_000_000,
        "percent": 80,
        "starts": "2026-11-22T00:00:00+00:00",
        "ends": "2026-11-23T00:00:00+00:00",
        "action": "block",
        "refuses": False,
        "is_shadow": False,
        "is_default": False,
    }


def test_what_stood_still_is_not_looked_at(world: World) -> None:
    spend(world.acme, make_budget(world.acme, "1.00"), 1)
    assert watch_changed() == 1
    assert watch_changed() == 0


def test_a_watcher_that_dies_has_missed_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = make_budget(world.acme, "1.00")
    spend(world.acme, budget, 500_000_000)
    with monkeypatch.context() as broken:
        broken.setattr(budgets, "forget_changed", lambda _: 1 / 0)
        broken.setattr(budgets, "report", lambda *_, **__: [])
        with pytest.raises(ZeroDivisionError):
            watch_changed()
    spend(world.acme, budget, 300_000_000)
    assert watch_changed() == 1, "first what was left over"
    assert watch_changed() == 1, "then what moved meanwhile"
    assert [alert.threshold for alert in alerts(world.acme)] == [50, 80]


def test_one_organisations_trouble_keeps_no_other_waiting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    acme, mallcorp = world.acme, world.mallcorp
    for tenant in (acme, mallcorp):
        spend(tenant, make_budget(tenant, "1.00"), 600_000_000)
    with monkeypatch.context() as broken:
        broken.setattr(
            budgets, "report", lambda org, *rest, **more: 1 / 0 if org == mallcorp.org else report(org, *rest, **more)
        )
        watch_changed()
    assert len(alerts(acme)) == 1
    assert alerts(mallcorp) == []
    watch_changed()
    assert len(alerts(mallcorp)) == 1, "its counters come again"


def test_what_is_refused_is_looked_at_although_nothing_moves(db: None) -> None:
    till = Till(next_shard())
    till.open()
    line = till.line("lowered", 100)
    assert till.reserve("h1", line, fixed=200_000, wanted=0)[0] == 0
    assert take_changed(till.shard) == [line.key]


def test_a_budget_that_refuses_has_reached_its_end_whatever_is_left(world: World) -> None:
    budget = make_budget(world.acme, "1.00")
    counter = spend(world.acme, budget, 740_000_000)
    client().hset(counter, "r", 1_000_000_000)
    watch_changed()
    found = alerts(world.acme)
    assert [(alert.threshold, alert.severity) for alert in found] == [(50, "info"), (80, "warning"), (100, "critical")]
    assert (found[-1].facts["percent"], found[-1].facts["refuses"]) == (74, True)
    text = describe(AlertKind.BUDGET, found[-1].facts, AlertEvent.OPENED, ZoneInfo("UTC"))
    assert text.title == "Acme used 74 % of the daily budget: calls are refused"
    # With more room than it had then, it is not known to refuse.
    with org_scope(world.acme.org.pk):
        update_budget(actor=world.acme.owner, budget=budget, limit_nanos=Nanos(2_000_000_000))
    review_open(world.acme.org.pk)
    assert [alert.ended_at is None for alert in alerts(world.acme)] == [False, False, False]


def test_what_only_warns_refuses_nothing(world: World) -> None:
    counter = spend(world.acme, make_budget(world.acme, "1.00", action=BudgetAction.WARN), 740_000_000)
    client().hset(counter, "r", 1_000_000_000)
    watch_changed()
    assert [alert.threshold for alert in alerts(world.acme)] == [50]


def test_an_increase_until_midnight_counts_for_the_day_that_it_ended(world: World, clocks: Any) -> None:
    budget = make_budget(world.acme, "1.00")
    with org_scope(world.acme.org.pk):
        midnight = NOON.replace(hour=0) + timedelta(days=1)
        increase_budget(actor=world.acme.owner, budget=budget, amount_nanos=parse_usd("9.00"), until=midnight)
    counter = spend(world.acme, budget, 1_500_000_000)
    clocks.move_to(midnight + timedelta(seconds=20))
    client().hincrby(counter, "s", 1)
    client().sadd(keyspace.moved_key(world.acme.org.shard), counter)
    watch_changed()
    assert alerts(world.acme) == []


def test_subjects_are_called_by_their_names(world: World) -> None:
    acme = world.acme
    project = make_budget(acme, "1.00", scope=BudgetScope.PROJECT, subject=str(acme.project.pk))
    key = make_budget(acme, "1.00", scope=BudgetScope.KEY)
    spend(acme, project, 600_000_000, str(acme.project.pk))
    spend(acme, key, 600_000_000, str(acme.key.pk))
    watch_changed()
    assert {alert.facts["who"] for alert in alerts(acme)} == {f"Project {acme.project.name}", f"Key {acme.key.name}"}


def test_of_a_default_for_end_users_the_first_is_told_and_not_each(world: World) -> None:
    budget = make_budget(world.acme, "1.00", scope=BudgetScope.END_USER)
    spend(world.acme, budget, 550_000_000, "una")
    watch_changed()
    for name in ("ulf", "uwe"):
        spend(world.acme, budget, 600_000_000, name)
    watch_changed()
    spend(world.acme, budget, 1, "ida")
    watch_changed()
    (alert,) = alerts(world.acme)
    assert (alert.threshold, alert.facts["who"], alert.ended_at) == (50, "End user una", None)


def test_a_budget_of_a_minute_is_told_once_a_day(world: World, clocks: Any) -> None:
    budget = make_budget(world.acme, "1.00", period=BudgetPeriod.MINUTE, action=BudgetAction.WARN)
    for _ in range(3):
        spend(world.acme, budget, 900_000_000)
        watch_changed()
        review_open(world.acme.org.pk)
        clocks.shift(timedelta(minutes=1))
    assert [(alert.threshold, alert.window_start.day) for alert in alerts(world.acme)] == [(50, 22), (80, 22)]
    clocks.shift(timedelta(days=1))
    spend(world.acme, budget, 900_000_000)
    watch_changed()
    assert len(alerts(world.acme)) == 4


def test_a_crossing_in_the_last_moment_of_a_period_is_still_told(world: World, clocks: Any) -> None:
    budget = make_budget(world.acme, "1.00")
    clocks.move_to(NOON.replace(hour=23, minute=59, second=59))
    spend(world.acme, budget, 900_000_000)
    clocks.shift(timedelta(seconds=2))
    spend(world.acme, budget, 600_000_000)
    watch_changed()
    found = [(alert.window_start.day, alert.threshold, alert.ended_at is None) for alert in alerts(world.acme)]
    assert sorted(found) == [(22, 50, False), (22, 80, True), (23, 50, True)]
    review_open(world.acme.org.pk)
    assert sum(alert.ended_at is None for alert in alerts(world.acme)) == 1


def test_the_review_ends_what_is_over(world: World, clocks: Any) -> None:
    acme = world.acme
    raised, gone, stands = make_budget(acme, "1.00"), make_budget(acme, "2.00"), make_budget(acme, "3.00")
    for budget in (raised, gone, stands):
        spend(acme, budget, budget.limit_nanos * 6 // 10)
    watch_changed()
    assert acme.org.pk in list_alerted_orgs()
    with org_scope(acme.org.pk):
        update_budget(actor=acme.owner, budget=raised, limit_nanos=parse_usd("100"))
        update_budget(actor=acme.owner, budget=gone, is_active=False)
    review_open(acme.org.pk)
    with org_scope(acme.org.pk):
        (left,) = Alert.objects.filter(org=acme.org, kind=AlertKind.BUDGET.value, ended_at=None)
    assert left.facts["budget"] == str(stands.pk)
    clocks.shift(timedelta(days=1))
    review_open(acme.org.pk)
    assert acme.org.pk not in list_alerted_orgs()


def test_an_increase_counts_while_it_is_in_force(world: World, clocks: Any) -> None:
    budget = make_budget(world.acme, "1.00")
    with org_scope(world.acme.org.pk):
        until = NOON + timedelta(hours=2)
        increase_budget(actor=world.acme.owner, budget=budget, amount_nanos=parse_usd("1.00"), until=until)
    spend(world.acme, budget, 900_000_000)
    watch_changed()
    assert alerts(world.acme) == []
    clocks.shift(timedelta(hours=3))
    spend(world.acme, budget, 1)
    watch_changed()
    assert [alert.threshold for alert in alerts(world.acme)] == [50, 80]


def test_what_rolls_over_counts_too(world: World, clocks: Any) -> None:
    clocks.move_to(NOON - timedelta(days=2))
    budget = make_budget(world.acme, "1.00", rollover=True)
    clocks.move_to(NOON - timedelta(days=1))
    spend(world.acme, budget, 300_000_000)
    clocks.move_to(NOON)
    spend(world.acme, budget, 900_000_000)
    watch_changed()
    (alert,) = (alert for alert in alerts(world.acme) if alert.window_start.day == 22)
    assert (alert.threshold, alert.facts["limit"], alert.facts["percent"]) == (50, 1_700_000_000, 52)


def test_a_shadow_and_a_warning_say_what_they_are(world: World) -> None:
    budget = make_budget(world.acme, "1.00", action=BudgetAction.WARN)
    spend(world.acme, budget, 2_000_000_000)
    watch_changed()
    assert {(alert.threshold, alert.severity) for alert in alerts(world.acme)} == {
        (50, "info"),
        (80, "warning"),
        (100, "warning"),
    }


def test_the_scripts_note_what_they_move(db: None) -> None:
    till = Till(next_shard())
    till.open()
    first, second = till.line("a"), till.line("b")
    till.reserve("h1", first, second, fixed=5_000)
    assert take_changed(till.shard) == [], "a hold is no spend"
    till.settle("h1", 5)
    assert take_changed(till.shard) == sorted([first.key, second.key])
    till.reserve("h2", first, fixed=5_000)
    till.settle("h2", 5)
    assert take_changed(till.shard) == sorted([first.key, second.key]), "until they are forgotten"
    forget_changed(till.shard)
    assert take_changed(till.shard) == [first.key]


def test_a_counters_name_is_read_back() -> None:
    at = to_ms(NOON)
    name = keyspace.counter_key(3, "0194f7a2-0000-7000-8000-000000000001.17", "a:b:budget:{s01}:\n", at)
    assert keyspace.read_counter(name) == ("0194f7a2-0000-7000-8000-000000000001", at, "a:b:budget:{s01}:\n")
    assert keyspace.read_counter("{s03}:hold:x") is None
    assert from_ms(at) == NOON
