"""Trains routes from what their calls left behind, and takes back what has stopped being true.

Where both models answered, a label is a gain: by how much the strong one was better. Where one did, which feedback
called right or wrong, the other's answer is not known: the label is the doubly robust estimate of the gain (Robins,
Rotnitzky and Zhao 1994), with each model's mean as the outcome's model and the share of calls that were sent there as
the propensity, whose inverse is capped. That is why routes explore, and why the shares are kept.
"""

import copy
import functools
import itertools
import operator
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
from django.db.models import Q, QuerySet
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from proxy.core.routes.answer_features import LOGPROB_FEATURES
from proxy.core.routes.cascade import Confidence
from proxy.core.routes.packing import (
    LearnedCascade,
    LearnedPairs,
    LearnedRouter,
    pack_cascade,
    pack_pairs,
    pack_router,
)
from proxy.core.routes.router import Router, solve_threshold
from proxy.core.routes.text_features import PLACES, places_of_task
from proxy.learning.cascade_training import Answers, calibrate_all, calibrate_tasks, score_all, train_and_rate
from proxy.learning.route_proof import Proof, prove
from proxy.learning.router_training import NothingToLearn, Prompts, mean_by_task, predict_all, train_router
from proxy.routing.model import (
    COMPARED_WITH,
    DRIFTED_SINCE,
    PAIRS,
    REFUSED,
    SHARES,
    Feedback,
    LearnedRoute,
    RouteLabel,
)
from proxy.values.routing import Arm
from tenants.access import Actor
from tenants.actions.routes import use_learned
from tenants.choices import RouteKind
from tenants.models import Route

Array = NDArray[np.float64]

#: fewer labels teach nothing
FEWEST_LABELS: Final = 100
#: it is trained again when there are so many more
MORE_LABELS: Final = 50
#: the newest so many are learned from
MOST_LABELS: Final = 20_000
#: the share of the strong model's quality that is kept, where nobody says what answers are worth
QUALITY_FLOOR: Final = 0.95
#: one label counts no more than so many
MOST_WEIGHT: Final = 33.0
#: what was learned has drifted when the newest labels are so many standard errors off what it says of them
DRIFT_ERRORS: Final = 4.0
_FOLDS: Final = 5


class Trained(NamedTuple):
    """What was learned, and what people are told of it."""

    kind: str
    packed: bytes
    labels: int
    report: dict[str, Any]


def train_route(actor: Actor, route: Route) -> Trained | None:
    """Train a route from its newest labels, and have it decide by that. None where there is nothing new, or nothing to
    be learned; what it has learned before stays then. What has drifted is followed by what labels since then teach."""
    tried = find_versions(route)
    last = tried.first()
    if last is not None and _count_new(route, last.made_at) < MORE_LABELS:
        return None
    drifted = tried.filter(report__has_key=DRIFTED_SINCE).first()
    labels = find_labels(route)
    rows = list_newest(labels if drifted is None else labels.filter(at__gte=drifted.report[DRIFTED_SINCE]))
    if len(rows) < FEWEST_LABELS:
        return None
    before = tried.exclude(report__has_key=REFUSED).first()
    try:
        trained = train_on(RouteKind(route.kind), rows, list_pairs(route))
    except NothingToLearn as error:
        # Kept, so that people see why nothing was learned, and it is not tried again before there are more labels.
        _keep(actor, route, Trained(route.kind, b"", len(rows), {"labels": len(rows), REFUSED: str(error)}))
        return None
    learned = _keep(actor, route, trained)
    # What a person has taken back is not put in force again by itself.
    if before is None or route.learned == str(before.pk) or before == drifted:
        use_learned(actor=actor, route=route, learned=str(learned.pk))
    return trained


def _keep(actor: Actor, route: Route, trained: Trained) -> LearnedRoute:
    return LearnedRoute.objects.create(
        id=uuid.uuid4(),
        org_id=actor.org.pk,
        route_id=route.pk,
        kind=trained.kind,
        labels=trained.labels,
        packed=trained.packed,
        report=trained.report,
    )


def find_versions(route: Route) -> QuerySet[LearnedRoute]:
    """All that a route has learned, or tried to, the newest first."""
    return LearnedRoute.objects.filter(org_id=route.org_id, route_id=route.pk).order_by("-made_at")


def find_labels(route: Route) -> QuerySet[RouteLabel]:
    """The route's labels of which something is known."""
    known = RouteLabel.objects.filter(org_id=route.org_id, route_id=route.pk).exclude(
        features__contains={"arm": Arm.HELD_OUT.value}
    )
    if route.kind == RouteKind.CASCADE:
        return known.exclude(right=None)
    known = known.exclude(right=None, gain=None)
    pairs = list_pairs(route)
    if pairs:
        return known.filter(functools.reduce(operator.or_, (_of_pair(*pair) for pair in pairs)))
    # Of the time when it had more: they say nothing of its two models alone.
    return known.exclude(features__has_key=COMPARED_WITH).exclude(features__has_key=SHARES)


