"""How good forecasts and anomalies are, on generated series, beside what anybody would do without them.

python -m bench.forecasts [--series 250] [--seed 1]
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from statistics import fmean, median
from typing import Final

import numpy as np

from bench.series import KINDS, make_days, make_hours
from billing.choices import AnomalyUnit
from billing.spend.core.anomalies import BUCKETS_A_DAY, MAX_DAYS, detect, is_worth_it
from billing.spend.core.backtest import find_score, run_backtest
from billing.spend.core.forecast import Month, forecast_month
from billing.spend.core.series import simulate
from costhub.lib.money import NANOS_PER_USD

LENGTHS: Final = (21, 35, 60, 100, 200, 390)
AGES: Final = (3, 7, 12, 18, 25)
MONTH: Final = date(2026, 11, 1)
MONTH_DAYS: Final = 30
#: buckets of each series that are looked at, of which one is planted
WATCHED: Final = {AnomalyUnit.DAY: 30, AnomalyUnit.HOUR: 96}
FACTORS: Final = ((2.0, 6.0), (0.0, 0.1))
#: what the floors leave of the smallest series is nothing to find
MIN_USUAL: Final = 2 * NANOS_PER_USD


def main(arguments: Sequence[str]) -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.forecasts")
    parser.add_argument("--series", type=int, default=250)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args(arguments)
    measure_forecasts(wanted.series, wanted.seed)
    for unit in AnomalyUnit:
        measure_anomalies(unit, wanted.series // 5, wanted.seed)
    return 0


def measure_forecasts(series: int, seed: int) -> None:
    """Month ends of series of every kind, length and age of the month."""
    rng = np.random.default_rng(seed)
    rows, scores = [], []
    for number in range(series):
        kind, length, age = KINDS[number % len(KINDS)], int(rng.choice(LENGTHS)), int(rng.choice(AGES))
        days = make_days(rng, length + MONTH_DAYS - age, kind)
        month = Month(tuple(days[:length]), MONTH + timedelta(days=age))
        backtest = run_backtest(month)
        found = forecast_month(month, backtest)
        truth = month.spent + sum(days[length:])
        if truth <= 0 or found.expected is None or found.low is None or found.high is None:
            continue
        scores.append(find_score(simulate(month.known, month.days_left), truth - month.spent))
        last = sum(days[max(0, length - age - MONTH_DAYS) : length - age])
        misses = [abs(guess - truth) / truth for guess in (found.expected, month.spent * MONTH_DAYS // age, last)]
        is_whole = length - age >= MONTH_DAYS
        rows.append((kind, age, misses, is_whole, found.low <= truth <= found.high, backtest))
    print("| month ends of | forecast | run-rate | like last month | in the 80 % band |")
    print("|---|---:|---:|---:|---:|")
    _print_row("all series", rows)
    for kind in KINDS:
        _print_row(kind, [row for row in rows if row[0] == kind])
    for age in AGES:
        _print_row(f"after {age} days", [row for row in rows if row[1] == age])
    shown = [row[5] for row in rows if row[5].error is not None]
    print(f"\nscores at 20, 40, 60, 80 %: {[int(value) for value in np.quantile(scores, (0.2, 0.4, 0.6, 0.8))]}")
    errors, coverages = ([getattr(one, name) for one in shown] for name in ("error", "coverage"))
    print(f"back-tests: error {fmean(errors):.0f} ‰, coverage {fmean(coverages):.0f} ‰ of {len(shown)}\n")


def measure_anomalies(unit: AnomalyUnit, series: int, seed: int) -> None:
    """One planted among so many watched buckets of each series, and who finds it."""
    rng = np.random.default_rng(seed)
    ways: dict[str, Callable[[Sequence[int], int], bool]] = {
        "CostHub": lambda before, actual: detect(unit, before, actual) is not None,
        "mean ± 3 deviations": lambda before, actual: _is_three_sigma(before, actual, 28 * BUCKETS_A_DAY[unit]),
    }
    found: dict[str, list[tuple[bool, bool]]] = {name: [] for name in ways}
    for number in range(series):
        buckets = _make(unit, rng)
        length = len(buckets) - WATCHED[unit]
        usable = [place for place in range(length, len(buckets)) if buckets[place] >= MIN_USUAL]
        planted = int(rng.choice(usable)) if usable else -1
        if usable:
            buckets[planted] = int(buckets[planted] * rng.uniform(*FACTORS[number % 2]))
        for place in range(length, len(buckets)):
            before = buckets[max(0, place - MAX_DAYS[unit] * BUCKETS_A_DAY[unit]) : place]
            for name, way in ways.items():
                found[name].append((place == planted, way(before, buckets[place])))
    print(f"| {unit}s: {series} series, {WATCHED[unit]} each | precision | recall | false a series |")
    print("|---|---:|---:|---:|")
    for name, marks in found.items():
        hits, said, there = (
            sum(planted and said for planted, said in marks),
            sum(said for _, said in marks),
            sum(planted for planted, _ in marks),
        )
        print(f"| {name} | {hits / max(said, 1):.0%} | {hits / max(there, 1):.0%} | {(said - hits) / series:.2f} |")
    print()


def _make(unit: AnomalyUnit, rng: np.random.Generator) -> list[int]:
    if unit is AnomalyUnit.DAY:
        return make_days(rng, int(rng.choice((60, 100, 150))), "plain")
    return make_hours(rng, 32)


def _is_three_sigma(before: Sequence[int], actual: int, window: int) -> bool:
    recent = np.asarray(before[-window:], dtype=np.float64)
    middle = int(recent.mean())
    return bool(abs(actual - middle) > 3 * recent.std()) and is_worth_it(actual, middle)


def _print_row(name: str, rows: Iterable[tuple[str, int, list[float], bool, bool, object]]) -> None:
    kept = list(rows)
    if not kept:
        return
    ours, rate = ([row[2][way] for row in kept] for way in (0, 1))
    last = [row[2][2] for row in kept if row[3]]
    cells = [f"{fmean(misses):.1%} ({median(misses):.1%})" if misses else "–" for misses in (ours, rate, last)]
    print(f"| {name} ({len(kept)}) | {' | '.join(cells)} | {fmean(row[4] for row in kept):.0%} |")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
