"""Whether what a route has learned tells its calls apart, on calls that it has not seen, and the curve that shows it.

A curve says which share of what the strong model is better by is kept when the first so many calls by score go to it:
the performance gap recovered (Ong et al., arXiv 2406.18665). Chance keeps as much as the share of calls that it sends,
so a router whose curve is not above that has learned nothing, however many labels it was given.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: steps of a curve as it is kept
STEPS: Final = 20
LEARNED: Final = "learned"
_RESAMPLES: Final = 400
#: of the resampled areas so many are allowed to be no better than chance's
_LOW: Final = 0.05


class Proof(NamedTuple):
    """``area`` under the learned curve (chance has 0.5), its lower 95 % bound, and curves by name: at which share of
    calls to the strong model, in equal steps, which share of its gain is kept."""

    area: float
    low: float
    curves: dict[str, list[float]]

    @property
    def is_better_than_chance(self) -> bool:
        """Whether the calls are told apart, as far as the labels can tell."""
        return self.low > 0.5


def prove(scores: Array, gains: Array, controls: Mapping[str, Array]) -> Proof | None:
    """How good an order of calls by score is; None where the strong model is no better than the weak one in sum, so
    that there is nothing to keep. ``scores`` are of calls that were not fitted; ``controls`` are other orders."""
    if float(gains.sum()) <= 0:
        return None
    draw = np.random.default_rng(0)
    size = len(gains)
    order = _order(scores)
    areas = []
    for _ in range(_RESAMPLES):
        times = np.bincount(draw.integers(size, size=size), minlength=size)[order]
        reached = np.cumsum(gains[order] * times)
        # Where a sample has no gain to keep, nothing was shown.
        areas.append(float(reached @ times) / (size * float(reached[-1])) if reached[-1] > 0 else 0.0)
    curves = {LEARNED: scores, **controls}
    return Proof(
        area=_area(scores, gains),
        low=float(np.quantile(areas, _LOW)),
        curves={name: _points(order_by, gains) for name, order_by in curves.items()},
    )


def _order(scores: Array) -> NDArray[np.int64]:
    """The highest first; equal scores in a drawn order."""
    shuffled = np.random.default_rng(1).permutation(len(scores))
    return shuffled[np.argsort(-scores[shuffled], kind="stable")]


def _curve(scores: Array, gains: Array) -> Array:
    return np.concatenate([[0.0], np.cumsum(gains[_order(scores)])]) / float(gains.sum())


def _area(scores: Array, gains: Array) -> float:
    points = _curve(scores, gains)
    return float((points[1:] + points[:-1]).mean() / 2)


def _points(scores: Array, gains: Array) -> list[float]:
    whole = _curve(scores, gains)
    return [round(float(whole[round(step / STEPS * (len(whole) - 1))]), 4) for step in range(STEPS + 1)]
