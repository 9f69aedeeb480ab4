"""Series of spend as organisations make them: a weekly profile, growth, noise; launches, outages, silent days."""

from typing import Any, Final

import numpy as np

from costhub.lib.money import NANOS_PER_USD

KINDS: Final = ("plain", "launch", "outage", "launch and outage", "silent days")
type_array = np.ndarray[Any, np.dtype[np.float64]]
_HOURS: Final = np.exp(1.2 * np.sin((np.arange(24) - 8) / 24 * 2 * np.pi))


def make_days(rng: np.random.Generator, days: int, kind: str) -> list[int]:
    """Daily spend in nano-USD, from 3 to 1,000 dollars a day; it may grow or shrink a few per cent a week."""
    time = np.arange(days)
    week = np.exp(rng.normal(0, 0.08, 7))
    week[5:] *= rng.uniform(0.2, 0.9)
    shocks = rng.uniform(0.06, 0.25) * rng.standard_t(6, days)
    noise = np.zeros(days)
    for day in range(1, days):
        noise[day] = 0.4 * noise[day - 1] + shocks[day]
    drift = np.cumsum(rng.normal(0, 0.01, days))
    level = np.exp(rng.uniform(1, 7) + rng.normal(0.002, 0.003) * time + drift + noise)
    values = level * week[time % 7]
    if kind.startswith("launch"):
        values[rng.integers(days // 3, days) :] *= rng.uniform(1.5, 3)
    if kind.endswith("outage"):
        for _ in range(rng.integers(1, 3)):
            start = rng.integers(5, days - 1)
            values[start : start + rng.integers(1, 3)] *= rng.uniform(0, 0.2)
    if kind == "silent days":
        values *= rng.random(days) < 0.6
    return to_nanos(values)


def make_hours(rng: np.random.Generator, days: int) -> list[int]:
    """Hourly spend in nano-USD with the shape of a day on top of that of a week."""
    totals = np.asarray(make_days(rng, days, "plain"), dtype=np.float64) / NANOS_PER_USD
    shape = np.tile(_HOURS / _HOURS.sum(), days) * np.exp(rng.normal(0, rng.uniform(0.1, 0.3), days * 24))
    return to_nanos(np.repeat(totals, 24) * shape)


def to_nanos(values: type_array) -> list[int]:
    """Dollars as whole nano-USD."""
    return [int(value) for value in np.rint(values * NANOS_PER_USD)]