def list_pairs(route: Route) -> list[tuple[str, str]]:
    """The neighbours of a router of more than two targets, cheaper and dearer; none of any other route."""
    names = [target["model"] for target in route.policy["targets"]]
    return list(itertools.pairwise(names)) if route.kind == RouteKind.ROUTER and len(names) > 2 else []


def find_pair_labels(route: Route, weak: str, strong: str) -> QuerySet[RouteLabel]:
    """Those of one pair: both answers compared, or one of them judged of a call that might have gone to either."""
    return find_labels(route).filter(_of_pair(weak, strong))


def _of_pair(weak: str, strong: str) -> Q:
    one = Q(model__in=(weak, strong), gain=None, **{f"features__{SHARES}__has_keys": [weak, strong]})
    return one | Q(model=weak, gain__isnull=False, **{f"features__{COMPARED_WITH}": strong})


def as_pair(rows: Sequence[RouteLabel], weak: str, strong: str) -> list[RouteLabel]:
    """The labels of one pair among those of a router, as if it had these two targets: which is the strong one, and how
    often a call that goes to one of the two goes to this one. They are not to be saved."""
    found = []
    for row in rows:
        shares = row.features.get(SHARES, {})
        # A copy: it may be of two pairs, as the strong model's in one and as the weak one's in the other.
        copied = copy.copy(row)
        copied.is_strong = row.model == strong
        if row.gain is not None:
            if row.model == weak and row.features.get(COMPARED_WITH) == strong:
                found.append(copied)
        elif row.model in (weak, strong) and shares.keys() >= {weak, strong}:
            copied.share = shares[row.model] / (shares[weak] + shares[strong])
            found.append(copied)
    return found


def list_newest(labels: QuerySet[RouteLabel]) -> list[RouteLabel]:
    """As many of these labels as are learned from, the newest ones, oldest first."""
    return list(reversed(labels.order_by("-at", "-id")[:MOST_LABELS]))


def _count_new(route: Route, since: datetime) -> int:
    """How many labels have come since then, and how many older ones somebody has said something of since.

    Those that there are now say nothing of it: old ones go while new ones come.
    """
    labels = find_labels(route)
    told = Feedback.objects.filter(org=route.org_id, created_at__gt=since).values("request_id")
    return labels.filter(at__gt=since).count() + labels.filter(at__lte=since, request_id__in=told).count()


def train_on(kind: RouteKind, rows: Sequence[RouteLabel], pairs: Sequence[tuple[str, str]] = ()) -> Trained:
    """Learn from labels; ``pairs`` are those of a router of more than two targets. Raises NothingToLearn, saying
    why."""
    if pairs:
        return _train_pairs(rows, pairs)
    return _train_cascade(rows) if kind is RouteKind.CASCADE else _train_router(rows)


def estimate_gains(rows: Sequence[RouteLabel]) -> Array:
    """The gain of each label; see the module. Raises NothingToLearn where only one of the models has any."""
    one_armed = [row for row in rows if row.gain is None]
    means = {}
    for is_strong in (False, True):
        rights = [float(bool(row.right)) for row in one_armed if row.is_strong is is_strong]
        if one_armed and not rights:
            which = "strong" if is_strong else "weak"
            raise NothingToLearn(f"No answer of the {which} model has a label: nothing can be compared with it.")
        means[is_strong] = sum(rights) / len(rights) if rights else 0.0
    return np.array([row.gain if row.gain is not None else _estimate(row, means) for row in rows])


def has_drifted(packed: LearnedRouter, rows: Sequence[RouteLabel]) -> bool:
    """Whether labels are far from what was learned before they came: their mean gain and the expected one differ by
    more than chance would explain. Raises NothingToLearn where they are of one model alone."""
    gains = estimate_gains(rows)
    return _is_off(gains - predict_all(packed.router, read_prompts(rows), float(gains.mean())))


def has_rung_drifted(packed: LearnedCascade, rows: Sequence[RouteLabel]) -> bool:
    """Whether one rung's answers are right much more, or less, often than their confidences say."""
    confidence = packed.confidences.get(rows[0].model)
    if confidence is None:
        return False
    answers = _read_answers(rows, has_logprobs=confidence.has_logprobs)
    sure = calibrate_all(confidence, score_all(confidence, answers), [row.task for row in rows])
    return _is_off(np.array([float(bool(row.right)) for row in rows]) - sure)


