"""Billing's jobs: every one may run twice, or on two workers at once, and die anywhere.

The schedule is one table, in ``costhub.celery``.
"""

from typing import Final

from celery import shared_task

from billing.actions import rollups
from costhub.lib import clock

#: one run goes on for so long while there is something to do
ROLL_UP_FOR_SECONDS: Final = 30
_NANOS: Final = 1_000_000_000


@shared_task
def roll_up() -> int:
    """Bring the ledger's sums up to date, until they are or the next run takes over."""
    ends = clock.monotonic_ns() + ROLL_UP_FOR_SECONDS * _NANOS
    rolled = 0
    while clock.monotonic_ns() < ends:
        batch = rollups.roll_up()
        rolled += batch
        if batch == 0:
            break
    return rolled
