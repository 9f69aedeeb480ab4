"""A cascade's decision: how likely a rung's answer is right, and whether the next rung is worth its price.

Trained in the worker (proxy.learning.cascade_training) and calibrated there, so that of the answers with a confidence
of 0.8 four in five are right; without calibration a threshold means nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from proxy.core.routes.answer_features import describe_answer, describe_logprobs
from proxy.core.routes.text_features import hash_words

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tree:
    """A regression tree: at each node the feature, the split, and the next node if it is less or equal, or more.

    A leaf has no feature (-1); its split is its value.
    """

    features: tuple[int, ...]
    splits: tuple[float, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]

    def rate(self, row: Sequence[float]) -> float:
        """The value of the leaf that a row falls into."""
        node = 0
        while (feature := self.features[node]) >= 0:
            node = self.low[node] if row[feature] <= self.splits[node] else self.high[node]
        return self.splits[node]


@dataclass(frozen=True, slots=True)
class Part:
    """One view of an answer: how its score is brought to a common scale, and how much it counts."""

    mean: float
    deviation: float
    weight: float

    def scale(self, score: float) -> float:
        return self.weight * (score - self.mean) / self.deviation


@dataclass(frozen=True, slots=True)
class Confidence:
    """What was learned about the answers of one model."""

    means: Array
    scales: Array
    form_weights: Array
    trees: tuple[Tree, ...]
    word_weights: Array
    #: for the question's vector; empty when trained without
    vector_weights: Array
    form: Part
    forest: Part
    words: Part
    meaning: Part
    #: Platt's line from the score to log-odds
    slope: float
    offset: float
    #: whether the tokens' probabilities are among the features
    has_logprobs: bool = False
    #: by how much the log-odds of a task's answers are off that line, drawn to nothing where it has few labels
    of_tasks: Mapping[str, float] = field(default_factory=dict)


def rate_answer(
    confidence: Confidence,
    question: str,
    answer: str,
    *,
    logprobs: Sequence[float | None] = (),
    vector: Array | None = None,
    task: str = "",
) -> float:
    """How likely the answer is right, from 0 to 1. A part that is not given counts as average."""
    row = describe_answer(question, answer)
    if confidence.has_logprobs:
        known = describe_logprobs(logprobs)
        row += known if known is not None else confidence.means[len(row) :].tolist()
    standard = (np.array(row) - confidence.means) / confidence.scales
    score = confidence.form.scale(float(standard @ confidence.form_weights))
    if confidence.trees:
        score += confidence.forest.scale(sum(tree.rate(row) for tree in confidence.trees))
    if len(confidence.word_weights):
        places, weights = hash_words(answer)
        score += confidence.words.scale(float(confidence.word_weights[places] @ weights) if places else 0.0)
    if vector is not None and len(confidence.vector_weights):
        score += confidence.meaning.scale(float(vector @ confidence.vector_weights))
    return logistic(confidence.slope * score + confidence.offset + confidence.of_tasks.get(task, 0.0))


def should_escalate(weak_right: float, strong_right: float, loss_nanos: int, price_nanos: int) -> bool:
    """Whether the next rung's price is less than what a wrong answer is expected to lose more without it.

    ``loss_nanos``: what a wrong answer costs the tenant, as the tenant says. A confidence that is no number escalates.
    """
    if not math.isfinite(weak_right):
        return True
    return (strong_right - weak_right) * loss_nanos > price_nanos


def logistic(value: float) -> float:
    """From log-odds to a probability."""
    if value < -500:
        return 0.0
    return 1 / (1 + math.exp(-value))
