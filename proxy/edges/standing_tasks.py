"""What a process does for as long as it lives, turn after turn. A turn that fails by a fault of ours is told of and
counted, and the next one comes: a task that ended there would be missed by nobody until holds expire and rows wait."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from costhub.lib import metrics

_log = logging.getLogger(__name__)

#: a turn that fails at once, again and again, takes neither the loop nor the log
PAUSE_SECONDS: Final = 1.0


def start_standing(what: str, turn: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """Begin to do one turn after another, until the task is cancelled. A turn waits by itself for what it is to wait
    for; ``what`` names the work in the log and in the metric."""
    return asyncio.create_task(_keep_on(what, turn))


async def _keep_on(what: str, turn: Callable[[], Awaitable[None]]) -> None:
    # Not for ever: what a turn waits for may take a cancellation as its own (asyncio.wait_for).
    while not _is_cancelled():
        try:
            await turn()
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            # Not we were cancelled, but something that the turn has waited for.
            note_fault(what)
            await asyncio.sleep(PAUSE_SECONDS)
        except Exception:  # noqa: BLE001 - whatever it is, the next turn may do better
            note_fault(what)
            await asyncio.sleep(PAUSE_SECONDS)


def note_fault(what: str) -> None:
    """Log the exception that is being handled, and count it: the work that ``what`` names goes on."""
    _log.exception("%s: failed by our own fault, and goes on", what)
    metrics.STANDING_FAULTS.labels(what).inc()


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
