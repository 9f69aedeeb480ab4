"""A student for answers that are labels: a softmax classifier on questions' vectors, trained by Adam in small steps.

Its whole state is numbers, the random generator's too, so that training that was interrupted anywhere goes on as if it
had not been: the same rows in the same order, the same noise, the same weights to the bit (on one BLAS and one thread;
a sum that is added up in another order rounds otherwise). Pure.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

#: each column of a unit vector is about 1/20: larger numbers make the usual learning rates fit
SCALE: Final = 8.0
#: deviation of the noise on a vector, which keeps few examples from being learned by heart
NOISE: Final = 0.15
#: pulls weights towards zero, by step
DECAY: Final = 1e-4
#: Adam (Kingma and Ba 2015)
_FIRST, _SECOND, _TINY = 0.9, 0.999, 1e-8
_ARRAYS: Final = ("weights", "first", "second", "order")


class TrainingDiverged(Exception):
    """The loss is no number any more."""


@dataclass(frozen=True, slots=True)
class Course:
    """How a student is trained: ``rate`` is Adam's, ``seed`` the one thing that chance depends on."""

    epochs: int = 60
    batch_rows: int = 64
    rate: float = 0.01
    seed: int = 0

    def count_steps(self, rows: int) -> int:
        """The steps of the whole course."""
        return self.epochs * -(-rows // self.batch_rows)


@dataclass(frozen=True, slots=True)
class HeadState:
    """Everything that the next step depends on. ``order`` is the present epoch's, ``at`` the place in it."""

    step: int
    at: int
    weights: Array
    first: Array
    second: Array
    order: Rows
    random: Mapping[str, Any]


def begin(dimensions: int, labels: int, rows: int, seed: int) -> HeadState:
    """Before the first step."""
    draw = np.random.Generator(np.random.PCG64(seed))
    shape = (dimensions + 1, labels)
    order = draw.permutation(rows).astype(np.int64)
    nothing = np.zeros(shape)
    return HeadState(0, 0, nothing, nothing.copy(), nothing.copy(), order, draw.bit_generator.state)


def take_step(state: HeadState, vectors: NDArray[np.float32], answers: Rows, course: Course) -> tuple[HeadState, float]:
    """One step on the next few rows. Gives the state after it and the loss before it. Raises TrainingDiverged."""
    with np.errstate(all="ignore"):
        return _step(state, vectors, answers, course)


def _step(state: HeadState, vectors: NDArray[np.float32], answers: Rows, course: Course) -> tuple[HeadState, float]:
    draw = np.random.Generator(np.random.PCG64())
    draw.bit_generator.state = state.random
    rows = state.order[state.at : state.at + course.batch_rows]
    inputs = vectors[rows].astype(np.float64) * SCALE
    inputs += draw.normal(0.0, NOISE, inputs.shape)
    inputs = np.hstack([inputs, np.ones((len(rows), 1))])
    chances = _softmax(inputs @ state.weights)
    own = chances[np.arange(len(rows)), answers[rows]]
    loss = float(-np.log(np.maximum(own, 1e-300)).mean())
    if not np.isfinite(loss) or not np.isfinite(state.weights).all():
        raise TrainingDiverged(f"At step {state.step} the loss is no number: train again with a lower rate.")
    chances[np.arange(len(rows)), answers[rows]] -= 1
    slope = inputs.T @ chances / len(rows) + DECAY * state.weights
    step = state.step + 1
    first = _FIRST * state.first + (1 - _FIRST) * slope
    second = _SECOND * state.second + (1 - _SECOND) * slope**2
    moved = (first / (1 - _FIRST**step)) / (np.sqrt(second / (1 - _SECOND**step)) + _TINY)
    # The rate falls to a tenth, so that the last steps settle what the first ones found.
    rate = course.rate * (1 - 0.9 * state.step / course.count_steps(len(answers)))
    at, order = state.at + len(rows), state.order
    if at >= len(order):
        at, order = 0, draw.permutation(len(order)).astype(np.int64)
    weights = state.weights - rate * moved
    return HeadState(step, at, weights, first, second, order, draw.bit_generator.state), loss


def rate_labels(weights: Array, vectors: NDArray[np.float32]) -> Array:
    """How likely each label is for each vector: (vectors, labels)."""
    inputs = np.hstack([vectors.astype(np.float64) * SCALE, np.ones((len(vectors), 1))])
    return _softmax(inputs @ weights)


def dump_state(state: HeadState) -> dict[str, bytes]:
    """The state in parts, each its own bytes, the same for the same state."""
    parts = {name: _dump(getattr(state, name)) for name in _ARRAYS}
    place = {"step": state.step, "at": state.at, "random": state.random}
    return parts | {"place": json.dumps(place, sort_keys=True).encode()}


def load_state(parts: Mapping[str, bytes]) -> HeadState:
    """What ``dump_state`` wrote. Raises ValueError or KeyError for anything else."""
    place = json.loads(parts["place"])
    arrays: dict[str, Any] = {name: _load(parts[name]) for name in _ARRAYS}
    return HeadState(step=place["step"], at=place["at"], random=place["random"], **arrays)


def dump_weights(weights: Array) -> bytes:
    """What serves, in half the bytes that training needs."""
    return _dump(weights.astype(np.float32))


def load_weights(raw: bytes) -> Array:
    """What ``dump_weights`` wrote. Raises ValueError for anything else."""
    return _load(raw).astype(np.float64)


def number_labels(labels: Sequence[str], answers: Sequence[str]) -> Rows:
    """Each answer's place among the labels. Raises KeyError for one that is none of them."""
    places = {label: place for place, label in enumerate(labels)}
    return np.array([places[answer] for answer in answers], np.int64)


def _softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _dump(array: NDArray[Any]) -> bytes:
    head = json.dumps([array.dtype.str, list(array.shape)]).encode()
    return head + b"\n" + np.ascontiguousarray(array).tobytes()


def _load(raw: bytes) -> NDArray[Any]:
    head, _, body = raw.partition(b"\n")
    kind, shape = json.loads(head)
    if kind not in ("<f8", "<f4", "<i8"):
        raise ValueError(f"{kind} is no kind of number that is stored here.")
    return np.frombuffer(body, kind).reshape(shape).copy()
