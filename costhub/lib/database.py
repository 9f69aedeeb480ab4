"""Database connections of threads that live as long as their process, plans that outlive a statement, and locks between
processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db import connection
from django.db.backends.postgresql.base import ServerBindingCursor
from django.db.backends.utils import CursorWrapper

#: of so many statements a connection keeps plans
_MOST_PLANS: Final = 20


@contextmanager
def try_to_be_only(lock: int) -> Iterator[bool]:
    """Whether this process is the only one inside; a worker that dies inside gives its place back.

    A lock of the session, not of a transaction: what happens inside may commit as it goes.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [lock])
        is_ours = cursor.fetchone() == (True,)
    try:
        yield is_ours
    finally:
        if is_ours:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [lock])


@contextmanager
def planned_once() -> Iterator[CursorWrapper]:
    """A cursor whose statements PostgreSQL plans once a connection, without a look at their values: for long ones, of
    which the same plan is the best whatever these are. Within a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
    raw = connection.connection
    # Prepared at their first run already. Django's usual cursors put values into the text and never prepare it.
    raw.prepare_threshold, raw.prepared_max = 0, _MOST_PLANS
    usual, raw.cursor_factory = raw.cursor_factory, ServerBindingCursor
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        raw.cursor_factory = usual


def keep_connection() -> None:
    """Between two pieces of work: close this thread's connection if it is broken, and keep it for the next one if not.

    As Django does after a request, but for the age: ``CONN_MAX_AGE`` is for threads that end.
    """
    connection.close_at = None
    connection.close_if_unusable_or_obsolete()
