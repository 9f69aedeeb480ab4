"""One call's visit to the cache: it may find an answer before money is set aside, and leaves its own behind.

Nothing here fails a call. What cannot be looked up is a miss, and what cannot be kept is not kept.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from types import TracebackType
from typing import Final

from prometheus_client import Counter

from costhub.lib import clock, metrics
from proxy.cache.coalesce import Flight, Flights, Origin, Shared, hands_over
from proxy.cache.entries import MAX_ENTRY_BYTES, Kept, is_usable, show_tags
from proxy.cache.inputs import InputsVisit, Levels, digest_inputs
from proxy.cache.key import CacheKey, is_cacheable, make_key
from proxy.cache.process import ProcessCache
from proxy.cache.semantic import LookUp, Semantic
from proxy.cache.valkey_cache import ValkeyCache
from proxy.cache.values import Found
from proxy.call import Call
from proxy.core.merging import MOST_BYTES, MOST_INPUTS, find_inputs
from proxy.core.routes.draw import is_drawn
from proxy.edges.background_tasks import BackgroundTasks
from proxy.edges.counting import INLINE_BYTES, Counting
from proxy.edges.entry import Entry
from proxy.upstreams.fitting import wire_of
from proxy.values.answer import Answer, Sink
from proxy.values.attempt import Certainty
from proxy.values.plan import Plan
from proxy.values.request import Operation, Request, Wire
from tenants.choices import CacheMode, RungKind
from tenants.sealed_rows import Sealer
from tenants.snapshots import CachePolicySnapshot

#: what the ledger says of a call that chance has kept from it, to compare with
HELD_OUT: Final = "held-out"
#: finding the value of a member of an enumeration costs as much as ten sums
_ON: Final = CacheMode.ON.value
_OFF: Final = CacheMode.OFF.value
#: what a trace calls it
LOOKED_UP: Final = "cache look-up"
_WHOLE: Final = frozenset({"stop", "tool_calls", "function_call"})
#: reasons to end that make an answer nobody else's, as they stand in its bytes
_CUT_SHORT: Final = (b'"length"', b'"content_filter"')


@lru_cache(maxsize=64)
def _lookups_of(status: str) -> Counter:
    """Prometheus takes longer to find a counter than to count."""
    return metrics.CACHE_LOOKUPS.labels(status)


def _count(status: str) -> None:
    _lookups_of(status).inc()


class Visit:
    """A block around a call. ``found`` is the answer that is to be given, if there is one."""

    rest: Request | None = None
    __slots__ = (
        "_cache",
        "_call",
        "_entry",
        "_flight",
        "_is_held_out",
        "_key",
        "_looked",
        "_plan",
        "_policy",
        "_scope",
        "_sealer",
        "answer",
        "found",
    )

    def __init__(
        self,
        cache: "Cache",
        key: CacheKey,
        policy: CachePolicySnapshot,
        plan: Plan,
        entry: Entry,
        call: Call,
        *,
        is_held_out: bool,
    ) -> None:
        self._cache = cache
        self._key = key
        self._scope = key.scope.hex()
        self._policy = policy
        self._plan = plan
        self._entry = entry
        self._sealer = Sealer(entry.org.id, entry.org.data_key)
        self._call = call
        self._is_held_out = is_held_out
        self._flight: Flight | None = None
        self._looked: LookUp | None = None
        self.answer: Answer | None = None
        self.found: Found | None = None

    def sink(self, relay: Sink) -> Sink:
        """Where the upstream's answer goes."""
        return relay

    def note_answer(self, answer: Answer) -> None:
        """What the upstream has answered."""
        self.answer = answer

    @property
    def keeps(self) -> bool:
        """Whether the upstream's answer is to be kept."""
        return not self._plan.controls.cache.no_store

    async def __aenter__(self) -> "Visit":
        entry = self._entry
        if self._plan.controls.cache.no_cache:
            return self
        if self._is_held_out:
            # Its answer is kept as any: what others find is what they would have found without a hold-out.
            entry.note_cache(HELD_OUT)
            _count(HELD_OUT)
            return self
        began = clock.monotonic_ns()
        try:
            status = await self._find() or "miss"
        except BaseException:
            # A block that was not entered is not left either: whoever waits for this call's answer takes over.
            if self._flight is not None:
                self._cache.flights.land(self._flight, None, 0, hands_over=True)
            raise
        ended = clock.monotonic_ns()
        entry.timings.append((LOOKED_UP, 1, began, ended))
        entry.note_cache(status)
        _count(status)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        kept = None if error is not None else self._read_answer()
        seconds = self._policy.ttl_seconds
        if kept is not None:
            self._cache.process.keep(self._key.exact, kept, seconds)
        if self._looked is not None and self._cache.semantic is not None and (kept or self._looked.hit) is not None:
            self._cache.semantic.learn(
                *(self._entry.org.id, self._entry.request_id, self._key, self._looked, kept, self._policy),
                is_shadow=self._is_semantic_shadow,
            )
        if self.found is not None and self._flight is not None:
            # Like questions have been answered: who asks the very same thing gets that answer too.
            assert self._looked is not None, "only what was found by meaning is given before the upstream is asked"
            self._cache.flights.give(self._flight, self.found.kept, self._looked)
        elif self._flight is not None:
            self._cache.flights.land(self._flight, kept, seconds, hands_over=hands_over(error))
        elif kept is not None:
            self._cache.valkey.keep(self._key.exact, self._sealer, kept, seconds)

    async def _find(self) -> str:
        """Look everywhere. Gives what the ledger says of it; empty where there is nothing."""
        if self._policy.mode == _ON:
            self.found = await self._look_up()
            status = self.found.status if self.found else ""
        else:
            would = await self._peek()
            status = f"shadow-{would}" if would else ""
        return status or await self._look_up_alike()

    async def _look_up(self) -> Found | None:
        kept = self._cache.process.find(self._key.exact)
        if kept is not None and self._is_usable(kept):
            return Found(kept, "hit-l1")
        joined = await self._cache.flights.join(
            *(self._key.exact, self._entry.request_id, self._sealer, self._call.keep_going, self._is_usable),
            waited=self._entry.waited,
        )
        if isinstance(joined, Shared):
            if joined.looked is not None:
                return self._follow(joined.kept, joined.looked)
            if joined.origin is Origin.VALKEY:
                self._promote(joined.kept)
            return Found(joined.kept, joined.origin.value)
        self._flight = joined
        return None

    def _follow(self, kept: Kept, looked: LookUp) -> Found | None:
        """An answer to a like question, found by an equal call: this one's too, unless its caller wants none such."""
        if self._plan.controls.cache.exact_only:
            return None
        # Why it got this answer is written down for each: it has asked in the same words.
        self._looked = looked
        # Nobody looked for it: the one who did has paid for that.
        return Found(kept, Origin.MEANING.value, f"{looked.similarity:.4f}")

    @property
    def _is_semantic_shadow(self) -> bool:
        """What is found by meaning is only written down: one of both modes says so."""
        return {self._policy.semantic, self._policy.mode} != {_ON}

    async def _look_up_alike(self) -> str:
        """Look for an answer to a similar question. Gives what the ledger says of it; empty where none was found."""
        semantic, policy = self._cache.semantic, self._policy
        if semantic is None or policy.semantic == _OFF or self._plan.controls.cache.exact_only:
            return ""
        self._looked = await semantic.look_up(self._entry.org.id, self._key, policy.errors_per_mille, self._is_usable)
        if self._looked is None or self._looked.hit is None:
            return ""
        if self._is_semantic_shadow:
            return "shadow-hit-semantic"
        if self._looked.is_recheck:
            return "recheck"
        self.found = Found(
            self._looked.hit, "hit-semantic", f"{self._looked.similarity:.4f}", cost=semantic.lookup_cost
        )
        return self.found.status

    async def _peek(self) -> str:
        """The level at which an answer would have been found; empty where none would."""
        kept = self._cache.process.find(self._key.exact)
        if kept is not None and self._is_usable(kept):
            return "hit-l1"
        (kept,) = await self._cache.valkey.find([self._key.exact], self._sealer)
        return "hit-l2" if kept is not None and self._is_usable(kept) else ""

    def _promote(self, kept: Kept) -> None:
        left = self._policy.ttl_seconds - (clock.now_ms() - kept.stored_ms) / 1000
        if left > 0:
            self._cache.process.keep(self._key.exact, kept, min(left, self._policy.ttl_seconds))

    def _is_usable(self, kept: Kept) -> bool:
        if kept.scope != self._scope or kept.model != self._plan.request.model:
            return False  # whatever put it here, it was not written for calls like this one
        most = self._policy.ttl_seconds
        if (asked := self._plan.controls.cache.max_age_seconds) is not None:
            most = min(most, asked)
        return is_usable(kept, self._entry.org.cache_purges, clock.now_ms(), most * 1000)

    def _read_answer(self) -> Kept | None:
        """The upstream's answer, if it is whole and may be given to others."""
        answer, request = self.answer, self._plan.request
        if answer is None or not self.keeps or not answer.parts:
            return None
        last = self._entry.attempts[-1]
        if last.model != self._plan.first.model.name:
            return None  # another model stood in: the key is not about its answers
        body = answer.body
        if len(body) > MAX_ENTRY_BYTES or answer.certainty not in {Certainty.EXACT, Certainty.COUNTED}:
            return None
        if request.operation is not Operation.EMBEDDING:
            if not answer.is_complete or answer.finish_reason not in _WHOLE:
                return None
            if request.choices > 1 and any(reason in body for reason in _CUT_SHORT):
                return None
        return Kept(
            id=self._entry.request_id,
            stored_ms=clock.now_ms(),
            model=request.model,
            scope=self._scope,
            tags=show_tags(self._plan.controls.tags),
            content_type=answer.content_type,
            response_model=answer.model,
            finish_reason=answer.finish_reason,
            service_tier=last.service_tier,
            usage=answer.usage,
            certainty=answer.certainty.value,
            body=body,
        )


