"""Who works for an organisation's batches: whoever has its lock, which is of the worker's connection to PostgreSQL and
goes with that."""

from typing import Final
from uuid import UUID

from costhub.lib.database import session_cursor

_MARK: Final = 0x42415443  # "BATC"


def try_lock(org_id: str) -> bool:
    """Take an organisation, if nobody has it."""
    with session_cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_lock_of(org_id)])
        return bool(cursor.fetchone() == (True,))


def is_locked(org_id: str) -> bool:
    """Whether this thread's connection has the lock still: one that broke has been replaced by another."""
    with session_cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted"
            " AND objsubid = 1 AND (classid::bigint << 32) | objid::bigint = %s)",
            [_lock_of(org_id)],
        )
        return bool(cursor.fetchone() == (True,))


def unlock(org_id: str) -> None:
    """Let go of it."""
    with session_cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s)", [_lock_of(org_id)])


def _lock_of(org_id: str) -> int:
    """A number of PostgreSQL's 64-bit space of locks."""
    return int.from_bytes(UUID(org_id).bytes[:8], signed=True) ^ _MARK
