"""Routing between a weak and a strong model: how much of the strong one's quality is kept at which share of its calls.

PGR(c) is the part of the difference in quality that is kept when a share c of the prompts goes to the strong model;
APGR is its mean over all c (Ong et al. 2024, RouteLLM). A router must beat the best of the controls on the same folds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from costhub.eval.data import RoutingSet, read_gsm8k, read_llmrouter, read_mmlu, read_mmlu_pro
from costhub.eval.statistics import Array, resample
from proxy.core.routes.heuristic import rate
from proxy.learning.router_training import (
    NothingToLearn,
    Prompts,
    mean_by_task,
    predict_all,
    read_prompts,
    train_router,
)

FOLDS: Final = 5
FEW_LABELS: Final = (100, 200, 300)
DRAWS: Final = 10
#: an area of fewer prompts is mostly chance
FEWEST_OF_A_TASK: Final = 50


@dataclass(frozen=True, slots=True)
class Ends:
    """Between what a router lies: how right answers are on average, from 0 to 1, when all calls go to the weak model,
    all to the strong one, and each to the better one, the weak where both are alike; and the share of calls that the
    last, an oracle, sends to the strong model."""

    weak: float
    strong: float
    oracle: float
    oracle_share: float
    #: dollars that the oracle saves, as a share of always strong
    oracle_saved: float


@dataclass(frozen=True, slots=True)
class RoutingResult:
    """A set's figures."""

    apgr: float
    controls: dict[str, float]
    best_control: str
    #: the 95 % interval of APGR minus the best control's
    difference: tuple[float, float]
    cpt50: float
    cpt80: float
    #: dollars saved, as a share of always strong, at the strong model's quality
    saved_at_equal: float
    #: PGR at the shares 0, 0.05, ..., 1
    curve: tuple[float, ...]
    control_curve: tuple[float, ...]
    #: by so many labels: the mean and the least difference of APGR to that of the task's mean, learned from the same
    few: dict[int, tuple[float, float]]
    #: on tasks that no label is of, the mean APGR of the heuristic that the route falls back to, and of the length
    unseen: tuple[float, float] | None
    ends: Ends


SETS: Final[dict[str, Callable[[Path], RoutingSet]]] = {
    "mmlu": read_mmlu,
    "gsm8k": read_gsm8k,
    "mmlu_pro": lambda folder: read_mmlu_pro(folder, "gemini_1_5_flash_002", "gemini_1_5_pro_002"),
    "llama": lambda folder: read_mmlu_pro(folder, "Meta_Llama_3_1_8B_Instruct", "Meta_Llama_3_1_70B_Instruct"),
    "llmrouter": read_llmrouter,
}


def measure_routing(rows: RoutingSet) -> RoutingResult:
    """Five folds inside tasks: each prompt is rated by a router that has not seen it."""
    prompts = read_prompts(rows.prompts, rows.tasks, None)
    gains = rows.strong - rows.weak
    folds = split_folds(rows.tasks)
    ours = predict_folds(prompts, gains, folds)
    controls = rate_controls(rows, prompts, gains, folds)
    areas = {name: area(scores, gains) for name, scores in controls.items()}
    best = max(areas, key=lambda name: areas[name])
    return RoutingResult(
        apgr=area(ours, gains),
        controls=areas,
        best_control=best,
        difference=compare(ours, controls[best], gains),
        cpt50=share_for(ours, gains, 0.5),
        cpt80=share_for(ours, gains, 0.8),
        saved_at_equal=saved_at_equal(ours, gains, rows.weak_price, rows.strong_price),
        curve=_points(ours, gains),
        control_curve=_points(controls[best], gains),
        few={labels: measure_few(prompts, gains, labels) for labels in FEW_LABELS if 2 * labels <= len(gains)},
        unseen=measure_unseen(rows, controls["heuristic"], controls["length"], gains),
        ends=measure_ends(rows),
    )


def measure_ends(rows: RoutingSet) -> Ends:
    """What nobody can be worse or better than who sends each call to one of the two."""
    share = float((rows.strong > rows.weak).mean())
    return Ends(
        weak=float(rows.weak.mean()),
        strong=float(rows.strong.mean()),
        oracle=float(np.maximum(rows.weak, rows.strong).mean()),
        oracle_share=share,
        oracle_saved=1 - (share * rows.strong_price + (1 - share) * rows.weak_price) / rows.strong_price,
    )


def measure_few(prompts: Prompts, gains: Array, labels: int) -> tuple[float, float]:
    """The APGR of a router of so many labels on all other prompts, less that of the task's mean from the same labels:
    the mean and the least over draws. A task without a label is rated by the mean of all in both."""
    differences = []
    for seed in range(DRAWS):
        order = np.random.default_rng(seed).permutation(len(gains))
        inside, outside = order[:labels], order[labels:]
        overall = float(gains[inside].mean())
        try:
            router = train_router(prompts.take(inside), gains[inside])
        except NothingToLearn:
            continue
        held = prompts.take(outside)
        means = mean_by_task([prompts.tasks[row] for row in inside], gains[inside])
        by_task = np.array([means.get(task, overall) for task in held.tasks])
        differences.append(area(predict_all(router, held, overall), gains[outside]) - area(by_task, gains[outside]))
    return (float(np.mean(differences)), min(differences)) if differences else (0.0, 0.0)


