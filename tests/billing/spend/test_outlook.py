"""Reads of stored forecasts and anomalies."""

from datetime import date, timedelta

import pytest

from billing.spend.outlook import find_forecast, list_anomalies, list_exceeding, list_forecasts
from billing.spend.selectors import read_budget_book
from costhub.lib.errors import Forbidden
from tenants.access import Actor, org_scope
from tenants.choices import BudgetPeriod, BudgetScope, Role
from tests.billing.ledger import NOW
from tests.billing.outlook import USD, store_anomaly, store_forecast
from tests.world import World, make_budget

MONTH = BudgetPeriod.MONTH


def test_this_month_s_forecasts_the_organisation_first(world: World) -> None:
    key = store_forecast(world.acme, scope="key", subject=str(world.acme.key.pk), expected=99 * USD)
    org = store_forecast(world.acme)
    store_forecast(world.acme, month=date(2026, 10, 1))
    store_forecast(world.mallcorp)
    with org_scope(world.acme.org.pk):
        assert list_forecasts(world.acme.owner, NOW) == [org, key]
        assert find_forecast([key, org]) == org
        assert find_forecast([key]) is None
        assert list_forecasts(world.acme.owner, NOW + timedelta(days=30)) == []


def test_budgets_that_will_be_exceeded_and_when(world: World) -> None:
    store_forecast(world.acme)
    first_key = str(world.acme.key.pk)
    store_forecast(world.acme, scope="key", subject=first_key)
    store_forecast(world.acme, scope="key", subject="other")
    make_budget(world.acme, "18.5", period=MONTH)
    soon = make_budget(world.acme, "12", period=MONTH)
    over = make_budget(world.acme, "9.99", period=MONTH)
    make_budget(world.acme, "1", period=BudgetPeriod.DAY)
    each = make_budget(world.acme, "14", scope=BudgetScope.KEY, period=MONTH)
    own = make_budget(world.acme, "15", scope=BudgetScope.KEY, subject=first_key, period=MONTH)
    with org_scope(world.acme.org.pk):
        owner = world.acme.owner
        found = list_exceeding(owner, read_budget_book(owner, NOW), list_forecasts(owner, NOW))
    assert [(one.budget_id, one.subject, one.limit, one.expected, one.date) for one in found] == [
        (over.pk, "", 9_990_000_000, 18_500_000_000, date(2026, 11, 22)),
        (soon.pk, "", 12 * USD, 18_500_000_000, date(2026, 11, 24)),
        (each.pk, "other", 14 * USD, 18_500_000_000, date(2026, 11, 26)),
        (own.pk, first_key, 15 * USD, 18_500_000_000, date(2026, 11, 27)),
    ]


def test_anomalies_newest_first_since_a_moment(world: World) -> None:
    old = store_anomaly(world.acme, created_at=NOW - timedelta(days=2))
    new = store_anomaly(world.acme, scope="model", subject="small")
    store_anomaly(world.mallcorp)
    with org_scope(world.acme.org.pk):
        assert list(list_anomalies(world.acme.owner)) == [new, old]
        assert list(list_anomalies(world.acme.owner, NOW)) == [new]


def test_who_may_not_see_money_sees_none(world: World) -> None:
    viewer = Actor(world.acme.org, Role.VIEWER, "vera@acme.example")
    for read in (list_forecasts, list_anomalies):
        with org_scope(world.acme.org.pk), pytest.raises(Forbidden):
            read(viewer, NOW)
