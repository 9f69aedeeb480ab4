"""How long a sign-in lasts: for so long after the last page, and for so long after it began, whatever was done.

What a page that stands open asks for by itself, the stream of what moves and itself anew, is no page: nobody may sit
before it.
"""

from typing import Final

from django.conf import settings
from django.contrib.auth import SESSION_KEY, logout
from django.http import HttpRequest
from django.utils.deprecation import MiddlewareMixin

from costhub.lib import clock

BEGUN: Final = "costhub_begun"
SEEN: Final = "costhub_seen"
#: the moment of the last page is written again once so much of the idle time has passed: not with every page
_NOTED: Final = 20
#: what static/costhub.js says of a page that asks for itself
REFRESH: Final = "X-CostHub-Refresh"
_STREAM: Final = "/live"


class SessionLimitsMiddleware(MiddlewareMixin):
    """Signs somebody out whose session is over, before anything is asked in their name."""

    def process_request(self, request: HttpRequest) -> None:
        """Look at the session of a request that carries one."""
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or SESSION_KEY not in request.session:
            return
        session, now = request.session, int(clock.now().timestamp())
        begun, seen = session.get(BEGUN), session.get(SEEN)
        if begun is None or seen is None:
            session[BEGUN] = session[SEEN] = now
        elif now - begun >= settings.SESSION_COOKIE_AGE or now - seen >= settings.SESSION_IDLE_SECONDS:
            logout(request)
        elif now - seen >= settings.SESSION_IDLE_SECONDS // _NOTED and not _asks_by_itself(request):
            session[SEEN] = now


def _asks_by_itself(request: HttpRequest) -> bool:
    return REFRESH in request.headers or request.path.endswith(_STREAM)
