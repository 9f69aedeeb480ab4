"""What the hourly jobs found becomes alerts: once, with the date and the driver."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine

from billing.alerts.actions.rules import ensure_rules, update_rule
from billing.alerts.checks.outlook import watch_outlook
from billing.alerts.core.texts import describe
from billing.alerts.models import Alert, AlertRule
from billing.choices import AlertEvent, AlertKind
from billing.spend.models import Forecast
from costhub.lib.money import parse_usd
from tenants.access import org_scope
from tenants.actions.budgets import update_budget
from tenants.choices import BudgetPeriod
from tests.billing.ledger import NOW
from tests.billing.outlook import store_anomaly, store_forecast
from tests.world import Tenant, World, make_budget

pytestmark = pytest.mark.usefixtures("world")


def alerts(tenant: Tenant) -> list[Alert]:
    with org_scope(tenant.org.pk):
        return list(Alert.objects.filter(org=tenant.org).order_by("created_at", "threshold"))


def title_of(alert: Alert) -> str:
    return describe(AlertKind(alert.kind), alert.facts, AlertEvent.OPENED, ZoneInfo("UTC")).title


def test_a_forecast_above_a_budget_is_told_with_its_date_and_its_error(world: World) -> None:
    acme = world.acme
    budget = make_budget(acme, "15.00", period=BudgetPeriod.MONTH)
    make_budget(acme, "19.00", period=BudgetPeriod.MONTH)
    make_budget(acme, "9.00", period=BudgetPeriod.MONTH)
    store_forecast(acme)
    for _ in range(2):
        watch_outlook(acme.org.pk, NOW)
    (alert,) = alerts(acme)
    assert title_of(alert) == "Acme is forecast to exceed the monthly budget on 27 November 2026"
    assert alert.subject == f"{budget.pk}:"
    assert (alert.facts["expected"], alert.facts["limit"], alert.facts["error_per_mille"]) == (
        18_500_000_000,
        15_000_000_000,
        64,
    )


def test_it_is_over_when_the_budget_is_raised_or_the_forecast_falls(world: World) -> None:
    acme = world.acme
    budget = make_budget(acme, "15.00", period=BudgetPeriod.MONTH)
    forecast = store_forecast(acme)
    watch_outlook(acme.org.pk, NOW)
    with time_machine.travel(NOW, tick=False), org_scope(acme.org.pk):
        update_budget(actor=acme.owner, budget=budget, limit_nanos=parse_usd("30"))
    watch_outlook(acme.org.pk, NOW + timedelta(hours=1))
    assert [alert.ended_at for alert in alerts(acme)] == [NOW + timedelta(hours=1)]
    assert forecast.expected == 18_500_000_000


def test_a_rule_may_want_to_hear_earlier(world: World) -> None:
    acme = world.acme
    make_budget(acme, "20.00", period=BudgetPeriod.MONTH)
    store_forecast(acme)
    with org_scope(acme.org.pk):
        ensure_rules(acme.org)
        update_rule(actor=acme.owner, rule=AlertRule.objects.get(org=acme.org, kind="forecast"), thresholds=[90])
    watch_outlook(acme.org.pk, NOW)
    (alert,) = alerts(acme)
    assert title_of(alert) == "Acme is forecast to use 92 % of the monthly budget"


def test_an_anomaly_names_its_driver_once(world: World) -> None:
    acme = world.acme
    store_anomaly(acme)
    for hours in (0, 1, 30):
        watch_outlook(acme.org.pk, NOW + timedelta(hours=hours))
    (alert,) = alerts(acme)
    assert title_of(alert) == "Acme spent more than usual in the day of 21 November 2026"
    assert alert.facts["driver"] == f"Key {acme.key.name}: more calls"
    assert (alert.severity, alert.ended_at) == ("warning", NOW + timedelta(hours=30))


def test_a_drop_is_only_information(world: World) -> None:
    store_anomaly(world.acme, severity="low", actual=0, calls=-10_000_000_000, tokens=0, price=0)
    watch_outlook(world.acme.org.pk, NOW)
    (alert,) = alerts(world.acme)
    assert (alert.severity, alert.facts["driver"]) == ("info", f"Key {world.acme.key.name}: fewer calls")


def test_mallory_hears_nothing_of_it(world: World) -> None:
    store_anomaly(world.acme)
    watch_outlook(world.mallcorp.org.pk, NOW)
    assert alerts(world.mallcorp) == []
    with org_scope(world.mallcorp.org.pk):
        assert not Forecast.objects.exists()
