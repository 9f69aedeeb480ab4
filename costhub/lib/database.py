"""Database connections of threads that live as long as their process."""

from django.db import connection


def keep_connection() -> None:
    """Between two pieces of work: close this thread's connection if it is broken, and keep it for the next one if not.

    As Django does after a request, but for the age: ``CONN_MAX_AGE`` is for threads that end.
    """
    connection.close_at = None
    connection.close_if_unusable_or_obsolete()
