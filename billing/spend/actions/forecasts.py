"""Makes the forecasts of an organisation and of what its month budgets count, and keeps the latest of each."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from billing.spend.core.backtest import run_backtest
from billing.spend.core.forecast import BackTest, Month, MonthForecast, forecast_month
from billing.spend.models import Forecast
from billing.spend.selectors import find_spend
from billing.spend.spend_series import make_filters, read_month
from tenants.access import Actor, org_scope
from tenants.choices import BudgetPeriod, BudgetScope
from tenants.models import Budget
from tenants.periods import period_bounds

#: of the subjects of an organisation's budgets the dearest so many have a forecast
MAX_SUBJECTS: Final = 50
SCOPES: Final = (BudgetScope.PROJECT, BudgetScope.KEY)


def refresh_forecasts(actor: Actor, now: datetime) -> int:
    """Forecast this month for the organisation and the projects and keys that have a month budget. Returns how many.

    Each is a transaction of its own, and computed outside it. The back-test is made at the first run of a local day.
    """
    with org_scope(actor.org.pk):
        subjects = [(BudgetScope.ORGANIZATION, ""), *list_budgeted(actor, now)]
    return sum(refresh_forecast(actor, now, scope, subject) for scope, subject in subjects)


def refresh_forecast(actor: Actor, now: datetime, scope: BudgetScope, subject: str) -> bool:
    """Forecast one subject's month. False if there can be no such subject."""
    filters = make_filters(scope, subject)
    if filters is None:
        return False
    with org_scope(actor.org.pk):
        month = read_month(actor, now, filters)
        before = Forecast.objects.filter(
            org=actor.org, scope=scope, subject=subject, month=month.today.replace(day=1), tested_on=month.today
        ).first()
    # A test of the past does not change within a day, and costs as much as thirty forecasts.
    backtest = _kept_test(before) if before else run_backtest(month)
    made = forecast_month(month, backtest)
    with org_scope(actor.org.pk):
        _store(actor, now, (scope, subject), month, made, backtest)
    return True


def list_budgeted(actor: Actor, now: datetime) -> Iterator[tuple[BudgetScope, str]]:
    """The projects and keys that a month budget counts, the dearest of this month first where it counts all of them."""
    budgets = list(
        Budget.objects.filter(org=actor.org, is_active=True, period=BudgetPeriod.MONTH, scope__in=SCOPES)
        .order_by("created_at", "id")
        .values_list("scope", "subject")
    )
    start, _ = period_bounds("month", now, actor.org.time_zone)
    found: dict[tuple[BudgetScope, str], None] = {
        (BudgetScope(scope), subject): None for scope, subject in budgets if subject
    }
    for scope in SCOPES:
        if (scope.value, "") in budgets:
            rows = find_spend(actor, start=start, end=now, group_by=[scope.value]).rows
            found |= dict.fromkeys((scope, row.group[scope.value]) for row in rows)
    yield from list(found)[:MAX_SUBJECTS]


def _kept_test(row: Forecast) -> BackTest:
    return BackTest(row.backtest_error, row.backtest_coverage, row.widening)


def _store(
    actor: Actor, now: datetime, place: tuple[str, str], month: Month, made: MonthForecast, backtest: BackTest
) -> None:
    scope, subject = place
    Forecast.objects.update_or_create(
        org=actor.org,
        scope=scope,
        subject=subject,
        month=month.today.replace(day=1),
        defaults={
            "spent": made.spent,
            "expected": made.expected,
            "low": made.low,
            "high": made.high,
            "method": made.method.value,
            "days_of_history": made.days_of_history,
            "first_day": made.first,
            "running": list(made.running),
            "backtest_error": backtest.error,
            "backtest_coverage": backtest.coverage,
            "widening": backtest.widening,
            "tested_on": month.today,
            "made_at": now,
        },
    )
