"""A training in a process of its own, to be interrupted: ``python -m tests.proxy.learning.trainer URL FENCE EPOCHS
[METADATA]``. It says each beat's step and the digest of its last weights on stdout."""

import hashlib
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from proxy.learning.checkpoints import Checkpoints, open_store
from proxy.learning.head import Course, HeadState
from proxy.learning.head_learner import HeadLearner, Lesson
from proxy.learning.interruptions import Interruption
from proxy.learning.training import Learner, train

ROWS, LABELS, DIMENSIONS = 600, 12, 384


def make_lesson() -> Lesson:
    """Vectors around twelve centres."""
    draw = np.random.default_rng(11)
    centres = draw.normal(size=(LABELS, DIMENSIONS))
    answers = draw.integers(0, LABELS, ROWS)
    vectors = centres[answers] + 2 * draw.normal(size=(ROWS, DIMENSIONS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Lesson(vectors.astype(np.float32), answers.astype(np.int64), LABELS, "rows")


def digest(state: HeadState) -> str:
    """Of weights, to the bit."""
    return hashlib.sha256(state.weights.tobytes()).hexdigest()


L = TypeVar("L", bound=Learner)


def run(
    url: str, fence: str, metadata: Sequence[str], make: Callable[[], L], digest_of: Callable[[L], str], beat: float
) -> None:
    """Train to the end, or to a notice, and say how it went. ``beat``: seconds between two."""
    interruption = Interruption()
    interruption.listen_to_signals()
    for one in metadata:
        interruption.poll_cloud(one, 0.05)
    checkpoints = Checkpoints(open_store(url), "job", int(fence))
    checkpoints.take_over()
    learner = make()

    def say(loss: float | None) -> None:
        print(f"step {learner.step} {loss or 0:.4f}", flush=True)

    outcome = train(learner, checkpoints, interruption, say, save_seconds=0.1, beat_seconds=beat)
    how = "safe" if outcome.is_safe else "lost"
    print(f"{outcome.ended} {outcome.step} {outcome.resumed_from} {how} {interruption.reason or '-'}")
    print(digest_of(learner), flush=True)


def main() -> None:
    """A head's."""
    url, fence, epochs, *metadata = sys.argv[1:]
    course = Course(int(epochs), 64, 0.01, 3)
    run(url, fence, metadata, lambda: HeadLearner(make_lesson(), course), lambda learner: digest(learner.state), 0.05)


if __name__ == "__main__":
    main()
