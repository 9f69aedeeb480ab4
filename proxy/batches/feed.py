"""The lines of a batch that wait, taken in small parts of the file, the next part while the last is asked."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from proxy.batches import pools, store
from proxy.batches.ids import object_path
from proxy.batches.model import Batch, BatchLine
from proxy.batches.saver import InThread
from proxy.batches.sealed_files import SealedFiles

_MOST_BYTES: Final = 4 * 1024 * 1024


class Feed:
    """Gives line after line. ``may_go_on`` says whether another one may begin; ``at_once`` are claimed together."""

    def __init__(
        self, batch: Batch, files: SealedFiles, in_thread: InThread, at_once: int, may_go_on: Callable[[], bool]
    ) -> None:
        self._batch = batch
        self._path = object_path(batch.org_id, batch.input_file_id)
        self._files = files
        self._in_thread = in_thread
        self._at_once = at_once
        self._may_go_on = may_go_on
        self._ready: deque[tuple[BatchLine, bytes]] = deque()
        self._filling: asyncio.Task[None] | None = None
        self._is_over = False
        self._trouble: Exception | None = None
        #: the file's bytes are not there any more
        self.is_lost = False

    async def next(self) -> tuple[BatchLine, bytes] | None:
        """A line and its bytes; None when none is due, or no other may begin. Raises django.db.Error and
        StoreUnavailable, when those that were read before are given."""
        while self._may_go_on():
            is_low = len(self._ready) < self._at_once // 2
            if is_low and self._filling is None and not self._is_over and self._trouble is None:
                self._filling = asyncio.create_task(self._fill())
            if self._ready:
                return self._ready.popleft()
            if self._trouble is not None:
                raise self._trouble
            if self._filling is None:
                return None
            await asyncio.shield(self._filling)
        return None

    async def close(self) -> None:
        """Lines that were claimed and not given wait again."""
        if self._filling is not None:
            await self._filling
        if self._ready:
            lines = [line for line, _ in self._ready]
            self._ready.clear()
            await self._in_thread(store.give_back, self._batch, lines)

    async def _fill_of_pool(self) -> None:
        lines: list[BatchLine] = await self._in_thread(pools.claim, self._batch, self._at_once, _MOST_BYTES)
        self._is_over = not lines
        for line in lines:
            self._ready.append((line, await self._in_thread(store.read_body, line)))

    async def _fill(self) -> None:
        try:
            if self._batch.is_pool:
                await self._fill_of_pool()
                return
            lines: list[BatchLine] = await self._in_thread(store.claim_lines, self._batch, self._at_once, _MOST_BYTES)
            if not lines:
                self._is_over = True
                return
            starts = lines[0].starts
            length = lines[-1].starts + lines[-1].length - starts
            try:
                raw = await self._files.read(self._path, starts, length)
            except FileNotFoundError:
                self.is_lost = self._is_over = True
                await self._in_thread(store.give_back, self._batch, lines)
                return
            for line in lines:
                at = line.starts - starts
                self._ready.append((line, raw[at : at + line.length]))
        except Exception as error:  # noqa: BLE001 - raised where the next line is wanted
            self._trouble = error
        finally:
            self._filling = None
