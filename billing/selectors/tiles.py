"""The first page's figures for the month and the day, each beside the same of the period before."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from billing.core.buckets import list_days
from billing.filters import LedgerFilters
from billing.selectors.budgets import BudgetUse, list_budget_uses
from billing.selectors.sums import add_up
from billing.selectors.totals import MEASURES, Totals, read_totals
from tenants.access import Actor
from tenants.choices import Permission
from tenants.periods import period_bounds, previous_bounds

_TROUBLES = ("failed", "refused", "unpriced", "unattributed", "estimated")


@dataclass(frozen=True, slots=True)
class Change:
    """An amount and the same amount one period earlier, over the same time elapsed."""

    now: int
    before: int

    @property
    def per_mille(self) -> int | None:
        """The change in tenths of a per cent, rounded towards zero; None when there was nothing before."""
        return int((self.now - self.before) * 1000 / self.before) if self.before else None


@dataclass(frozen=True, slots=True)
class DayPoint:
    """One local day of this month."""

    day: date
    spend: int
    list_cost: int
    requests: int


@dataclass(frozen=True, slots=True)
class MonthTiles:
    """The first page's figures for the organisation's current month."""

    start: datetime
    end: datetime
    spend: Change
    today: Change
    requests: Change
    list_cost: int
    savings: Mapping[str, int]
    failed: int
    refused: int
    unpriced: int
    unattributed: int
    estimated: int
    budgets: tuple[BudgetUse, ...]
    days: tuple[DayPoint, ...]
    as_of: datetime | None

    @property
    def saved(self) -> int:
        """List cost minus effective cost; negative when CostHub made the month dearer."""
        return self.list_cost - self.spend.now


def month_tiles(actor: Actor, now: datetime) -> MonthTiles:
    """The current month and day so far, each against the one before over the same time elapsed.

    Raises Forbidden if the actor may not see money.
    """
    actor.check(Permission.READ_MONEY)
    zone = actor.org.time_zone
    start, end = period_bounds("month", now, zone)
    before, _ = previous_bounds("month", start, zone)
    today, _ = period_bounds("day", now, zone)
    yesterday, _ = previous_bounds("day", today, zone)
    last_month = _sum(actor, before, min(before + (now - start), start))
    last_day = _sum(actor, yesterday, min(yesterday + (now - today), today))

    found = add_up(actor, LedgerFilters(start=start, end=now), ["day"], [*MEASURES, *_TROUBLES])
    by_day = {sums.keys[0]: read_totals(sums.amounts) for sums in found}
    days = [(day, by_day.get(day, Totals())) for day in list_days(start, now, ZoneInfo(zone))]
    month = sum(by_day.values(), Totals())
    this_day = by_day.get(now.astimezone(ZoneInfo(zone)).date(), Totals())
    troubles = {name: sum(sums.amounts[name] for sums in found) for name in _TROUBLES}
    return MonthTiles(
        start=start,
        end=end,
        spend=Change(month.effective_cost, last_month.effective_cost),
        today=Change(this_day.effective_cost, last_day.effective_cost),
        requests=Change(month.requests, last_month.requests),
        list_cost=month.list_cost,
        savings=month.savings,
        **troubles,
        budgets=list_budget_uses(actor, now),
        days=tuple(DayPoint(day, totals.effective_cost, totals.list_cost, totals.requests) for day, totals in days),
        as_of=max((sums.recorded_at for sums in found), default=None),
    )


def _sum(actor: Actor, start: datetime, end: datetime) -> Totals:
    found = add_up(actor, LedgerFilters(start=start, end=end), (), ("requests", "effective_cost"))
    return read_totals(found[0].amounts) if found else Totals()
