"""Database connections of threads that live as long as their process, and locks between processes."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


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


def keep_connection() -> None:
    """Between two pieces of work: close this thread's connection if it is broken, and keep it for the next one if not.

    As Django does after a request, but for the age: ``CONN_MAX_AGE`` is for threads that end.
    """
    connection.close_at = None
    connection.close_if_unusable_or_obsolete()
