"""The statistics of spend over time: the only module that knows floats and statsmodels.

Amounts come in and go out as whole nano-USD. statsmodels takes seconds to import and 150 MB, so it is imported by the
first call and not with this module: only the worker that makes forecasts ever pays for it. Its warnings are about fits
that did not converge; what such a fit is worth shows in the back-test.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np

    type_array = np.ndarray[Any, np.dtype[np.float64]]

WEEK: Final = 7
#: a fit looks no further back than half a year: what spend was before says little, and costs time
MAX_DAYS: Final = 182
#: smoothing wants three weeks; with less, whole weeks are drawn
MIN_SMOOTHED_DAYS: Final = 21
#: with more silent days than this among the last eight weeks, in per cent, a series has no level to smooth
MAX_SILENT_PER_CENT: Final = 15
RECENT_DAYS: Final = 56
MEAN_DAYS: Final = 28
PATHS: Final = 400
#: in the fit, a day further than this many deviations (MAD) from level and season is moved to that bound
OUTLIER_DEVIATIONS: Final = 3.0
#: the logarithm of a billion dollars
MAX_LOG: Final = 41.4
_SEED: Final = 20261125
#: a normal deviation for a median absolute deviation of one
_DEVIATION_A_MAD: Final = 1.4826


@dataclass(frozen=True, slots=True)
class Paths:
    """Possible futures. ``totals`` are their sums, rising; ``running`` the median of what is spent by each day."""

    totals: tuple[int, ...]
    running: tuple[int, ...]
    is_smoothed: bool


@dataclass(frozen=True, slots=True)
class Usual:
    """What the next bucket of a series usually holds; ``low`` and ``high`` are so many deviations away."""

    expected: int
    low: int
    high: int


def simulate(days: Sequence[int], horizon: int, first_per_mille: int = 1000) -> Paths:
    """Simulate the next ``horizon`` days, of the first only so many per mille, from at least two whole weeks.

    Paths and not quantiles of days, because a band of a sum is no sum of bands. Exponential smoothing in state-space
    form (Hyndman et al., Forecasting with Exponential Smoothing, 2008) of the logarithm, additive season, errors drawn
    from its own; its level is averaged with the mean of four weeks, as combining forecasts nearly always helps (Bates
    and Granger, 1969). Always the same for the same days.
    """
    import numpy as np  # noqa: PLC0415 - see above
    import statsmodels.tsa.exponential_smoothing.ets  # noqa: F401, PLC0415 - it sets filters of its own when it loads

    values = np.maximum(np.asarray(days[-MAX_DAYS:], dtype=np.float64), 0.0)
    is_smoothed = len(values) >= MIN_SMOOTHED_DAYS and not is_silent(days)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        paths = _smoothed(values, horizon) if is_smoothed else _recent_weeks(values, horizon)
    paths[:, 0] *= first_per_mille / 1000
    running = np.cumsum(paths, axis=1)
    totals = sorted(int(total) for total in np.rint(running[:, -1]))
    medians = np.rint(np.median(running, axis=0))
    return Paths(tuple(totals), tuple(int(value) for value in medians), is_smoothed)


def is_silent(days: Sequence[int]) -> bool:
    """Whether many of the recent days cost nothing."""
    recent = days[-RECENT_DAYS:]
    return sum(nanos <= 0 for nanos in recent) * 100 > len(recent) * MAX_SILENT_PER_CENT


def find_usual(buckets: Sequence[int], season: int, deviations: float) -> Usual:
    """What comes next, and how far from it is still usual: so many deviations (MAD) of the errors that exponential
    smoothing made one bucket ahead. What is left by a decomposition alone is smaller than that, and would cry wolf.

    ``season`` is 7 for days, of which there must be 17 or more; any other season is taken out first
    by STL (Cleveland et al. 1990), and must have come twice.
    """
    import numpy as np  # noqa: PLC0415 - see above
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel  # noqa: PLC0415

    logs, offset = _to_logs(np.maximum(np.asarray(buckets, dtype=np.float64), 0.0))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        is_daily = season == WEEK
        rest, seasonal = (_pull_in_outliers(logs), 0.0) if is_daily else _take_out_season(logs, season)
        shape = {"seasonal": "add", "seasonal_periods": WEEK} if is_daily else {}
        fit = ETSModel(rest, error="add", initialization_method="heuristic", **shape).fit(disp=False, maxiter=50)
        level = float(np.asarray(fit.forecast(1))[0]) + seasonal
        spread = deviations * _spread(np.asarray(fit.resid))
        ends = [min(max(value, 0.0), MAX_LOG) for value in (level, level - spread, level + spread)]
    expected, low, high = (max(0, round(float(np.exp(end)) - offset)) for end in ends)
    return Usual(expected, min(low, expected), max(high, expected))


def _smoothed(values: "type_array", horizon: int) -> "type_array":
    import numpy as np  # noqa: PLC0415
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel  # noqa: PLC0415

    logs, offset = _to_logs(values)
    model = ETSModel(
        _pull_in_outliers(logs),
        error="add",
        seasonal="add",
        seasonal_periods=WEEK,
        initialization_method="heuristic",
    )
    fit = model.fit(disp=False, maxiter=100)
    drawn = fit.simulate(
        horizon, anchor="end", repetitions=PATHS, random_errors="bootstrap", rng=np.random.default_rng(_SEED)
    )
    logs_ahead = np.asarray(drawn, dtype=np.float64).reshape(horizon, PATHS).T
    paths = np.maximum(np.exp(np.minimum(np.nan_to_num(logs_ahead, nan=0.0), MAX_LOG)) - offset, 0.0)
    middle = float(np.median(paths.sum(axis=1)))
    if middle <= 0:
        return _recent_weeks(values, horizon)
    mean = _mean_weeks(values, horizon)
    return np.asarray(paths * ((middle + mean) / 2 / middle))


def _mean_weeks(values: "type_array", horizon: int) -> float:
    """The next days' sum if they are as their weekdays were in the last four weeks."""
    weeks = values[-(min(len(values), MEAN_DAYS) // WEEK * WEEK) :].reshape(-1, WEEK).mean(axis=0)
    return float(sum(weeks[day % WEEK] for day in range(horizon)))


def _recent_weeks(values: "type_array", horizon: int) -> "type_array":
    """Whole weeks of the last eight, drawn with replacement: a block bootstrap (Künsch, 1989)."""
    import numpy as np  # noqa: PLC0415

    weeks = values[-(min(len(values), RECENT_DAYS) // WEEK * WEEK) :].reshape(-1, WEEK)
    drawn = np.random.default_rng(_SEED).integers(0, len(weeks), (PATHS, -(-horizon // WEEK)))
    return np.asarray(weeks[drawn].reshape(PATHS, -1)[:, :horizon])


def _to_logs(values: "type_array") -> tuple["type_array", float]:
    """Logarithms above an offset of the usual day, so that a silent day is low and not minus infinity."""
    import numpy as np  # noqa: PLC0415

    spent = values[values > 0]
    offset = max(float(np.median(spent)), 1.0) if len(spent) else 1.0
    return np.log(values + offset), offset


def _pull_in_outliers(logs: "type_array") -> "type_array":
    """An outage or a runaway job is no level: without this the fit follows it."""
    import numpy as np  # noqa: PLC0415
    from statsmodels.tsa.seasonal import STL  # noqa: PLC0415

    parts = STL(logs, period=WEEK, robust=True, seasonal=13, trend=15).fit()
    middle, bound = parts.trend + parts.seasonal, OUTLIER_DEVIATIONS * _spread(parts.resid)
    return np.asarray(np.clip(logs, middle - bound, middle + bound)) if bound > 0 else logs


def _take_out_season(logs: "type_array", season: int) -> tuple["type_array", float]:
    """A series without its season and outliers, and the season's part of the next bucket. Jumps are for speed."""
    import numpy as np  # noqa: PLC0415
    from statsmodels.tsa.seasonal import STL  # noqa: PLC0415

    smoothing = {"seasonal": 35, "seasonal_deg": 0, "trend": 2 * season + 1}
    jumps = {"seasonal_jump": 5, "trend_jump": 20, "low_pass_jump": 20}
    parts = STL(logs, period=season, **smoothing, **jumps).fit()
    bound = OUTLIER_DEVIATIONS * _spread(parts.resid)
    rest = logs - parts.seasonal
    if bound > 0:
        rest = np.clip(rest, parts.trend - bound, parts.trend + bound)
    return np.asarray(rest), float(parts.seasonal[-season])


def _spread(left: "type_array") -> float:
    import numpy as np  # noqa: PLC0415

    return float(_DEVIATION_A_MAD * np.median(np.abs(left - np.median(left))))
