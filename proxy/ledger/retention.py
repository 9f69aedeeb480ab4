"""Months of the ledger that the operator does not keep, and what was spent in them, which stays."""

import logging
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Final, cast

import orjson
from django.conf import settings
from django.db import connection, transaction

from costhub.lib import failpoints, keyspace
from costhub.lib.moments import to_ms
from costhub.lib.redis import client
from proxy.ledger import drain
from tenants.access import list_shards
from tenants.periods import add_months

_log = logging.getLogger(__name__)

#: readers of the ledger wait behind whoever waits to drop a part of it: not for long
_LOCK_TIMEOUT: Final = "2s"
#: the sum over a month may take longer than a page may
_STATEMENT_TIMEOUT: Final = "180s"
_PARTITION: Final = "proxy_ledgerentry_"


def first_month_kept(today: date, months: int) -> date:
    """The first day of the oldest month that is not wholly older than so many months."""
    return add_months(today, -months)


def list_months(before: date) -> list[date]:
    """The first days of the ledger's months before another one, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
            " WHERE inhparent = 'proxy_ledgerentry'::regclass"
        )
        names = [str(name).removeprefix(_PARTITION) for (name,) in cursor.fetchall()]
    months = (datetime.strptime(f"{name}_01 +0000", "%Y_%m_%d %z").date() for name in names if name != "default")
    return sorted(month for month in months if month < before)


def drop_month(month: date, is_ready: Callable[[date], bool] = lambda _: True) -> bool:
    """Sum a month's spend into the carry and drop its rows, or set them apart where ``COSTHUB_LEDGER_OLD_MONTHS`` says
    so, in one transaction. False: not now, try again later.

    ``is_ready`` is asked while nothing can come to the month any more.

    Every drain is held off meanwhile. An event that is in the ledger and still on its stream is repeated by the next
    drain, and only the row that is there already makes that nothing: so no event of the month may be on a stream.
    Raises DatabaseError (a lock did not come in time, among others) and RedisError; nothing has happened then.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)",
                [_LOCK_TIMEOUT, _STATEMENT_TIMEOUT],
            )
        shards = sorted({*list_shards(), *range(keyspace.SHARDS)})
        for shard in shards:
            drain.wait_for_lock(shard)
        if any(_has_events_before(shard, _end_of(month)) for shard in shards) or not is_ready(month):
            return False
        with connection.cursor() as cursor:
            # Either is a transaction of its own here, and the carry has what was spent.
            end = (
                "costhub_detach_ledger_month" if settings.LEDGER_OLD_MONTHS == "detach" else "costhub_drop_ledger_month"
            )
            cursor.execute(f"SELECT {end}(%s)", [month])
            dropped = cast("tuple[int | None]", cursor.fetchone())[0]
        failpoints.reach("month_carried")
    failpoints.reach("month_dropped")
    if dropped is not None:
        _log.warning("a month of the ledger was dropped", extra={"month": month.isoformat(), "rows": dropped})
    return True


def _end_of(month: date) -> int:
    following = add_months(month, 1)
    return to_ms(datetime(following.year, following.month, 1, tzinfo=UTC))


def _has_events_before(shard: int, moment_ms: int) -> bool:
    """Whether an event of a call that came before a moment is on its way; also when there are too many to look at."""
    if client().xlen(keyspace.ledger_key(shard)) > drain.MAX_UNREAD:
        return True
    return any(
        _came_before(fields.get(b"e", b""), moment_ms) for _, fields in drain.read_events(shard, drain.MAX_UNREAD)
    )


def _came_before(event: bytes, moment_ms: int) -> bool:
    try:
        return bool(orjson.loads(event)["started_at_ms"] < moment_ms)
    except (ValueError, TypeError, KeyError):
        return False  # it is for the dead letters
