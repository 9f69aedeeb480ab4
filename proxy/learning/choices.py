"""Stored enumerations of learning."""

from enum import StrEnum
from typing import Final

#: the threshold of who is sure of nothing: it would answer no question at all
NEVER: Final = 1.01


class ExampleKind(StrEnum):
    """Where an example is from."""

    CALL = "call"
    TEACHER = "teacher"
    IMPORT = "import"


class Verdict(StrEnum):
    """What a model that judges answers says of one."""

    GOOD = "good"
    POOR = "poor"


class VersionState(StrEnum):
    """Whether a version is there."""

    WAITING = "waiting"
    READY = "ready"
    FAILED = "failed"


class JobKind(StrEnum):
    """What a training makes: a classifier of questions (``head``), one with an encoder of its own under it
    (``encoder``), or an adapter of a language model (``lora``)."""

    HEAD = "head"
    ENCODER = "encoder"
    LORA = "lora"


class TunedState(StrEnum):
    """Whether a tuned model may be used: nothing is left of one that somebody has taken back what it learned from."""

    READY = "ready"
    WITHDRAWN = "withdrawn"


class JobState(StrEnum):
    """How far a job is. A running one whose lease is over is taken by another worker."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Stage(StrEnum):
    """How far a student is trusted: it is only compared, gets a share of the calls, gets those that it is sure of, or
    gets none any more. Of one that was withdrawn nothing is left: somebody has taken back what it learned from."""

    SHADOW = "shadow"
    CANARY = "canary"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    WITHDRAWN = "withdrawn"
