"""Reads of what the jobs found out: forecasts, the budgets that they exceed, anomalies. Computes no statistics
itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from billing.spend.core.forecast import find_crossing
from billing.spend.models import Anomaly, Forecast
from billing.spend.selectors.budgets import BudgetBook
from tenants.access import Actor
from tenants.choices import BudgetPeriod, BudgetScope, Permission
from tenants.snapshots import BudgetSnapshot


@dataclass(frozen=True, slots=True)
class Prospect:
    """A month budget and where its subject's spend is heading; nano-USD. ``date`` is the local day of this month on
    which the expected spend passes the limit, or None."""

    budget_id: UUID
    name: str
    scope: str
    subject: str
    limit: int
    spent: int
    expected: int
    date: date | None


def list_forecasts(actor: Actor, now: datetime) -> list[Forecast]:
    """This month's forecasts, the organisation's first, then the dearest.

    Raises Forbidden if the actor may not see money.
    """
    actor.check(Permission.READ_MONEY)
    month = now.astimezone(ZoneInfo(actor.org.time_zone)).date().replace(day=1)
    rows = Forecast.objects.filter(org=actor.org, month=month)
    return sorted(
        rows, key=lambda row: (row.scope != BudgetScope.ORGANIZATION, -(row.expected or row.spent), row.subject)
    )


def find_forecast(forecasts: Sequence[Forecast]) -> Forecast | None:
    """The organisation's own among them, or None before the first one was made."""
    return next((row for row in forecasts if row.scope == BudgetScope.ORGANIZATION), None)


def list_exceeding(actor: Actor, book: BudgetBook, forecasts: Sequence[Forecast]) -> tuple[Prospect, ...]:
    """The month budgets of a book that are forecast to be exceeded, the soonest first. A budget that is exceeded
    already has the day of the forecast."""
    return tuple(each for each in list_prospects(actor, book, forecasts) if each.date is not None)


def list_prospects(actor: Actor, book: BudgetBook, forecasts: Sequence[Forecast]) -> list[Prospect]:
    """Every month budget of a book that has a forecast; those that will be exceeded first, the soonest of them at the
    top."""
    found = [
        _prospect(budget, book.limit(budget, row.subject or str(actor.org.pk)), row)
        for budget in book.budgets
        for row in forecasts
        if budget.period == BudgetPeriod.MONTH and _counts(book, budget, row) and row.expected is not None
    ]
    return sorted(found, key=lambda each: (each.date or date.max, each.limit, each.subject))


def _prospect(budget: BudgetSnapshot, limit: int, row: Forecast) -> Prospect:
    passed_on = find_crossing(row.spent, row.first_day, row.running, limit)
    expected = row.spent if row.expected is None else row.expected
    return Prospect(UUID(budget.id), budget.name, row.scope, row.subject, limit, row.spent, expected, passed_on)


def list_anomalies(actor: Actor, since: datetime | None = None) -> QuerySet[Anomaly]:
    """Anomalies that were found from ``since`` on, newest first.

    Raises Forbidden if the actor may not see money.
    """
    actor.check(Permission.READ_MONEY)
    rows = Anomaly.objects.filter(org=actor.org).order_by("-created_at", "-id")
    return rows.filter(created_at__gte=since) if since else rows


def _counts(book: BudgetBook, budget: BudgetSnapshot, row: Forecast) -> bool:
    if budget.scope != row.scope:
        return False
    if budget.scope == BudgetScope.ORGANIZATION:
        return True
    return budget.subject in {"", row.subject} and book.holds(budget, row.subject)
