"""Training a confidence: it tells right answers from wrong ones, and means what it says."""

from dataclasses import replace

import numpy as np
import pytest

from proxy.core.routes.answer_checks import check_arithmetic
from proxy.core.routes.cascade import rate_answer, should_escalate
from proxy.core.routes.judge import STRONG_RIGHT, Learned, expect_strong
from proxy.core.routes.packing import LearnedCascade, pack_cascade, unpack_cascade
from proxy.learning.cascade_training import (
    calibrate_all,
    calibrate_tasks,
    read_answers,
    score_all,
    train_and_rate,
    train_confidence,
)
from proxy.learning.router_training import NothingToLearn, read_prompts, train_router
from tests.proxy.core.examples import make_chat


def make(count: int, seed: int) -> tuple[list[str], list[str], np.ndarray]:
    """Sums; four in five of those that hold are right answers, one in five of those that do not."""
    draw = np.random.default_rng(seed)
    answers, right = [], []
    for _ in range(count):
        first, second = (int(number) for number in draw.integers(2, 90, 2))
        holds = bool(draw.integers(2))
        answers.append(f"{first} * {second} = {first * second * (1 if holds else 2)}")
        right.append(draw.random() < (0.8 if holds else 0.2))
    return ["How much is it?"] * count, answers, np.array(right)


def test_a_confidence_is_calibrated() -> None:
    questions, answers, right = make(400, 1)
    confidence = train_confidence(read_answers(questions, answers), right)
    questions, held, _ = make(200, 7)
    rated = calibrate_all(confidence, score_all(confidence, read_answers(questions, held)))
    holds = np.array([check_arithmetic(answer).wrong == 0 for answer in held])
    assert rated[holds].mean() == pytest.approx(0.8, abs=0.1)
    assert rated[~holds].mean() == pytest.approx(0.2, abs=0.1)


def test_each_task_is_calibrated_and_one_of_few_labels_hardly() -> None:
    """Of sums nine in ten answers are right, of poems one in ten, and of one riddle none."""
    questions, answers, right = make(200, 4)
    confidence, scores = train_and_rate(read_answers(questions, answers), right)
    confidence = replace(confidence, slope=0.0, offset=0.0)
    tasks = ["sums"] * 100 + ["poems"] * 99 + ["riddles"]
    known = np.array([True] * 90 + [False] * 10 + [True] * 10 + [False] * 89 + [False])
    rated = calibrate_tasks(confidence, scores, known, tasks)
    sure = calibrate_all(rated, scores, tasks)
    assert sure[0] == pytest.approx(0.88, abs=0.005)
    assert sure[100] == pytest.approx(0.12, abs=0.005)
    assert sure[199] == pytest.approx(0.40, abs=0.005)
    # A task that nobody has labelled is as all are.
    assert calibrate_all(rated, scores[:1], ["songs"])[0] == 0.5
    one = rate_answer(rated, questions[0], answers[0], task="sums")
    assert one == pytest.approx(sure[0])
    assert calibrate_tasks(confidence, scores, known, ["sums"] * 200) is confidence
    packed = unpack_cascade(pack_cascade(LearnedCascade({"small": rated}, 0.9)))
    assert packed.confidences["small"].of_tasks == rated.of_tasks


def test_what_the_strong_model_is_expected_to_get_right_hangs_on_the_prompt() -> None:
    """It gets sums right, and integrals never: these need not be escalated."""
    prompts = [f"{'Add the apples' if number % 2 else 'Find the integral'} of {number}." for number in range(200)]
    right = np.array([number % 2 for number in range(200)], np.float64)
    strong = train_router(read_prompts(prompts, [""] * 200, None), right)
    questions, answers, known = make(120, 4)
    confidence = train_confidence(read_answers(questions, answers), known)
    packed = unpack_cascade(pack_cascade(LearnedCascade({"small": confidence}, 0.6, strong)))
    learned = Learned(confidence, packed.strong_right, packed.strong)

    def expect(text: str, learned: Learned | None) -> float:
        return expect_strong(make_chat(messages=[{"role": "user", "content": text}]), learned)

    assert expect("Find the integral of 7.", learned) < 0.3
    assert expect("Add the apples of 7.", learned) > 0.7
    # Of a task that nothing is known of all are taken together; without anything learned it is nearly always right.
    assert expect("Add the apples of 7.", learned._replace(task="songs")) == 0.6
    assert expect("Add the apples of 7.", Learned(confidence, 0.7)) == 0.7
    assert expect("Add the apples of 7.", None) == STRONG_RIGHT


def test_one_at_a_time_is_as_all_at_once() -> None:
    questions, answers, right = make(240, 2)
    draw = np.random.default_rng(3)
    vectors = draw.normal(size=(240, 4))
    logprobs = [draw.uniform(-2, 0, 5).tolist() for _ in answers]
    read = read_answers(questions, answers, vectors, logprobs)
    confidence = train_confidence(read, right)
    assert len(confidence.trees) == 80
    one = [
        rate_answer(confidence, questions[row], answers[row], logprobs=logprobs[row], vector=vectors[row])
        for row in range(9)
    ]
    assert one == pytest.approx(calibrate_all(confidence, score_all(confidence, read))[:9].tolist(), abs=1e-6)


def test_absent_probabilities_count_as_average() -> None:
    questions, answers, right = make(120, 4)
    read = read_answers(questions, answers, logprobs=[[-0.5]] * 119 + [[]])
    confidence = train_confidence(read, right)
    assert 0 < rate_answer(confidence, questions[0], answers[0]) < 1
    assert not read_answers(questions, answers, logprobs=[[]] * 120).has_logprobs


@pytest.mark.parametrize("right", [np.ones(50, bool), np.zeros(50, bool), np.array([True] * 49 + [False])])
def test_one_kind_of_answer_teaches_nothing(right: np.ndarray) -> None:
    questions, answers, _ = make(50, 5)
    with pytest.raises(NothingToLearn):
        train_confidence(read_answers(questions, answers), right)


def test_the_next_rung_must_be_worth_its_price() -> None:
    assert should_escalate(0.6, 0.9, 10_000, 2_999)
    assert not should_escalate(0.6, 0.9, 10_000, 3_001)
    assert not should_escalate(0.9, 0.6, 10_000, 0)
    assert should_escalate(float("nan"), 0.9, 1, 10**9)


def test_a_confidence_is_a_value() -> None:
    questions, answers, right = make(60, 6)
    confidence = train_confidence(read_answers(questions, answers), right)
    assert rate_answer(replace(confidence, offset=-1_000.0), "", "") == 0.0
