"""Writes checkpoints beside the training, in a thread of its own: training waits for none of them.

Where one is still being written when the next is due, only the newest waits: nobody needs the ones between.
"""

import logging
import threading
from collections.abc import Mapping
from typing import Final, NamedTuple

from costhub.lib import clock
from proxy.learning.checkpoints import Checkpoints, Fenced, StoreFailed

_log = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 1.0


class _Due(NamedTuple):
    step: int
    parts: Mapping[str, bytes]


class CheckpointWriter:
    """The thread. ``written`` is the last step that is safe, -1 before the first."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints
        self._changed = threading.Condition()
        self._due: _Due | None = None
        self._is_writing = False
        self._is_closed = False
        self._fenced: Fenced | None = None
        self.written = -1
        self.failures = 0
        self.last_failure = ""
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def submit(self, step: int, parts: Mapping[str, bytes]) -> None:
        """Have a checkpoint written, in place of one that still waits. Raises Fenced where another worker has taken
        over."""
        with self._changed:
            self._check()
            self._due = _Due(step, parts)
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until what was submitted is safe, or for so long; says whether it is. Raises Fenced."""
        ends = clock.ends_in(seconds)
        with self._changed:
            while self._due is not None or self._is_writing:
                self._check()
                left = (ends - clock.monotonic_ns()) / 1e9
                if left <= 0 or not self._thread.is_alive():
                    return False
                self._changed.wait(min(left, _RETRY_SECONDS))
            self._check()
            return True

    def close(self, seconds: float) -> None:
        """Write nothing more. Returns when the thread has ended what it was at, or after so long: a store that hangs
        keeps nobody, and what it still takes then is the next worker's to overrule."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join(seconds)

    def _check(self) -> None:
        if self._fenced is not None:
            raise Fenced(str(self._fenced))

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._due is None and not self._is_closed:
                    self._changed.wait()
                if self._due is None or self._is_closed:
                    return
                due, self._due = self._due, None
                self._is_writing = True
            has_failed = not self._write(due)
            with self._changed:
                self._is_writing = False
                if has_failed and self._due is None and self._fenced is None:
                    # Nothing newer has come: the same again, in a while.
                    self._due = due
                self._changed.notify_all()
                if self._fenced is not None:
                    return
                if has_failed and not self._is_closed:
                    self._changed.wait(_RETRY_SECONDS)

    def _write(self, due: _Due) -> bool:
        try:
            self._checkpoints.save(due.step, due.parts)
        except Fenced as error:
            self._fenced = error
            return True
        except StoreFailed as error:
            self.failures += 1
            self.last_failure = str(error)
            _log.warning("a checkpoint could not be written", extra={"step": due.step, "reason": str(error)})
            return False
        self.written = due.step
        return True
