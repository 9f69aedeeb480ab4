"""Fits how likely a model's answers are right, and calibrates it.

Four views of an answer are fitted apart and added on one scale, as each alone is wrong elsewhere: a logistic
regression on its features, boosted trees on the same, a logistic regression on its words, and one on the question's
vector. The line from the sum to a probability (Platt 1999) is fitted to predictions of answers that the
views have not seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import expit
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from proxy.core.routes.answer_features import describe_answer, describe_logprobs
from proxy.core.routes.cascade import Confidence, Part, Tree
from proxy.core.routes.text_features import PLACES, hash_words
from proxy.learning.router_training import NothingToLearn

Array = NDArray[np.float64]

INNER_FOLDS: Final = 4
#: labels below which trees and words are left out
FEWEST_FOR_TREES: Final = 200

_FORM_C: Final = 0.05
_WORDS_C: Final = 1.0
_MEANING_C: Final = 0.3
_TREES: Final = 80
_LEAVES: Final = 6
_RATE: Final = 0.05
#: how much forms, trees, words and meaning count
_WEIGHTS: Final = (1.0, 1.0, 0.5, 0.7)
#: how far tasks' log-odds are taken to lie from the line of all: their standard deviation
_SPREAD_OF_TASKS: Final = 1.0
_NEWTON_STEPS: Final = 20
_AS_IT_IS: Final = Part(0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers as numbers, made once for all folds."""

    form: Array
    words: csr_matrix
    #: the questions' vectors, or no columns
    meaning: Array
    has_logprobs: bool = False

    def take(self, rows: NDArray[np.int64]) -> "Answers":
        """Some of the answers."""
        return Answers(self.form[rows], self.words[rows], self.meaning[rows], self.has_logprobs)


def read_answers(
    questions: Sequence[str],
    answers: Sequence[str],
    vectors: Array | None = None,
    logprobs: Sequence[Sequence[float | None]] | None = None,
) -> Answers:
    """Describe answers for a fit. Where some have no probabilities, those count as the others' mean."""
    form = np.array([describe_answer(question, answer) for question, answer in zip(questions, answers, strict=True)])
    if logprobs is not None:
        rows = [describe_logprobs(values) for values in logprobs]
        known = [row for row in rows if row is not None]
        if known:
            mean = np.mean(known, axis=0)
            form = np.hstack([form, np.array([mean if row is None else row for row in rows])])
        else:
            logprobs = None
    indices: list[int] = []
    values: list[float] = []
    ends = [0]
    for answer in answers:
        places, weights = hash_words(answer)
        indices += places
        values += weights
        ends.append(len(indices))
    words = csr_matrix((values, indices, ends), shape=(len(answers), PLACES))
    meaning = np.zeros((len(answers), 0)) if vectors is None else vectors.astype(np.float64)
    return Answers(form, words, meaning, logprobs is not None)


def train_confidence(answers: Answers, right: NDArray[np.bool_], seed: int = 0) -> Confidence:
    """Fit and calibrate. ``right``: whether each answer was. Raises NothingToLearn when all were, or none."""
    return train_and_rate(answers, right, seed)[0]


def train_and_rate(answers: Answers, right: NDArray[np.bool_], seed: int = 0) -> tuple[Confidence, Array]:
    """The same, with each answer's score by views that have not seen it. Raises NothingToLearn."""
    if len(right) < 2 * INNER_FOLDS or right.min() == right.max():
        raise NothingToLearn("The labelled answers are too few, all right or all wrong: nothing tells them apart.")
    folds = np.empty(len(right), np.int64)
    for label in (False, True):
        places = np.flatnonzero(right == label)
        folds[np.random.default_rng(seed).permutation(places)] = np.arange(len(places)) % INNER_FOLDS
    # What the views say of answers that they have not seen: their scale there is the one that counts.
    held = np.zeros((len(right), len(_WEIGHTS)))
    for fold in range(INNER_FOLDS):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        if right[inside].min() == right[inside].max():
            raise NothingToLearn("There are too few answers of one kind, right or wrong, to learn from.")
        held[outside] = _rate_views(_fit_views(answers.take(inside), right[inside]), answers.take(outside))
    form, forest, words, meaning = (_part(column, weight) for column, weight in zip(held.T, _WEIGHTS, strict=True))
    fitted = replace(_fit_views(answers, right), form=form, forest=forest, words=words, meaning=meaning)
    scores = _add_views(fitted, held)
    line = LogisticRegression(C=1e3).fit(scores[:, None], right)
    return replace(fitted, slope=float(line.coef_[0, 0]), offset=float(line.intercept_[0])), scores


def score_all(confidence: Confidence, answers: Answers) -> Array:
    """The scores of many answers at once, before calibration."""
    return _add_views(confidence, _rate_views(confidence, answers))


