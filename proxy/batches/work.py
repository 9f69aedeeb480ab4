"""What a worker does with batches: it takes organisations that have some, each alone, and brings them on.

An organisation is taken by a lock of the worker's connection to PostgreSQL. Whoever is killed loses it with the
connection, and the next one goes on where every line says it is: those that ran are asked again, those that were
answered are not.
"""

import asyncio
import gc
import logging
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from typing import Any, Final, TypeVar
from uuid import UUID

import uvloop
from django.db import Error as AnyDatabaseError
from django.db import connections
from redis.exceptions import RedisError

from costhub.lib.database import keep_connection
from costhub.lib.errors import AppError
from costhub.lib.memory import settle_memory
from proxy.batches import store
from proxy.batches.lock import try_lock, unlock
from proxy.batches.model import Batch
from proxy.batches.queues import make_queues
from proxy.batches.runner import Run
from proxy.batches.saver import InThread
from proxy.batches.shift import Shift
from proxy.batches.soon import find_soon, look_for_soon
from proxy.batches.take_back import settle_saved, take_back_all
from proxy.wiring import open_edges

_log = logging.getLogger(__name__)

Value = TypeVar("Value")

_LOOK_EVERY_SECONDS: Final = 0.5
_CLOSING_SECONDS: Final = 10.0
_TROUBLE: Final = (AppError, AnyDatabaseError, RedisError)


#: once in a process
_settle: Final = cache(settle_memory)


def run(seconds: float, only: Collection[str] | None = None) -> int:
    """``work`` in a process of its own, on a loop and with a memory like the proxies'."""
    _settle()
    worked = uvloop.run(work(seconds, only))
    if worked:
        # What a run has open (edges, loop) knows each other in circles, 400 KiB of them: the collector, which looks
        # rarely here, would come after a hundred runs. With what was loaded before left out it takes a millisecond.
        gc.collect()
    return worked


async def work(seconds: float, only: Collection[str] | None = None) -> int:
    """Bring batches on, for about so long (``Shift``). Gives how many organisations were worked for; 0 when there was
    nothing to do. ``only`` these are worked for, where they are named."""
    with (
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches") as thread,
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches-feed") as feeding,
    ):
        in_thread, in_feed = _bind(thread), _bind(feeding)
        worked = 0
        try:
            if await in_thread(_list_busy, only):
                worked = await _work(in_thread, in_feed, Shift(seconds), only)
        finally:
            await in_thread(connections.close_all)
            await in_feed(connections.close_all)
    return worked


async def _work(in_thread: InThread, in_feed: InThread, shift: Shift, only: Collection[str] | None) -> int:
    edges = await open_edges()
    running: dict[str, asyncio.Task[None]] = {}
    worked: set[str] = set()
    try:
        while True:
            for org_id in [org_id for org_id, task in running.items() if task.done()]:
                del running[org_id]
            if not shift.is_over() or (running and not shift.is_over(for_soon=True)):
                for org_id in await in_thread(_list_busy, only):
                    run = Run(edges, in_thread, in_feed, shift, {}, {})
                    is_wanted = org_id not in running and (not shift.is_over() or await _has_soon(run, org_id))
                    if is_wanted and await in_thread(try_lock, org_id):
                        worked.add(org_id)
                        running[org_id] = asyncio.create_task(_run_org(run, org_id))
            if not running:
                return len(worked)
            await asyncio.wait(running.values(), timeout=_LOOK_EVERY_SECONDS)
            if shift.is_over() and all(task.done() for task in running.values()):
                return len(worked)
    finally:
        for task in running.values():
            task.cancel()
        await edges.close(_CLOSING_SECONDS)


async def _run_org(run: Run, org_id: str) -> None:
    """Bring an organisation's batches on, and let go of it."""
    try:
        await _bring_on(run, org_id)
        # Those that wait for their hour, or for an upstream, are looked at again by and by.
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
    finally:
        await asyncio.shield(asyncio.ensure_future(run.in_thread(unlock, org_id)))


async def _bring_on(run: Run, org_id: str) -> None:
    """Bring all on once; and what is promised for soon, when it comes, as long as anything is under way."""
    try:
        batches = await run.in_thread(store.list_open, org_id)
        org = await run.edges.catalog.get_org(org_id)
        await run.in_thread(settle_saved, batches, org.shard)
        await run.in_thread(take_back_all, batches, org.shard)
        soon = await find_soon(run, org, batches)
    except _TROUBLE as error:
        _log.warning("an organisation's batches wait", extra={"org": org_id, "why": str(error)})
        return
    under_way = {pool.pk for pool in soon}
    taken = set(under_way)
    async with asyncio.TaskGroup() as group:
        # One upstream that is slow keeps no other's batches waiting.
        queues = [] if run.shift.is_over() else make_queues(batches)
        tasks = {group.create_task(_step_all(run, queue, taken, under_way)) for queue in queues}
        while True:
            for pool in soon:
                taken.add(pool.pk)
                under_way.add(pool.pk)
                tasks.add(group.create_task(_step(replace(run, is_soon=True), pool, under_way)))
            if tasks:
                await asyncio.wait(tasks, timeout=_LOOK_EVERY_SECONDS)
            tasks = {task for task in tasks if not task.done()}
            if not tasks or run.shift.is_over(for_soon=True):
                return
            try:
                soon = await look_for_soon(run, org_id, under_way)
            except _TROUBLE as error:
                _log.warning("calls with deadlines wait", extra={"org": org_id, "why": str(error)})
                soon = []


async def _has_soon(run: Run, org_id: str) -> bool:
    try:
        return bool(await look_for_soon(run, org_id, ()))
    except _TROUBLE:
        return False


async def _step_all(run: Run, batches: Sequence[Batch], taken: set[UUID], under_way: set[UUID]) -> None:
    """Bring a queue on, one after another, but for those that are promised for soon and brought on beside it."""
    for batch in batches:
        if batch.pk not in taken:
            under_way.add(batch.pk)
            await _step(replace(run), batch, under_way)


async def _step(run: Run, batch: Batch, under_way: set[UUID]) -> None:
    try:
        await run.step(batch)
    except _TROUBLE as error:
        _log.warning("a batch waits", extra={"batch": str(batch.pk), "why": str(error)})
    except Exception:  # noqa: BLE001 - the others must not wait for it
        _log.exception("a batch failed by our own fault", extra={"batch": str(batch.pk)})
    finally:
        under_way.discard(batch.pk)


def _list_busy(only: Collection[str] | None) -> list[str]:
    return [org_id for org_id in store.list_busy_orgs() if only is None or org_id in only]


def _bind(thread: ThreadPoolExecutor) -> InThread:
    def run(act: Callable[..., Value], *args: Any, **kwargs: Any) -> Value:
        try:
            return act(*args, **kwargs)
        finally:
            keep_connection()

    async def in_thread(act: Callable[..., Value], *args: Any, **kwargs: Any) -> Value:
        return await asyncio.get_running_loop().run_in_executor(thread, partial(run, act, *args, **kwargs))

    return in_thread
