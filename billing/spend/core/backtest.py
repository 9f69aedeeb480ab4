"""Forecasts of the past, made with what was known then: how far they missed, and how wide bands have to be.

The band is widened by split conformal prediction (Vovk et al. 2005; Lei et al. 2018) on normalised scores: how many
times its own half band a past forecast missed by. With few past forecasts, those of other series stand in.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from billing.spend.core.forecast import (
    HIGH_PER_MILLE,
    LOW_PER_MILLE,
    MIDDLE_PER_MILLE,
    MIN_BAND_DAYS,
    BackTest,
    Month,
    find_quantile,
    widen,
)
from billing.spend.core.series import WEEK, Paths, simulate

#: forecasts a week apart that tell how wide a band must be
MAX_ORIGINS: Final = 16
MAX_MONTHS: Final = 12
COVERAGE_PER_MILLE: Final = 800
#: the scores that 20, 40, 60 and 80 per cent of forecasts of `python -m bench.forecasts` (seed 1) do not pass
USUAL_SCORES: Final = (280, 550, 950, 1690)
MAX_SCORE: Final = 5_000


def run_backtest(month: Month) -> BackTest:
    """Forecast past month ends from the same day of the month, and the ends of past stretches as long as what is
    left."""
    known = month.known
    scores: list[tuple[int, int]] = []
    for back in range(1, MAX_ORIGINS + 1):
        origin = len(known) - month.days_left - (back - 1) * WEEK
        if origin < MIN_BAND_DAYS:
            break
        paths = simulate(known[:origin], month.days_left)
        scores.append((origin + month.days_left, find_score(paths, sum(known[origin : origin + month.days_left]))))
    missed = whole = held = count = 0
    for origin, start, end in list_month_ends(len(known), month.today):
        paths = simulate(known[:origin], end - origin)
        low, expected, high = widen(paths, find_widening([score for ready, score in scores if ready <= origin]))
        spent, left = sum(known[start:origin]), sum(known[origin:end])
        missed += abs(expected - left)
        whole += max(0, spent + left)
        held += low <= left <= high
        count += 1
    return BackTest(
        error=min(missed * 1000 // whole, 1_000_000) if whole else None,
        coverage=held * 1000 // count if count else None,
        widening=find_widening([score for _, score in scores]),
    )


def list_month_ends(days: int, today: date) -> list[tuple[int, int, int]]:
    """(origin, start, end) of past months as places among the last ``days`` whole days before ``today``, newest first.

    The origin is the same day of the month as today's, or the last of a shorter month; a month counts if two weeks are
    known before its origin and the series had begun before its first day.
    """
    found = []
    first = today.replace(day=1)
    for _ in range(MAX_MONTHS):
        end, first = first, (first - timedelta(days=1)).replace(day=1)
        same_day = first + timedelta(days=min(today.day, (end - first).days) - 1)
        start, origin, stop = (days - (today - day).days for day in (first, same_day, end))
        if start < 0:
            break
        if origin >= MIN_BAND_DAYS:
            found.append((origin, start, stop))
    return found


def find_score(paths: Paths, truth: int) -> int:
    """How many per mille of its half band, on the side where it missed, a forecast missed by."""
    low, middle, high = (find_quantile(paths.totals, at) for at in (LOW_PER_MILLE, MIDDLE_PER_MILLE, HIGH_PER_MILLE))
    half = high - middle if truth > middle else middle - low
    miss = abs(truth - middle)
    return min(miss * 1000 // half, MAX_SCORE) if half else (MAX_SCORE if miss else 0)


def find_widening(scores: Sequence[int]) -> int:
    """The score that four in five do not pass."""
    rising = sorted([*scores, *USUAL_SCORES])
    return find_quantile(rising, min(1000, -(-COVERAGE_PER_MILLE * (len(rising) + 1) // len(rising))))
