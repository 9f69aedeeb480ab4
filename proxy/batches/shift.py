"""How long a worker begins lines."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from costhub.lib import clock

#: as long as lines are under way others begin beside them for so many times as long as was said: their end must be
#: waited for anyway, and nobody else has their organisations meanwhile
_LONGER_TIMES: Final = 4
#: and what was promised for soon for so many times as long, while others keep the worker; what begins last
#: has to end within a task's time
_LONGEST_TIMES: Final = 30

# A byte that a worker shares with the processes that it forks: they are not told that it stops.
_stopping: Final = mmap.mmap(-1, 1)


def end_shifts(*, over: bool = True) -> None:
    """Let no line begin any more in this process and those forked from it, because it is about to stop."""
    _stopping[0] = over


class Shift:
    """A worker's time: lines begin for so many ``seconds``, and for longer while some are under way."""

    def __init__(self, seconds: float) -> None:
        self._ends_ns = clock.ends_in(seconds)
        self._longer_ns = clock.ends_in(_LONGER_TIMES * seconds)
        self._longest_ns = clock.ends_in(_LONGEST_TIMES * seconds)
        self._soon = self._others = 0

    def is_over(self, *, for_soon: bool = False) -> bool:
        """Whether no line may begin any more; with ``for_soon``, whether no call with a near deadline may."""
        if _stopping[0]:
            return True
        now = clock.monotonic_ns()
        if now < self._ends_ns:
            return False
        if for_soon and self._others:
            return now >= self._longest_ns
        return now >= self._longer_ns or not (self._soon or self._others)

    @contextmanager
    def keep(self, *, for_soon: bool) -> Iterator[None]:
        """A block in which a line is under way."""
        self._count(for_soon=for_soon, by=1)
        try:
            yield
        finally:
            self._count(for_soon=for_soon, by=-1)

    def _count(self, *, for_soon: bool, by: int) -> None:
        if for_soon:
            self._soon += by
        else:
            self._others += by
