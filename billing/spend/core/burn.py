"""How fast a budget is used up, from what is spent and how much of its period is over."""

from datetime import datetime, timedelta
from typing import NamedTuple

_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)


class Burn(NamedTuple):
    """``per_day`` is nano-USD a day at the pace so far; ``empty_at`` when nothing is left at that pace, None where that
    is not before the period ends."""

    per_day: int
    empty_at: datetime | None


def burn_of(*, spent: int, left: int, start: datetime, end: datetime, now: datetime) -> Burn:
    """The pace of a period that began at ``start``. Whole nano-USD: what is finer than one is dropped.

    Nothing is said of the first minute of a period, in which one call would look like a flood.
    """
    elapsed = now - start
    if elapsed < timedelta(minutes=1) or spent <= 0:
        return Burn(0, None)
    micros = elapsed // _MICROSECOND
    per_day = spent * (_DAY // _MICROSECOND) // micros
    if left <= 0:
        return Burn(per_day, now)
    to_go = left * micros // spent
    if to_go >= (end - now) // _MICROSECOND:
        return Burn(per_day, None)
    return Burn(per_day, now + timedelta(microseconds=to_go))
