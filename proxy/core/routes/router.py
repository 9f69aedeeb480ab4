"""A learned router's decision: what the strong model's answer is expected to be better by, and whether that is enough.

Trained in the worker (proxy.learning.router_training); here it is a sum of products. A prompt of a task that the
router was not trained on gets no learned score: scores do not carry over to other tasks (docs/quality.md).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from proxy.core.routes.text_features import describe, hash_words, read_words


@dataclass(frozen=True, slots=True)
class Router:
    """What was learned about one weak and one strong model."""

    #: the mean gain by task, drawn to the mean of all where a task has few labels
    task_gains: Mapping[str, float]
    #: for the text's features, standardised by ``means`` and ``scales``
    means: NDArray[np.float64]
    scales: NDArray[np.float64]
    feature_weights: NDArray[np.float64]
    #: for the text's words, by place; empty when there were too few labels
    word_weights: NDArray[np.float64]
    #: for the text's vector; empty when the router was trained without vectors
    vector_weights: NDArray[np.float64]
    intercept: float = 0.0


class Gain(NamedTuple):
    """How much better the strong model's answer is expected to be, in shares of a right answer, and from what."""

    value: float
    of_task: float
    of_form: float
    of_words: float
    of_meaning: float


def predict(router: Router, prompt: str, task: str, vector: NDArray[np.float32] | None = None) -> Gain | None:
    """The expected gain, or None for a task that the router does not know: the route then falls back.

    Without a vector its part counts as average.
    """
    if task not in router.task_gains:
        return None
    words = read_words(prompt)
    return _predict(router, _Read(prompt, words, np.array(describe(prompt, words))), task, vector)


def predict_each(routers: Sequence[Router], prompt: str, task: str) -> list[Gain | None]:
    """The same of several routers in their order: the prompt is described once."""
    if not any(task in router.task_gains for router in routers):
        return [None] * len(routers)
    words = read_words(prompt)
    read = _Read(prompt, words, np.array(describe(prompt, words)))
    return [_predict(router, read, task, None) if task in router.task_gains else None for router in routers]


class _Read(NamedTuple):
    """A prompt, its words, and its form."""

    prompt: str
    words: Sequence[str]
    form: NDArray[np.float64]


def _predict(router: Router, read: _Read, task: str, vector: NDArray[np.float32] | None) -> Gain:
    of_task = router.task_gains[task]
    form = (read.form - router.means) / router.scales
    of_form = float(form @ router.feature_weights) + router.intercept
    of_words = 0.0
    if len(router.word_weights):
        places, weights = hash_words(read.prompt, task if len(router.task_gains) > 1 else None, read.words)
        of_words = float(router.word_weights[places] @ np.array(weights)) if places else 0.0
    of_meaning = 0.0
    if vector is not None and len(router.vector_weights):
        of_meaning = float(vector @ router.vector_weights)
    return Gain(of_task + of_form + of_words + of_meaning, of_task, of_form, of_words, of_meaning)


def wants_strong(gain: float, weak_nanos: int, strong_nanos: int, nanos_a_right_answer: float) -> bool:
    """Whether the expected gain is worth the dearer call.

    ``nanos_a_right_answer``: what one more right answer may cost. It is solved from a floor of quality, or set. The
    comparison chooses a model and touches no amount that is billed.
    """
    return gain * nanos_a_right_answer > strong_nanos - weak_nanos


def solve_threshold(gains: NDArray[np.float64], differences: NDArray[np.float64], floor: float) -> float:
    """The highest gain from which on to ask the strong model so that a share of the whole difference is kept.

    ``differences``: by how much the strong answer was better, of prompts that the router was not trained on.
    ``floor``: 0 is the weak model's quality, 1 the strong one's. Gives -inf where only always strong reaches it.
    """
    order = np.argsort(-gains, kind="stable")
    reached = np.cumsum(differences[order])
    enough = np.flatnonzero(reached >= floor * differences.sum() - 1e-12)
    return float(gains[order[enough[0]]]) if len(enough) else -math.inf
