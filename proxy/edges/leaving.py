"""What must not end half-way, although whoever waits for it leaves, or the server stops."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

Value = TypeVar("Value")


async def finish(work: Awaitable[Value]) -> Value:
    """What ``work`` gives or raises. Whoever is cancelled meanwhile, however often, is so when it is done: then what
    it has done is known."""
    doing = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        while not doing.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([doing])
        if not doing.cancelled():
            doing.exception()  # nobody is there to be told
        raise
    finally:
        # It holds what it has raised, which holds the frames that it went through: this one, too.
        del doing
