"""The arithmetic of the report: medians of rounds, and ratios taken within a round.

The absolute figures of a shared machine drift from minute to minute. All gateways take their turn in each round, so the
ratio of two of them within one round is worth more than the ratio of their medians: the drift has cancelled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class Span:
    """A median, and the least and greatest of what it is the median of."""

    middle: float
    low: float
    high: float


@dataclass(slots=True)
class Figures:
    """What one gateway did in one scenario: a figure a round, or why there is none."""

    rounds: list[float] = field(default_factory=list)
    #: what else was seen in each round, by name
    details: dict[str, list[float]] = field(default_factory=dict)
    failed: str = ""

    def add(self, figure: float, **details: float) -> None:
        """Take one round in."""
        self.rounds.append(figure)
        for name, value in details.items():
            self.details.setdefault(name, []).append(value)


#: scenario -> gateway -> figures
Results = dict[str, dict[str, Figures]]


def span(values: Sequence[float]) -> Span:
    """Median and range. Raises ValueError when there is nothing."""
    if not values:
        raise ValueError("no rounds were measured")
    return Span(median(values), min(values), max(values))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Span | None:
    """Ours over theirs, round by round; None where a round is missing or theirs is not above zero."""
    if not ours or len(ours) != len(theirs) or any(value <= 0 for value in theirs):
        return None
    return span([our / their for our, their in zip(ours, theirs, strict=True)])


def added(whole: Sequence[float], bare: Sequence[float]) -> list[float]:
    """What a gateway adds to a call, round by round: the whole less the call without a gateway."""
    return [value - base for value, base in zip(whole, bare, strict=True)]