def _is_off(errors: Array) -> bool:
    """Whether errors are on one side by more than chance would explain."""
    spread = float(errors.std()) / len(errors) ** 0.5
    return bool(abs(float(errors.mean())) > DRIFT_ERRORS * max(spread, 1e-9))


def read_prompts(rows: Sequence[RouteLabel]) -> Prompts:
    """Labels' prompts as they are fitted."""
    tasks = [row.task for row in rows]
    has_tasks = len(set(tasks)) > 1
    form = np.array([row.features["prompt"]["form"] for row in rows], np.float64)
    return Prompts(
        tasks, form, _words([row.features["prompt"] for row in rows], tasks if has_tasks else None), _none(rows)
    )


def _estimate(row: RouteLabel, means: dict[bool, float]) -> float:
    weight = min(1 / max(row.share, 1e-6), MOST_WEIGHT)
    surprise = weight * (float(bool(row.right)) - means[row.is_strong])
    return means[True] - means[False] + (surprise if row.is_strong else -surprise)


def _train_pairs(rows: Sequence[RouteLabel], pairs: Sequence[tuple[str, str]]) -> Trained:
    """Each pair by itself: those that teach nothing stay with how hard a prompt looks."""
    learned: dict[tuple[str, str], LearnedRouter] = {}
    reports: list[dict[str, Any]] = []
    for weak, strong in pairs:
        own = as_pair(rows, weak, strong)
        told: dict[str, Any] = {"weak": weak, "strong": strong, "labels": len(own)}
        try:
            if len(own) < FEWEST_LABELS:
                raise NothingToLearn(f"It has {len(own)} labels of the {FEWEST_LABELS} that it needs.")
            learned[weak, strong], found = _fit_router(own)
        except NothingToLearn as error:
            reports.append({**told, "learned": False, "why": str(error)})
            continue
        reports.append({**told, **found, "learned": True})
    if not learned:
        raise NothingToLearn(" ".join(f"{one['weak']} and {one['strong']}: {one['why']}" for one in reports))
    report = {"labels": len(rows), PAIRS: reports}
    return Trained("router", pack_pairs(LearnedPairs(learned)), len(rows), report)


def _train_router(rows: Sequence[RouteLabel]) -> Trained:
    learned, report = _fit_router(rows)
    return Trained("router", pack_router(learned), len(rows), report)


def _fit_router(rows: Sequence[RouteLabel]) -> tuple[LearnedRouter, dict[str, Any]]:
    """What two models' labels teach, and the report of it. Raises NothingToLearn."""
    gains, prompts = estimate_gains(rows), read_prompts(rows)
    router = train_router(prompts, gains)
    # The threshold is solved on predictions of prompts that were not fitted.
    held = np.empty(len(rows))
    folds = np.random.default_rng(0).permutation(len(rows)) % _FOLDS
    for fold in range(_FOLDS):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        fitted = train_router(prompts.take(inside), gains[inside])
        held[outside] = predict_all(fitted, prompts.take(outside), float(gains[inside].mean()))
    by_task = mean_by_task(prompts.tasks, gains)
    controls = {"length": prompts.form[:, 0], "task mean": np.array([by_task[task] for task in prompts.tasks])}
    proof = prove(held, gains, controls if len(by_task) > 1 else {"length": controls["length"]})
    if proof is not None and not proof.is_better_than_chance:
        raise NothingToLearn(
            f"Of {len(rows)} labels nothing was learned that tells better than chance which calls need the strong model:"
            f" the area under its curve is {proof.area:.3f}, with 95 % above {proof.low:.3f}, and chance has 0.5."
        )
    threshold = solve_threshold(held, gains, QUALITY_FLOOR) if gains.sum() > 0 else float("inf")
    threshold = float(np.clip(threshold, -10.0, 10.0))
    report = {
        "labels": len(rows),
        "mean_gain": round(float(gains.mean()), 4),
        "gain_by_task": {task: round(gain, 4) for task, gain in router.task_gains.items()},
        "threshold": round(threshold, 4),
        "sent_to_the_strong": round(float((held >= threshold).mean()), 4),
        "correlation": round(_correlate(held, gains), 4),
    }
    if proof is not None:
        report |= {"area": round(proof.area, 4), "area_at_least": round(proof.low, 4), "curves": proof.curves}
    return LearnedRouter(router, threshold), report


