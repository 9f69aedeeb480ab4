"""Cascades: is a cheap answer right, how well is that known, and what is saved at the dear model's quality.

A call that is escalated pays both models.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import normalize

from costhub.eval.data import read_frugal_curve, read_gsm8k, read_headlines
from costhub.eval.routing import FOLDS, area, compare, curve, predict_folds, share_for, split_folds
from costhub.eval.statistics import Array
from proxy.learning.cascade_training import Answers, calibrate_all, read_answers, score_all, train_confidence
from proxy.learning.router_training import read_prompts

BINS: Final = 15
HEADLINE_LABELS: Final = 500
CORRELATION: Final = 0.6
STRONG_HEADLINES: Final = "gpt-4-turbo"

#: texts that are trained on, that have no label, and that are rated -> the first and the last as numbers
View = Callable[[list[str], list[str], list[str]], tuple[Any, Any]]


class Head(NamedTuple):
    """A classifier of few labels: its views of the words, and how often it teaches itself."""

    views: Sequence[View]
    rounds: int = 0


_HEAD_C: Final = 30.0
#: of the texts without a label so many are believed
_BELIEVED: Final = 0.6
_LEAST_CHANCE: Final = 1e-3
_TOPICS: Final = 100
_NUMBERS: Final = re.compile(r"\d[\d.,/]*")


@dataclass(frozen=True, slots=True)
class CascadeResult:
    """Figures of GSM8K, from the weak model's answers alone."""

    auroc: float
    apgr: float
    routing_apgr: float
    #: the 95 % interval of the cascade's APGR minus the router's
    difference: tuple[float, float]
    ece: float
    ece_before: float
    saved_at_equal: float
    curve: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class HeadResult:
    """A head of few labels before the strong model: its accuracy, and what is saved at the strong model's, the mean
    over draws of the labels, the least and the most."""

    accuracy: float
    saved: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class HeadlinesResult:
    """Figures of HEADLINES with heads of few labels before a simulated strong model."""

    heads: dict[str, HeadResult]
    strong_accuracy: float
    #: FrugalGPT's own points: dollars a question and accuracy
    frugal: tuple[tuple[float, float], ...]
    strong_price: float


def measure_gsm8k(folder: Path) -> CascadeResult:
    """Five folds over the questions. Raises DataMissing."""
    rows = read_gsm8k(folder)
    prompts = read_prompts(rows.prompts, rows.tasks, None)
    folds = split_folds(rows.tasks)
    gains = rows.strong - rows.weak
    right = rows.weak > 0
    answers = read_answers(rows.prompts, rows.weak_answers)
    confidences, before = rate_folds(answers, right, folds)
    routing = predict_folds(prompts, gains, folds)
    # An answer that the strong model would not get right either need not be escalated.
    hopes = predict_folds(prompts, rows.strong, folds) - confidences
    share = share_for(hopes, gains, 1.0 - 1e-12)
    whole = curve(hopes, gains)
    return CascadeResult(
        auroc=float(roc_auc_score(right, confidences)),
        apgr=area(hopes, gains),
        routing_apgr=area(routing, gains),
        difference=compare(hopes, routing, gains),
        ece=calibration_error(confidences, right),
        ece_before=calibration_error(before, right),
        saved_at_equal=1 - (rows.weak_price + share * rows.strong_price) / rows.strong_price,
        curve=tuple(float(whole[round(step / 20 * (len(whole) - 1))]) for step in range(21)),
    )


def rate_folds(answers: Answers, right: NDArray[np.bool_], folds: NDArray[np.int64]) -> tuple[Array, Array]:
    """Each answer's confidence, calibrated and before, by a fit that has not seen it."""
    calibrated, before = np.zeros(len(right)), np.zeros(len(right))
    for fold in range(FOLDS):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        confidence = train_confidence(answers.take(inside), right[inside])
        scores = score_all(confidence, answers.take(outside))
        calibrated[outside] = calibrate_all(confidence, scores)
        before[outside] = 1 / (1 + np.exp(-scores))
    return calibrated, before


def calibration_error(confidences: Array, right: NDArray[np.bool_]) -> float:
    """ECE over fifteen bins of equally many answers (Naeini et al. 2015)."""
    bins = np.array_split(np.argsort(confidences, kind="stable"), BINS)
    return float(sum(len(places) * abs(confidences[places].mean() - right[places].mean()) for places in bins)) / len(
        right
    )


def measure_headlines(folder: Path, seeds: int = 5) -> HeadlinesResult:
    """A head trained on 500 labels, escalated where it is least sure. Raises DataMissing.

    The strong model's single answers are not in the data, only its accuracy and price. Its errors are drawn so that
    they correlate with the head's at 0.6: independent errors would flatter the cascade.
    """
    train, test = read_headlines(folder, "train"), read_headlines(folder, "test")
    points = read_frugal_curve(folder)
    _, price, accuracy = next(point for point in points if point[0] == STRONG_HEADLINES)
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in HEADS}
    for seed in range(seeds):
        rows = np.random.default_rng(seed).choice(len(train), HEADLINE_LABELS, replace=False)
        labelled = [train[row] for row in rows]
        unlabelled = [train[row][0] for row in sorted(set(range(len(train))) - set(rows.tolist()))]
        for name, head in HEADS.items():
            sure, right = _run_head(head, labelled, unlabelled, test)
            strong = draw_correlated(right, accuracy, CORRELATION, np.random.default_rng(1_000 + seed))
            gains = strong.astype(np.float64) - right
            share = 0.0 if gains.sum() <= 0 else share_for(-sure, gains, 1.0 - 1e-12)
            found[name].append((float(right.mean()), float(strong.mean()), 1 - share))
    return HeadlinesResult(
        heads={name: _sum_up(seen) for name, seen in found.items()},
        strong_accuracy=float(np.mean([strong for seen in found.values() for _, strong, _ in seen])),
        frugal=tuple((cost, reached) for method, cost, reached in points if method == "FrugalGPT"),
        strong_price=price,
    )


