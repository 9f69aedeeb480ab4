"""Embeddings, kept input by input: of a batch only the inputs that nobody has asked for before go to the upstream.

Of equal calls at once, none of whose inputs is known, one asks; the others find its inputs when it has ended.
"""

import logging
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, NamedTuple

import orjson

from costhub.lib import clock, metrics
from proxy.cache.coalesce import Flight, Flights, Origin, Shared, hands_over
from proxy.cache.entries import Kept, is_usable, show_tags
from proxy.cache.key import batch_key, input_keys
from proxy.cache.process import ProcessCache
from proxy.cache.valkey_cache import ValkeyCache, open_all, seal_kept
from proxy.cache.values import Found
from proxy.call import Call
from proxy.core import pricing, tokens
from proxy.core.merging import share_out
from proxy.core.weight import SMALL_BYTES
from proxy.edges.background_tasks import BackgroundTasks
from proxy.edges.counting import Counting, run_whole
from proxy.edges.entry import Entry
from proxy.errors import UpstreamError
from proxy.upstreams import lenient_json, vectors
from proxy.values.answer import Answer, Sink
from proxy.values.attempt import Attempt, Certainty, Mechanism, Usage
from proxy.values.plan import Plan
from proxy.values.request import Request
from proxy.values.text_run import TextRun
from tenants.choices import RungKind
from tenants.sealed_rows import Sealer
from tenants.snapshots import CachePolicySnapshot

_log = logging.getLogger(__name__)

_PARTIAL: Final = "partial"
#: how long other workers may learn that the inputs of a call are there: they look again within a tenth of a second
_TOLD_SECONDS: Final = 2
#: rungs on which another model may answer than the one that the plan names
_OTHER_MODELS: Final = frozenset({RungKind.CHEAPER_MODEL, RungKind.ROUTE})


class _NoVectors(Exception):
    """The answer does not have one vector for each input."""


class Levels(NamedTuple):
    """Where inputs are kept, and what looks for them and keeps them."""

    process: ProcessCache
    valkey: ValkeyCache
    flights: Flights
    counting: Counting
    keeping: BackgroundTasks


class _Fresh(NamedTuple):
    """Vectors that an upstream has just made, and the places of their inputs."""

    places: Sequence[int]
    vectors: Sequence[bytes]


