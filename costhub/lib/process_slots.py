"""Small numbers for processes that share a folder: no two living ones have the same, and a dead one's is given again.

A process id would do but for its successor, who has another: what is kept under it would pile up with every restart.
"""

import fcntl
import os
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

    def _take(self) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in count():
            lock = os.open(self._folder / f"{number}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return number  # the descriptor stays open, and with it the lock
            os.close(lock)
        raise AssertionError("there is always a next number")
