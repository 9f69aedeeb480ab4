"""The semantic cache's gate: how likely an answer is right for a new request, and from which likelihood on it serves.

A fixed cosine cannot do it: the cache fills, so the same cosine is wrong more often later, and on other subjects. The
gate learns from what the cache sees anyway. On a miss the fresh answer tells whether the nearest entry's answer would
have been right; on a small share of hits the upstream is asked in their place, and tells the same.

- The likelihood is a logistic regression on eleven features of a look-up, their squares and products.
- The threshold is the lowest at which the expected share of wrong answers among all recent requests stays below a
  bound. The re-checks of hits say how far the expectation can be believed (``kappa``): where they find more errors
  than expected, the bound shrinks.

Everything here is a pure function of values: the same observations give the same gate.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from proxy.core.words import split_words

Array = NDArray[np.float64]

#: how many neighbours a look-up reads
NEIGHBOURS: Final = 20
#: which of the nearest entries with the candidate's answer may pass the guards for it
GUARDED: Final = 8
#: the cosine from which a cache without a gate serves, with all guards
COLD_THRESHOLD: Final = 0.83
#: observations after which a gate is fitted, and fitted anew
REFIT_EVERY: Final = 500
#: requests over which errors are expected
WINDOW: Final = 3_000
#: look-ups whose truth is known, before which a gate has seen too little to be believed: it aims lower
BELIEVED_FROM: Final = 3_000
#: the share of wrong answers among all requests that the threshold aims at; what is reached lies below 1 %
TARGET: Final = 0.0085
#: the shares of hits whose answers are re-checked: far above the threshold, and near it
RECHECK_CONFIDENT: Final = 0.02
RECHECK_NEAR: Final = 0.15
#: how near, in log-odds
NEAR: Final = 0.5
#: the most that one re-checked hit stands for in a fit: a few must not outweigh thousands of misses
MOST_WEIGHT: Final = 33.0

_VOTE_SHARPNESS: Final = 20.0
_TOP: Final = 3
_INVERSE_PENALTY: Final = 0.3
_MOST_ROUNDS: Final = 25
_CONVERGED: Final = 1e-6
_PRIOR: Final = 4.0
_MOST_KAPPA: Final = 2.0
_MOST_LOG_ODDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An entry near a request, and what is known of its answer."""

    text: str
    #: entries with the same number have the same answer
    answer: int
    cosine: float
    #: how many entries have that answer, and how often it was found right and wrong for a request
    entries: int
    right: int
    wrong: int


@dataclass(frozen=True, slots=True)
class WordCounts:
    """In how many texts of a scope a word stands: a rare word that both texts have says more than a common one."""

    texts: int
    texts_with: Mapping[str, int]

    def weigh(self, word: str) -> float:
        """The word's inverse document frequency (Spärck Jones 1972), smoothed."""
        return math.log((self.texts + 1) / (self.texts_with.get(word, 0) + 0.5))


@dataclass(frozen=True, slots=True)
class Observation:
    """A look-up whose truth became known."""

    features: tuple[float, ...]
    #: whether the candidate's answer was right
    right: bool
    #: the share of look-ups like this whose truth becomes known: 1 for a miss, a re-check's chance for a hit
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Gate:
    """A fitted gate."""

    means: Array
    scales: Array
    weights: Array

    def rate(self, features: Sequence[float] | Sequence[tuple[float, ...]]) -> Array:
        """How likely each candidate's answer is right, from 0 to 1; one row a look-up."""
        rows = np.atleast_2d(np.array(features, np.float64))
        return _logistic(_expand((rows - self.means) / self.scales) @ self.weights)


def make_features(
    asked: str, neighbours: Sequence[Neighbour], words: WordCounts, *, is_guarded: bool
) -> tuple[float, ...]:
    """What the gate sees of a look-up. ``neighbours``: the nearest first, at least one.

    ``is_guarded``: whether the guards let one of the candidate's entries pass.
    """
    best = neighbours[0]
    others = [neighbour.cosine for neighbour in neighbours if neighbour.answer != best.answer]
    votes = [math.exp(_VOTE_SHARPNESS * (neighbour.cosine - best.cosine)) for neighbour in neighbours]
    own = sum(vote for vote, neighbour in zip(votes, neighbours, strict=True) if neighbour.answer == best.answer)
    top = [neighbour.cosine for neighbour in neighbours[:_TOP]]
    asked_words = set(split_words(asked))
    return (
        best.cosine,
        best.cosine - (others[0] if others else neighbours[-1].cosine),
        own / sum(votes),
        sum(top) / len(top),
        _cover(asked_words, set(split_words(best.text)), words),
        math.log1p(best.entries),
        math.log1p(best.right),
        math.log1p(best.wrong),
        best.wrong / (best.right + best.wrong + 1),
        math.log1p(len(asked_words)),
        float(is_guarded),
    )


