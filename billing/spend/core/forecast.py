"""What a month will have cost when it ends, with a band that holds it four times in five.

Whole days of spend go in, amounts and dates come out. Floats are inside ``series`` alone; how wide a band must be comes
from past forecasts, in per mille.
"""

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from billing.choices import ForecastMethod
from billing.spend.core.series import Paths, simulate

#: below this many whole days nothing is said
MIN_RUN_RATE_DAYS: Final = 3
#: below this many there is no band: a week's shape cannot be told from chance before it has come twice
MIN_BAND_DAYS: Final = 14
#: the band's edges among the simulated totals
LOW_PER_MILLE: Final = 100
MIDDLE_PER_MILLE: Final = 500
HIGH_PER_MILLE: Final = 900
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Month:
    """A series of spend in nano-USD as it is known today.

    ``days`` are whole local days, oldest first, the last one yesterday. Of today ``today_spent`` is known, after
    ``elapsed`` per mille of it.
    """

    days: tuple[int, ...]
    today: date
    today_spent: int = 0
    elapsed: int = 0

    @property
    def known(self) -> tuple[int, ...]:
        """The whole days from the first that cost anything."""
        first = next((place for place, nanos in enumerate(self.days) if nanos > 0), len(self.days))
        return self.days[first:]

    @property
    def spent(self) -> int:
        """What this month has cost so far."""
        before = self.today.day - 1
        return sum(self.days[-before:] if before else ()) + self.today_spent

    @property
    def days_left(self) -> int:
        """Days until the month ends, today among them."""
        return monthrange(self.today.year, self.today.month)[1] - self.today.day + 1


@dataclass(frozen=True, slots=True)
class BackTest:
    """How past forecasts went, in per mille.

    ``error`` is the sum of what forecasts of past month ends missed, of the sum of what these months cost; ``coverage``
    is how many of them lay in their bands; both are None before a month end could be forecast. ``widening`` is how wide
    the simulated band has to be made.
    """

    error: int | None
    coverage: int | None
    widening: int


@dataclass(frozen=True, slots=True)
class MonthForecast:
    """A month's end, in nano-USD. ``low <= expected <= high``, and none is below ``spent`` as long as that is not
    negative. ``running`` is what is expected to be spent by the end of each day from ``first`` on."""

    spent: int
    expected: int | None
    low: int | None
    high: int | None
    method: ForecastMethod
    days_of_history: int
    first: date
    running: tuple[int, ...] = ()


def find_crossing(spent: int, first: date, running: Sequence[int], limit: int) -> date | None:
    """The day from ``first`` on in which a rising path passes ``limit``; ``first`` if it is passed already."""
    if spent > limit:
        return first
    return next((first + _DAY * step for step, nanos in enumerate(running) if nanos > limit), None)


def forecast_month(month: Month, backtest: BackTest) -> MonthForecast:
    """The month's end from what is known today."""
    known = month.known
    if len(known) < MIN_BAND_DAYS:
        return _run_rate(month, known)
    paths = simulate(known, month.days_left, 1000 - month.elapsed)
    low, expected, high = widen(paths, backtest.widening)
    return MonthForecast(
        spent=month.spent,
        expected=month.spent + expected,
        low=month.spent + low,
        high=month.spent + high,
        method=ForecastMethod.SMOOTHING if paths.is_smoothed else ForecastMethod.RECENT_WEEKS,
        days_of_history=len(known),
        first=month.today,
        running=tuple(month.spent + nanos for nanos in paths.running),
    )


def widen(paths: Paths, widening: int) -> tuple[int, int, int]:
    """(low, expected, high) of what is still to come, the band ``widening`` per mille as wide as simulated."""
    low, expected, high = (find_quantile(paths.totals, at) for at in (LOW_PER_MILLE, MIDDLE_PER_MILLE, HIGH_PER_MILLE))
    return (
        max(0, expected - (expected - low) * widening // 1000),
        expected,
        expected + (high - expected) * widening // 1000,
    )


def find_quantile(rising: Sequence[int], per_mille: int) -> int:
    """The value with so many per mille of all at or below it."""
    return rising[max(0, -(-len(rising) * per_mille // 1000) - 1)]


def _run_rate(month: Month, known: Sequence[int]) -> MonthForecast:
    method, expected = ForecastMethod.NOT_ENOUGH_HISTORY, None
    running: tuple[int, ...] = ()
    if len(known) >= MIN_RUN_RATE_DAYS:
        method, total = ForecastMethod.RUN_RATE, max(0, sum(known))
        steps = range(1, month.days_left + 1)
        running = tuple(month.spent + total * (1000 * step - month.elapsed) // (1000 * len(known)) for step in steps)
        expected = running[-1]
    return MonthForecast(month.spent, expected, None, None, method, len(known), month.today, running)
