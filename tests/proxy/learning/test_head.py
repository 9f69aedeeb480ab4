"""The student's arithmetic: it learns, its state comes back to the bit, and it says when it has gone astray."""

import numpy as np
import pytest

from proxy.learning.head import (
    Course,
    HeadState,
    TrainingDiverged,
    begin,
    dump_state,
    dump_weights,
    load_state,
    load_weights,
    number_labels,
    rate_labels,
    take_step,
)
from tests.proxy.learning.examples import make_support
from tests.proxy.learning.rows import embed_words

EXAMPLES = make_support(60)
LABELS = ["delivery", "invoice", "refund"]
VECTORS = embed_words([example.question for example in EXAMPLES])
ANSWERS = number_labels(LABELS, [example.answer for example in EXAMPLES])
COURSE = Course(epochs=8, batch_rows=16, rate=0.02, seed=5)


def run(state: HeadState, steps: int) -> tuple[HeadState, list[float]]:
    losses = []
    for _ in range(steps):
        state, loss = take_step(state, VECTORS, ANSWERS, COURSE)
        losses.append(loss)
    return state, losses


def test_it_learns() -> None:
    assert COURSE.count_steps(60) == 32
    state, losses = run(begin(384, 3, 60, seed=5), 32)
    assert losses[0] == pytest.approx(np.log(3))
    assert losses[-1] < 0.05
    chances = rate_labels(load_weights(dump_weights(state.weights)), VECTORS)
    assert chances.argmax(axis=1).tolist() == ANSWERS.tolist()
    assert chances.sum(axis=1) == pytest.approx(np.ones(60))


@pytest.mark.parametrize("after", [0, 1, 4, 5, 31])
def test_a_state_that_was_written_and_read_goes_on_to_the_same_bits(after: int) -> None:
    whole, losses = run(begin(384, 3, 60, seed=5), 32)
    half, first = run(begin(384, 3, 60, seed=5), after)
    again, rest = run(load_state(dump_state(half)), 32 - after)
    assert first + rest == losses
    assert dump_state(again) == dump_state(whole)
    assert dump_state(run(begin(384, 3, 60, seed=6), 32)[0]) != dump_state(whole)


def test_each_epoch_has_every_row_once_in_an_order_of_its_own() -> None:
    state = begin(384, 3, 60, seed=5)
    orders = [state.order.tolist()]
    for _ in range(3):
        state, _ = run(state, 4)
        orders.append(state.order.tolist())
    assert all(sorted(order) == list(range(60)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4


def test_a_rate_that_is_too_high_is_told_and_not_saved_as_weights() -> None:
    with pytest.raises(TrainingDiverged, match="train again with a lower rate"):
        state = begin(384, 3, 60, seed=0)
        for _ in range(32):
            state, _ = take_step(state, VECTORS, ANSWERS, Course(epochs=8, batch_rows=16, rate=1e308))


def test_what_is_no_state_is_refused() -> None:
    parts = dump_state(begin(4, 2, 3, seed=0))
    with pytest.raises(KeyError):
        load_state({name: part for name, part in parts.items() if name != "first"})
    with pytest.raises(ValueError):
        load_state(parts | {"weights": parts["weights"][:-1]})
    with pytest.raises(ValueError):
        load_weights(b'["|O", [1]]\n12345678')
    with pytest.raises(KeyError):
        number_labels(["a"], ["b"])
