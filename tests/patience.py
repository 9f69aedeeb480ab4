"""How long tests wait for what is to come. What comes is waited for no longer than it takes, so that this costs nothing
where all is well; a machine that is slow, or shared with others, has all the time it needs.

The product's own deadlines for what is beside it are long here too (``PATIENT``, tests/plugin.py): who tries one out
sets it, and breaks what it is for.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from threading import Event
from typing import Final

#: of one wait; a test as a whole has what pyproject.toml says
PATIENCE_SECONDS: Final = 180
#: what the environment of a test run says where it says nothing of its own
PATIENT: Final = {
    "COSTHUB_GOVERNANCE_TIMEOUT_MS": "10000",
    "COSTHUB_CACHE_TIMEOUT_MS": "10000",
    "COSTHUB_CACHE_SEMANTIC_DEADLINE_MS": "10000",
    "COSTHUB_COMPRESSION_DEADLINE_MS": "60000",
}


async def until(is_so: Callable[[], bool]) -> None:
    """Return as soon as something in this process is so. Raises TimeoutError where it never is."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_so():
            await asyncio.sleep(0.005)


def wait_until(is_so: Callable[[], bool], why: Callable[[], str] = lambda: "it never came") -> None:
    """As ``until``, where nothing else runs in this thread. Raises AssertionError where it never is, saying ``why``."""
    pause, ends = Event(), time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < ends, why()
        pause.wait(0.02)


def wait_for_server(port: int, is_there: Callable[[], bool], why: Callable[[], str]) -> None:
    """Return when somebody takes connections at a port of this machine. Raises AssertionError where whoever should
    ``is_there`` no more, or never does, and says ``why``."""

    def listens() -> bool:
        assert is_there(), why()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS).close()
        except OSError:
            return False
        return True

    wait_until(listens, why)
