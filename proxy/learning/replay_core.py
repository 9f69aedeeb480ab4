"""What a paid replay says of the calls that it did not ask: the ratio of what they cost now to what they did. Pure."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

#: fewer say nothing of others
LEAST_PAIRS: Final = 30
_SIGMAS: Final = 1.96


class Ratio(NamedTuple):
    """What a call costs now for each USD that it cost then, with the interval that holds it in 95 of 100 cases."""

    value: float
    low: float
    high: float


def estimate_ratio(pairs: Sequence[tuple[int, int]]) -> Ratio | None:
    """The ratio of sums, with the interval of its linearisation (Cochran 1977, 6.3), of (before, now) in nano-USD; None
    for too few pairs, or where nothing was paid before."""
    before = sum(pair[0] for pair in pairs)
    if len(pairs) < LEAST_PAIRS or before <= 0:
        return None
    value = sum(pair[1] for pair in pairs) / before
    squares = sum((now - value * was) ** 2 for was, now in pairs)
    error = math.sqrt(squares * len(pairs) / (len(pairs) - 1)) / before
    return Ratio(value, max(0.0, value - _SIGMAS * error), value + _SIGMAS * error)
