"""What a policy saves a call, and whether its answers are as good, by comparison with calls that chance has kept from
it: the difference of two means, with its 95 % interval (Welch 1947), and of two shares (Newcombe 1998, method 10).

Exact integers in; whole nano-USD out, and hundredths of a percentage point."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from decimal import Context, Decimal
from typing import Final

#: fewer calls in an arm give no interval that could be believed
FEWEST_CALLS: Final = 30
_Z: Final = Decimal("1.959964")
_BASIS_POINTS: Final = 10_000
_CONTEXT: Final = Context(prec=40)


@dataclass(frozen=True, slots=True)
class Arm:
    """Calls that were treated alike: how many, their costs' sum in nano-USD, and the sum of their squares; of how many
    an application has said whether the answer was right, and of how many that it was."""

    calls: int
    cost: int
    squares: int
    told: int = 0
    right: int = 0

    def __add__(self, other: "Arm") -> "Arm":
        return Arm(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))

    @property
    def mean(self) -> int:
        """Nano-USD a call, rounded down; 0 without calls."""
        return self.cost // self.calls if self.calls else 0


@dataclass(frozen=True, slots=True)
class Effect:
    """Nano-USD that a call costs less with the policy: the estimate, and between what it lies in 95 of 100 cases."""

    a_call: int
    low: int
    high: int

    def times(self, calls: int) -> "Effect":
        """The same over so many calls."""
        return Effect(self.a_call * calls, self.low * calls, self.high * calls)


@dataclass(frozen=True, slots=True)
class Quality:
    """By how much more often answers are right with the policy, in hundredths of a percentage point: less than nothing
    where they are so less often; the estimate, and between what it lies in 95 of 100 cases."""

    difference: int
    low: int
    high: int


def compare_quality(treated: Arm, held_out: Arm) -> Quality | None:
    """Whether answers are as often right; None while of an arm fewer than thirty were told of."""
    if min(treated.told, held_out.told) < FEWEST_CALLS:
        return None
    ours, theirs = (_ratio(arm.right, arm.told) for arm in (treated, held_out))
    (our_low, our_high), (their_low, their_high) = (_wilson(arm) for arm in (treated, held_out))
    difference = ours - theirs
    below = _CONTEXT.sqrt((ours - our_low) ** 2 + (their_high - theirs) ** 2)
    above = _CONTEXT.sqrt((our_high - ours) ** 2 + (theirs - their_low) ** 2)
    return Quality(*(_whole(value * _BASIS_POINTS) for value in (difference, difference - below, difference + above)))


def compare(treated: Arm, held_out: Arm) -> Effect | None:
    """What the policy saves a call; None while an arm has fewer than thirty."""
    return compare_strata([(treated, held_out)])


def compare_strata(pairs: Iterable[tuple[Arm, Arm]]) -> Effect | None:
    """What policies save a call of each kind, on average over the calls that were treated. ``pairs``: by kind, those
    and the ones held out; kinds of which an arm has fewer than thirty say nothing, and None is said where all are such.

    Costs of a kind are compared among themselves: where more of one kind are held out than of another, both arms'
    calls taken together would be of different kinds, and differ in cost by that alone.
    """
    usable = [pair for pair in pairs if min(arm.calls for arm in pair) >= FEWEST_CALLS]
    total = sum(treated.calls for treated, _ in usable)
    difference, variance = Decimal(0), Decimal(0)
    for treated, held_out in usable:
        share = _ratio(treated.calls, total)
        difference += share * (_ratio(held_out.cost, held_out.calls) - _ratio(treated.cost, treated.calls))
        variance += share * share * (_variance_of_mean(treated) + _variance_of_mean(held_out))
    if not usable:
        return None
    error = _CONTEXT.sqrt(variance)
    return Effect(_whole(difference), _whole(difference - _Z * error), _whole(difference + _Z * error))


def _variance_of_mean(arm: Arm) -> Decimal:
    # Of whole numbers, so that nothing is lost where the squares are large and their difference is small.
    spread = arm.calls * arm.squares - arm.cost * arm.cost
    return _ratio(max(spread, 0), arm.calls * arm.calls * (arm.calls - 1))


def _wilson(arm: Arm) -> tuple[Decimal, Decimal]:
    """Between what the share of right answers lies in 95 of 100 cases (Wilson 1927)."""
    share, told = _ratio(arm.right, arm.told), Decimal(arm.told)
    square = _Z * _Z / told
    middle = (share + square / 2) / (1 + square)
    half = _CONTEXT.sqrt(share * (1 - share) * square + square * square / 4) / (1 + square)
    return middle - half, middle + half


def _ratio(above: int, below: int) -> Decimal:
    return _CONTEXT.divide(Decimal(above), Decimal(below))


def _whole(value: Decimal) -> int:
    return int(value.to_integral_value())
