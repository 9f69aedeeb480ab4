"""Django's backend for PostgreSQL, with connections that a thread leaves to the next one.

In the web server each request of Django's has a thread of its own, so nobody comes back for a connection that a thread
kept, and a new one costs a page 10 ms, and as much again until PostgreSQL's new process knows the tables. Django's
other way, a pool (psycopg-pool), was tried: it is a bound at which pages wait, with nine broken connections in it two
of them for five seconds each; of what a burst needed it closes one connection every few minutes; the task of a request
that is cancelled keeps its connection for ever. Here nothing waits: who finds no connection left by others opens one.
"""

import os
from threading import Lock
from typing import Any, Final

import psycopg
from django.db.backends.postgresql import base
from psycopg.pq import TransactionStatus

from costhub.lib import clock
from costhub.lib.giving_way import give_way

#: so many lie idle at most: what a burst needed more is closed with it
MOST_IDLE: Final = 4

Connection = psycopg.Connection[Any]

_lock: Final = Lock()
#: by alias: connections, the one that was left last at the end, and the nanosecond at which each was
_idle: Final[dict[str, list[tuple[int, Connection]]]] = {}


class DatabaseWrapper(base.DatabaseWrapper):
    """With ``IDLE_SECONDS`` in its settings a connection is left to others for so long when it is closed."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Connection:
        """One that was left and still works, or a new one."""
        while (left := self._take()) is not None:
            if _works(left):
                return left
            left.close()
        opened: Connection = super().get_new_connection(conn_params)
        if self.settings_dict.get("IS_NEAR") and (niceness := _niceness()):
            # Much of a page's time is spent there, and calls would wait for it.
            give_way(niceness, opened.info.backend_pid)
        return opened

    def _close(self) -> None:
        if not self._leave():
            super()._close()  # type: ignore[misc]  # Django's own hook, which its stubs leave out

    def _take(self) -> Connection | None:
        with _lock:
            idle = self._young()
            return idle.pop()[1] if idle else None

    def _leave(self) -> bool:
        """Whether the connection, fresh as a new one, now is the next one's."""
        left = self.connection
        if left is None or not self._seconds or not left.autocommit:
            return False
        if left.info.transaction_status != TransactionStatus.IDLE:
            return False
        with _lock:
            idle = self._young()
            if len(idle) >= MOST_IDLE:
                idle.pop(0)[1].close()
            idle.append((clock.monotonic_ns(), left))
        return True

    @property
    def _seconds(self) -> int:
        return int(self.settings_dict.get("IDLE_SECONDS", 0))

    def _young(self) -> list[tuple[int, Connection]]:
        """Those that have not lain idle for too long; the others are closed."""
        idle, oldest = _idle.setdefault(self.alias, []), clock.monotonic_ns() - self._seconds * 10**9
        while idle and idle[0][0] < oldest:
            idle.pop(0)[1].close()
        return idle


def _niceness() -> int:
    return max(0, os.getpriority(os.PRIO_PROCESS, 0))


def _works(connection: Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True
