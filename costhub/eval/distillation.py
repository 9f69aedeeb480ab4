"""Distillation: how often a student that was trained on a teacher's answers says what the teacher says, and what share
of the calls it may answer for a floor.

The teachers' own answers are not in the data. Their errors are drawn: they say another label than the right one in a
share of the cases, alike for all questions, which is harder to agree with than a teacher that errs where it is hard.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from costhub.eval.data import read_clinc, read_headlines
from costhub.eval.vectors import Vectors
from costhub.lib import clock
from proxy.learning.assembly import Recipe, assemble
from proxy.learning.conversations import Example, Message
from proxy.learning.evaluation import Evaluation, evaluate, nearest
from proxy.learning.head import Course, begin, number_labels, rate_labels, take_step

#: questions of each set, drawn from all
QUESTIONS: Final = 5_000
#: how often each teacher errs
TEACHER_ERRS: Final = {"clinc150": 0.04, "headlines": 0.14}
FLOORS: Final = {"clinc150": 0.9, "headlines": 0.7}
_COURSE: Final = Course(epochs=30)


@dataclass(frozen=True, slots=True)
class DistillationResult:
    """One set. ``truth``: how often the student's answer on what was held out is the right one, beside the teacher's;
    ``seconds``: of training, without the vectors."""

    trained_on: int
    labels: int
    dropped: dict[str, int]
    floor: float
    evaluation: Evaluation
    student_truth: float
    teacher_truth: float
    seconds: float


def measure_distillation(folder: Path, vectors: Vectors) -> dict[str, DistillationResult]:
    """Both sets. Raises DataMissing."""
    sets = {"clinc150": read_clinc(folder), "headlines": read_headlines(folder, "train")}
    return {name: _measure(rows, TEACHER_ERRS[name], FLOORS[name], vectors) for name, rows in sets.items()}


def _measure(rows: list[tuple[str, str]], errs: float, floor: float, vectors: Vectors) -> DistillationResult:
    draw = np.random.default_rng(0)
    chosen = draw.permutation(len(rows))[:QUESTIONS]
    names = sorted({label for _, label in rows})
    examples, truths = [], []
    for place, row in enumerate(chosen):
        question, truth = rows[row]
        others = [name for name in names if name != truth]
        said = others[draw.integers(len(others))] if draw.random() < errs else truth
        examples.append(Example(f"{place:06d}", place, (Message("user", question),), said))
        truths.append(truth)
    embedded = vectors.embed([example.question for example in examples])
    made = assemble(examples, embedded, Recipe(drops_outvoted=True))
    learned, held = list(made.train), list(made.held_out)
    answers = [examples[place].answer for place in learned]
    labels = sorted(set(answers))
    began = clock.monotonic_ns()
    inputs, targets = embedded[learned], number_labels(labels, answers)
    state = begin(embedded.shape[1], len(labels), len(learned), seed=0)
    for _ in range(_COURSE.count_steps(len(learned))):
        state, _ = take_step(state, inputs, targets, _COURSE)
    seconds = (clock.monotonic_ns() - began) / 1e9
    chances = rate_labels(state.weights, embedded[held])
    near = [answers[place] for place in nearest(embedded[learned], embedded[held])]
    teacher = [examples[place].answer for place in held]
    said_by_student = [labels[place] for place in chances.argmax(axis=1)]
    right = [truths[place] for place in held]
    return DistillationResult(
        trained_on=len(learned),
        labels=len(labels),
        dropped=dict(made.dropped),
        floor=floor,
        evaluation=evaluate(chances, labels, teacher, answers, near, floor),
        student_truth=float(np.mean([one == other for one, other in zip(said_by_student, right, strict=True)])),
        teacher_truth=float(np.mean([one == other for one, other in zip(teacher, right, strict=True)])),
        seconds=seconds,
    )
