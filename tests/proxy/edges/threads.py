"""What blocks, from a test that does not; and waiting for what must come about in time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from django.db import connections

Value = TypeVar("Value")

_POLL_SECONDS = 0.005


async def in_thread(work: Callable[[], Value]) -> Value:
    """Do what blocks, in a thread that leaves no connection behind."""

    def run() -> Value:
        try:
            return work()
        finally:
            connections.close_all()

    return await asyncio.to_thread(run)


async def within_a_second(is_true: Callable[[], Awaitable[bool]]) -> None:
    """Return as soon as the condition holds. Raises TimeoutError after as many looks as a second has room for: where
    the machine has no time for us, it has none for what we wait for either."""
    for _ in range(int(1 / _POLL_SECONDS)):
        if await is_true():
            return
        await asyncio.sleep(_POLL_SECONDS)
    raise TimeoutError