class _NoVisit:
    """The block of a call that has nothing to do with the cache."""

    __slots__ = ()
    keeps = False
    found: Found | None = None
    rest: Request | None = None

    def sink(self, relay: Sink) -> Sink:
        """Where the upstream's answer goes."""
        return relay

    def note_answer(self, answer: Answer) -> None:
        """Nobody keeps it."""

    async def __aenter__(self) -> "_NoVisit":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


NO_VISIT: Final = _NoVisit()


class _LongVisit:
    """The block of a call whose body is long: what it is kept under is found beside the loop, and where that would take
    too long it has nothing to do with the cache."""

    __slots__ = ("_counting", "_make", "_org_id", "_size", "_visit")

    def __init__(self, make: Callable[[], "AnyVisit"], size: int, counting: Counting, org_id: str) -> None:
        self._make = make
        self._size = size
        self._counting = counting
        self._org_id = org_id
        self._visit: AnyVisit = NO_VISIT

    async def __aenter__(self) -> "AnyVisit":
        self._visit = await self._counting.run(self._size, self._make, lambda: NO_VISIT, whose=self._org_id)
        return await self._visit.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._visit.__aexit__(kind, error, traceback)


class Cache:
    """The levels of the cache, as a process has them open."""

    def __init__(
        self, valkey: ValkeyCache, process_bytes: int, semantic: Semantic | None = None, *, counting: Counting
    ) -> None:
        self.valkey = valkey
        self.counting = counting
        self.semantic = semantic
        self.process = ProcessCache(process_bytes)
        self.flights = Flights(valkey)
        # Vectors that are kept after their call has ended.
        self.keeping = BackgroundTasks()

    async def open(self) -> None:
        """Connect. Returns also when Valkey is away: every call is a miss until it is back."""
        await self.valkey.open()
        await self.flights.open()

    async def close(self) -> None:
        """Close the connection."""
        if self.semantic is not None:
            await self.semantic.close()
        await self.keeping.close()
        await self.flights.close()
        await self.valkey.close()

    def visit(self, plan: Plan, entry: Entry, call: Call) -> "AnyVisit | _LongVisit":
        """The block of one call, which does nothing where its organisation has no policy for it, or where the caller
        does not want an answer that somebody else may get."""
        if not entry.org.cache_policies:
            return NO_VISIT
        policy = entry.org.find_cache_policy(plan.request.model)
        control = plan.controls.cache
        # A response in its own form has its id in it, by which it may be asked for again.
        if plan.request.wire is Wire.RESPONSES and wire_of(plan) is Wire.RESPONSES:
            return NO_VISIT
        if policy is None or policy.mode == _OFF:
            return NO_VISIT
        if (control.no_cache and control.no_store) or not is_cacheable(plan.request, policy):
            return NO_VISIT
        make = self._visit_whole
        if plan.request.operation is Operation.EMBEDDING and policy.mode == _ON:
            if plan.request.body_bytes > MOST_BYTES:
                return NO_VISIT  # a batch: nobody asks for that once more, and each of its inputs is a look-up
            make = self._visit_inputs
        if (size := plan.request.body_bytes) > INLINE_BYTES:
            return _LongVisit(partial(make, plan, entry, call, policy), size, self.counting, entry.org.id)
        return make(plan, entry, call, policy)

    def _visit_whole(self, plan: Plan, entry: Entry, call: Call, policy: CachePolicySnapshot) -> "AnyVisit":
        """The block of a call whose answer is kept whole. Takes as long as its body is long."""
        key = make_key(plan, entry.key, policy)
        if key is None:
            return NO_VISIT
        return Visit(self, key, policy, plan, entry, call, is_held_out=_is_held_out(policy, plan, entry))

    def _visit_inputs(self, plan: Plan, entry: Entry, call: Call, policy: CachePolicySnapshot) -> "AnyVisit":
        """The block of a call whose answer is kept input by input. Takes as long as its body is long."""
        inputs = find_inputs(plan.request)
        if inputs is None or len(inputs) > MOST_INPUTS:
            return NO_VISIT
        digests = digest_inputs(inputs, plan, entry, policy)
        if digests is None:
            return NO_VISIT
        levels = Levels(self.process, self.valkey, self.flights, self.counting, self.keeping)
        is_held_out = _is_held_out(policy, plan, entry)
        return InputsVisit(levels, policy, plan, entry, call, inputs, digests, is_held_out=is_held_out)


AnyVisit = Visit | InputsVisit | _NoVisit


def _is_held_out(policy: CachePolicySnapshot, plan: Plan, entry: Entry) -> bool:
    """Whether chance keeps the call from the cache. Not where nothing is served, or a budget of the call has a rung on
    which nothing else answers: whether it has come to that only the reserve knows, which comes later."""
    if not policy.holdout_permille or policy.mode != _ON:
        return False
    for _, scope in plan.first.layout.ladders:
        if any(rung.rung == RungKind.CACHE_ONLY for _, rung in scope.steps):
            return False
    return is_drawn(policy.holdout_permille, policy.model, "hold out of the cache", entry.request_id)
