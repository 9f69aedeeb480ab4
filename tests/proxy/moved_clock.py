"""The product's own ASGI application in a process whose clock is ahead, from the moment on that a test says by how
much.

The file that ``TEST_CLOCK_AHEAD`` names says so, in milliseconds, as soon as it is there: how long a process takes to
start does not count. The product has one reader of the clock, and that one is moved; with ``TEST_DURATIONS_TOO``, so
are durations: as if nothing had happened for as long.
"""

import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from costhub import asgi
from costhub.lib import clock


class Mover:
    """Moves this process's clock, once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_done = False

    def look(self) -> None:
        """Move it when the time has come."""
        if not self._is_done and self._path.exists():
            self._is_done = True
            ahead_ms = int(self._path.read_text())
            now, now_ms = clock.now, clock.now_ms
            patch.object(clock, "now", lambda: now() + timedelta(milliseconds=ahead_ms)).start()
            patch.object(clock, "now_ms", lambda: now_ms() + ahead_ms).start()
            if "TEST_DURATIONS_TOO" in os.environ:
                monotonic_ns = clock.monotonic_ns
                patch.object(clock, "monotonic_ns", lambda: monotonic_ns() + ahead_ms * 1_000_000).start()


mover = Mover(Path(os.environ["TEST_CLOCK_AHEAD"]))


async def application(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[dict[str, Any]], Awaitable[None]]
) -> None:
    mover.look()
    await asgi.application(scope, receive, send)
