"""What comes of a change where its assumptions are ranges: Monte Carlo with a seed.

Each range is drawn from a triangle between ``low`` and ``high`` with its peak at the assumption itself, stratified so
that a thousand trials suffice (Latin hypercube sampling: McKay, Beckman and Conover 1979, Technometrics 21). Ranges
are drawn independently of each other. Chance is SHA-256 of the seed, so that the same question has the same answer on
every machine and with every version of Python. The draws are decimals; each trial is weighed as exactly as the plain
case.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from fractions import Fraction
from hashlib import sha256
from typing import Any, Final

from billing.spend.core.roi import Outcome, Traffic, Verdict, weigh

#: the name of the range that is the traffic's, as a factor
TRAFFIC: Final = "traffic"
#: which of the sorted trials are shown, in per cent: four of five lie from the first to the last
LOW, MIDDLE, HIGH = 10, 50, 90
#: points of the curve after the first, which is the day of the change
CURVE_STEPS: Final = 12

#: twelve digits of a draw are more than anybody knows, and keep fractions short
_CONTEXT: Final = Context(prec=12)
_HASH_BITS: Final = 256


@dataclass(frozen=True, slots=True)
class Range:
    """Between what an assumption may lie, with ``likely`` at the peak; ``low <= likely <= high``."""

    low: Fraction
    likely: Fraction
    high: Fraction

    def at(self, share: Fraction) -> Fraction:
        """The value that so large a share of the triangle lies below."""
        width, left, right = self.high - self.low, self.likely - self.low, self.high - self.likely
        if not width:
            return self.low
        if share * width < left:
            return min(self.likely, self.low + _root(share * width * left))
        return max(self.likely, self.high - _root((1 - share) * width * right))


@dataclass(frozen=True, slots=True)
class Band:
    """Of ten trials one lies below ``low`` and one above ``high``. None is never."""

    low: Any
    middle: Any
    high: Any


@dataclass(frozen=True, slots=True)
class Point:
    """What is gained or lost after so many days, in nano-USD: as assumed, and in four of five trials."""

    day: int
    net: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Spread:
    """What the trials say. Money is nano-USD, ``verdicts`` count trials."""

    trials: int
    saving: Band
    net: Band
    break_even_days: Band
    verdicts: Mapping[Verdict, int]


def run_trials(
    scenario: Any, traffic: Traffic, horizon_days: int, ranges: Mapping[str, Range], *, seed: int, trials: int
) -> list[Outcome]:
    """Weigh a change once for each draw. ``ranges`` are by name of a field of the scenario, or ``TRAFFIC``."""
    drawn = {name: _draw(each, seed, name, trials) for name, each in sorted(ranges.items())}
    found = []
    for trial in range(trials):
        values = {name: column[trial] for name, column in drawn.items()}
        factor = values.pop(TRAFFIC, Fraction(1))
        found.append(weigh(replace(scenario, **values), traffic.scale(factor), horizon_days))
    return found


def summarise(outcomes: Sequence[Outcome]) -> Spread:
    """The bands of trials, of which there is at least one. A break-even that never comes is later than any other."""
    days = [outcome.break_even_days for outcome in outcomes]
    return Spread(
        trials=len(outcomes),
        saving=_band(sorted(outcome.saving for outcome in outcomes)),
        net=_band(sorted(outcome.net for outcome in outcomes)),
        break_even_days=_band(sorted(days, key=lambda each: (each is None, each or 0))),
        verdicts={verdict: sum(outcome.verdict is verdict for outcome in outcomes) for verdict in Verdict},
    )


def draw_curve(plain: Outcome, outcomes: Sequence[Outcome]) -> list[Point]:
    """What is gained or lost from the day of the change to the end of the horizon."""
    steps = min(CURVE_STEPS, plain.horizon_days)
    points = []
    for day in (plain.horizon_days * step // steps for step in range(steps + 1)):
        net = plain.net_after(day)
        band = _band(sorted(outcome.net_after(day) for outcome in outcomes)) if outcomes else Band(net, net, net)
        points.append(Point(day, net, band.low, band.high))
    return points


def _band(ordered: Sequence[Any]) -> Band:
    """By nearest rank."""
    low, middle, high = (ordered[-(-len(ordered) * per_cent // 100) - 1] for per_cent in (LOW, MIDDLE, HIGH))
    return Band(low, middle, high)


def _draw(each: Range, seed: int, name: str, trials: int) -> list[Fraction]:
    """One value from each of ``trials`` strata of equal chance, in an order of its own."""
    chances = [int.from_bytes(sha256(f"{seed}:{name}:{trial}".encode()).digest()) for trial in range(trials)]
    order = sorted(range(trials), key=chances.__getitem__)
    found = [Fraction(0)] * trials
    for stratum, trial in enumerate(order):
        inside = int.from_bytes(sha256(f"{seed}:{name}:{trial}:inside".encode()).digest())
        # A millionth of a stratum is fine enough.
        place = Fraction(stratum * 10**6 + (inside * 10**6 >> _HASH_BITS), trials * 10**6)
        found[trial] = each.at(place)
    return found


def _root(square: Fraction) -> Fraction:
    return Fraction(_CONTEXT.sqrt(_CONTEXT.divide(Decimal(square.numerator), Decimal(square.denominator))))
