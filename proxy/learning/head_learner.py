"""A classifier's training, as the loop sees it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proxy.learning.head import Course, Rows, begin, dump_state, load_state, take_step
from proxy.learning.training import Rest


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is learned: unit vectors, each with the place of its label. ``rows`` names exactly these rows."""

    vectors: NDArray[np.float32]
    answers: Rows
    labels: int
    rows: str


class HeadLearner:
    """See ``training.Learner``. ``state`` is the present one. Its steps take milliseconds: it never rests."""

    def __init__(self, lesson: Lesson, course: Course) -> None:
        self._lesson = lesson
        self._course = course
        self.state = begin(lesson.vectors.shape[1], lesson.labels, len(lesson.answers), course.seed)
        self.rows = lesson.rows
        self.steps = course.count_steps(len(lesson.answers))
        self.tokens = 0

    @property
    def step(self) -> int:
        """Steps that are made."""
        return self.state.step

    def take_step(self, rest: Rest) -> float | None:
        """Make the next step. Gives the loss before it. Raises TrainingDiverged."""
        self.state, loss = take_step(self.state, self._lesson.vectors, self._lesson.answers, self._course)
        return loss

    def dump(self) -> Mapping[str, bytes]:
        """The whole state."""
        return dump_state(self.state)

    def load(self, parts: Mapping[str, bytes]) -> None:
        """Go on from what ``dump`` gave. Raises KeyError or ValueError for anything else."""
        self.state = load_state(parts)
