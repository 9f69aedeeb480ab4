"""Embeddings, kept input by input: of a batch only the inputs that nobody has asked for before go to the upstream."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final

import orjson

from costhub.lib import clock, metrics
from proxy.cache.entries import Kept, is_usable, show_tags
from proxy.cache.key import input_keys
from proxy.cache.process import ProcessCache
from proxy.cache.valkey_cache import ValkeyCache
from proxy.cache.values import Found
from proxy.core import pricing, tokens
from proxy.edges.entry import Entry
from proxy.errors import UpstreamError
from proxy.values.answer import Answer, Sink
from proxy.values.attempt import Certainty, Mechanism, Usage
from proxy.values.plan import Plan
from proxy.values.request import Request
from tenants.sealed_rows import Sealer
from tenants.snapshots import CachePolicySnapshot

_PARTIAL: Final = "partial"


class InputsVisit:
    """The block of one embeddings call. ``found`` is the whole answer where every input is known; else ``rest`` is the
    request for those that are not, and ``sink`` puts both together."""

    keeps = False

    def __init__(
        self,
        process: ProcessCache,
        valkey: ValkeyCache,
        policy: CachePolicySnapshot,
        plan: Plan,
        entry: Entry,
        inputs: Sequence[Any],
        digests: Sequence[bytes],
        *,
        is_held_out: bool = False,
    ) -> None:
        self._process = process
        self._valkey = valkey
        self._policy = policy
        self._plan = plan
        self._entry = entry
        self._sealer = Sealer(entry.org.id, entry.org.data_key)
        self._inputs = inputs
        self._digests = digests
        self._is_held_out = is_held_out
        self._known: dict[int, Kept] = {}
        self.answer: Answer | None = None
        self.found: Found | None = None
        self.rest: Request | None = None

    def sink(self, relay: Sink) -> Sink:
        """Where the upstream's answer goes."""
        return _Merged(self, relay)

    async def __aenter__(self) -> "InputsVisit":
        status = "hit-l1"
        if not self._plan.controls.cache.no_cache and not self._is_held_out:
            for place, digest in enumerate(self._digests):
                self._note(place, self._process.find(digest))
            missing = [place for place in range(len(self._inputs)) if place not in self._known]
            if missing:
                status = "hit-l2"
                found = await self._valkey.find([self._digests[place] for place in missing], self._sealer)
                for place, kept in zip(missing, found, strict=True):
                    if kept is not None and self._note(place, kept):
                        self._process.keep(self._digests[place], kept, self._left(kept))
        if len(self._known) == len(self._inputs):
            self.found = Found(self._compose(), status)
        elif self._known:
            status = _PARTIAL
            asked = [one for place, one in enumerate(self._inputs) if place not in self._known]
            request = self._plan.request
            self.rest = request._replace(body=request.body | {"input": asked})
        else:
            # Who wants nothing from the cache is no part of the comparison.
            is_held_out = self._is_held_out and not self._plan.controls.cache.no_cache
            status = "held-out" if is_held_out else "miss"
        self._entry.note_cache(status)
        metrics.CACHE_LOOKUPS.labels(status).inc()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def merge(self, body: bytes) -> bytes:
        """The answer to all inputs, from the upstream's to those that were sent to it, which are kept.

        Raises UpstreamError where it has not one vector for each of them.
        """
        asked = [place for place in range(len(self._inputs)) if place not in self._known]
        last = self._entry.attempts[-1]
        if last.model != self._plan.first.model.name:
            if self._known:
                # Vectors of two models are not comparable.
                raise UpstreamError("Another model answered than the one of the inputs that are known. Try again.")
            return body
        answer = orjson.loads(body)
        try:
            vectors = {item["index"]: item["embedding"] for item in answer["data"]}
            fresh = [orjson.dumps(vectors[number]) for number in range(len(asked))]
        except (TypeError, KeyError, AttributeError) as error:
            raise UpstreamError(
                f"The upstream {self._plan.first.upstream.name} did not answer with one vector for each input.",
                code="upstream_malformed",
            ) from error
        if last.certainty in {Certainty.EXACT, Certainty.COUNTED} and not self._plan.controls.cache.no_store:
            shares = self._share(last.usage.input_tokens, asked)
            for place, vector, share in zip(asked, fresh, shares, strict=True):
                self._keep(place, vector, share, last.response_model)
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
            usage |= {name: usage[name] + known for name in ("prompt_tokens", "total_tokens") if name in usage}
        return _write(answer, [places[place] for place in range(len(self._inputs))])

    def _note(self, place: int, kept: Kept | None) -> bool:
        most = self._policy.ttl_seconds
        if (asked := self._plan.controls.cache.max_age_seconds) is not None:
            most = min(most, asked)
        if kept is None or not is_usable(kept, self._entry.org.cache_purges, clock.now_ms(), most * 1000):
            return False
        self._known[place] = kept
        return True

    def _left(self, kept: Kept) -> float:
        return max(0.0, self._policy.ttl_seconds - max(0, clock.now_ms() - kept.stored_ms) / 1000)

    def _share(self, used: int, asked: Sequence[int]) -> list[int]:
        """The upstream's tokens, each input's part by our own count; the parts make the whole."""
        tokenizer = self._plan.first.model.tokenizer
        counts = [
            tokens.count_text(one, tokenizer) if isinstance(one, str) else len(one)
            for one in (self._inputs[place] for place in asked)
        ]
        total, shares, before, so_far = sum(counts) or 1, [], 0, 0
        for count in counts:
            so_far += count
            upto = used * so_far // total
            shares.append(upto - before)
            before = upto
        return shares

    def _keep(self, place: int, vector: bytes, share: int, model: str) -> None:
        kept = Kept(
            id=self._entry.request_id,
            stored_ms=clock.now_ms(),
            model=self._plan.request.model,
            scope="",
            tags=show_tags(self._plan.controls.tags),
            content_type="application/json",
            response_model=model,
            finish_reason="",
            service_tier="",
            usage=Usage(input=share),
            certainty=Certainty.COUNTED.value,
            body=vector,
        )
        self._process.keep(self._digests[place], kept, self._policy.ttl_seconds)
        self._valkey.keep(self._digests[place], self._sealer, kept, self._policy.ttl_seconds)

    def _compose(self) -> Kept:
        """The answer where every input is known, as an upstream would have written it."""
        parts = [self._known[place] for place in range(len(self._inputs))]
        used, first = sum(kept.usage.input for kept in parts), parts[0]
        answer = {
            "object": "list",
            "data": [],
            "model": first.response_model,
            "usage": {"prompt_tokens": used, "total_tokens": used},
        }
        oldest = min(parts, key=lambda kept: kept.stored_ms)
        return oldest._replace(usage=Usage(input=used), body=_write(answer, [kept.body for kept in parts]))