class InputsVisit:
    """The block of one embeddings call. ``found`` is the whole answer where every input is known; else ``rest`` is the
    request for those that are not, and ``sink`` puts both together."""

    keeps = False

    def __init__(
        self,
        levels: Levels,
        policy: CachePolicySnapshot,
        plan: Plan,
        entry: Entry,
        call: Call,
        inputs: Sequence[Any],
        digests: Sequence[bytes],
        *,
        is_held_out: bool = False,
    ) -> None:
        self._levels = levels
        self._policy = policy
        self._plan = plan
        self._entry = entry
        self._call = call
        self._sealer = Sealer(entry.org.id, entry.org.data_key)
        self._inputs = inputs
        self._digests = digests
        self._is_held_out = is_held_out
        self._known: dict[int, Kept] = {}
        self._fresh: _Fresh | None = None
        self._flight: Flight | None = None
        self.answer: Answer | None = None
        self.found: Found | None = None
        self.rest: Request | None = None

    def sink(self, relay: Sink) -> Sink:
        """Where the upstream's answer goes."""
        return _Merged(self, relay)

    def note_answer(self, answer: Answer) -> None:
        """What the upstream has answered."""
        self.answer = answer

    async def __aenter__(self) -> "InputsVisit":
        if self._plan.controls.cache.no_cache:
            status = "miss"  # who wants nothing from the cache is no part of the comparison
        elif self._is_held_out:
            status = "held-out"
        else:
            status = await self._find()
        if self.found is None and self._known:
            asked = [one for place, one in enumerate(self._inputs) if place not in self._known]
            request = self._plan.request
            self.rest = request._replace(body=request.body | {"input": asked})
        self._entry.note_cache(status)
        metrics.CACHE_LOOKUPS.labels(status).inc()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None and self._fresh is not None:
            # The caller has the answer, and may hang up: the call ends now, and is settled, however long this takes.
            self._levels.keeping.start(self._keep(self._fresh, self._entry.attempts[-1]))
        else:
            self._land(None, hands_over=hands_over(error))

    async def _keep(self, fresh: _Fresh, last: Attempt) -> None:
        """Keep what the call's ``last`` attempt has brought. Nothing of it fails anybody's call."""
        kept = None
        try:
            await self._keep_all(fresh, last)
            kept = self._make_kept(b"", 0, last)
        except Exception:  # noqa: BLE001 - the last resort of what is done beside a call
            _log.exception("vectors could not be kept", extra={"request_id": self._entry.request_id})
        finally:
            # Its inputs are what the others want: this says no more than that they are there.
            self._land(kept, hands_over=kept is None)

    def _land(self, kept: Kept | None, *, hands_over: bool) -> None:
        if self._flight is not None:
            self._levels.flights.land(self._flight, kept, _TOLD_SECONDS, hands_over=hands_over)

    async def _find(self) -> str:
        """Look everywhere, and wait for an equal call that is under way. Gives what the ledger says of it."""
        self.found = await self._look_up()
        if self.found is not None:
            return self.found.status
        if self._known:
            return _PARTIAL
        if self._plan.controls.cache.no_store:
            return "miss"  # nobody else may have its answer
        joined = await self._levels.flights.join(
            *(batch_key(self._digests), self._entry.request_id, self._sealer, self._call.keep_going, self._is_usable),
            waited=self._entry.waited,
        )
        if isinstance(joined, Flight):
            self._flight = joined
        elif isinstance(joined, Shared):
            return await self._follow(joined.origin)
        return "miss"

    async def _follow(self, origin: Origin) -> str:
        """An equal call says that its inputs are there. Gives what the ledger says of it."""
        found = await self._look_up()
        if found is None:
            return _PARTIAL if self._known else "miss"
        self.found = found._replace(status=origin.value) if origin is Origin.UPSTREAM else found
        return self.found.status

    async def _look_up(self) -> Found | None:
        """Look for each input. Gives the whole answer where all are known."""
        status = "hit-l1"
        for place, digest in enumerate(self._digests):
            self._note(place, self._levels.process.find(digest))
        missing = [place for place in range(len(self._inputs)) if place not in self._known]
        if missing:
            status = "hit-l2"
            found = await self._fetch([self._digests[place] for place in missing])
            for place, kept in zip(missing, found, strict=True):
                if kept is not None and self._note(place, kept):
                    self._levels.process.keep(self._digests[place], kept, self._left(kept))
        if len(self._known) == len(self._inputs):
            return Found(await self._compose(), status)
        if self._known and not _is_of_one_model(self._plan):
            # Vectors of two models are not comparable: where another one may answer it is asked for all of them.
            self._known.clear()
        return None

    async def _fetch(self, digests: Sequence[bytes]) -> list[Kept | None]:
        sealed = await self._levels.valkey.fetch(digests)
        return await self._levels.counting.run(
            sum(len(raw) for raw in sealed if raw is not None),
            partial(open_all, self._sealer, digests, sealed),
            lambda: [None] * len(digests),
            whose=self._entry.org.id,
        )

    async def merge(self, body: bytes) -> bytes:
        """The answer to all inputs, from the upstream's to those that were sent to it, which are kept.

        Raises UpstreamError where it has not one vector for each of them, and some were not sent.
        """
        asked = [place for place in range(len(self._inputs)) if place not in self._known]
        last = self._entry.attempts[-1]
        if last.model != self._plan.first.model.name:
            if self._known:
                # A budget has come to a rung meanwhile.
                raise UpstreamError("Another model answered than the one of the inputs that are known. Try again.")
            return body
        try:
            read = partial(_read, body, len(asked))
            answer, fresh = read() if len(body) <= SMALL_BYTES else await run_whole(read)
        except _NoVectors as error:
            if not self._known:
                return body  # whatever it is, it is what was asked for
            raise UpstreamError(
                f"The upstream {self._plan.first.upstream.name} did not answer with one vector for each input.",
                code="upstream_malformed",
            ) from error
        if last.certainty in {Certainty.EXACT, Certainty.COUNTED} and not self._plan.controls.cache.no_store:
            self._fresh = _Fresh(asked, fresh)
        if not self._known:
            return body
        known = sum(kept.usage.input for kept in self._known.values())
        price, used = self._plan.first.list_price, last.usage
        spared = pricing.cost(used._replace(input=used.input + known), price) - pricing.cost(used, price)
        if spared:
            self._entry.saved_before_upstream = {Mechanism.CACHE: spared}
        places = dict(zip(asked, fresh, strict=True)) | {place: kept.body for place, kept in self._known.items()}
        usage = answer.get("usage")
        if isinstance(usage, dict):
            told = {name: usage.get(name) for name in ("prompt_tokens", "total_tokens")}
            usage |= {name: count + known for name, count in told.items() if isinstance(count, int)}
        return await _write(answer, [places[place] for place in range(len(self._inputs))])

    def _note(self, place: int, kept: Kept | None) -> bool:
        if kept is None or not self._is_usable(kept):
            return False
        self._known[place] = kept
        return True

    def _is_usable(self, kept: Kept) -> bool:
        most = self._policy.ttl_seconds
        if (asked := self._plan.controls.cache.max_age_seconds) is not None:
            most = min(most, asked)
        return is_usable(kept, self._entry.org.cache_purges, clock.now_ms(), most * 1000)

    def _left(self, kept: Kept) -> float:
        return max(0.0, self._policy.ttl_seconds - max(0, clock.now_ms() - kept.stored_ms) / 1000)

    async def _keep_all(self, fresh: _Fresh, last: Attempt) -> None:
        """Keep vectors: in memory, and sealed in Valkey unless that would take too long."""
        seconds = self._policy.ttl_seconds
        texts, tokenizer = [self._inputs[place] for place in fresh.places], self._plan.first.model.tokenizer
        weights = await self._levels.counting.run(
            self._plan.request.body_bytes,
            lambda: [max(1, tokens.count_text(one, tokenizer) if isinstance(one, str) else len(one)) for one in texts],
            lambda: [max(1, len(one)) for one in texts],
            whose=self._entry.org.id,
            vocabulary=tokenizer,
        )
        # The upstream's tokens, each input's part by our own count; the parts make the whole.
        shares = share_out(last.usage.input_tokens, weights)
        digests = [self._digests[place] for place in fresh.places]
        kept = [self._make_kept(vector, share, last) for vector, share in zip(fresh.vectors, shares, strict=True)]
        sealed = await self._levels.counting.run(
            sum(map(len, fresh.vectors)),
            partial(_seal_all, self._sealer, digests, kept),
            list[bytes],
            whose=self._entry.org.id,
        )
        for digest, one in zip(digests, kept, strict=True):
            self._levels.process.keep(digest, one, seconds)
        for digest, packed in zip(digests, sealed, strict=False):
            if packed:
                self._levels.valkey.put(digest, packed, seconds)

    def _make_kept(self, vector: bytes, share: int, last: Attempt) -> Kept:
        return Kept(
            id=self._entry.request_id,
            stored_ms=clock.now_ms(),
            model=self._plan.request.model,
            scope="",
            tags=show_tags(self._plan.controls.tags),
            content_type="application/json",
            response_model=last.response_model,
            finish_reason="",
            service_tier="",
            usage=Usage(input=share),
            certainty=Certainty.COUNTED.value,
            body=vector,
        )

    async def _compose(self) -> Kept:
        """The answer where every input is known, as an upstream would have written it."""
        parts = [self._known[place] for place in range(len(self._inputs))]
        used, first = sum(kept.usage.input for kept in parts), parts[0]
        answer = {
            "object": "list",
            "model": first.response_model,
            "usage": {"prompt_tokens": used, "total_tokens": used},
        }
        oldest = min(parts, key=lambda kept: kept.stored_ms)
        return oldest._replace(usage=Usage(input=used), body=await _write(answer, [kept.body for kept in parts]))


