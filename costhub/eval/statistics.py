"""Shares, areas and intervals."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RESAMPLES: Final = 1_000


def bound_share(found: int, of: int, confidence: float = 0.95) -> float:
    """The upper bound of a share (Clopper and Pearson 1934, one-sided)."""
    # scipy takes a quarter of a second to import
    from scipy.stats import beta  # noqa: PLC0415

    return 1.0 if found >= of else float(beta.ppf(confidence, found + 1, of - found))


def resample(
    size: int, measure: Callable[[NDArray[np.int64]], float], seed: int = 0, rounds: int = RESAMPLES
) -> tuple[float, float]:
    """The 95 % interval of a measure over resampled rows (the percentile bootstrap, Efron 1979).

    A difference of two methods is measured on the same rows: the interval is then a paired one.
    """
    draw = np.random.default_rng(seed)
    values = [measure(draw.integers(0, size, size)) for _ in range(rounds)]
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
