"""How good a student is, and how far it is trusted for it."""

import numpy as np
import pytest
from scipy.stats import binom

from proxy.learning.choices import NEVER, Stage
from proxy.learning.evaluation import (
    Share,
    bound,
    choose_threshold,
    decide_stage,
    evaluate,
    nearest,
    price_success,
)

LABELS = ["down", "up"]


def chances(*ups: float) -> np.ndarray:
    return np.array([[1 - up, up] for up in ups])


@pytest.mark.parametrize(("found", "of"), [(9, 10), (1, 300), (892, 1_000)])
def test_the_interval_is_clopper_and_pearsons(found: int, of: int) -> None:
    share = bound(found, of)
    assert (share.found, share.of) == (found, of)
    # Where the true share lies at a bound, what was found or worse comes up in one case of forty.
    assert binom.sf(found - 1, of, share.low) == pytest.approx(0.025)
    assert binom.cdf(found, of, share.high) == pytest.approx(0.025)
    assert (bound(0, of).low, bound(of, of).high) == (0.0, 1.0)


def test_the_threshold_is_the_lowest_that_clears_the_floor() -> None:
    sureness = np.linspace(1.0, 0.5, 200)
    right = np.array([True] * 100 + [False] * 100)
    chosen = choose_threshold(sureness, right, 0.9)
    taken = sureness >= chosen
    assert bound(int(right[taken].sum()), int(taken.sum())).low >= 0.9
    assert bound(100, int(taken.sum()) + 1).low < 0.9
    assert choose_threshold(sureness, ~right, 0.9) == NEVER
    assert choose_threshold(sureness[:5], right[:5], 0.9) == NEVER
    # Equal ones go together: the first half of these alone would clear it.
    assert choose_threshold(np.full(200, 0.8), right, 0.9) == NEVER
    assert choose_threshold(np.zeros(0), np.zeros(0, np.bool_), 0.9) == NEVER


def test_a_student_is_judged_on_the_newer_half() -> None:
    ups = [0.99] * 60 + [0.99, 0.98, 0.9, 0.2, 0.01, 0.02]
    teacher = ["up"] * 60 + ["up", "up", "down", "up", "down", "sideways"]
    made = evaluate(
        chances(*ups[:60], *ups[60:] * 10), LABELS, teacher[:60] + teacher[60:] * 10, ["up", "up", "down"],
        ["up"] * 60 + ["up"] * 60, 0.9
    )  # fmt: skip
    assert made.tested == 60
    assert made.unknown_labels == 10
    assert made.agreement.found == 30
    assert made.threshold == pytest.approx(0.99)
    assert (made.answered.found, made.answered.of) == (20, 60)
    assert (made.right.found, made.right.of) == (20, 20)
    assert (made.base.found, made.near.found) == (30, 30)
    assert made.by_label == {
        "down": {"of": 20, "agreed": 10, "near": 0, "answered": 10, "right": 10},
        "sideways": {"of": 10, "agreed": 0, "near": 0, "answered": 0, "right": 0},
        "up": {"of": 30, "agreed": 20, "near": 30, "answered": 10, "right": 10},
    }
    assert made.gold is None
    assert made.dump()["right"] == {"found": 20, "of": 20, "low": pytest.approx(0.8316, abs=1e-4), "high": 1.0}


def test_what_is_right_is_said_beside_what_the_teacher_says() -> None:
    """The teacher errs in the last one, and the student does not; of one nobody knows."""
    ups = [0.99] * 60 + [0.99, 0.98, 0.9, 0.995]
    teacher = ["up"] * 60 + ["up", "up", "down", "down"]
    gold = ["up"] * 60 + ["up", "", "down", "up"]
    made = evaluate(
        chances(*ups[:60], *ups[60:] * 15), LABELS, teacher[:60] + teacher[60:] * 15, ["up", "up", "down"],
        ["down"] * 120, 0.9, gold[:60] + gold[60:] * 15
    )  # fmt: skip
    assert made.gold is not None
    assert (made.agreement.found, made.agreement.of) == (30, 60)
    found = {name: (share["found"], share["of"]) for name, share in made.dump()["gold"].items()}
    assert found == {
        "student": (30, 45),
        "sure": (30, 30),
        "teacher": (30, 45),
        "together": (45, 45),
        "base": (30, 45),
        "near": (15, 45),
    }
    assert made.gold.student == bound(30, 45)


