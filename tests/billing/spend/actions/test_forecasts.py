"""What the job stores: one forecast a subject and month, from the ledger, in the organisation's time zone."""

from datetime import UTC, date, datetime, timedelta

import pytest

from billing.spend.actions import forecasts
from billing.spend.actions.anomalies import detect_anomalies
from billing.spend.actions.forecasts import refresh_forecasts
from billing.spend.core.forecast import BackTest, Month
from billing.spend.models import Forecast
from tenants.access import org_scope
from tenants.choices import BudgetPeriod, BudgetScope
from tests.billing.ledger import NOW, record_call
from tests.billing.outlook import USD
from tests.world import World, make_budget

DAY = timedelta(days=1)


def spend_daily(world: World, days: int) -> None:
    for back in range(1, days + 1):
        record_call(world.acme, NOW - DAY * back, cost=USD)


def stored(world: World) -> list[Forecast]:
    with org_scope(world.acme.org.pk):
        return list(Forecast.objects.filter(org=world.acme.org).order_by("scope"))


def test_a_dollar_a_day(world: World) -> None:
    spend_daily(world, 20)
    record_call(world.acme, NOW, cost=USD // 4)
    record_call(world.mallcorp, NOW - DAY, cost=999 * USD)
    assert refresh_forecasts(world.acme.owner, NOW) == 1
    [row] = stored(world)
    # 20 whole days and a quarter so far, half of today and the eight days after it to come.
    assert (row.spent, row.expected, row.low, row.high) == (
        20_250_000_000,
        28_750_000_000,
        28_750_000_000,
        28_750_000_000,
    )
    assert (row.method, row.days_of_history, row.month.isoformat()) == ("recent_weeks", 20, "2026-11-01")
    assert row.running[0] == 20_750_000_000
    assert len(row.running) == 9


def test_again_and_again_is_one_row_with_the_last_word(world: World) -> None:
    spend_daily(world, 20)
    refresh_forecasts(world.acme.owner, NOW)
    record_call(world.acme, NOW, cost=5 * USD)
    refresh_forecasts(world.acme.owner, NOW + timedelta(minutes=1))
    [row] = stored(world)
    assert row.spent == 25 * USD
    assert row.made_at == NOW + timedelta(minutes=1)


def test_the_back_test_is_made_once_a_local_day(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tested: list[date] = []

    def test(month: Month) -> BackTest:
        tested.append(month.today)
        return BackTest(None, None, 1000)

    monkeypatch.setattr(forecasts, "run_backtest", test)
    spend_daily(world, 20)
    for hours in (0, 1, 11, 12, 13):
        refresh_forecasts(world.acme.owner, NOW + timedelta(hours=hours))
    assert tested == [NOW.date(), NOW.date() + DAY]


def test_nobody_spent_anything(world: World) -> None:
    refresh_forecasts(world.acme.owner, NOW)
    [row] = stored(world)
    assert (row.spent, row.expected, row.low, row.method, row.running) == (0, None, None, "not_enough_history", [])


def test_month_budgets_have_forecasts_of_their_subjects(world: World) -> None:
    spend_daily(world, 20)
    make_budget(world.acme, "5", scope=BudgetScope.PROJECT, period=BudgetPeriod.MONTH)
    make_budget(world.acme, "5", scope=BudgetScope.KEY, subject=str(world.acme.key.pk), period=BudgetPeriod.MONTH)
    make_budget(world.acme, "5", scope=BudgetScope.MODEL, period=BudgetPeriod.MONTH)
    make_budget(world.acme, "5", scope=BudgetScope.PROJECT, period=BudgetPeriod.DAY)
    assert refresh_forecasts(world.acme.owner, NOW) == 3
    assert [(row.scope, row.subject) for row in stored(world)] == [
        ("key", str(world.acme.key.pk)),
        ("organization", ""),
        ("project", str(world.acme.project.pk)),
    ]


@pytest.mark.parametrize(
    ("now", "days_left"),
    [
        # In Los Angeles it is still October; on 1 November 2026 the clocks go back, and the day has 25 hours.
        (datetime(2026, 11, 1, 6, 30, tzinfo=UTC), 1),
        (datetime(2026, 11, 1, 7, 30, tzinfo=UTC), 30),
        (datetime(2026, 11, 2, 7, 30, tzinfo=UTC), 30),
        (datetime(2026, 11, 2, 8, 30, tzinfo=UTC), 29),
    ],
)
def test_days_and_months_are_the_organisation_s(world: World, now: datetime, days_left: int) -> None:
    with org_scope(world.acme.org.pk):
        world.acme.org.time_zone = "America/Los_Angeles"
        world.acme.org.save()
    for back in range(1, 16):
        record_call(world.acme, now - DAY * back, cost=USD)
    refresh_forecasts(world.acme.owner, now)
    [row] = stored(world)
    assert len(row.running) == days_left


def test_outside_a_transaction_as_the_worker_does_it(committed_world: World) -> None:
    spend_daily(committed_world, 20)
    assert refresh_forecasts(committed_world.acme.owner, NOW) == 1
    assert [row.expected for row in stored(committed_world)] == [28_500_000_000]
    assert detect_anomalies(committed_world.acme.owner, NOW.replace(hour=0, minute=9)) == 0
    with org_scope(committed_world.mallcorp.org.pk):
        assert not Forecast.objects.exists()
