"""How good a student is, on what it has never seen: against the teacher, and against who has learned nothing. Pure.

The teacher's answers are the measure: agreement with it, not with the truth, which hardly anybody has written down;
where somebody has, both are held against that too. Shares come with the interval of Clopper and Pearson (1934). The
older half of what was held out sets the threshold, the newer half says what comes of it: a threshold is flattered by
what it was chosen on.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from proxy.learning.choices import NEVER, Stage

Array = NDArray[np.float64]

CONFIDENCE: Final = 0.95
#: outcomes from which a student may leave the shadow, and then the canary
ENOUGH_FOR_CANARY: Final = 100
ENOUGH_FOR_PROMOTION: Final = 300
#: the newest outcomes, on which drift is judged; promotions look again and again, so they ask to be surer
WINDOW: Final = 200
_SURER: Final = 0.99


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many, and between what it lies."""

    found: int
    of: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SuccessCost:
    """What an answer that is the teacher's costs where the student is asked first and the teacher for the rest, in
    calls of the teacher: without the student it is 1. Between what it lies; None: nothing bounds it."""

    calls: float
    low: float
    high: float | None


@dataclass(frozen=True, slots=True)
class AgainstGold:
    """How many are right of those of which somebody has written down what is: the student's, those of them that it is
    sure of, the teacher's, the student's where it is sure and the teacher's for the rest, and those of who always says
    the commonest label or what the nearest example had."""

    student: Share
    sure: Share
    teacher: Share
    together: Share
    base: Share
    near: Share


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A student on the newer half of what was held out. ``agreement``: over all; ``answered`` and ``right``: of what it
    is sure of. ``base``: who always says the commonest label. ``near``: who says what the nearest example had.
    ``by_label``: by what the teacher says, of how many the student (``agreed``) and the nearest example (``near``) say
    the same, and of how many it is sure (``answered``) and says the same (``right``). ``gold``: None where nobody has
    written down what is right."""

    tested: int
    unknown_labels: int
    agreement: Share
    threshold: float
    answered: Share
    right: Share
    success: SuccessCost | None
    base: Share
    near: Share
    by_label: dict[str, dict[str, int]]
    gold: AgainstGold | None = None

    def dump(self) -> dict[str, Any]:
        """As it is stored and shown."""
        return asdict(self)


def bound(found: int, of: int, confidence: float = CONFIDENCE) -> Share:
    """A share with its two-sided interval."""
    # scipy takes a quarter of a second to import, and every process of pages knows this module
    from scipy.stats import beta  # noqa: PLC0415

    rest = (1 - confidence) / 2
    low = 0.0 if found == 0 else float(beta.ppf(rest, found, of - found + 1))
    high = 1.0 if found == of else float(beta.ppf(1 - rest, found + 1, of - found))
    return Share(found, of, low, high)


def price_success(asked: int, answered: int, right: int, own: float = 0.0) -> SuccessCost | None:
    """What a success costs, by ``asked`` questions of which a student answered so many, and of these ``right`` as its
    teacher did; None without any success. ``own``: what asking it costs, in calls of the teacher's.

    It is that and the share that is left to the teacher over the share that is not wrong; its interval is that of both
    shares at half the error each, so that it holds at least as often as theirs do.
    """
    if asked == 0 or answered - right == asked:
        return None
    surer = 1 - (1 - CONFIDENCE) / 2
    left, wrong = bound(asked - answered, asked, surer), bound(answered - right, asked, surer)
    return SuccessCost(
        calls=(own * asked + left.found) / (asked - wrong.found),
        low=(own + left.low) / (1 - wrong.low),
        high=(own + left.high) / (1 - wrong.high) if wrong.high < 1 else None,
    )


def choose_threshold(sureness: Array, is_right: NDArray[np.bool_], floor: float) -> float:
    """The lowest likelihood from which on the student agrees with the teacher at ``floor`` by the lower bound; NEVER
    where there is none."""
    order = np.argsort(-sureness, kind="stable")
    right = np.cumsum(is_right[order])
    best = NEVER
    for place, count in enumerate(right):
        # Equal likelihoods are taken all or none.
        is_last = place + 1 == len(order) or sureness[order[place + 1]] < sureness[order[place]]
        if is_last and bound(int(count), place + 1).low >= floor:
            best = float(sureness[order[place]])
    return best


def evaluate(
    chances: Array,
    labels: Sequence[str],
    teacher: Sequence[str],
    train_answers: Sequence[str],
    nearest_answers: Sequence[str],
    floor: float,
    gold: Sequence[str] = (),
) -> Evaluation:
    """Judge a student. ``chances``: of each label for each held-out question, the oldest first; ``teacher``: its
    answers; ``nearest_answers``: what the nearest example that was learned from had; ``gold``: what is right, empty
    where nobody has written it down."""
    said = [labels[place] for place in chances.argmax(axis=1)]
    sureness = chances.max(axis=1)
    is_right = np.array([one == other for one, other in zip(said, teacher, strict=True)], np.bool_)
    half = len(teacher) // 2
    threshold = choose_threshold(sureness[:half], is_right[:half], floor)
    tested = slice(half, None)
    is_sure = sureness[tested] >= threshold
    count, sure = len(teacher) - half, int(is_sure.sum())
    right = int(is_right[tested][is_sure].sum())
    commonest = Counter(train_answers).most_common(1)[0][0]
    is_near = [one == other for one, other in zip(nearest_answers[tested], teacher[tested], strict=True)]
    by_label: dict[str, dict[str, int]] = {}
    for label, agrees, nears, sures in zip(teacher[tested], is_right[tested], is_near, is_sure, strict=True):
        counts = by_label.setdefault(label, dict.fromkeys(("of", "agreed", "near", "answered", "right"), 0))
        counts["of"] += 1
        counts["agreed"] += int(agrees)
        counts["near"] += int(nears)
        counts["answered"] += int(sures)
        counts["right"] += int(agrees and sures)
    return Evaluation(
        tested=count,
        unknown_labels=sum(label not in set(labels) for label in teacher[tested]),
        agreement=bound(int(is_right[tested].sum()), count),
        threshold=threshold,
        answered=bound(sure, count),
        right=bound(right, sure) if sure else Share(0, 0, 0, 1),
        success=price_success(count, sure, right),
        base=bound(sum(label == commonest for label in teacher[tested]), count),
        near=bound(sum(is_near), count),
        by_label=dict(sorted(by_label.items())),
        gold=_hold_against(
            gold[tested],
            student=said[tested],
            is_sure=is_sure,
            teacher=teacher[tested],
            near=nearest_answers[tested],
            commonest=commonest,
        ),
    )


def _hold_against(
    gold: Sequence[str],
    *,
    student: Sequence[str],
    is_sure: NDArray[np.bool_],
    teacher: Sequence[str],
    near: Sequence[str],
    commonest: str,
) -> AgainstGold | None:
    known = [place for place, right in enumerate(gold) if right]
    if not known:
        return None

    def count(answers: Sequence[str], places: Sequence[int] = known) -> Share:
        if not places:
            return Share(0, 0, 0, 1)
        return bound(sum(answers[place] == gold[place] for place in places), len(places))

    together = [one if sure else other for one, other, sure in zip(student, teacher, is_sure, strict=True)]
    return AgainstGold(
        student=count(student),
        sure=count(student, [place for place in known if is_sure[place]]),
        teacher=count(teacher),
        together=count(together),
        base=count([commonest] * len(gold)),
        near=count(near),
    )


def nearest(train: NDArray[np.float32], asked: NDArray[np.float32]) -> NDArray[np.int64]:
    """The place of the nearest example for each question."""
    places = [(asked[start : start + 256] @ train.T).argmax(axis=1) for start in range(0, len(asked), 256)]
    return np.concatenate(places) if places else np.zeros(0, np.int64)


def decide_stage(stage: Stage, recent: str, floor: float) -> tuple[Stage, str]:
    """What a student may do next, by its newest outcomes since it was made (1 agreed, 0 did not, - left to the
    teacher), and why. A student that was rolled back stays so: train it anew."""
    answered = [outcome for outcome in recent if outcome != "-"]
    newest = answered[-WINDOW:]
    if stage in (Stage.CANARY, Stage.PROMOTED) and newest:
        share = bound(newest.count("1"), len(newest))
        if share.high < floor:
            return Stage.ROLLED_BACK, (
                f"It agreed with the teacher in {share.found} of its last {share.of} answers: "
                f"at most {share.high:.1%}, and {floor:.1%} is the floor."
            )
    wanted = {Stage.SHADOW: ENOUGH_FOR_CANARY, Stage.CANARY: ENOUGH_FOR_PROMOTION}.get(stage)
    if wanted is not None and len(answered) >= wanted:
        share = bound(answered.count("1"), len(answered), _SURER)
        if share.low >= floor:
            after = Stage.CANARY if stage is Stage.SHADOW else Stage.PROMOTED
            return after, (
                f"It agreed with the teacher in {share.found} of {share.of} answers: "
                f"at least {share.low:.1%}, and {floor:.1%} is the floor."
            )
    return stage, ""
