"""One upstream call for equal calls that are under way at once, in this worker and in others.

The first of them leads: it asks Valkey for the answer, and where there is none and nobody else asks for it, the
upstream. Those who come meanwhile follow it. A leader who ends without an answer (its caller left before the upstream
was asked, or its worker died) hands over to one of its followers; one whose answer may not be given to others lets each
of them ask for itself. Across workers a flight in Valkey says who leads: its owner renews it, and the leader of every
other worker looks again until there is an answer, or nobody owns it any more.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Final, NamedTuple

from costhub.lib import clock
from costhub.lib.clock import Stopwatch
from proxy.cache.entries import Kept
from proxy.cache.semantic import LookUp
from proxy.cache.valkey_cache import LEASE_MS, Standing, ValkeyCache
from proxy.edges.standing_tasks import start_standing
from proxy.errors import AnsweredLater, ApiError, UpstreamError
from tenants.sealed_rows import Sealer

_RENEWAL_SECONDS: Final = LEASE_MS / 3000
#: how long the leader of another worker waits before it looks again: first, and at most
_FIRST_LOOK_SECONDS: Final = 0.01
_LAST_LOOK_SECONDS: Final = 0.1


class Origin(Enum):
    """Where an answer that was waited for came from."""

    UPSTREAM = "coalesced"
    VALKEY = "hit-l2"
    MEANING = "hit-semantic"


class Shared(NamedTuple):
    """An answer that somebody else brought. ``looked``: the look-up by meaning that found it, if one did."""

    kept: Kept
    origin: Origin
    looked: LookUp | None = None


def hands_over(error: BaseException | None) -> bool:
    """Whether one of those who wait is to lead where a leader ends with this error, because it says nothing of what the
    upstream would answer them. A refusal of ours is about its caller, and so is a deadline; the next one may be
    taken."""
    return isinstance(error, asyncio.CancelledError | AnsweredLater) or (
        isinstance(error, ApiError) and not isinstance(error, UpstreamError)
    )


class Flight:
    """One call under way. Its leader ends it exactly once."""

    def __init__(self, digest: bytes, leader: str, sealer: Sealer, keep_going: Callable[[], None]) -> None:
        self.digest = digest
        self.leader = leader
        # The organisation's: a digest is of one alone.
        self.sealer = sealer
        # Whether Valkey says that it is ours.
        self.is_claimed = False
        self._keep_going = keep_going
        # The answer; or whether one of the followers leads from now on, or each asks for itself.
        self._ended: asyncio.Future[Shared | bool] = asyncio.get_running_loop().create_future()

    def note_awaited(self) -> None:
        """Somebody waits for it: it goes on, even if its own caller leaves."""
        self._keep_going()

    async def follow(self) -> Shared | bool:
        """The leader's answer, or whether one of its followers is to lead now. Who leaves disturbs no other."""
        self.note_awaited()
        return await asyncio.shield(self._ended)

    def end(self, shared: Shared | None, *, hands_over: bool) -> None:
        """Tell the followers."""
        if not self._ended.done():
            self._ended.set_result(hands_over if shared is None else shared)


