"""Periods of budgets and reports, in a tenant's time zone. They tile the line: no gap, no overlap.

Days, weeks (from Monday) and months begin at local midnight. Where a change of the clock makes midnight happen twice,
the first one counts; where it skips midnight, the day begins with the first moment after the gap; days have 23, 24 or
25 hours. Minutes and hours are UTC's, so that each is exactly as long as its name says.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
END_OF_TIME: Final = datetime(9999, 1, 1, tzinfo=UTC)

_FIXED: Final = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1)}


def period_bounds(period: str, moment: datetime, time_zone: str) -> tuple[datetime, datetime]:
    """The [start, end) in UTC of the ``period`` (a BudgetPeriod) that holds ``moment``.

    Raises zoneinfo.ZoneInfoNotFoundError for a zone that does not exist and ValueError for an unknown period.
    """
    if period == "total":
        return EPOCH, END_OF_TIME
    if length := _FIXED.get(period):
        start = moment - (moment - EPOCH) % length
        return start, start + length
    day = _first_day(period, moment.astimezone(ZoneInfo(time_zone)).date())
    # Around a change of the clock the local date may say one day more or less than the line of periods does.
    while moment < _midnight(day, time_zone):
        day = _first_day(period, day - timedelta(days=1))
    while moment >= _midnight(_following(period, day), time_zone):
        day = _following(period, day)
    return _midnight(day, time_zone), _midnight(_following(period, day), time_zone)


def previous_bounds(period: str, start: datetime, time_zone: str) -> tuple[datetime, datetime]:
    """The period that ends where this one, which starts at ``start``, begins."""
    return period_bounds(period, start - timedelta(microseconds=1), time_zone)


def add_months(day: date, months: int) -> date:
    """The first day of the month so many months after that of ``day``; before it, where they are negative."""
    index = day.year * 12 + day.month - 1 + months
    return date(index // 12, index % 12 + 1, 1)


def _first_day(period: str, day: date) -> date:
    if period == "day":
        return day
    if period == "week":
        return day - timedelta(days=day.weekday())
    if period == "month":
        return day.replace(day=1)
    raise ValueError(f"{period!r} is no period")


def _following(period: str, first_day: date) -> date:
    if period == "month":
        return add_months(first_day, 1)
    return first_day + timedelta(days=7 if period == "week" else 1)


@lru_cache(maxsize=4096)
def _midnight(day: date, time_zone: str) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(time_zone)).astimezone(UTC)
