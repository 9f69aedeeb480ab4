"""Series of spend as the statistics want them, read through ``find_spend``: whole nano-USD, a bucket without calls is
0."""

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from billing.choices import AnomalyUnit
from billing.spend.core.anomalies import Volume
from billing.spend.core.buckets import hour_of, list_days, list_hours
from billing.spend.core.forecast import Month
from billing.spend.filters import LedgerFilters
from billing.spend.selectors import Totals, find_spend
from tenants.access import Actor, find_uuid
from tenants.choices import BudgetScope
from tenants.periods import period_bounds, previous_bounds

#: a year and a month: as many past month ends as the back-test looks at
FORECAST_DAYS: Final = 400


def make_filters(scope: str, subject: str) -> LedgerFilters | None:
    """What narrows the ledger to a subject; None if the subject cannot be one."""
    if scope == BudgetScope.ORGANIZATION:
        return LedgerFilters()
    if scope == BudgetScope.MODEL:
        return LedgerFilters(model=subject)
    found = find_uuid(subject)
    if found is None:
        return None
    return LedgerFilters(project=found) if scope == BudgetScope.PROJECT else LedgerFilters(key=found)


def read_month(actor: Actor, now: datetime, filters: LedgerFilters) -> Month:
    """Whole days, and what today has cost so far."""
    zone = ZoneInfo(actor.org.time_zone)
    today, tomorrow = period_bounds("day", now, actor.org.time_zone)
    start, _ = period_bounds("day", today - timedelta(days=FORECAST_DAYS), actor.org.time_zone)
    # One microsecond past now: a call admitted this very moment is inside.
    spent = find_spend(actor, start=start, end=now + timedelta(microseconds=1), group_by=["day"], filters=filters)
    by_day = {row.group["day"]: row.totals.effective_cost for row in spent.rows}
    day = now.astimezone(zone).date()
    return Month(
        days=tuple(by_day.get(each.isoformat(), 0) for each in list_days(start, today, zone)),
        today=day,
        today_spent=by_day.get(day.isoformat(), 0),
        elapsed=(now - today) * 1000 // (tomorrow - today),
    )


def find_last_bucket(unit: AnomalyUnit, now: datetime, time_zone: str) -> tuple[datetime, datetime]:
    """The last day or hour that is over."""
    if unit is AnomalyUnit.DAY:
        today, _ = period_bounds("day", now, time_zone)
        return previous_bounds("day", today, time_zone)
    zone = ZoneInfo(time_zone)
    end = hour_of(now, zone)
    return hour_of(end - timedelta(microseconds=1), zone), end


def read_buckets(
    actor: Actor, unit: AnomalyUnit, start: datetime, end: datetime, filters: LedgerFilters
) -> tuple[int, ...]:
    """What each day or hour from ``start`` to ``end`` cost."""
    zone = ZoneInfo(actor.org.time_zone)
    rows = find_spend(actor, start=start, end=end, group_by=[unit.value], filters=filters).rows
    costs = {row.group[unit.value]: row.totals.effective_cost for row in rows}
    if unit is AnomalyUnit.DAY:
        return tuple(costs.get(day.isoformat(), 0) for day in list_days(start, end, zone))
    return tuple(costs.get(hour.astimezone(zone).isoformat(), 0) for hour in list_hours(start, end, zone))


def read_volumes(actor: Actor, start: datetime, end: datetime, group: str, filters: LedgerFilters) -> dict[str, Volume]:
    """Calls, tokens and cost by project, key, model or end user."""
    rows = find_spend(actor, start=start, end=end, group_by=[group], filters=filters).rows
    return {row.group[group]: make_volume(row.totals) for row in rows}


def make_volume(totals: Totals) -> Volume:
    """The three numbers that an excess is made of."""
    return Volume(totals.requests, totals.tokens, totals.effective_cost)