def _sum_up(seen: Sequence[tuple[float, float, float]]) -> HeadResult:
    saved = [each for _, _, each in seen]
    return HeadResult(float(np.mean([right for right, _, _ in seen])), float(np.mean(saved)), min(saved), max(saved))


def draw_correlated(
    right: NDArray[np.bool_], accuracy: float, correlation: float, draw: np.random.Generator
) -> NDArray[np.bool_]:
    """Another model's right answers, of an accuracy, whose errors correlate (phi) with the given ones."""
    wrong, others_wrong = 1 - float(right.mean()), 1 - accuracy
    both = wrong * others_wrong + correlation * (wrong * (1 - wrong) * others_wrong * (1 - others_wrong)) ** 0.5
    both = min(both, wrong, others_wrong)
    chance = np.where(right, (others_wrong - both) / (1 - wrong), both / wrong)
    return np.asarray(draw.random(len(right)) >= chance, np.bool_)


def _run_head(
    head: Head, train: list[tuple[str, str]], unlabelled: list[str], test: list[tuple[str, str]]
) -> tuple[Array, NDArray[np.bool_]]:
    """How sure a classifier of labels is of each headline, and whether it is right.

    A head that teaches itself takes the surest of what it says of texts without a label for true, twice over, and
    learns from them beside the labels, which count double (self-training: Yarowsky 1995).
    """
    labels = sorted({label for _, label in train})
    texts, said = [text for text, _ in train], [label for _, label in train]
    for _ in range(head.rounds):
        chances = _rate(head.views, texts, said, unlabelled, unlabelled, labels)
        surest = np.argsort(-chances.max(1), kind="stable")[: int(_BELIEVED * len(unlabelled))]
        texts = [text for text, _ in train] * 2 + [unlabelled[place] for place in surest]
        said = [label for _, label in train] * 2 + [labels[chances[place].argmax()] for place in surest]
    chances = _rate(head.views, texts, said, unlabelled, [text for text, _ in test], labels)
    right = [labels[row.argmax()] == label for row, (_, label) in zip(chances, test, strict=True)]
    return chances.max(1), np.array(right)


def _rate(
    views: Sequence[View], texts: list[str], said: list[str], unlabelled: list[str], held: list[str], labels: list[str]
) -> Array:
    """How likely each label is: a logistic regression for each view of the words, and the geometric mean of them."""
    total = np.zeros((len(held), len(labels)))
    for view in views:
        inputs, others = view(texts, unlabelled, held)
        fitted = LogisticRegression(C=_HEAD_C, max_iter=1_000).fit(inputs, said)
        places = [labels.index(label) for label in fitted.classes_]
        total[:, places] += np.log(fitted.predict_proba(others) + _LEAST_CHANCE)
    chances = np.exp(total / len(views))
    return np.asarray(chances / chances.sum(1, keepdims=True), np.float64)


def _view_words(texts: list[str], unlabelled: list[str], held: list[str]) -> tuple[Any, Any]:
    """Words and pairs of them; every number is one word."""
    counted = TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, preprocessor=_fold, tokenizer=str.split, token_pattern=None
    ).fit(texts)
    return counted.transform(texts), counted.transform(held)


def _view_letters(texts: list[str], unlabelled: list[str], held: list[str]) -> tuple[Any, Any]:
    """Runs of two to five letters inside words, how rare they are known from texts without a label too."""
    counted = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, preprocessor=_fold)
    counted.fit(texts + unlabelled)
    return counted.transform(texts), counted.transform(held)


def _view_topics(texts: list[str], unlabelled: list[str], held: list[str]) -> tuple[Any, Any]:
    """Which words come together, learned from texts without a label too (latent semantic analysis: Deerwester et al.
    1990)."""
    counted = TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, preprocessor=_fold, tokenizer=str.split, token_pattern=None, min_df=2
    )
    every = counted.fit_transform(texts + unlabelled)
    topics = TruncatedSVD(_TOPICS, random_state=0).fit(every)
    return normalize(topics.transform(counted.transform(texts))), normalize(topics.transform(counted.transform(held)))


def _view_plain_words(texts: list[str], unlabelled: list[str], held: list[str]) -> tuple[Any, Any]:
    """Words and pairs as they are."""
    counted = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(texts)
    return counted.transform(texts), counted.transform(held)


def _fold(text: str) -> str:
    return _NUMBERS.sub("0", text.lower())


#: those that are compared
HEADS: Final[Mapping[str, Head]] = {
    "words": Head((_view_plain_words,)),
    "words, letters and topics": Head((_view_words, _view_letters, _view_topics)),
    "words and letters, teaching itself": Head((_view_words, _view_letters), rounds=2),
}
