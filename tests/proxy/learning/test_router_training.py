"""Training a router: it learns what there is to learn, and with few labels it is its task's mean."""

import numpy as np
import pytest

from proxy.core.routes.router import predict
from proxy.learning.router_training import NothingToLearn, mean_by_task, predict_all, read_prompts, train_router

SUBJECTS = ("barley", "wheat", "oats", "rye", "maize", "rice")


def make(count: int, seed: int) -> tuple[list[str], list[str], np.ndarray]:
    """Prompts of two tasks; the strong model is better in one of them, and where "integral" stands."""
    draw = np.random.default_rng(seed)
    prompts, tasks, gains = [], [], []
    for _ in range(count):
        task = ("sums", "talk")[draw.integers(2)]
        hard = bool(draw.integers(2))
        prompts.append(f"{draw.choice(SUBJECTS)} {'integral' if hard else 'margin'} of {draw.choice(SUBJECTS)}")
        tasks.append(task)
        gains.append(float(draw.random() < 0.1 + 0.3 * (task == "sums") + 0.4 * hard))
    return prompts, tasks, np.array(gains)


def test_it_learns_tasks_and_words() -> None:
    prompts, tasks, gains = make(800, 1)
    router = train_router(read_prompts(prompts, tasks), gains)
    values = {
        (task, word): predict(router, f"barley {word} of rice", task)
        for task in ("sums", "talk")
        for word in ("integral", "margin")
    }
    gained = {key: gain.value for key, gain in values.items() if gain is not None}
    assert gained["sums", "integral"] > gained["sums", "margin"] + 0.2
    assert gained["talk", "integral"] > gained["talk", "margin"] + 0.2
    assert gained["sums", "margin"] > gained["talk", "margin"] + 0.1


def test_one_at_a_time_is_as_all_at_once() -> None:
    prompts, tasks, gains = make(400, 2)
    vectors = np.random.default_rng(3).normal(size=(400, 4)).astype(np.float32)
    read = read_prompts(prompts, tasks, vectors)
    router = train_router(read, gains)
    one = [predict(router, *each) for each in zip(prompts[:9], tasks[:9], vectors[:9], strict=True)]
    assert [gain and gain.value for gain in one] == pytest.approx(predict_all(router, read)[:9].tolist())
    assert predict_all(train_router(read, gains), read).tolist() == predict_all(router, read).tolist()


def test_with_few_labels_it_stays_near_the_tasks_mean() -> None:
    prompts, tasks, gains = make(40, 4)
    read = read_prompts(prompts, tasks)
    means = mean_by_task(tasks, gains)
    assert np.abs(predict_all(train_router(read, gains), read) - [means[task] for task in tasks]).max() < 0.1


@pytest.mark.parametrize("labels", [100, 200, 300])
def test_what_a_few_hundred_labels_do_not_prove_is_not_believed(labels: int) -> None:
    """Where prompts tell nothing, the router of several tasks is their means, whatever chance has put into the labels;
    where they do, three hundred labels prove it."""
    believed = 0
    for seed in range(10):
        prompts, tasks, gains = make(labels, seed)
        means = mean_by_task(tasks, gains)
        by_chance = np.random.default_rng(seed).permutation(gains)
        router = train_router(read_prompts(prompts, tasks), by_chance)
        believed += bool(router.feature_weights.any() or router.word_weights.any())
        if labels == 300:
            told = predict_all(train_router(read_prompts(prompts, tasks), gains), read_prompts(prompts, tasks))
            assert np.abs(told - [means[task] for task in tasks]).max() > 0.1
    assert believed <= 1


def test_a_task_of_one_label_is_drawn_to_the_mean_of_all() -> None:
    means = mean_by_task(["a"] * 50 + ["b"], np.array([0.0] * 25 + [1.0] * 25 + [1.0]))
    assert 0.5 < means["b"] < 0.75


@pytest.mark.parametrize(
    ("gains", "complaint"),
    [
        ([], "not two labelled"),
        ([1.0], "not two labelled"),
        ([1.0] * 9, "equally good"),
        ([0.0, np.nan], "not a number"),
    ],
)
def test_what_cannot_be_learned_from_is_said(gains: list[float], complaint: str) -> None:
    read = read_prompts(["p"] * len(gains), ["t"] * len(gains))
    with pytest.raises(NothingToLearn, match=complaint):
        train_router(read, np.array(gains))


def test_poisoned_labels_move_one_task_and_not_the_other() -> None:
    prompts, tasks, gains = make(600, 5)
    poisoned = np.where(np.array(tasks) == "talk", 1.0, gains)
    honest, misled = (train_router(read_prompts(prompts, tasks), labels) for labels in (gains, poisoned))
    assert misled.task_gains["sums"] == pytest.approx(honest.task_gains["sums"], abs=0.02)
