"""In which order batches are worked on, and lines of an upstream asked."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from itertools import count
from uuid import UUID

from proxy.batches.model import Batch


def make_queues(batches: Iterable[Batch]) -> list[list[Batch]]:
    """One queue for each upstream: first the pools of calls whose answers were promised by a deadline, the earliest of
    those first, then batches, the oldest first. A batch of days must not make a promise of minutes late."""
    queues: dict[UUID | None, list[Batch]] = defaultdict(list)
    for batch in sorted(batches, key=lambda one: (not one.is_pool, one.first_deadline or one.expires_at, one.pk)):
        queues[batch.upstream_id].append(batch)
    return list(queues.values())


class Slots:
    """The lines that are asked of one upstream at a time, ``size`` at most.

    What was promised for soon waits for nothing else: while it waits no other line begins, and those that are under way
    come to their end beside it. Among each other the nearest deadline comes first.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._soon = self._others = 0
        self._waiting: list[tuple[bool, float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    @asynccontextmanager
    async def turn(self, due_ms: float, *, is_soon: bool) -> AsyncIterator[Callable[[], None]]:
        """A block in which one line is asked that is due then. What it is given ends the line's turn before the block
        ends: its upstream has answered."""
        if self._waiting or not self._has_room(is_soon=is_soon):
            await self._wait(due_ms, is_soon=is_soon)
        else:
            self._count(is_soon=is_soon, by=1)
        is_over = False

        def end() -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                self._count(is_soon=is_soon, by=-1)
                self._admit()

        try:
            yield end
        finally:
            end()

    async def _wait(self, due_ms: float, *, is_soon: bool) -> None:
        future = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (not is_soon, due_ms, next(self._numbers), future))
        self._admit()
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled():
                # It had its turn already.
                self._count(is_soon=is_soon, by=-1)
            self._admit()
            raise

    def _admit(self) -> None:
        while self._waiting:
            can_wait, _, _, future = self._waiting[0]
            if not future.cancelled():
                if not self._has_room(is_soon=not can_wait):
                    return
                self._count(is_soon=not can_wait, by=1)
                future.set_result(None)
            heappop(self._waiting)

    def _has_room(self, *, is_soon: bool) -> bool:
        return (self._soon if is_soon else self._soon + self._others) < self._size

    def _count(self, *, is_soon: bool, by: int) -> None:
        if is_soon:
            self._soon += by
        else:
            self._others += by
