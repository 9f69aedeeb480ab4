"""Pages and lists read from a replica of PostgreSQL, where there is one that is fresh enough.

A GET of the API or the console is answered from the replica when that has all that the primary had so long ago as the
bound says, and whoever asks has written nothing for twice as long: so everybody finds what he has just written. All
that does not end in 200 there is done again by the primary as if nothing had been tried: a view that writes after all,
a row that has not arrived, a replica that is away or cancels a statement. A session's user is known from the primary, a
token's from the replica: one that was revoked may read for as long as the bound.

How old a replica is no clock of a server says: the primary is asked from time to time how far its log has come, and the
replica how far it has got. So servers' clocks may differ, and a primary that writes nothing has a fresh replica.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.db import Error as AnyDatabaseError
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from redis.exceptions import RedisError

from costhub.lib import clock, keyspace
from costhub.lib.redis import client

_log = logging.getLogger(__name__)

REPLICA: Final = "replica"
#: says where an answer was read
HEADER: Final = "X-CostHub-Read-From"
_UNSAFE: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_READ_BY: Final = ("costhub.console.", "billing.", "tenants.api.", "proxy.learning.")
#: one that did not answer is not asked again for so long
_AWAY_NS: Final = 2_000_000_000
#: marks are so many to a bound
_MARKS: Final = 4
# Whatever is committed lies before it, also where commits do not wait for the disk.
_WRITTEN: Final = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"
# Null on a primary.
_REPLAYED: Final = "SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')"

View = Callable[..., HttpResponseBase]


class Marks:
    """How far the primary's log had come, and when by this process's clock."""

    def __init__(self) -> None:
        # (when, how far), the newest last; replaced whole, because threads share it
        self._marks: tuple[tuple[int, int], ...] = ()

    def is_due(self, now_ns: int, bound_ns: int) -> bool:
        """Whether the primary should be asked again."""
        return not self._marks or now_ns - self._marks[-1][0] >= bound_ns // _MARKS

    def note(self, asked_ns: int, position: int, bound_ns: int) -> None:
        """``asked_ns`` is when the primary was asked, and not when it answered: it may say more than it knew then."""
        kept = [mark for mark in self._marks if asked_ns - mark[0] <= bound_ns]
        self._marks = (*kept, (asked_ns, position))

    def is_fresh(self, now_ns: int, position: int, bound_ns: int) -> bool:
        """Whether who has got so far lacks nothing that is older than the bound."""
        return any(now_ns - when <= bound_ns and far <= position for when, far in self._marks)


class ReplicaMiddleware:
    """See above. Without ``COSTHUB_READ_DATABASE_URL`` it does nothing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        self._away_until_ns = 0
        self._marks = Marks()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        if settings.HAS_REPLICA and request.method in _UNSAFE:
            _note_written(request)
        return response

    def process_view(
        self, request: HttpRequest, view: View, arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> HttpResponseBase | None:
        """The answer by the replica, or None for the primary's."""
        if not settings.HAS_REPLICA or request.method not in {"GET", "HEAD"} or not _is_read(view):
            return None
        if clock.monotonic_ns() < self._away_until_ns or _has_written(request):
            return None
        # Who is signed in is known from the primary.
        bool(request.user.is_authenticated)
        try:
            _mark(self._marks)
            return _ask_replica(self._marks, request, view, arguments, named)
        except Exception as error:  # noqa: BLE001 - a page that is not there, too: the primary knows better
            _log.info("read_from_primary", extra={"error": type(error).__name__})
            if isinstance(error, AnyDatabaseError) and not connections[REPLICA].is_usable():
                self._away_until_ns = clock.monotonic_ns() + _AWAY_NS
                connections[REPLICA].close()
            return None


def _mark(marks: Marks) -> None:
    now_ns, bound_ns = clock.monotonic_ns(), settings.READ_STALENESS_MS * 1_000_000
    if marks.is_due(now_ns, bound_ns):
        position = _ask_position("default", _WRITTEN)
        if position is not None:
            marks.note(now_ns, position, bound_ns)


def _ask_position(alias: str, statement: str) -> int | None:
    with connections[alias].cursor() as cursor:
        cursor.execute(statement)
        (position,) = cursor.fetchone()
    return None if position is None else int(position)


def _ask_replica(
    marks: Marks, request: HttpRequest, view: View, arguments: tuple[Any, ...], named: dict[str, Any]
) -> HttpResponseBase | None:
    with _in_place_of_the_primary(), transaction.atomic():
        position = _ask_position(REPLICA, _REPLAYED)
        bound_ns = settings.READ_STALENESS_MS * 1_000_000
        if position is None or not marks.is_fresh(clock.monotonic_ns(), position, bound_ns):
            return None
        response: Any = view(request, *arguments, **named)
        if not isinstance(response, HttpResponse) or response.status_code != 200:
            return None
        if hasattr(response, "render"):
            response = response.render()
        response.headers[HEADER] = REPLICA
        return response  # type: ignore[no-any-return]


@contextmanager
def _in_place_of_the_primary() -> Iterator[None]:
    """What this thread asks of the database goes to the replica. Each request has a thread of its own."""
    usual = connections["default"]
    connections["default"] = connections[REPLICA]
    try:
        yield
    finally:
        connections["default"] = usual


def _is_read(view: View) -> bool:
    """Whether it may be asked of a replica: one that opens transactions of its own mostly asks nobody, and an answer
    that is made bit by bit asks for itself."""
    is_whole = not getattr(view, "_non_atomic_requests", None) and not iscoroutinefunction(view)
    return is_whole and str(getattr(view, "__module__", "")).startswith(_READ_BY)


def _note_written(request: HttpRequest) -> None:
    if name := _name_asker(request):
        try:
            client().set(keyspace.written_key(name), "1", px=2 * settings.READ_STALENESS_MS)
        except RedisError:
            _log.warning("a write could not be noted: readers may see it later")


def _has_written(request: HttpRequest) -> bool:
    try:
        return bool(client().exists(keyspace.written_key(_name_asker(request))))
    except RedisError:
        return True


def _name_asker(request: HttpRequest) -> str:
    """A digest of the token or the session, whichever the request has."""
    told = request.headers.get("authorization") or request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
    return hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:32] if told else ""