class Flights:
    """The calls under way in this process."""

    def __init__(self, store: ValkeyCache) -> None:
        self._store = store
        self._open: dict[bytes, Flight] = {}
        self._renewals: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to renew."""
        self._renewals = start_standing("flights", self._renew)

    async def close(self) -> None:
        """Stop renewing: others take over."""
        if self._renewals is not None:
            self._renewals.cancel()
            with suppress(asyncio.CancelledError):
                await self._renewals

    async def join(
        self,
        digest: bytes,
        asker: str,
        sealer: Sealer,
        keep_going: Callable[[], None],
        is_usable: Callable[[Kept], bool],
        waited: Stopwatch,
    ) -> Flight | Shared | None:
        """Join the calls for one answer: gives the flight that this call leads now, which it must ``land``; or a usable
        answer, from Valkey or from who led; or None where this call is to ask for itself alone. ``waited`` is told how
        long others' upstreams were waited for, whatever came of it."""
        while True:
            flight = self._open.get(digest)
            if flight is None:
                return await self._lead(digest, asker, sealer, keep_going, is_usable, waited)
            ended = await _follow(flight, waited)
            if isinstance(ended, Shared):
                return ended if is_usable(ended.kept) else None
            if not ended:
                return None

    def land(self, flight: Flight, kept: Kept | None, seconds: int, *, hands_over: bool = False) -> None:
        """The flight is over: its answer is kept, in Valkey too, and given to who waits."""
        self._forget(flight)
        if flight.is_claimed or kept is not None:
            self._store.land(flight.digest, flight.leader, flight.sealer, kept, seconds, hands_over=hands_over)
        flight.end(Shared(kept, Origin.UPSTREAM) if kept is not None else None, hands_over=hands_over)

    def give(self, flight: Flight, kept: Kept, looked: LookUp) -> None:
        """The flight is over before the upstream was asked: a look-up by meaning has found an answer, which is kept
        elsewhere. Who waits in this process gets it; other workers look for it themselves."""
        self._forget(flight)
        if flight.is_claimed:
            self._store.land(flight.digest, flight.leader, flight.sealer, None, 0)
        flight.end(Shared(kept, Origin.MEANING, looked), hands_over=False)

    async def _lead(
        self,
        digest: bytes,
        asker: str,
        sealer: Sealer,
        keep_going: Callable[[], None],
        is_usable: Callable[[Kept], bool],
        waited: Stopwatch,
    ) -> Flight | Shared:
        flight = self._open[digest] = Flight(digest, asker, sealer, keep_going)
        pause, has_waited = _FIRST_LOOK_SECONDS, False
        try:
            while True:
                found = await self._store.look_up(digest, asker, sealer)
                if found.standing is Standing.FOUND and not (found.kept is not None and is_usable(found.kept)):
                    # Purged, too old for this caller, or damaged: of those who say so one asks for a new one.
                    found = await self._store.look_up(digest, asker, sealer, is_anew=True)
                if found.kept is not None:
                    # Who had to wait for another worker's call was not served from what was kept.
                    shared = Shared(found.kept, Origin.UPSTREAM if has_waited else Origin.VALKEY)
                    self._forget(flight)
                    flight.end(shared, hands_over=False)
                    return shared
                if found.standing is not Standing.THEIRS:
                    flight.is_claimed = found.standing is Standing.OURS
                    return flight
                has_waited = True
                with waited:
                    await asyncio.sleep(pause)
                pause = min(pause * 1.5, _LAST_LOOK_SECONDS)
        except BaseException:
            self._forget(flight)
            flight.end(None, hands_over=True)
            raise

    def _forget(self, flight: Flight) -> None:
        if self._open.get(flight.digest) is flight:
            del self._open[flight.digest]

    async def _renew(self) -> None:
        await asyncio.sleep(_RENEWAL_SECONDS)
        # Together: one after the other the last ones' leases would lapse where Valkey is slow.
        await asyncio.gather(*(self._renew_one(flight) for flight in self._open.values() if flight.is_claimed))

    async def _renew_one(self, flight: Flight) -> None:
        if self._open.get(flight.digest) is not flight:
            return  # it has landed meanwhile: nobody would end it
        found = await self._store.look_up(flight.digest, flight.leader, flight.sealer, is_anew=True)
        if found.is_awaited:
            flight.note_awaited()


async def _follow(flight: Flight, waited: Stopwatch) -> Shared | bool:
    began, ended = clock.monotonic_ns(), None
    try:
        ended = await flight.follow()
    finally:
        # What was found where answers are kept took us this long; of anything else it was an upstream.
        if not isinstance(ended, Shared) or ended.origin is Origin.UPSTREAM:
            waited.total_ns += clock.monotonic_ns() - began
    return ended
