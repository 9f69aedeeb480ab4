"""What routes have learned, as a process knows it: read from PostgreSQL beside the calls, and asked within them.

A call never waits for it. Until what a route has learned is here, it decides as if it had learned nothing, and says so.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from uuid import UUID

from django.db import Error as AnyDatabaseError
from django.db import connection, connections

from costhub.lib import clock
from proxy.core.routes.judge import Learned
from proxy.core.routes.packing import (
    LearnedCascade,
    LearnedPairs,
    LearnedRouter,
    Unreadable,
    unpack_cascade,
    unpack_either,
)
from proxy.core.routes.scoring import score
from proxy.routing.model import LearnedRoute
from proxy.values.request import Controls, Request
from proxy.values.routing import NO_SCORES, Scores
from tenants.access import org_scope
from tenants.choices import RouteKind
from tenants.route_snapshots import RouteSnapshot
from tenants.snapshots import OrgSnapshot

_log = logging.getLogger(__name__)

_MOST_KNOWN: Final = 500
_AGAIN_NS: Final = 60 * 1_000_000_000


_Learned = LearnedRouter | LearnedPairs | LearnedCascade


class LearnedRoutes:
    """What was learned, by id."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="learned")
        self._known: dict[str, _Learned] = {}
        self._loading: dict[str, asyncio.Future[None]] = {}
        self._not_before: dict[str, int] = {}

    async def close(self) -> None:
        """End the thread."""
        closing = asyncio.get_running_loop().run_in_executor(self._thread, connections.close_all)
        await asyncio.wait([closing], timeout=1)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def score(self, request: Request, controls: Controls, org: OrgSnapshot) -> Scores:
        """What the route that a call asks for has learned of such prompts."""
        route = org.routes.get(request.model)
        if route is None or not route.learned:
            return NO_SCORES
        learned = self._find(org, route)
        return score(route, None if isinstance(learned, LearnedCascade) else learned, request, controls)

    def confidences(self, route: RouteSnapshot, org: OrgSnapshot) -> dict[str, Learned]:
        """How sure the answers of a cascade's rungs are, by model, as far as that was learned."""
        learned = self._find(org, route) if route.learned else None
        if not isinstance(learned, LearnedCascade):
            return {}
        return {model: Learned(one, learned.strong_right, learned.strong) for model, one in learned.confidences.items()}

    def _find(self, org: OrgSnapshot, route: RouteSnapshot) -> _Learned | None:
        known = self._known.get(route.learned)
        is_due = clock.monotonic_ns() >= self._not_before.get(route.learned, 0)
        if known is None and is_due and route.learned not in self._loading:
            self._load(org.id, route.learned, unpack_either if route.kind == RouteKind.ROUTER else unpack_cascade)
        return known

    def _load(self, org_id: str, wanted: str, unpack: Callable[[bytes], _Learned]) -> None:
        loading = asyncio.get_running_loop().run_in_executor(self._thread, self._read, org_id, wanted, unpack)
        self._loading[wanted] = loading
        loading.add_done_callback(lambda _: self._loading.pop(wanted, None))

    def _read(self, org_id: str, wanted: str, unpack: Callable[[bytes], _Learned]) -> None:
        try:
            with org_scope(org_id):
                row = LearnedRoute.objects.filter(org_id=org_id, id=UUID(wanted)).first()
            if row is not None:
                if len(self._known) >= _MOST_KNOWN:
                    self._known.clear()
                self._known[wanted] = unpack(bytes(row.packed))
                return
        except (AnyDatabaseError, Unreadable, ValueError) as error:
            _log.warning("what a route has learned cannot be read", extra={"reason": f"{type(error).__name__}"})
        finally:
            connection.close_if_unusable_or_obsolete()
        self._not_before[wanted] = clock.monotonic_ns() + _AGAIN_NS