class _Merged:
    """Has the upstream's answer to some inputs become the answer to all of them."""

    has_begun = False
    parts: tuple[bytes, ...] = ()

    def __init__(self, visit: InputsVisit, relay: Sink) -> None:
        self._visit = visit
        self._relay = relay

    async def begin(self) -> None:
        """No embeddings call is a stream."""

    async def chunk(self, events: bytes, run: TextRun | None = None) -> None:
        """No embeddings call is a stream."""

    async def end_stream(self, closing: bytes, events: bytes = b"", run: TextRun | None = None) -> None:
        """No embeddings call is a stream."""

    async def whole(self, content_type: str, body: bytes) -> None:
        """Hand the whole answer on."""
        await self._relay.whole(content_type, await self._visit.merge(body))


def digest_inputs(inputs: Sequence[Any], plan: Plan, entry: Entry, policy: CachePolicySnapshot) -> list[bytes] | None:
    """Each input's digest; None where one cannot be written."""
    try:
        return input_keys(plan, entry.key, policy, inputs)
    except (TypeError, RecursionError):
        return None


async def _write(answer: dict[str, Any], vectors: Sequence[bytes]) -> bytes:
    """The answer with these vectors: where they are long, beside the loop."""
    write = partial(_write_now, answer, vectors)
    return write() if sum(map(len, vectors)) <= SMALL_BYTES else await run_whole(write)


def _write_now(answer: dict[str, Any], vectors: Sequence[bytes]) -> bytes:
    # Each vector is copied once: they may be tens of megabytes.
    parts = [b'{"data":[']
    for place, vector in enumerate(vectors):
        comma = b"," if place else b""
        parts += (comma, b'{"object":"embedding","index":%d,"embedding":' % place, vector, b"}")
    rest = {name: value for name, value in answer.items() if name != "data"}
    parts.append(b"],%b" % orjson.dumps(rest)[1:] if rest else b"]}")
    return b"".join(parts)


def _read(body: bytes, count: int) -> tuple[dict[str, Any], list[bytes]]:
    """An answer, and its vectors as they are written. Raises _NoVectors."""
    try:
        answer = vectors.read(body)
        found = {item["index"]: item["embedding"] for item in answer["data"]}
        written = [orjson.dumps(found[place]) for place in range(count)]
    except (lenient_json.Unreadable, TypeError, KeyError, AttributeError) as error:
        raise _NoVectors from error
    if any(vector[:1] == b"[" and b"null" in vector for vector in written):
        raise _NoVectors  # what is no number is in no JSON
    return answer, written


def _seal_all(sealer: Sealer, digests: Sequence[bytes], kept: Sequence[Kept]) -> list[bytes]:
    return [seal_kept(sealer, digest, one) for digest, one in zip(digests, kept, strict=True)]


def _is_of_one_model(plan: Plan) -> bool:
    """Whether nobody but the first model can answer, also where a budget comes to a rung until the call is admitted."""
    if plan.has_others or any(candidate.model.name != plan.first.model.name for candidate in plan.candidates):
        return False
    return not any(rung.rung in _OTHER_MODELS for _, scope in plan.first.layout.ladders for _, rung in scope.steps)
