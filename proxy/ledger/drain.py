"""From the ledger streams into PostgreSQL: every event once, however often the drain dies.

A stream holds exactly the events that PostgreSQL has not confirmed: read from its start, insert, commit, then delete
what was committed. Whoever drains a shard holds its advisory lock for the transaction, so there is one order and no
consumer group to keep in step; a drain that dies between commit and cut is repeated by the next one, and the ledger's
primary key makes the repetition nothing.
"""

import logging
from collections.abc import Sequence
from typing import Any, Final, cast

from django.db import DataError, IntegrityError, connection, transaction

from costhub.lib import failpoints, keyspace
from costhub.lib.redis import client

_log = logging.getLogger(__name__)

BATCH_EVENTS: Final = 2_000
#: who has to know every unread event does not look at more than these: they are drained first
MAX_UNREAD: Final = 20_000
_LOCK_CLASS: Final = 0x434F5354  # "COST"

#: what an event is guilty of itself; anything else is the database's trouble, and the event waits
_UNFIT: Final = (DataError, IntegrityError, UnicodeDecodeError, KeyError)

Events = list[tuple[bytes, dict[bytes, bytes]]]


class TooManyUnread(Exception):
    """The drain is too far behind for somebody who has to know every event."""


def drain(shard: int) -> int:
    """Move one batch of a shard into the ledger. Returns how many events it took from the stream; 0 also when another
    process is draining the shard."""
    with transaction.atomic():
        if not try_lock(shard):
            return 0
        events = read_events(shard)
        if not events:
            return 0
        append(shard, events)
        failpoints.reach("drain_inserted")
    failpoints.reach("drain_committed")
    cut_off(shard, events)
    failpoints.reach("drain_acknowledged")
    return len(events)


def try_lock(shard: int) -> bool:
    """Take the shard's drain lock for the current transaction, if nobody has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [_LOCK_CLASS, shard])
        return bool(cast("tuple[bool]", cursor.fetchone())[0])


def wait_for_lock(shard: int) -> None:
    """Take the shard's drain lock for the current transaction. Raises OperationalError after the lock time-out."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK_CLASS, shard])


def read_events(shard: int, batch: int = BATCH_EVENTS) -> Events:
    """The oldest events of a shard's stream."""
    return cast("Events", client().xrange(keyspace.ledger_key(shard), count=batch))


def append(shard: int, events: Events) -> None:
    """Insert events that are not in the ledger yet. One that PostgreSQL will not take goes to the dead letters."""
    try:
        with transaction.atomic():
            _insert([fields[b"e"] for _, fields in events])
    except _UNFIT:
        for entry_id, fields in events:
            _insert_alone(shard, entry_id, fields)


def append_unread(shard: int) -> str:
    """Insert every event that is in the stream now, in the current transaction, which holds the shard's lock. Returns
    the id of the first after them. Raises TooManyUnread.

    They are not cut off: until this transaction commits, the stream is where they are safe.
    """
    first, taken = "-", 0
    while events := cast("Events", client().xrange(keyspace.ledger_key(shard), min=first, count=BATCH_EVENTS)):
        append(shard, events)
        first = after(events[-1][0])
        taken += len(events)
        if taken > MAX_UNREAD:
            raise TooManyUnread
    return first


def cut_off(shard: int, events: Events) -> None:
    """Forget events that are committed, and no others: by their ids alone. After a failover to a server whose clock is
    behind, what nobody has read yet may be older."""
    client().xdel(keyspace.ledger_key(shard), *(entry_id for entry_id, _ in events))


def after(entry_id: bytes) -> str:
    """The next possible id of a stream."""
    moment, _, number = entry_id.decode().partition("-")
    return f"{moment}-{int(number) + 1}"


def _insert(events: Sequence[bytes]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT costhub_append_ledger(%s)", [(b"[" + b",".join(events) + b"]").decode()])


def _insert_alone(shard: int, entry_id: bytes, fields: dict[bytes, bytes]) -> None:
    try:
        with transaction.atomic():
            _insert([fields[b"e"]])
    except _UNFIT as error:
        _log.error("a ledger event could not be written", extra={"shard": shard, "entry": entry_id.decode()})
        _bury(shard, entry_id, fields.get(b"e", b""), error)


def _bury(shard: int, entry_id: bytes, event: bytes, error: Exception) -> None:
    arguments: list[Any] = [
        keyspace.ledger_key(shard),
        entry_id.decode(),
        event.decode("utf-8", "backslashreplace").replace("\0", "\\0"),
        f"{type(error).__name__}: {error}"[:500],
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO proxy_deadletter (stream, entry_id, event, reason) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            arguments,
        )
