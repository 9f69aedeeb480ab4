"""Whether a teacher's answer is worth learning from. Pure.

A judge says why it would leave an answer out, or nothing. Several are asked in turn; one that asks a model implements
the same protocol, and pays for its calls through the proxy like anybody.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from proxy.core.routes.answer_checks import Failure, find_failure
from proxy.learning.conversations import Example


class Judge(Protocol):
    """One opinion of an example."""

    def __call__(self, example: Example) -> str:
        """Why it is left out, in one word that counts are kept by; empty where it stays."""


def refuse_refusals(example: Example) -> str:
    """A student that learns to refuse has learned nothing."""
    return "refusal" if find_failure(example.answer, None) is Failure.REFUSED else ""


def refuse_empty(example: Example) -> str:
    """Nothing was asked, or nothing answered."""
    return "" if example.question.strip() and example.answer.strip() else "empty"


def refuse_repetition(example: Example) -> str:
    """A model that has lost its way says one thing again and again."""
    words = example.answer.split()
    return "repetition" if len(words) >= 60 and len(set(words)) * 8 < len(words) else ""


#: what every dataset asks
JUDGES: Final[tuple[Judge, ...]] = (refuse_empty, refuse_refusals, refuse_repetition)


def judge(example: Example, judges: Sequence[Judge] = JUDGES) -> str:
    """The first reason to leave an example out; empty where there is none."""
    return next((reason for one in judges if (reason := one(example))), "")
