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
    """Return as soon as the condition holds. Raises TimeoutError a second after the call."""
    async with asyncio.timeout(1):
        while not await is_true():
            await asyncio.sleep(_POLL_SECONDS)
