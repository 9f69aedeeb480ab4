"""Work at once: in threads with connections of their own, one of which goes on when the other waits for it."""

import time
from collections.abc import Callable
from threading import Event
from typing import Any

from django.db import connection, connections

from tests.patience import PATIENCE_SECONDS


def wait_until(is_over: Callable[[], bool]) -> None:
    """Until it is, or somebody waits for a lock. Raises AssertionError where neither comes."""
    pause, ends = Event(), time.monotonic() + PATIENCE_SECONDS
    while not is_over() and not is_waited_for():
        assert time.monotonic() < ends, "it neither ends nor waits"
        pause.wait(0.005)


def is_waited_for() -> bool:
    """Whether a connection waits for another one's lock. The server's own processes wait now and then, too."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE NOT granted AND backend_type = 'client backend'"
        )
        return bool(cursor.fetchone() != (0,))


def apart(work: Callable[[], Any]) -> Any:
    """What it gives, in a thread of its own, whose connections end with it."""
    try:
        return work()
    finally:
        connections.close_all()
