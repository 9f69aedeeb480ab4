"""Which upstreams answer at the moment, as far as this process knows: one that is dead costs nobody a time-out who
could be served by another."""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractContextManager
from typing import Final, TypeVar

from costhub.lib import clock, metrics
from proxy.core.cooldowns import FAILURES, NANOS_PER_SECOND, Health, after_failure, take_probe
from proxy.core.plan import prefer_healthy
from proxy.upstreams.places import Places
from proxy.values.plan import Plan
from tenants.snapshots import UpstreamSnapshot

_log = logging.getLogger(__name__)

#: of those that failed last
_MOST_REMEMBERED: Final = 10_000


Asked = TypeVar("Asked")


class UpstreamHealth:
    """The upstreams and endpoints that have failed, and since when they are left alone. ``tell`` is told of each that
    is left alone from now on, and for how many milliseconds."""

    def __init__(self, tell: Callable[[str, int], object] | None = None) -> None:
        self._tell = tell
        self._failing: OrderedDict[str, Health] = OrderedDict()
        # When the last of their cool-downs ends that was begun.
        self._until_ns = 0
        self._places = Places(self._cools_down)

    def find_place(self, upstream: UpstreamSnapshot, avoided: Collection[str] = ()) -> UpstreamSnapshot:
        """The upstream as it is to be asked now, at one of its endpoints if it has some; see ``Places.find``."""
        return self._places.find(upstream, avoided) if upstream.endpoints else upstream

    def busy(self, place: UpstreamSnapshot) -> AbstractContextManager[None]:
        """A call is under way there until the block ends."""
        return self._places.busy(place)

    async def count(self, place: UpstreamSnapshot, asking: Awaitable[Asked]) -> Asked:
        """What ``asking`` brings, under way there until then."""
        with self._places.busy(place):
            return await asking

    @property
    def is_all_well(self) -> bool:
        """Whether no upstream is left alone: then ``prefer_healthy`` changes no plan. One that failed once and is never
        asked again is remembered, and keeps nobody from anything."""
        return not self._failing or clock.monotonic_ns() >= self._until_ns

    def prefer_healthy(self, plan: Plan) -> Plan:
        """The plan with those candidates first whose upstreams answer. What is asked after a cool-down is the probe,
        and until then every call is planned as ever: one that is refused, or answered from the cache, asks nobody."""
        if len(plan.candidates) == 1 or not self._failing:
            return plan
        return prefer_healthy(plan, self._is_down)

    def note_asked(self, upstream: UpstreamSnapshot) -> None:
        """It is asked now: where its cool-down is over this is the probe, and others wait for what comes of it."""
        if not self._failing:
            return
        health = self._failing.get(upstream.id)
        if health is not None and health.until_ns and (probe := take_probe(health, clock.monotonic_ns())) is not None:
            self._failing[upstream.id] = probe
            self._until_ns = max(self._until_ns, probe.until_ns)

    def note_success(self, upstream: UpstreamSnapshot) -> None:
        """It has answered."""
        if self._failing:
            self._failing.pop(upstream.id, None)

    def note_failure(
        self, upstream: UpstreamSnapshot, pause_seconds: float | None = None, *, at_once: bool = False
    ) -> None:
        """It has not answered, or said that it is not to be asked for so many seconds. ``at_once``: others do what it
        does not, so that this one failure is enough."""
        pause_ns = int((pause_seconds or 0) * NANOS_PER_SECOND)
        before = self._failing.pop(upstream.id, Health())
        after = after_failure(before, clock.monotonic_ns(), pause_ns, 1 if at_once else FAILURES)
        self._failing[upstream.id] = after
        self._until_ns = max(self._until_ns, after.until_ns)
        if len(self._failing) > _MOST_REMEMBERED:
            self._failing.popitem(last=False)
        if after.until_ns != before.until_ns:
            metrics.COOL_DOWNS.inc()
            _log.warning("an upstream does not answer and is left alone for a while", extra={"upstream": upstream.id})
            if self._tell is not None:
                self._tell(upstream.id, after.length_ns // 1_000_000)

    def _is_down(self, upstream: UpstreamSnapshot) -> bool:
        return self._cools_down(upstream.id) and all(self._cools_down(server.id) for server in upstream.endpoints)

    def _cools_down(self, place_id: str) -> bool:
        health = self._failing.get(place_id)
        return health is not None and clock.monotonic_ns() < health.until_ns
