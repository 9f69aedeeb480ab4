"""Database connections of threads that live as long as their process, plans that outlive a statement, and locks between
processes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from django.conf import settings
from django.db import NotSupportedError, OperationalError, connection, connections, transaction
from django.db.backends.postgresql.base import ServerBindingCursor
from django.db.backends.utils import CursorWrapper
from psycopg.errors import DeadlockDetected, FeatureNotSupported, LockNotAvailable

from costhub.lib.errors import Conflict

#: of so many statements a connection keeps plans
_MOST_PLANS: Final = 20
#: to which a transaction goes back whose kept plan is refused
_PLANNED: Final = "costhub_planned"


def session_cursor() -> CursorWrapper:
    """A cursor of a connection that stays the same one: the usual one's, unless that is a pooler's."""
    return connections[settings.SESSION_DATABASE].cursor()


@contextmanager
def try_to_be_only(lock: int) -> Iterator[bool]:
    """Whether this process is the only one inside; a worker that dies inside gives its place back.

    A lock of the session, not of a transaction: what happens inside may commit as it goes.
    """
    with session_cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [lock])
        is_ours = cursor.fetchone() == (True,)
    try:
        yield is_ours
    finally:
        if is_ours:
            with session_cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [lock])


def take_turn(name: str) -> None:
    """Wait until nobody else is in a transaction that took its turn under this name; it is ours until the present one
    ends. Raises Conflict where that takes longer than PostgreSQL waits for a lock."""
    with _told_of_waiting(), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [_turn(name)])


@contextmanager
def turn_held(name: str, using: str) -> Iterator[None]:
    """Nobody takes a turn under this name while inside, over several transactions of the connection ``using``; whoever
    has it is waited for. Raises Conflict where that takes longer than PostgreSQL waits for a lock."""
    with _told_of_waiting(), connections[using].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [_turn(name)])
    try:
        yield
    finally:
        with connections[using].cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [_turn(name)])


@contextmanager
def _told_of_waiting() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
        raise Conflict("Somebody else is doing this at the moment: look again, then repeat it.") from error


def is_lock_wait(error: BaseException | None) -> bool:
    """Whether something failed only because others had locked what it needs: tried again it may well succeed."""
    while error is not None and not isinstance(error, DeadlockDetected | LockNotAvailable):
        error = error.__cause__
    return error is not None


def _turn(name: str) -> str:
    # PostgreSQL knows no NUL, which the path of a page may have.
    return f"turn {name}".replace("\x00", "\ufffd")


@contextmanager
def planned_once() -> Iterator[CursorWrapper]:
    """A cursor whose statements PostgreSQL plans once a connection, without a look at their values: for long ones, of
    which the same plan is the best whatever these are. Within a transaction; where a pooler gives another connection to
    each, once in each."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL plan_cache_mode = force_generic_plan; SAVEPOINT {_PLANNED}")
    raw = connection.connection
    if not settings.POOLS_TRANSACTIONS:
        # Prepared at their first run already. Django's usual cursors put values into the text and never prepare it.
        raw.prepare_threshold, raw.prepared_max = 0, _MOST_PLANS
    usual, raw.cursor_factory = raw.cursor_factory, ServerBindingCursor
    try:
        with connection.cursor() as cursor:
            yield _Replanning(cursor.cursor, connection)
    finally:
        raw.cursor_factory = usual


def run_together(*statements: tuple[str, Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Statements with their parameters, in one round trip and one transaction, and the rows of the last one. PostgreSQL
    plans each once a connection, as in ``planned_once``. Outside of other transactions. Raises django.db.Error."""
    connection.ensure_connection()
    raw = connection.connection
    plans = ("SELECT set_config('plan_cache_mode', 'force_generic_plan', true)", ())
    if not settings.POOLS_TRANSACTIONS:
        raw.prepare_threshold, raw.prepared_max = 0, _MOST_PLANS
    cursor = psycopg.Cursor[tuple[Any, ...]](raw)
    # What is sent before the next answer is waited for is one transaction, without a BEGIN.
    with connection.wrap_database_errors, raw.pipeline():
        for sql, parameters in (plans, *statements):
            cursor.execute(sql, parameters)
    return cursor.fetchall() if cursor.description else []


class _Replanning(CursorWrapper):
    """A kept plan whose columns have another type since a migration is refused, once for each connection: it is made
    anew, so that whoever deploys breaks no page."""

    def execute(self, sql: Any, params: Any = None) -> Any:
        """Run a statement that reads."""
        try:
            return super().execute(sql, params)
        except NotSupportedError as error:
            if not isinstance(error.__cause__, FeatureNotSupported):
                raise
        # The driver forgets all that it has prepared when it hears of a rollback.
        self.db.connection.execute(f"ROLLBACK TO SAVEPOINT {_PLANNED}", prepare=False)
        return super().execute(sql, params)


def keep_connection() -> None:
    """Between two pieces of work: close this thread's connection if it is broken, and keep it for the next one if not.

    As Django does after a request, but for the age: ``CONN_MAX_AGE`` is for threads that end.
    """
    for kept in connections.all(initialized_only=True):
        kept.close_at = None
        kept.close_if_unusable_or_obsolete()
