"""Trains what learns step by step, and survives: every few seconds its whole state is safe in another place, and who
goes on from there ends with the same weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import numpy as np

from costhub.lib import clock
from proxy.learning.checkpoint_writer import CheckpointWriter
from proxy.learning.checkpoints import Checkpoints
from proxy.learning.interruptions import Interruption

#: kill -9 costs what was learned since the last checkpoint, at the most about so much
SAVE_SECONDS: Final = 20.0
#: a job's page, its lease and its cancelling are looked after so often
BEAT_SECONDS: Final = 2.0
#: SIGTERM leaves thirty seconds, of which the job's row wants some too
FLUSH_SECONDS: Final = 22.0
CLOSE_SECONDS: Final = 3.0
_ROWS: Final = "rows"

#: asked in the middle of a long step: whether it is to be given up
Rest = Callable[[], bool]


class Learner(Protocol):
    """What learns. Its next step follows from its state alone, so that a state that was read back goes on alike."""

    @property
    def rows(self) -> str:
        """A name for exactly these examples, so that what was learned from others is not gone on with."""

    @property
    def step(self) -> int:
        """Steps that are made."""

    @property
    def steps(self) -> int:
        """Steps in all."""

    @property
    def tokens(self) -> int:
        """Tokens that were learned from so far; 0 where nobody counts any."""

    def take_step(self, rest: Rest) -> float | None:
        """Make the next step. Gives the loss before it; None where ``rest`` had it given up, and then the state is that
        before it. Raises TrainingDiverged and MemoryError."""

    def dump(self) -> Mapping[str, bytes]:
        """The whole state, copied."""

    def load(self, parts: Mapping[str, bytes]) -> None:
        """Go on from what ``dump`` gave. Raises KeyError or ValueError for anything else, and changes nothing then."""


class Stretch:
    """A learner that is one of several in a job: its steps are counted on from those ``before`` it, so that a later
    checkpoint has a higher one."""

    def __init__(self, learner: Learner, before: int) -> None:
        self._learner = learner
        self._before = before

    @property
    def rows(self) -> str:
        """Its own."""
        return self._learner.rows

    @property
    def step(self) -> int:
        """Of the job."""
        return self._before + self._learner.step

    @property
    def steps(self) -> int:
        """After which this learner is done."""
        return self._before + self._learner.steps

    @property
    def tokens(self) -> int:
        """Of this learner."""
        return self._learner.tokens

    def take_step(self, rest: Rest) -> float | None:
        """Its next one."""
        return self._learner.take_step(rest)

    def dump(self) -> Mapping[str, bytes]:
        """Its state."""
        return self._learner.dump()

    def load(self, parts: Mapping[str, bytes]) -> None:
        """Its state."""
        self._learner.load(parts)


class Ended(StrEnum):
    """Why a run of the loop returned."""

    DONE = "done"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the loop ended. ``is_safe``: its last step can be read back by whoever goes on."""

    ended: Ended
    step: int
    is_safe: bool
    #: the step that was read back at the beginning; 0 where nothing was
    resumed_from: int
    seconds: float


#: told of each beat: the mean loss since the one before; None within a step that takes longer. It may raise to end the
#: run
Beat = Callable[[float | None], None]


def train(
    learner: Learner,
    checkpoints: Checkpoints,
    interruption: Interruption,
    on_beat: Beat,
    *,
    save_seconds: float = SAVE_SECONDS,
    beat_seconds: float = BEAT_SECONDS,
) -> Outcome:
    """Train to the end, or until it is interrupted; from the last checkpoint on where there is one of these rows.

    Raises Fenced where another worker has taken the job over, StoreFailed where the store cannot be read at the
    beginning, what a step raises, and whatever ``on_beat`` raises.
    """
    began = clock.monotonic_ns()
    resumed_from = _resume(learner, checkpoints)
    writer = CheckpointWriter(checkpoints)
    next_save, next_beat = clock.ends_in(save_seconds), clock.ends_in(0)
    losses: list[float] = []

    def beat_if_due() -> None:
        nonlocal next_beat
        if clock.monotonic_ns() >= next_beat:
            on_beat(float(np.mean(losses)) if losses else None)
            losses.clear()
            next_beat = clock.ends_in(beat_seconds)

    def rest() -> bool:
        if not interruption.is_noticed:
            beat_if_due()
        return interruption.is_noticed

    try:
        while learner.step < learner.steps and not interruption.is_noticed:
            loss = learner.take_step(rest)
            if loss is None:
                break
            losses.append(loss)
            beat_if_due()
            if clock.monotonic_ns() >= next_save:
                writer.submit(learner.step, _dump(learner))
                next_save = clock.ends_in(save_seconds)
        if losses:
            on_beat(float(np.mean(losses)))
        # The end too: who stores what was learned may die before it is stored.
        writer.submit(learner.step, _dump(learner))
        is_safe = writer.flush(FLUSH_SECONDS)
    finally:
        writer.close(CLOSE_SECONDS)
    ended = Ended.DONE if learner.step >= learner.steps else Ended.INTERRUPTED
    return Outcome(ended, learner.step, is_safe, resumed_from, (clock.monotonic_ns() - began) / 1e9)


def _resume(learner: Learner, checkpoints: Checkpoints) -> int:
    """The step that was read back; 0 where nothing could be."""
    found = checkpoints.load()
    if found is None or found.parts.get(_ROWS) != learner.rows.encode():
        return 0
    try:
        learner.load(found.parts)
    except (KeyError, ValueError):
        return 0
    return learner.step


def _dump(learner: Learner) -> dict[str, bytes]:
    return {**learner.dump(), _ROWS: learner.rows.encode()}