def measure_unseen(rows: RoutingSet, heuristic: Array, length: Array, gains: Array) -> tuple[float, float] | None:
    """The mean APGR, over tasks where the strong model is better, of what a route falls back to on a task that it has
    not seen, and of the prompt's length; None for a set of one task."""
    tasks = np.array(rows.tasks)
    places = [np.flatnonzero(tasks == task) for task in sorted(set(rows.tasks))]
    usable = [own for own in places if len(own) >= FEWEST_OF_A_TASK and gains[own].sum() > 0]
    if len(places) < 2 or not usable:
        return None
    found = [(area(heuristic[own], gains[own]), area(length[own], gains[own])) for own in usable]
    return float(np.mean([one for one, _ in found])), float(np.mean([other for _, other in found]))


def split_folds(tasks: Sequence[str], seed: int = 0) -> NDArray[np.int64]:
    """A fold for each prompt, so that each task is spread evenly over the folds."""
    draw = np.random.default_rng(seed)
    folds = np.zeros(len(tasks), np.int64)
    for task in sorted(set(tasks)):
        places = np.array([place for place, other in enumerate(tasks) if other == task])
        folds[draw.permutation(places)] = (np.arange(len(places)) + draw.integers(FOLDS)) % FOLDS
    return folds


def predict_folds(prompts: Prompts, gains: Array, folds: NDArray[np.int64]) -> Array:
    """Each prompt's gain by a router trained on the other folds."""
    predicted = np.zeros(len(gains))
    for fold in range(FOLDS):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        router = train_router(prompts.take(inside), gains[inside])
        predicted[outside] = predict_all(router, prompts.take(outside))
    return predicted


def rate_controls(rows: RoutingSet, prompts: Prompts, gains: Array, folds: NDArray[np.int64]) -> dict[str, Array]:
    """What a router must beat: chance, the length, the seed's heuristic, the task's mean, and that with the length."""
    length = prompts.form[:, 0]
    by_task, both = np.zeros(len(gains)), np.zeros(len(gains))
    for fold in range(FOLDS):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        means = mean_by_task([rows.tasks[row] for row in inside], gains[inside])
        mean = np.array([means.get(task, 0.0) for task in rows.tasks])
        by_task[outside] = mean[outside]
        centred = length - length[inside].mean()
        slope = float(centred[inside] @ (gains - mean)[inside]) / float(centred[inside] @ centred[inside])
        both[outside] = mean[outside] + slope * centred[outside]
    return {
        "random": np.random.default_rng(1).random(len(gains)),
        "length": length,
        "heuristic": np.array([rate(prompt) for prompt in rows.prompts]),
        "task mean": by_task,
        "task mean and length": both,
    }


def curve(scores: Array, gains: Array) -> Array:
    """PGR when the first 0, 1, 2, ... prompts by score go to the strong model. Equal scores are in a drawn order."""
    shuffled = np.random.default_rng(2).permutation(len(gains))
    order = shuffled[np.argsort(-scores[shuffled], kind="stable")]
    return np.concatenate([[0.0], np.cumsum(gains[order])]) / float(gains.sum())


def area(scores: Array, gains: Array) -> float:
    """APGR."""
    points = curve(scores, gains)
    return float((points[1:] + points[:-1]).mean() / 2)


def compare(ours: Array, control: Array, gains: Array) -> tuple[float, float]:
    """The 95 % interval of the difference of two APGRs, on the same resampled prompts."""
    size = len(gains)
    shuffled = np.random.default_rng(2).permutation(size)
    orders = [shuffled[np.argsort(-scores[shuffled], kind="stable")] for scores in (ours, control)]

    def measure(sample: NDArray[np.int64]) -> float:
        times = np.bincount(sample, minlength=size)
        areas = []
        for order in orders:
            reached = np.cumsum((gains * times)[order])
            # A prompt that was drawn twice is two steps of the curve.
            areas.append(float(reached @ times[order]) / (size * float(reached[-1])))
        return areas[0] - areas[1]

    return resample(size, measure)


def share_for(scores: Array, gains: Array, part: float) -> float:
    """CPT: the least share of calls to the strong model that keeps a part of the difference."""
    return float(np.flatnonzero(curve(scores, gains) >= part)[0]) / len(gains)


def saved_at_equal(scores: Array, gains: Array, weak_price: float, strong_price: float) -> float:
    """The dollars saved against always strong, as a share, at the least share of strong calls with its quality."""
    share = share_for(scores, gains, 1.0 - 1e-12)
    return 1 - (share * strong_price + (1 - share) * weak_price) / strong_price


def _points(scores: Array, gains: Array) -> tuple[float, ...]:
    whole = curve(scores, gains)
    return tuple(float(whole[round(step / 20 * (len(whole) - 1))]) for step in range(21))
