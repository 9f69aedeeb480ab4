"""From figures of the last minutes to a word about an upstream."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median
from typing import Final

#: an upstream is judged by so many minutes
RECENT: Final = timedelta(minutes=10)
#: fewer calls are no verdict
FEWEST_CALLS: Final = 5
FEWEST_BEFORE: Final = 20
#: it is down where so many of a hundred calls fail
FAILING_PERCENT: Final = 50
#: it is slow where an answer begins so many times later than is usual, and that is felt
SLOWER_TIMES: Final = 2
FELT_US: Final = 500_000


class State(StrEnum):
    """How an upstream does."""

    WORKS = "works"
    SLOW = "slow"
    #: it failed a moment ago and is left alone for seconds; calls go elsewhere, if they may
    COOLING_DOWN = "cooling_down"
    DOWN = "down"
    #: nobody has called it lately
    QUIET = "quiet"
    #: its organisation has switched it off
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Figures:
    """Of an upstream: calls of ``RECENT`` and how many of them it failed, how long answers took to begin then and
    before, in microseconds; whether an alert of it stands, and whether it is left alone."""

    calls: int = 0
    failed: int = 0
    recent_us: Sequence[int] = ()
    before_us: Sequence[int] = ()
    is_alerted: bool = False
    is_cooling_down: bool = False
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Incident:
    """When an upstream failed; None while it still does."""

    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """An upstream's name, how it does, and when it failed, the newest first."""

    name: str
    state: State
    incidents: tuple[Incident, ...] = ()


def judge(figures: Figures) -> State:
    """How an upstream does."""
    if not figures.is_active:
        return State.OFF
    is_failing = figures.calls >= FEWEST_CALLS and figures.failed * 100 >= figures.calls * FAILING_PERCENT
    if figures.is_alerted or is_failing:
        return State.DOWN
    if figures.is_cooling_down:
        return State.COOLING_DOWN
    if not figures.calls:
        return State.QUIET
    return State.SLOW if _is_slow(figures.recent_us, figures.before_us) else State.WORKS


def _is_slow(recent_us: Sequence[int], before_us: Sequence[int]) -> bool:
    if len(recent_us) < FEWEST_CALLS or len(before_us) < FEWEST_BEFORE:
        return False
    now, usual = median(recent_us), median(before_us)
    return now >= usual * SLOWER_TIMES and now - usual >= FELT_US
