"""Fits a router to prompts that both models have answered.

The gain (strong minus weak, from -1 to 1) is the task's mean plus what form, words and meaning add to it. Each of the
three is a ridge regression on the *residual* to the task's mean, so that with few labels, when nothing can be learned,
the router is the task's mean and not below it. How much of each part is believed comes from folds inside the training
set: non-negative weights, drawn to what a plain mean of the parts would be, and shrunk towards 0 while labels are few,
in all or a task, and where a few hundred of several tasks do not prove that there is anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import lsqr

from proxy.core.routes.router import Router
from proxy.core.routes.text_features import PLACES, describe, hash_words

Array = NDArray[np.float64]

INNER_FOLDS: Final = 3
#: labels below which the words are left out: there are more of them than can be learned
FEWEST_FOR_WORDS: Final = 300
#: with so many labels what was learned counts by half
HALF_BELIEVED: Final = 150.0
#: labels a task below which the task's mean is believed rather than what form and words add to it: where tasks differ
#: much, what is learned over all of them from few labels puts one task's prompts before another's
FEW_A_TASK: Final = 30.0

#: so many labels need no further proof of what form and words add to the means of several tasks
MANY_LABELS: Final = 1_000
#: with fewer it is believed as far as it goes with what the means have left over by more than so many standard errors
PROVEN_ERRORS: Final = 2.5

_FORM_PENALTY: Final = 100.0
_MEANING_PENALTY: Final = 30.0
_WORDS_PENALTY: Final = 4.0
_STEPS: Final = 40
#: the weights' pull towards what they are without a fit, in labels
_PULL: Final = 200.0


class NothingToLearn(Exception):
    """The labels tell the models apart nowhere, or there are none. The message says which."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts as numbers, made once for all folds."""

    tasks: list[str]
    form: Array
    words: csr_matrix
    #: unit vectors, or no columns
    meaning: Array

    def take(self, rows: NDArray[np.int64]) -> "Prompts":
        """Some of the prompts."""
        return Prompts([self.tasks[row] for row in rows], self.form[rows], self.words[rows], self.meaning[rows])


@dataclass(frozen=True, slots=True)
class _Parts:
    task_gains: dict[str, float]
    means: Array
    scales: Array
    form: Array
    words: Array
    meaning: Array


def read_prompts(prompts: Sequence[str], tasks: Sequence[str], vectors: NDArray[np.float32] | None = None) -> Prompts:
    """Describe prompts for a fit."""
    indices: list[int] = []
    values: list[float] = []
    ends = [0]
    has_tasks = len(set(tasks)) > 1
    for prompt, task in zip(prompts, tasks, strict=True):
        places, weights = hash_words(prompt, task if has_tasks else None)
        indices += places
        values += weights
        ends.append(len(indices))
    words = csr_matrix((values, indices, ends), shape=(len(prompts), PLACES))
    meaning = np.zeros((len(prompts), 0)) if vectors is None else vectors.astype(np.float64)
    return Prompts(list(tasks), np.array([describe(prompt) for prompt in prompts]), words, meaning)


def train_router(prompts: Prompts, gains: Array, seed: int = 0) -> Router:
    """Fit a router. ``gains``: by how much the strong model's answer was better than the weak one's.

    Raises NothingToLearn when there are fewer than two labels, or all are the same.
    """
    if len(gains) < 2:
        raise NothingToLearn("There are not two labelled prompts: nothing can be learned from them.")
    if float(gains.std()) == 0:
        raise NothingToLearn("Both models were equally good on every prompt: there is nothing to tell them apart by.")
    if not np.isfinite(gains).all():
        raise NothingToLearn("A label is not a number.")
    beliefs = _weigh_parts(prompts, gains, seed)
    parts = _fit_parts(prompts, gains)
    return Router(
        task_gains=parts.task_gains,
        means=parts.means,
        scales=parts.scales,
        feature_weights=beliefs[0] * parts.form,
        word_weights=beliefs[1] * parts.words,
        vector_weights=beliefs[2] * parts.meaning,
    )


def predict_all(router: Router, prompts: Prompts, unknown: float = 0.0) -> Array:
    """The gain of many prompts at once; that of a task which the router does not know is ``unknown``."""
    gains = np.array([router.task_gains.get(task, unknown) for task in prompts.tasks])
    gains = gains + ((prompts.form - router.means) / router.scales) @ router.feature_weights
    if len(router.word_weights):
        gains = gains + prompts.words @ router.word_weights
    if len(router.vector_weights):
        gains = gains + prompts.meaning @ router.vector_weights
    return gains


