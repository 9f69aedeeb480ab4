"""How long tests wait for what is to come. What comes is waited for no longer than it takes, so that this costs nothing
where all is well; a machine that is slow, or shared with others, has all the time it needs.

The product's own deadlines for what is beside it are long here too (``PATIENT``, tests/plugin.py): who tries one out
sets it, and breaks what it is for.
"""

import asyncio
import time
from collections.abc import Callable
from threading import Event
from typing import Final

#: of one wait; a test as a whole has what pyproject.toml says
PATIENCE_SECONDS: Final = 90
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


def wait_until(is_so: Callable[[], bool]) -> None:
    """As ``until``, where nothing else runs in this thread. Raises AssertionError where it never is."""
    pause, ends = Event(), time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < ends, "it never came"
        pause.wait(0.02)
