"""What past calls would have cost under another policy, without asking any model: ranges, because some of it nobody can
know without asking.

Exact is what the same tokens cost at another price. Not known is how long another model's answers would have been: the
range goes from as long as they were to as long as that model's answers to this tenant are, where there are any. What
compression would take off is what the caller of this says, from the least to the most.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from costhub.lib.money import PICOS_PER_NANO
from tenants.price_snapshots import INPUT_CLASSES, OUTPUT_CLASSES, Rates

ONE: Final = Fraction(1)


@dataclass(frozen=True, slots=True)
class Calls:
    """Past calls: how many, their tokens by class, and what they did cost in nano-USD."""

    calls: int
    tokens: Mapping[str, int]
    cost: int

    @property
    def output_a_call(self) -> Fraction | None:
        """Tokens of an answer; None without calls."""
        return Fraction(sum(self.tokens.get(name, 0) for name in OUTPUT_CLASSES), self.calls) if self.calls else None


@dataclass(frozen=True, slots=True)
class Policy:
    """Another way: the share of the calls that goes to another model, at that model's rates and fee a call in pico-USD;
    shares of the input that compression takes off, at least and at most; ``kept``, the rates of the other calls, where
    those change, such as to a batch's.

    ``rates`` None leaves the calls where they were.
    """

    rates: Rates | None = None
    per_request: int = 0
    share: Fraction = ONE
    off_least: Fraction = Fraction(0)
    off_most: Fraction = Fraction(0)
    kept: Rates | None = None


@dataclass(frozen=True, slots=True)
class Band:
    """Nano-USD: between what it lies."""

    low: int
    high: int


def replay(calls: Calls, now: Rates, policy: Policy, others: Calls | None = None) -> Band:
    """What the calls would have cost, in nano-USD. ``now``: the rates that they were billed by; ``others``: calls of
    the model that the policy sends them to."""
    ends = []
    for off in (policy.off_least, policy.off_most):
        for length in _lengths(calls, policy, others):
            stays = policy.kept or now
            kept = (1 - policy.share) * _reprice(calls, now, stays, off, ONE)
            moved = Fraction(0)
            if policy.share:
                rates = policy.rates or stays
                moved = policy.share * _reprice(calls, now, rates, off, length)
                moved += policy.share * calls.calls * Fraction(policy.per_request, PICOS_PER_NANO)
            ends.append(kept + moved)
    return Band(int(min(ends)), -int(-max(ends) // 1))


def _lengths(calls: Calls, policy: Policy, others: Calls | None) -> tuple[Fraction, ...]:
    own, theirs = calls.output_a_call, others.output_a_call if others is not None else None
    if policy.rates is None or not own or not theirs:
        return (ONE,)
    return (ONE, theirs / own)


def _reprice(calls: Calls, now: Rates, then: Rates, off: Fraction, length: Fraction) -> Fraction:
    """What was billed, with the difference that tokens and rates make: so that discounts, fees and long contexts stay
    what they were where nothing is changed."""
    tokens = calls.tokens
    before = sum(tokens.get(name, 0) * getattr(now, name) for name in (*INPUT_CLASSES, *OUTPUT_CLASSES))
    after = sum((tokens.get(name, 0) * getattr(then, name) * (1 - off) for name in INPUT_CLASSES), Fraction(0))
    after += sum((tokens.get(name, 0) * getattr(then, name) * length for name in OUTPUT_CLASSES), Fraction(0))
    cost: Fraction = calls.cost + (after - before) / PICOS_PER_NANO
    return max(Fraction(0), cost)