def _train_cascade(rows: Sequence[RouteLabel]) -> Trained:
    confidences: dict[str, Confidence] = {}
    models: dict[str, Any] = {}
    curves: dict[str, list[float]] = {}
    usable = [row for row in rows if "answer" in row.features and not row.is_strong]
    for model in sorted({row.model for row in usable}):
        own = [row for row in usable if row.model == model]
        right, answers = np.array([bool(row.right) for row in own]), _read_answers(own)
        try:
            confidence, proof = _train_rung(answers, right, [row.task for row in own])
        except NothingToLearn as error:
            models[model] = {"labels": len(own), "learned": False, "why": str(error)}
            continue
        confidences[model] = confidence
        sure = calibrate_all(confidence, score_all(confidence, answers), [row.task for row in own])
        models[model] = {
            "labels": len(own),
            "learned": True,
            "right": round(float(right.mean()), 4),
            "mean_confidence": round(float(sure.mean()), 4),
            "of_tasks": {task: round(shift, 4) for task, shift in confidence.of_tasks.items()},
            "area": round(proof.area, 4),
            "area_at_least": round(proof.low, 4),
        }
        curves = curves or proof.curves
    if not confidences:
        why = " ".join(f"{model}: {one['why']}" for model, one in models.items())
        raise NothingToLearn(why or "No answer of a rung has a label: nothing can be learned from them.")
    strong = [bool(row.right) for row in rows if row.is_strong]
    strong_right = sum(strong) / len(strong) if len(strong) >= FEWEST_LABELS else 0.95
    expects = _train_strong(rows)
    packed = pack_cascade(LearnedCascade(confidences, strong_right, expects))
    report = {
        "labels": len(rows),
        "models": models,
        "strong_right": round(strong_right, 4),
        "strong_by_prompt": expects is not None,
        "curves": curves,
    }
    return Trained("cascade", packed, len(rows), report)


def _train_strong(rows: Sequence[RouteLabel]) -> Router | None:
    """What is expected of the strong model's answer to a prompt; None where too few are labelled, or where that would
    be further off than their mean is."""
    own = [row for row in rows if row.is_strong and row.right is not None and "prompt" in row.features]
    if len(own) < FEWEST_LABELS:
        return None
    right, prompts = np.array([float(bool(row.right)) for row in own]), read_prompts(own)
    folds = np.random.default_rng(0).permutation(len(own)) % _FOLDS
    off_by, off_mean = 0.0, 0.0
    try:
        for fold in range(_FOLDS):
            inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            mean = float(right[inside].mean())
            expected = predict_all(train_router(prompts.take(inside), right[inside]), prompts.take(outside), mean)
            off_by += float(((right[outside] - expected) ** 2).sum())
            off_mean += float(((right[outside] - mean) ** 2).sum())
        return train_router(prompts, right) if off_by < off_mean else None
    except NothingToLearn:
        return None


def _train_rung(answers: Answers, right: NDArray[np.bool_], tasks: Sequence[str]) -> tuple[Confidence, Proof]:
    """How sure one model's answers are, if that is told better than by chance. Raises NothingToLearn."""
    confidence, scores = train_and_rate(answers, right)
    # The least sure go up first; the next rung is better by every answer that was wrong.
    proof = prove(-scores, (~right).astype(np.float64), {"length": answers.form[:, 0]})
    if proof is None or not proof.is_better_than_chance:
        low = f"{proof.low:.3f}" if proof is not None else "nothing"
        raise NothingToLearn(
            f"Of {len(right)} labels nothing was learned that tells right answers from wrong ones better than chance:"
            f" the area under its curve is with 95 % above {low}, and chance has 0.5."
        )
    return calibrate_tasks(confidence, scores, right, tasks), proof


def _read_answers(rows: Sequence[RouteLabel], *, has_logprobs: bool | None = None) -> Answers:
    """Answers as they are fitted, with the tokens' probabilities where some have them, or as it is said."""
    answers = [row.features["answer"] for row in rows]
    form = np.array([answer["form"] for answer in answers], np.float64)
    known = [answer["logprobs"] for answer in answers if answer["logprobs"] is not None]
    is_wanted = bool(known) if has_logprobs is None else has_logprobs
    if is_wanted:
        mean = list(np.mean(known, axis=0)) if known else [0.0] * LOGPROB_FEATURES
        form = np.hstack([form, np.array([answer["logprobs"] or mean for answer in answers])])
    return Answers(form, _words(answers, None), _none(rows), is_wanted)


def _words(described: Sequence[dict[str, Any]], tasks: Sequence[str] | None) -> csr_matrix:
    indices: list[int] = []
    values: list[float] = []
    ends = [0]
    for place, one in enumerate(described):
        indices += one["places"]
        values += one["weights"]
        if tasks is not None:
            indices += places_of_task(one["places"], tasks[place])
            values += one["weights"]
        ends.append(len(indices))
    return csr_matrix((values, indices, ends), shape=(len(described), PLACES))


def _none(rows: Sequence[RouteLabel]) -> Array:
    """No vectors: making one takes longer than a route may think."""
    return np.zeros((len(rows), 0))


def _correlate(one: Array, other: Array) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if one.std() > 0 and other.std() > 0 else 0.0
