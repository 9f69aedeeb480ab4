"""How many examples `make test` takes of what is generated: a part. `make soak` takes them all."""

import os
from collections.abc import Sequence
from typing import Final, TypeVar

#: what `make soak` sets
IS_WHOLE: Final = os.environ.get("COSTHUB_WHOLE") == "1"
_PART: Final = 4

T = TypeVar("T")


def examples(whole: int) -> int:
    """How many a property is tried with, of so many in all."""
    return whole if IS_WHOLE else max(1, whole // _PART)


def part(values: Sequence[T], turn: int) -> Sequence[T]:
    """What the so many-th case of a product takes of values that every case could be tried with: at each turn another
    quarter, so that four cases in a row take them all."""
    return values if IS_WHOLE else values[turn % _PART :: _PART]
