"""The stretch of time that a page looks at, as its address spells it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from billing.spend.core.buckets import hour_of
from costhub.lib.errors import InvalidField
from tenants.periods import period_bounds

NAMES: Final = {"24h": "24 hours", "7d": "7 days", "mtd": "Month to date", "30d": "30 days", "custom": "Custom"}
DEFAULT: Final = "mtd"
MAX_DAYS: Final = 400
#: Ranges up to so many days are drawn by the hour.
HOURLY_DAYS: Final = 2
#: A month to date of fewer days says next to nothing.
FIRST_DAYS: Final = 7

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Range:
    """``[start, end)`` in UTC. ``unit`` is the bucket to draw: ``hour`` or ``day``. ``first`` and ``last`` are local
    days, both inside."""

    name: str
    start: datetime
    end: datetime
    unit: str
    first: date
    last: date


def read_range(params: Mapping[str, str], now: datetime, time_zone: str) -> Range:
    """Read ``range`` and, for a custom one, ``from`` and ``to``: local days, both inside.

    Raises InvalidField naming the parameter that cannot be read.
    """
    name = params.get("range") or ("custom" if params.get("from") or params.get("to") else DEFAULT)
    today = now.astimezone(ZoneInfo(time_zone)).date()
    # One microsecond past now: a call admitted this very moment is inside.
    end = now + timedelta(microseconds=1)
    if name == "24h":
        start = hour_of(now - _DAY, ZoneInfo(time_zone))
        return Range(name, start, end, "hour", start.astimezone(ZoneInfo(time_zone)).date(), today)
    if name == "custom":
        return _custom(params, today, time_zone)
    if name == "mtd":
        first = today.replace(day=1)
    elif name in {"7d", "30d"}:
        first = today - _DAY * (int(name[:-1]) - 1)
    else:
        raise InvalidField(f"range: give one of {', '.join(NAMES)}.", field="range")
    return Range(name, _start_of(first, time_zone), end, "day", first, today)


def choose_usual(now: datetime, time_zone: str) -> str:
    """The name of the range that a page shows until somebody chooses one: the month to date, and thirty days while the
    month is younger than a week."""
    return "30d" if now.astimezone(ZoneInfo(time_zone)).day <= FIRST_DAYS else DEFAULT


def _custom(params: Mapping[str, str], today: date, time_zone: str) -> Range:
    first = _day(params, "from", today)
    last = _day(params, "to", today)
    if last < first:
        raise InvalidField("to: give a day that is not before the first one.", field="to")
    if (last - first).days >= MAX_DAYS:
        raise InvalidField(f"from: give a range of at most {MAX_DAYS} days.", field="from")
    unit = "hour" if (last - first).days < HOURLY_DAYS else "day"
    return Range("custom", _start_of(first, time_zone), _start_of(last + _DAY, time_zone), unit, first, last)


def _day(params: Mapping[str, str], name: str, default: date) -> date:
    text = params.get(name) or default.isoformat()
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or not 2000 <= found.year <= 2200:
        raise InvalidField(f"{name}: give a day as 2026-11-22, from the years 2000 to 2200.", field=name)
    return found


def _start_of(day: date, time_zone: str) -> datetime:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(time_zone))
    return period_bounds("day", noon, time_zone)[0]
