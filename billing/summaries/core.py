"""Which summaries are due, and what they say."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from billing.alerts.core.texts import AlertText
from billing.spend.selectors import Change, Totals
from costhub.lib.money import format_for_people
from tenants.periods import period_bounds, previous_bounds

#: nobody reads figures at night
HOUR: Final = 7
#: what could not be sent by then is no news any more
_DUE_FOR: Final = timedelta(days=3)
_TOP: Final = 3
PERIODS: Final = ("week", "month")


@dataclass(frozen=True, slots=True)
class Due:
    """A period that has ended: ``[start, end)``, and the one before it, which begins at ``before``."""

    period: str
    before: datetime
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Part:
    """A group's spend of the period, and of the one before."""

    name: str
    now: int
    before: int


def list_due(now: datetime, time_zone: str) -> list[Due]:
    """The week and the month that ended lately, from seven in the morning of the organisation on."""
    due = []
    for period in PERIODS:
        end, _ = period_bounds(period, now, time_zone)
        start, _ = previous_bounds(period, end, time_zone)
        before, _ = previous_bounds(period, start, time_zone)
        first = end.astimezone(ZoneInfo(time_zone)).replace(hour=HOUR)
        if first <= now < end + _DUE_FOR:
            due.append(Due(period, before, start, end))
    return due


def describe(
    due: Due, now: Totals, before: int, models: Sequence[Part], users: Sequence[Part], zone: ZoneInfo
) -> AlertText:
    """The mail's headline, figures and last sentence."""
    first = due.start.astimezone(zone)
    name = f"{first:%B %Y}" if due.period == "month" else f"Week from {first.day} {first:%B}"
    figures = [
        ("Spend", format_for_people(now.effective_cost)),
        (f"The {due.period} before", format_for_people(before)),
        ("Calls", f"{now.requests:,}"),
        ("Saved", format_for_people(now.list_cost - now.effective_cost)),
        *((f"Model {part.name}", _tell(part)) for part in _dearest(models)),
        *((f"End user {part.name}", _tell(part)) for part in _dearest(users)),
    ]
    change = _change(Change(now.effective_cost, before))
    mover = max(models, key=lambda part: abs(part.now - part.before), default=None)
    moved = (
        f"{mover.name} moved most: {_tell(mover)}." if mover and mover.now != mover.before else "Nothing moved much."
    )
    return AlertText(f"{name}: {format_for_people(now.effective_cost)}{change}", tuple(figures), moved)


def _dearest(parts: Sequence[Part]) -> list[Part]:
    return sorted((part for part in parts if part.now and part.name), key=lambda part: -part.now)[:_TOP]


def _tell(part: Part) -> str:
    return f"{format_for_people(part.now)} after {format_for_people(part.before)}"


def _change(change: Change) -> str:
    if change.per_mille is None:
        return ""
    sign = "+" if change.per_mille >= 0 else "-"
    return f", {sign}{abs(change.per_mille) // 10}.{abs(change.per_mille) % 10} %"
