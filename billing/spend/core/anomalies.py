"""Whether a day or an hour of spend is unusual for its series, and what explains the difference.

Whole nano-USD in and out. What is usual comes from ``series``; every part of an excess is an exact whole number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from billing.choices import AnomalySeverity, AnomalyUnit, Cause
from billing.spend.core.series import WEEK, Usual, find_usual
from costhub.lib.money import NANOS_PER_USD

#: a difference below this is not worth anybody's while
FLOOR_NANOS: Final = NANOS_PER_USD
#: and neither is one below so many per cent of what is usual
FLOOR_PER_CENT: Final = 20
#: two whole weeks for hours; exponential smoothing of days wants its heuristic start, which is a few more
MIN_BUCKETS: Final = {AnomalyUnit.DAY: 17, AnomalyUnit.HOUR: 14 * 24}
HOURS_A_DAY: Final = 24
#: how far back is looked
MAX_DAYS: Final = {AnomalyUnit.DAY: 84, AnomalyUnit.HOUR: 28}
#: how many robust deviations away a bucket is unusual; see ``python -m bench.forecasts``
DEVIATIONS: Final = {AnomalyUnit.DAY: 6.0, AnomalyUnit.HOUR: 6.0}
BUCKETS_A_DAY: Final = {AnomalyUnit.DAY: 1, AnomalyUnit.HOUR: HOURS_A_DAY}
_SEASONS: Final = {AnomalyUnit.DAY: WEEK, AnomalyUnit.HOUR: HOURS_A_DAY * WEEK}
#: the most telling first: a key lies in one project, and a project holds many
DIMENSIONS: Final = ("key", "end_user", "model", "project")


@dataclass(frozen=True, slots=True)
class Volume:
    """What was asked, how much of it, and what it cost."""

    requests: int = 0
    tokens: int = 0
    cost: int = 0


@dataclass(frozen=True, slots=True)
class Excess:
    """The difference to what is usual, by what made it: more calls, more tokens a call, a dearer token.

    The three add up to the difference to the nano; each is negative where it made spend less.
    """

    calls: int
    tokens: int
    price: int

    @property
    def total(self) -> int:
        """The whole difference."""
        return self.calls + self.tokens + self.price

    @property
    def cause(self) -> Cause:
        """The part that pulls furthest in the direction of the whole; of equals, the first."""
        sign = 1 if self.total >= 0 else -1
        parts = {Cause.CALLS: self.calls, Cause.TOKENS: self.tokens, Cause.PRICE: self.price}
        return max(parts, key=lambda cause: sign * parts[cause])


@dataclass(frozen=True, slots=True)
class Driver:
    """Who inside explains most of the difference: a key, end user, model or project, with its own difference."""

    dimension: str
    subject: str
    excess: int


@dataclass(frozen=True, slots=True)
class Finding:
    """An unusual bucket, in nano-USD."""

    actual: int
    usual: Usual

    @property
    def severity(self) -> AnomalySeverity:
        """More than usual is what costs money."""
        return AnomalySeverity.HIGH if self.actual > self.usual.expected else AnomalySeverity.LOW


def detect(unit: AnomalyUnit, history: Sequence[int], actual: int) -> Finding | None:
    """Compare a finished bucket with those before it, oldest first; None if it is usual or nobody can tell yet."""
    known = _since_first_spend(history)[-MAX_DAYS[unit] * BUCKETS_A_DAY[unit] :]
    if len(known) < MIN_BUCKETS[unit] or _is_plainly_usual(unit, known, actual):
        return None
    usual = find_usual(known, _SEASONS[unit], DEVIATIONS[unit])
    is_outside = actual < usual.low or actual > usual.high
    return Finding(actual, usual) if is_outside and is_worth_it(actual, usual.expected) else None


def is_worth_it(actual: int, expected: int) -> bool:
    """Whether a difference is above the floors."""
    difference = abs(actual - expected)
    return difference >= FLOOR_NANOS and difference * 100 >= expected * FLOOR_PER_CENT


def split_excess(actual: Volume, usual: Volume, expected: int) -> Excess:
    """Take ``actual.cost - expected`` apart, with the tokens a call and the cost a token of a ``usual`` stretch.

    One after the other: first other calls at the usual cost of a call, then other tokens at the usual cost of a token,
    and the rest is the price. What the usual stretch says nothing about counts as the step before it.
    """
    at_usual_calls = _times(usual.cost, actual.requests, usual.requests, actual.cost)
    at_usual_tokens = _times(usual.cost, actual.tokens, usual.tokens, at_usual_calls)
    return Excess(at_usual_calls - expected, at_usual_tokens - at_usual_calls, actual.cost - at_usual_tokens)


def find_driver(
    children: Mapping[tuple[str, str], tuple[Volume, Volume]], actual: Volume, usual: Volume, expected: int
) -> Driver | None:
    """The child, by (dimension, subject) and with its own actual and usual volumes, that explains most.

    A child is expected to have its usual share. Of equals the most telling dimension goes first. None if no child
    pulls in the direction of the whole.
    """
    sign = 1 if actual.cost >= expected else -1
    drivers = [
        Driver(dimension, subject, own.cost - _times(expected, before.cost, usual.cost, 0))
        for (dimension, subject), (own, before) in children.items()
    ]
    pulling = [driver for driver in drivers if sign * driver.excess > 0]
    return min(
        pulling,
        key=lambda driver: (-sign * driver.excess, DIMENSIONS.index(driver.dimension), driver.subject),
        default=None,
    )


def _times(amount: int, part: int, whole: int, otherwise: int) -> int:
    return amount * part // whole if whole > 0 else otherwise


def _since_first_spend(history: Sequence[int]) -> Sequence[int]:
    first = next((place for place, nanos in enumerate(history) if nanos > 0), len(history))
    return history[first:]


def _is_plainly_usual(unit: AnomalyUnit, known: Sequence[int], actual: int) -> bool:
    """Spares nine decompositions in ten: no hour is unusual that several of the same time of day have passed."""
    if unit is not AnomalyUnit.HOUR:
        return False
    same_hour = sorted(known[-HOURS_A_DAY::-HOURS_A_DAY])
    return same_hour[1] <= actual <= same_hour[-2]
