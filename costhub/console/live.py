"""Server-sent events: a page hears that the ledger has something new, and asks for itself anew.

Nothing of the ledger is sent, only that it moved: what a page shows is always read by the page's own rules. A stream
ends after a minute, and the browser comes back: so a server that stops waits for none of them, and nobody who has
signed out, was suspended or lost the right to see money hears for longer than one look.
"""

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from importlib import import_module
from threading import RLock
from typing import Any, Final
from weakref import finalize

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.db import DatabaseError, close_old_connections, connection, transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from costhub.lib.errors import AppError
from proxy.models import LedgerEntry
from tenants.access import access_org
from tenants.choices import Permission

_log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0
#: of one stream: the browser opens the next one by itself
MOST_LOOKS: Final = 30
#: streams at once in one process that answers pages, and of these one session's
MOST_STREAMS: Final = 64
MOST_OF_A_SESSION: Final = 4
#: so many of the newest calls are looked at: one that began earlier and ends now is among them, mostly
_NEWEST: Final = 20
_RETRY: Final = b"retry: 3000\n\n"


class Seats:
    """How many streams there may be, in all and for one session."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._taken: Counter[str] = Counter()
        # Seats are left when streams are collected, which may be while this thread takes one.
        self._lock = RLock()

    def take(self, who: str) -> bool:
        """Take a seat, if there is one."""
        with self._lock:
            if self._taken.total() >= self._most or self._taken[who] >= self._most_of_one:
                return False
            self._taken[who] += 1
            return True

    def leave(self, who: str) -> None:
        """Give a seat back."""
        with self._lock:
            self._taken[who] -= 1
            self._taken += Counter()  # whoever has none is forgotten


_seats: Final = Seats(MOST_STREAMS, MOST_OF_A_SESSION)


@transaction.non_atomic_requests
@require_GET
async def live(request: HttpRequest, slug: str) -> HttpResponseBase:
    """A stream of ``moved`` for who may see the organisation's calls; 404 for everybody else, 503 without a seat."""
    session = request.session.session_key or ""
    look = sync_to_async(partial(look_at, session, slug))
    first = await look()
    if first is None:
        return HttpResponse(status=404)
    if not _seats.take(session):
        return HttpResponse(status=503, headers={"Retry-After": "60"})
    events = watch(look, first, partial(asyncio.sleep, LOOK_SECONDS))
    answer = StreamingHttpResponse(
        seated(events, leave_once(events, _seats, session)), content_type="text/event-stream"
    )
    answer.headers["Cache-Control"] = "private, no-store"
    answer.headers["X-Accel-Buffering"] = "no"
    return answer


async def watch(
    look: Callable[[], Awaitable[str | None]], before: str, pause: Callable[[], Awaitable[object]]
) -> AsyncIterator[bytes]:
    """``moved`` whenever a look shows another state, a comment when it does not, ``ended`` when there is no right to
    look any more."""
    yield _RETRY
    for _ in range(MOST_LOOKS):
        await pause()
        now = await look()
        if now is None:
            yield b"event: ended\ndata: \n\n"
            return
        yield b": \n\n" if now == before else b"event: moved\ndata: \n\n"
        before = now


async def seated(events: AsyncIterator[bytes], leave: Callable[[], object]) -> AsyncIterator[bytes]:
    """The events, and ``leave`` when they end, by themselves or because nobody listens any more."""
    try:
        async for event in events:
            yield event
    finally:
        leave()


def leave_once(events: AsyncIterator[bytes], seats: Seats, who: str) -> Callable[[], object]:
    """What leaves a seat: when it is called, or else when nobody has the events any more. Of a stream whose browser
    goes before it begins nothing is ever run, and so nothing of it could give the seat back."""
    return finalize(events, seats.leave, who)


def look_at(session_key: str, slug: str) -> str | None:
    """A digest of the organisation's newest calls. None where the session's person may not see them, or not now."""
    asked = HttpRequest()
    asked.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    try:
        with transaction.atomic():
            user: Any = get_user(asked)
            if not user.is_authenticated:
                return None
            actor = access_org(user, slug)
            if not actor.may(Permission.READ_MONEY):
                return None
            newest = LedgerEntry.objects.filter(org_id=actor.org.pk).order_by("-started_at", "-id")
            ids = newest.values_list("id", flat=True)[:_NEWEST]
            return hashlib.blake2b(b"".join(one.bytes for one in ids), digest_size=16).hexdigest()
    except AppError:
        return None
    except DatabaseError:
        _log.warning("live_look_failed", exc_info=True)
        return None
    finally:
        # A stream holds no connection between two looks.
        if not connection.in_atomic_block:
            close_old_connections()