def mean_by_task(tasks: Sequence[str], gains: Array) -> dict[str, float]:
    """Each task's mean gain, drawn to the mean of all by empirical Bayes (Efron and Morris 1975)."""
    places: dict[str, list[int]] = {}
    for place, task in enumerate(tasks):
        places.setdefault(task, []).append(place)
    overall = float(gains.mean())
    noise = float(gains.var()) or 1e-9
    means = {task: float(gains[rows].mean()) for task, rows in places.items()}
    # What of the means' spread is more than their own noise.
    spread = float(np.mean([(means[task] - overall) ** 2 - noise / len(rows) for task, rows in places.items()]))
    pull = noise / max(spread, noise / 200)
    return {task: (len(rows) * means[task] + pull * overall) / (len(rows) + pull) for task, rows in places.items()}


def _fit_parts(prompts: Prompts, gains: Array) -> _Parts:
    task_gains = mean_by_task(prompts.tasks, gains)
    residual = gains - np.array([task_gains[task] for task in prompts.tasks])
    means, scales = prompts.form.mean(0), prompts.form.std(0)
    scales = np.where(scales < 1e-9, 1.0, scales)
    form = _ridge((prompts.form - means) / scales, residual, _FORM_PENALTY)
    words = np.zeros(0)
    if len(gains) >= max(FEWEST_FOR_WORDS, FEW_A_TASK * len(task_gains)):
        words = np.asarray(lsqr(prompts.words, residual, damp=_WORDS_PENALTY**0.5, iter_lim=_STEPS)[0])
    meaning = _ridge(prompts.meaning, residual, _MEANING_PENALTY) if prompts.meaning.shape[1] else np.zeros(0)
    return _Parts(task_gains, means, scales, form, words, meaning)


def _ridge(inputs: Array, targets: Array, penalty: float) -> Array:
    curve = inputs.T @ inputs + penalty * np.eye(inputs.shape[1])
    return np.asarray(np.linalg.solve(curve, inputs.T @ targets), np.float64)


def _weigh_parts(prompts: Prompts, gains: Array, seed: int) -> Array:
    """How much of form, words and meaning is believed, from predictions of prompts that were not fitted."""
    folds = np.random.default_rng(seed).permutation(len(gains)) % INNER_FOLDS
    columns = np.zeros((len(gains), 3))
    residual = np.zeros(len(gains))
    for fold in range(INNER_FOLDS):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        if len(inside) == 0 or len(outside) == 0:
            continue
        parts = _fit_parts(prompts.take(inside), gains[inside])
        held = prompts.take(outside)
        overall = float(gains[inside].mean())
        residual[outside] = gains[outside] - np.array([parts.task_gains.get(task, overall) for task in held.tasks])
        columns[outside, 0] = ((held.form - parts.means) / parts.scales) @ parts.form
        if len(parts.words):
            columns[outside, 1] = held.words @ parts.words
        if len(parts.meaning):
            columns[outside, 2] = held.meaning @ parts.meaning
    used = np.flatnonzero(columns.any(0))
    beliefs = np.zeros(3)
    if len(used):
        # As if some more labels had said that the parts' mean is right.
        scale = np.sqrt(_PULL * columns[:, used].var(0).mean() + 1e-18)
        padded = np.vstack([columns[:, used], scale * np.eye(len(used))])
        beliefs[used] = nnls(padded, np.concatenate([residual, np.full(len(used), scale / len(used))]))[0]
    tasks = len(set(prompts.tasks))
    beliefs *= _believe(len(gains), tasks)
    # Of one task there is nothing to fall below: its mean puts no prompt before another.
    return beliefs * _prove(columns @ beliefs, residual) if tasks > 1 and len(gains) < MANY_LABELS else beliefs


def _prove(added: Array, residual: Array) -> float:
    """How far what was added to tasks' means goes with what these have left over, from 0 to 1: positive-part shrinkage
    by its standard errors (James and Stein 1961)."""
    products = (added - added.mean()) * (residual - residual.mean())
    error = float(products.std()) / len(products) ** 0.5
    errors = float(products.mean()) / error if error > 0 else 0.0
    return 1 - (PROVEN_ERRORS / errors) ** 2 if errors > PROVEN_ERRORS else 0.0


def _believe(labels: int, tasks: int) -> float:
    """How much is believed of what so many labels of so many tasks have taught, from 0 to 1."""
    few = FEW_A_TASK * tasks if tasks > 1 else 0.0
    return labels / (labels + HALF_BELIEVED) * labels**2 / (labels**2 + few**2)