def _rate_views(confidence: Confidence, answers: Answers) -> Array:
    """What form, trees, words and meaning say of each answer, each on its own scale: four columns."""
    nothing = np.zeros(len(answers.form))
    return np.column_stack(
        [
            ((answers.form - confidence.means) / confidence.scales) @ confidence.form_weights,
            _rate_trees(confidence.trees, answers.form) if confidence.trees else nothing,
            answers.words @ confidence.word_weights if len(confidence.word_weights) else nothing,
            answers.meaning @ confidence.vector_weights if len(confidence.vector_weights) else nothing,
        ]
    )


def _add_views(confidence: Confidence, views: Array) -> Array:
    parts = (confidence.form, confidence.forest, confidence.words, confidence.meaning)
    columns = [part.weight * (column - part.mean) / part.deviation for part, column in zip(parts, views.T, strict=True)]
    return np.asarray(sum(columns))


def calibrate_all(confidence: Confidence, scores: Array, tasks: Sequence[str] = ()) -> Array:
    """Scores as probabilities, each as an answer of its task where those are given."""
    odds = confidence.slope * scores + confidence.offset
    if tasks:
        odds = odds + np.array([confidence.of_tasks.get(task, 0.0) for task in tasks])
    return np.asarray(expit(odds))


def calibrate_tasks(
    confidence: Confidence, scores: Array, right: NDArray[np.bool_], tasks: Sequence[str]
) -> Confidence:
    """The same with what each task is off the line that holds for all: the likeliest shift of its log-odds, where
    shifts are normally distributed around nothing, so that few labels of a task move it little."""
    if len(set(tasks)) < 2:
        return confidence
    odds, named = confidence.slope * scores + confidence.offset, np.array(tasks)
    of_tasks = {task: _find_shift(odds[named == task], right[named == task]) for task in sorted(set(tasks))}
    return replace(confidence, of_tasks=of_tasks)


def _find_shift(odds: Array, right: NDArray[np.bool_]) -> float:
    """By Newton's method: the function is concave, so that it comes there."""
    shift = 0.0
    for _ in range(_NEWTON_STEPS):
        sure = expit(odds + shift)
        gradient = float((right - sure).sum()) - shift / _SPREAD_OF_TASKS**2
        shift += gradient / (float((sure * (1 - sure)).sum()) + 1 / _SPREAD_OF_TASKS**2)
    return shift


def _fit_views(answers: Answers, right: NDArray[np.bool_]) -> Confidence:
    means, scales = answers.form.mean(0), answers.form.std(0)
    scales = np.where(scales < 1e-9, 1.0, scales)
    standard = (answers.form - means) / scales
    form = LogisticRegression(C=_FORM_C, max_iter=500).fit(standard, right).coef_[0]
    trees: tuple[Tree, ...] = ()
    words = meaning = np.zeros(0)
    if len(right) >= FEWEST_FOR_TREES:
        forest = GradientBoostingClassifier(
            n_estimators=_TREES,
            learning_rate=_RATE,
            max_leaf_nodes=_LEAVES,
            max_depth=None,
            subsample=0.7,
            random_state=0,
        ).fit(answers.form, right)
        trees = tuple(_read_tree(estimator[0].tree_) for estimator in forest.estimators_)
        words = LogisticRegression(C=_WORDS_C, max_iter=200).fit(answers.words, right).coef_[0]
    if answers.meaning.shape[1]:
        # Each column's deviation is about 1/20: larger numbers make the penalty one of the usual size.
        meaning = LogisticRegression(C=_MEANING_C, max_iter=300).fit(answers.meaning * 4, right).coef_[0] * 4
    return Confidence(
        means=means,
        scales=scales,
        form_weights=form,
        trees=trees,
        word_weights=words,
        vector_weights=meaning,
        form=_AS_IT_IS,
        forest=_AS_IT_IS,
        words=_AS_IT_IS,
        meaning=_AS_IT_IS,
        slope=1.0,
        offset=0.0,
        has_logprobs=answers.has_logprobs,
    )


def _part(scores: Array, weight: float) -> Part:
    deviation = float(scores.std())
    return Part(float(scores.mean()), deviation if deviation > 1e-12 else 1.0, weight)


def _read_tree(tree: Any) -> Tree:
    leaf = tree.children_left < 0
    return Tree(
        features=tuple(int(feature) for feature in np.where(leaf, -1, tree.feature)),
        splits=tuple(float(value) for value in np.where(leaf, tree.value[:, 0, 0], tree.threshold)),
        low=tuple(int(node) for node in tree.children_left),
        high=tuple(int(node) for node in tree.children_right),
    )


def _rate_trees(trees: Sequence[Tree], form: Array) -> Array:
    # The library compares features in single precision.
    rows = form.astype(np.float32).astype(np.float64).tolist()
    return np.array([sum(tree.rate(row) for tree in trees) for row in rows])
