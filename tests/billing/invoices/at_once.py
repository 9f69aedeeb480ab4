"""Work at once: in threads with connections of their own, one of which goes on when the other waits for it."""

from collections.abc import Callable
from typing import Any

from django.db import connection, connections

from costhub.lib import clock


def wait_until(is_over: Callable[[], bool]) -> None:
    """Until it is, or somebody waits for a lock."""
    ends = clock.ends_in(20)
    while not is_over() and not is_waited_for() and clock.monotonic_ns() < ends:
        pass


def is_waited_for() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone() != (0,))


def apart(work: Callable[[], Any]) -> Any:
    """What it gives, in a thread of its own, whose connections end with it."""
    try:
        return work()
    finally:
        connections.close_all()
