"""Small numbers for processes that share a folder: no two living ones have the same, and a dead one's is given again.

A process id would do but for its successor, who has another: what is kept under it would pile up with every restart.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path


class ProcessSlots:
    """Gives each process that asks the lowest free number, for as long as it lives: the kernel frees it with the
    process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pid: int | None = None
        self._number = 0

    def number(self) -> int:
        """This process's number; a fork's is another."""
        if self._pid != os.getpid():
            self._number = self._take()
            self._pid = os.getpid()
        return self._number

    def find_free(self) -> Iterator[int]:
        """The numbers that dead processes have left. While the caller has one, nobody takes it: whoever starts in that
        moment has the next."""
        for path in sorted(self._folder.glob("*.lock")):
            if (lock := _lock(path)) is not None:
                try:
                    yield int(path.stem)
                finally:
                    os.close(lock)

    def _take(self) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in count():
            if _lock(self._folder / f"{number}.lock") is not None:
                return number  # the descriptor stays open, and with it the lock
        raise AssertionError("there is always a next number")


def _lock(path: Path) -> int | None:
    """The descriptor that holds the lock; None where a living process does."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock
    os.close(lock)
    return None