def fit_gate(observations: Sequence[Observation]) -> Gate | None:
    """The gate that fits what was observed. None where all were right or all were wrong: nothing can be told apart.

    L2-penalised logistic regression by Newton's method (C = 0.3, the intercept unpenalised). A hit stands for all the
    hits whose truth was not asked: it weighs the inverse of its share (Horvitz and Thompson 1952), at most 33.
    """
    rows = np.array([observation.features for observation in observations], np.float64)
    right = np.array([observation.right for observation in observations], np.float64)
    if len(rows) == 0 or right.min() == right.max():
        return None
    shares = np.array([observation.share for observation in observations], np.float64)
    means, scales = rows.mean(0), rows.std(0)
    scales[scales < 1e-9] = 1.0
    inputs = _expand((rows - means) / scales)
    weights = _fit_logistic(inputs, right, np.minimum(1 / shares, MOST_WEIGHT))
    return Gate(means, scales, weights)


def draw_in(target: float, known: int) -> float:
    """The share of wrong answers to aim at where the truth of so many look-ups is known: what a gate expects of its
    first hits is too good, because it was fitted to few."""
    return target * min(1.0, known / BELIEVED_FROM)


def find_threshold(likelihoods: Array, kappa: float, target: float = TARGET) -> float:
    """The lowest likelihood from which on to serve.

    ``likelihoods``: of the candidates of recent requests, those without a candidate included as 0, so that the
    expected errors are a share of all requests.
    """
    if len(likelihoods) == 0:
        return 1.0
    ordered = np.sort(likelihoods)[::-1]
    expected = np.cumsum(1 - ordered) / len(ordered)
    allowed = int(np.searchsorted(expected, target / kappa, side="right"))
    return float(ordered[allowed - 1]) if allowed else math.nextafter(1.0, 2.0)


def measure_kappa(expected_wrong: float, found_wrong: int) -> float:
    """How many times the expected errors the re-checks found, from 1 to 2; drawn to 1 while there are few."""
    return min(_MOST_KAPPA, max(1.0, (found_wrong + _PRIOR) / (expected_wrong + _PRIOR)))


def recheck_share(likelihood: float, threshold: float) -> float:
    """The share of hits of this likelihood whose answer is to be compared with a fresh one."""
    return RECHECK_NEAR if _log_odds(likelihood) - _log_odds(threshold) < NEAR else RECHECK_CONFIDENT


def _cover(asked: set[str], kept: set[str], words: WordCounts) -> float:
    """The share of both texts' words, by weight, that both have."""
    every = sum(words.weigh(word) for word in asked | kept)
    return sum(words.weigh(word) for word in asked & kept) / every if every > 0 else 0.0


def _log_odds(likelihood: float) -> float:
    if likelihood <= 0:
        return -_MOST_LOG_ODDS
    return min(_MOST_LOG_ODDS, math.log(likelihood / (1 - likelihood))) if likelihood < 1 else _MOST_LOG_ODDS


def _logistic(values: Array) -> Array:
    clipped: Array = np.clip(values, -_MOST_LOG_ODDS, _MOST_LOG_ODDS)
    return 1 / (1 + np.exp(-clipped))


def _expand(rows: Array) -> Array:
    """The intercept, the features, their squares and products. Outliers are drawn in: a square must not explode."""
    rows = np.clip(rows, -4, 4)
    first, second = np.triu_indices(rows.shape[1])
    return np.hstack([np.ones((len(rows), 1)), rows, rows[:, first] * rows[:, second]])


def _fit_logistic(inputs: Array, right: Array, counts: Array) -> Array:
    penalty = np.full(inputs.shape[1], 1 / _INVERSE_PENALTY)
    penalty[0] = 1e-6
    weights: Array = np.zeros(inputs.shape[1])
    for _ in range(_MOST_ROUNDS):
        likelihoods = _logistic(inputs @ weights)
        slope = inputs.T @ (counts * (likelihoods - right)) + penalty * weights
        curve = (inputs * (counts * likelihoods * (1 - likelihoods))[:, None]).T @ inputs + np.diag(penalty)
        step: Array = np.asarray(np.linalg.solve(curve, slope), np.float64)
        # Far from the optimum a whole step may overshoot.
        step *= min(1.0, 3.0 / float(np.abs(step).max() + 1e-12))
        weights = weights - step
        if float(np.abs(step).max()) < _CONVERGED:
            break
    return weights
