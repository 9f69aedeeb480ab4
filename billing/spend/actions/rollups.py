"""Bringing the ledger's sums up to date."""

from datetime import UTC, date, datetime
from typing import Final, cast

from django.db import connection, transaction

from costhub.lib import clock, failpoints
from tenants.periods import add_months

#: so many buckets are made anew in one transaction: at 1,700 rows in a quarter and ten thousand end users, some seconds
BATCH: Final = 128
#: a day of one organisation is one statement, however long it is; a task may take 200 seconds
_PATIENCE_MS: Final = 150_000


def roll_up(most: int = BATCH) -> int:
    """Make at most so many marked buckets anew from what lies below them. Returns how many it was.

    0 also where another process is at it. May be repeated, or killed: a bucket and its mark change together.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(_PATIENCE_MS)])
        cursor.execute("SELECT costhub_roll_up(%s, %s)", [most, clock.now()])
        rolled = int(cast("tuple[int]", cursor.fetchone())[0])
        failpoints.reach("rollup_computed")
    return rolled


def is_month_rolled(month: date) -> bool:
    """Whether every call of a month of the ledger is in the sums, which stay when its rows go. ``month`` is its first
    day."""
    following = add_months(month, 1)
    bounds = [datetime(day.year, day.month, 1, tzinfo=UTC) for day in (month, following)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT costhub_is_rolled(%s, %s)", bounds)
        return cast("tuple[bool]", cursor.fetchone())[0]
