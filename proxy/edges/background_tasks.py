"""What is done beside a call after its answer was given, by the process that gave it. Of what asks upstreams a few are
under way at a time, and what finds no room is left out."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

#: of those that ask an upstream, beside those whom somebody waits for
MOST_UNDER_WAY: Final = 16
_CLOSING_SECONDS: Final = 2.0


class BackgroundTasks:
    """The tasks that a process has under way."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def has_room(self) -> bool:
        """Whether one more may be begun that asks an upstream."""
        return len(self._tasks) < MOST_UNDER_WAY

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the background."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def wait(self) -> None:
        """Return when nothing is under way any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """End what is under way: what it has spent is settled."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSING_SECONDS)
