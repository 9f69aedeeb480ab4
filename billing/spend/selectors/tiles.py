"""The first page's figures for the month and the day, each beside the same of the period before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from billing.spend.core.buckets import list_days, list_hours
from billing.spend.filters import LedgerFilters
from billing.spend.selectors.sums import Question, Sums, add_up, newest
from billing.spend.selectors.totals import MEASURES, Totals, read_totals
from tenants.access import Actor
from tenants.choices import Permission
from tenants.periods import period_bounds, previous_bounds

_PRICELESS = ("unpriced", "unattributed")
_TROUBLES = ("failed", "refused", *_PRICELESS, "estimated")


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
    """One local day of this month. ``priceless``: calls refused or answered without a price."""

    day: date
    spend: int
    list_cost: int
    requests: int
    priceless: int


@dataclass(frozen=True, slots=True)
class MonthTiles:
    """The first page's figures for the organisation's current month. ``hours`` is the spend of today's local hours,
    ``last_month`` that of all of the month before; ``saved`` and ``priceless`` are list cost less effective cost, and
    calls refused or answered without a price."""

    start: datetime
    end: datetime
    spend: Change
    today: Change
    requests: Change
    saved: Change
    priceless: Change
    last_month: int
    list_cost: int
    savings: Mapping[str, int]
    failed: int
    refused: int
    unpriced: int
    unattributed: int
    estimated: int
    days: tuple[DayPoint, ...]
    hours: tuple[int, ...]
    as_of: datetime | None


class TileQuestions(NamedTuple):
    """What the figures are made of: over the time elapsed, but for the whole last month; and day by day and hour."""

    last_month: Question
    last_priceless: Question
    whole_last_month: Question
    last_day: Question
    days: Question
    hours: Question


def month_tiles(actor: Actor, now: datetime) -> MonthTiles:
    """The current month and day so far, each against the one before over the same time elapsed.

    Raises Forbidden if the actor may not see money.
    """
    asked = ask_tiles(actor, now)
    return read_tiles(actor, now, asked, add_up(actor, asked))


def ask_tiles(actor: Actor, now: datetime) -> TileQuestions:
    """What is to be summed for ``read_tiles``. Raises Forbidden if the actor may not see money."""
    actor.check(Permission.READ_MONEY)
    zone = actor.org.time_zone
    start, _ = period_bounds("month", now, zone)
    before, _ = previous_bounds("month", start, zone)
    today, _ = period_bounds("day", now, zone)
    yesterday, _ = previous_bounds("day", today, zone)
    few = ("requests", "effective_cost")
    so_far = LedgerFilters(start=before, end=min(before + (now - start), start))
    return TileQuestions(
        last_month=Question(so_far, (), (*few, "list_cost")),
        last_priceless=Question(so_far, (), _PRICELESS),
        whole_last_month=Question(LedgerFilters(start=before, end=start), (), few),
        last_day=Question(LedgerFilters(start=yesterday, end=min(yesterday + (now - today), today)), (), few),
        days=Question(LedgerFilters(start=start, end=now), ("day",), (*MEASURES, *_TROUBLES)),
        hours=Question(LedgerFilters(start=today, end=now), ("hour",)),
    )


def read_tiles(
    actor: Actor, now: datetime, asked: TileQuestions, sums: Mapping[Question, Sequence[Sums]]
) -> MonthTiles:
    """The figures from their sums."""
    zone = ZoneInfo(actor.org.time_zone)
    start, end = period_bounds("month", now, zone.key)
    today, _ = period_bounds("day", now, zone.key)
    last_month, last_day = _total(sums[asked.last_month]), _total(sums[asked.last_day])
    by_day = {one.keys[0]: read_totals(one.amounts) for one in sums[asked.days]}
    by_hour = {one.keys[0]: one.amounts["effective_cost"] for one in sums[asked.hours]}
    priceless = {one.keys[0]: _count_priceless([one]) for one in sums[asked.days]}
    days = [(day, by_day.get(day, Totals())) for day in list_days(start, now, zone)]
    month = sum(by_day.values(), Totals())
    this_day = by_day.get(now.astimezone(zone).date(), Totals())
    troubles = {name: sum(one.amounts[name] for one in sums[asked.days]) for name in _TROUBLES}
    return MonthTiles(
        start=start,
        end=end,
        spend=Change(month.effective_cost, last_month.effective_cost),
        today=Change(this_day.effective_cost, last_day.effective_cost),
        requests=Change(month.requests, last_month.requests),
        saved=Change(month.list_cost - month.effective_cost, last_month.list_cost - last_month.effective_cost),
        priceless=Change(sum(priceless.values()), _count_priceless(sums[asked.last_priceless])),
        last_month=_total(sums[asked.whole_last_month]).effective_cost,
        list_cost=month.list_cost,
        savings=month.savings,
        **troubles,
        days=tuple(
            DayPoint(day, totals.effective_cost, totals.list_cost, totals.requests, priceless.get(day, 0))
            for day, totals in days
        ),
        hours=tuple(by_hour.get(hour, 0) for hour in list_hours(today, now, zone)),
        as_of=newest(sums[asked.days]),
    )


def _total(sums: Sequence[Sums]) -> Totals:
    return read_totals(sums[0].amounts) if sums else Totals()


def _count_priceless(sums: Sequence[Sums]) -> int:
    return sum(one.amounts[name] for one in sums for name in _PRICELESS)
