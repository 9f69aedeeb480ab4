"""Where a call to an upstream is sent: to one of its endpoints, or to its own URL where none of them can be asked."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Final

from proxy.core.endpoints import choose
from tenants.snapshots import EndpointSnapshot, UpstreamSnapshot

_UNCOUNTED: Final[AbstractContextManager[None]] = nullcontext()
#: endpoints that are known to a process; beyond, it begins anew
_MOST_KNOWN: Final = 10_000


class Places:
    """The endpoints that this process has sent calls to, and how many it has under way at each."""

    def __init__(self, is_down: Callable[[str], bool]) -> None:
        self._is_down = is_down
        self._calls: defaultdict[str, int] = defaultdict(int)
        self._turns: dict[str, int] = {}
        self._known: dict[str, tuple[EndpointSnapshot, UpstreamSnapshot, UpstreamSnapshot]] = {}

    def find(self, upstream: UpstreamSnapshot, avoided: Collection[str] = ()) -> UpstreamSnapshot:
        """The upstream as it is to be asked now: itself, or with the id, the URL and the credential of an endpoint.

        First of those endpoints that answer, then its own URL; what is ``avoided``, because it has failed this call,
        only where nothing else is left.
        """
        if not upstream.endpoints:
            return upstream
        up = [server for server in upstream.endpoints if not self._is_down(server.id)]
        fresh = [server for server in up if server.id not in avoided]
        if fresh:
            return self._at(upstream, choose(fresh, self._calls, self._turns))
        if upstream.id not in avoided and not self._is_down(upstream.id):
            return upstream
        return self._at(upstream, choose(up, self._calls, self._turns)) if up else upstream

    def busy(self, place: UpstreamSnapshot) -> AbstractContextManager[None]:
        """A call is under way there until the block ends. Of an upstream's own URL nobody counts them."""
        return self._busy(place) if place.id in self._known else _UNCOUNTED

    @contextmanager
    def _busy(self, place: UpstreamSnapshot) -> Iterator[None]:
        self._calls[place.id] += 1
        try:
            yield
        finally:
            self._calls[place.id] -= 1
            if not self._calls[place.id]:
                del self._calls[place.id]

    def _at(self, upstream: UpstreamSnapshot, server: EndpointSnapshot) -> UpstreamSnapshot:
        known = self._known.get(server.id)
        if known is None or known[0] is not server or known[1] is not upstream:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
                self._turns.clear()
            place = replace(
                upstream,
                id=server.id,
                base_url=server.base_url,
                origin=server.origin,
                credential=server.credential,
                endpoints=(),
            )
            # As long as nothing changes it is one value: the transport knows its connections by that.
            known = self._known[server.id] = (server, upstream, place)
        return known[2]