def test_one_that_is_sure_of_nothing_answers_nothing() -> None:
    made = evaluate(chances(0.6, 0.4, 0.6, 0.4), LABELS, ["down", "up"] * 2, ["up"], ["up"] * 4, 0.9)
    assert (made.threshold, made.answered.found, made.right) == (NEVER, 0, Share(0, 0, 0, 1))


def test_what_a_success_costs() -> None:
    # Of 100 it leaves 30 to the teacher and errs in 2: 30 calls buy 98 successes.
    cost = price_success(100, 70, 68)
    assert cost is not None
    assert cost.calls == 30 / 98
    left, wrong = bound(30, 100, 0.975), bound(2, 100, 0.975)
    assert (cost.low, cost.high) == (left.low / (1 - wrong.low), left.high / (1 - wrong.high))
    nothing = price_success(100, 0, 0)
    assert nothing is not None
    assert (nothing.calls, nothing.low) == (1.0, bound(100, 100, 0.975).low)
    assert nothing.high == 1 / (1 - bound(0, 100, 0.975).high)
    # Asked first whether its answer is taken or not: two calls of the teacher's more, for 98 that are not wrong.
    dearer = price_success(100, 70, 68, 0.02)
    assert cost is not None
    assert dearer is not None
    assert dearer.calls == pytest.approx((30 + 2) / 98)
    assert dearer.low - cost.low == pytest.approx(0.02, abs=1e-3)
    assert price_success(0, 0, 0) is None
    assert price_success(5, 5, 0) is None


def test_its_interval_holds_as_often_as_it_says() -> None:
    draw = np.random.default_rng(1)
    missed = 0
    for left, _, wrong in draw.multinomial(200, [0.4, 0.55, 0.05], size=300):
        cost = price_success(200, 200 - left, 200 - left - wrong)
        assert cost is not None
        assert cost.high is not None
        missed += not cost.low <= 0.4 / 0.95 <= cost.high
    # One in twenty is allowed.
    assert missed <= 15


def test_the_nearest_example() -> None:
    train = np.eye(3, dtype=np.float32)
    asked = np.array([[0.1, 0.9, 0.1], [0.9, 0.1, 0.2]], np.float32)
    assert nearest(train, asked).tolist() == [1, 0]
    assert nearest(train, asked[:0]).tolist() == []


@pytest.mark.parametrize(
    ("stage", "recent", "after"),
    [
        (Stage.SHADOW, "", Stage.SHADOW),
        (Stage.SHADOW, "1" * 99, Stage.SHADOW),
        (Stage.SHADOW, "-" * 500 + "1" * 100, Stage.CANARY),
        (Stage.SHADOW, "10" * 200, Stage.SHADOW),
        (Stage.CANARY, "1" * 299, Stage.CANARY),
        (Stage.CANARY, "1" * 300, Stage.PROMOTED),
        (Stage.PROMOTED, "1" * 300, Stage.PROMOTED),
        # At 200 of the newest, 170 right are at most 89.6 %.
        (Stage.PROMOTED, "1" * 500 + "0" * 30 + "1" * 170, Stage.ROLLED_BACK),
        (Stage.PROMOTED, "1" * 500 + "0" * 25 + "1" * 175, Stage.PROMOTED),
        (Stage.CANARY, "0" * 10, Stage.ROLLED_BACK),
        (Stage.CANARY, "-" * 300, Stage.CANARY),
        (Stage.ROLLED_BACK, "1" * 1_000, Stage.ROLLED_BACK),
    ],
)
def test_stages(stage: Stage, recent: str, after: Stage) -> None:
    decided, why = decide_stage(stage, recent, 0.9)
    assert decided is after
    assert bool(why) == (decided is not stage)


def test_a_student_at_its_floor_is_not_rolled_back_by_chance_often() -> None:
    draw = np.random.default_rng(3)
    back = sum(
        decide_stage(Stage.PROMOTED, "".join("1" if one else "0" for one in draw.random(200) < 0.9), 0.9)[0]
        is Stage.ROLLED_BACK
        for _ in range(500)
    )
    # the interval's lower half: one in forty
    assert back <= 20