class _Merged:
    """Has the upstream's answer to some inputs become the answer to all of them."""

    has_begun = False
    parts: tuple[bytes, ...] = ()

    def __init__(self, visit: InputsVisit, relay: Sink) -> None:
        self._visit = visit
        self._relay = relay

    async def begin(self) -> None:
        """No embeddings call is a stream."""

    async def chunk(self, events: bytes) -> None:
        """No embeddings call is a stream."""

    async def end_stream(self, closing: bytes) -> None:
        """No embeddings call is a stream."""

    async def whole(self, content_type: str, body: bytes) -> None:
        """Hand the whole answer on."""
        await self._relay.whole(content_type, self._visit.merge(body))


def digest_inputs(inputs: Sequence[Any], plan: Plan, entry: Entry, policy: CachePolicySnapshot) -> list[bytes] | None:
    """Each input's digest; None where one cannot be written."""
    try:
        return input_keys(plan, entry.key, policy, inputs)
    except (TypeError, RecursionError):
        return None


def _write(answer: dict[str, Any], vectors: Sequence[bytes]) -> bytes:
    items = [
        b'{"object":"embedding","index":%d,"embedding":%b}' % (place, vector) for place, vector in enumerate(vectors)
    ]
    rest = {name: value for name, value in answer.items() if name != "data"}
    return b'{"data":[%b],%b' % (b",".join(items), orjson.dumps(rest)[1:])
