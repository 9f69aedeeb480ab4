"""How lines came out, noted many at a time: a call's money is settled only when its answer cannot be lost any more."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from django.db import Error as AnyDatabaseError

from proxy.batches.model import Batch
from proxy.batches.results import Result, save_results

_log = logging.getLogger(__name__)

_MOST_TOGETHER: Final = 256
#: PostgreSQL takes a gigabyte in a statement, and an answer may have 64 MiB
_MOST_BYTES: Final = 64 * 1024 * 1024
_TRIES: Final = 60
_PAUSE_SECONDS: Final = 0.5
#: so long results wait for others to be written with them
_GATHERED_SECONDS: Final = 0.005

#: runs something in the worker's one thread for PostgreSQL
InThread = Callable[..., Awaitable[Any]]


class Saver:
    """Notes results of one batch, of which ``at_once`` lines are under way. Half as many are written together, or as
    many as come within 5 ms: writing one costs nearly as much as writing many. While some are written the next ones
    gather."""

    def __init__(self, batch: Batch, in_thread: InThread, at_once: int) -> None:
        self._batch = batch
        self._in_thread = in_thread
        self._enough = min(at_once // 2, _MOST_TOGETHER)
        self._are_enough = asyncio.Event()
        self._waiting: deque[tuple[Result, asyncio.Future[None]]] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def save(self, result: Result) -> None:
        """Return when it is committed. Raises django.db.Error when PostgreSQL stays away, and UnusableCredential where
        the organisation's data key does not open."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((result, done))
        if len(self._waiting) >= self._enough:
            self._are_enough.set()
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        # It is written also where nobody waits any more: a worker that is told to stop loses nothing that was paid for.
        await done

    async def _write(self) -> None:
        while self._waiting:
            if len(self._waiting) < self._enough:
                self._are_enough.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._are_enough.wait(), _GATHERED_SECONDS)
            taken = self._take()
            try:
                await self._commit([result for result, _ in taken])
            except Exception as error:  # noqa: BLE001 - whoever waits would wait for ever
                for _, done in taken:
                    if not done.done():
                        done.set_exception(error)
                continue
            for _, done in taken:
                if not done.done():
                    done.set_result(None)

    def _take(self) -> list[tuple[Result, asyncio.Future[None]]]:
        """Those that are written next: no more bytes than one statement may well have, but for one."""
        taken, room = list[tuple[Result, asyncio.Future[None]]](), _MOST_BYTES
        while self._waiting and len(taken) < _MOST_TOGETHER:
            room -= len(self._waiting[0][0].answer or b"")
            if taken and room < 0:
                break
            taken.append(self._waiting.popleft())
        return taken

    async def _commit(self, results: list[Result]) -> None:
        for tried in range(1, _TRIES + 1):
            try:
                await self._in_thread(save_results, self._batch, results)
            except AnyDatabaseError:
                if tried == _TRIES:
                    raise
                _log.warning("answers of a batch wait for PostgreSQL", extra={"batch": str(self._batch.pk)})
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return
