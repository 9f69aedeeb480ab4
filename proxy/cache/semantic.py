"""The third level: an answer to a like question, within one scope of one organisation.

A look-up makes the question's vector, reads its nearest neighbours and asks the gate, all within a deadline after which
it is a miss. What became known of a look-up (a fresh answer that says the same as the candidate's, or another) is
written down beside the call, and teaches the gate.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from threading import Barrier, BrokenBarrierError
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from django.db import Error as AnyDatabaseError
from django.db import connections
from numpy.typing import NDArray

from costhub.lib import clock, metrics
from costhub.lib.database import keep_connection
from proxy.cache import gate, semantic_store
from proxy.cache.embedder import BATCH, Embedder, EmbedderUnavailable
from proxy.cache.entries import Kept
from proxy.cache.guards import find_unfit, find_veto, read
from proxy.cache.key import CacheKey
from proxy.cache.semantic_store import SIGNS_UP_TO, GateRow, Near
from proxy.cache.texts import answer_text, is_same_meaning, is_same_text
from tenants.access import org_scope
from tenants.snapshots import CachePolicySnapshot

_log = logging.getLogger(__name__)
_Value = TypeVar("_Value")

_THREADS: Final = 3
#: after so many look-ups in a row that took too long, nobody tries for a while
_LATE_IN_A_ROW: Final = 3
_PAUSE_NS: Final = 1_000_000_000
#: what is known of a scope or a gate is read again after so long
_KNOWN_FOR_NS: Final = 60 * 1_000_000_000
_MOST_KNOWN: Final = 2_000
#: look-ups whose truth waits to be written down; more are not learned from
_MOST_LEARNING: Final = 200
#: so many different answers of neighbours a fresh one is compared with
_COMPARED: Final = 5
#: the gate aims below the wish, because what is reached is spread around the aim
_AIM: Final = gate.TARGET / 0.01


class LookUp(NamedTuple):
    """What a look-up by meaning found. ``hit`` is the answer that may be given; ``is_recheck``, that the upstream is
    asked all the same, to learn whether it would have been right. One that was too late has no ``vector``."""

    question: str
    vector: NDArray[np.float32] | None = None
    near: tuple[Near, ...] = ()
    hit: Kept | None = None
    similarity: float = 0.0
    features: tuple[float, ...] | None = None
    is_guarded: bool = False
    veto: str = ""
    likelihood: float | None = None
    threshold: float | None = None
    share: float = 1.0
    is_recheck: bool = False


class _Scope(NamedTuple):
    size: int
    words: gate.WordCounts
    known_at_ns: int


class _Gate(NamedTuple):
    row: GateRow | None
    known_at_ns: int


class Semantic:
    """The level as a process has it open: the model's thread, a few threads that ask PostgreSQL, and what they know."""

    def __init__(
        self,
        embedder: Embedder,
        deadline_ms: int,
        draw: Callable[[], float] = random.random,
        *,
        lookup_cost: int = 0,
    ) -> None:
        """``draw`` gives a number from 0 to 1, which decides what is re-checked. ``lookup_cost`` is what finding an
        answer costs, in nano-USD."""
        self.lookup_cost = lookup_cost
        self._embedder = embedder
        self._deadline = deadline_ms / 1000
        self._draw = draw
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="semantic")
        self._learning: set[asyncio.Task[None]] = set()
        # Look-ups in a row that were not done in time, and until when nobody tries again.
        self._late = 0
        self._again_ns = 0
        self._scopes: dict[tuple[str, bytes], _Scope] = {}
        self._gates: dict[str, _Gate] = {}

    async def close(self) -> None:
        """Write down what was learned, then end the threads."""
        if self._learning:
            await asyncio.wait(self._learning, timeout=2)
        await self._disconnect()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._embedder.close()

    def _note_late(self) -> None:
        """Note that PostgreSQL or the model did not answer in time, so that the next calls need not wait to learn
        so."""
        metrics.CACHE_FAILURES.labels("deadline").inc()
        self._late += 1
        if self._late >= _LATE_IN_A_ROW:
            self._again_ns = clock.monotonic_ns() + _PAUSE_NS

    async def _disconnect(self) -> None:
        # Each thread has a connection of its own, and must take one of these.
        together = Barrier(_THREADS)
        closing = [asyncio.wrap_future(self._threads.submit(_close_connections, together)) for _ in range(_THREADS)]
        await asyncio.wait(closing, timeout=2)

    async def look_up(
        self, org_id: str, key: CacheKey, errors_per_mille: int, is_usable: Callable[[Kept], bool]
    ) -> LookUp | None:
        """What is kept for questions like this one; nothing where that could not be known in time. None where it cannot
        be known at the moment, or the question is not one that others may ask."""
        if not key.question or find_unfit(key.question) is not None:
            return None
        if clock.monotonic_ns() < self._again_ns:
            metrics.CACHE_FAILURES.labels("deadline").inc()
            return None
        try:
            async with asyncio.timeout(self._deadline):
                vector = await self._embedder.embed(key.question)
                ask = partial(self._search, org_id, key, vector, errors_per_mille, is_usable)
                looked = await self._in_thread(org_id, ask)
            self._late = 0
            return looked
        except TimeoutError:
            self._note_late()
            # Its answer is kept all the same: else a level that is slow, or has yet to load its model, stayed empty.
            return LookUp(key.question)
        except EmbedderUnavailable:
            pass  # its own thread has counted it
        except AnyDatabaseError as error:
            metrics.CACHE_FAILURES.labels("postgresql").inc()
            _log.warning("similar questions could not be looked up", extra={"reason": str(error)[:300]})
        return None

    def learn(
        self,
        org_id: str,
        request_id: str,
        key: CacheKey,
        looked: LookUp,
        fresh: Kept | None,
        policy: CachePolicySnapshot,
        *,
        is_shadow: bool,
    ) -> None:
        """Write down a look-up beside the call; with a fresh answer, what it says of the candidate's, and keep it."""
        # Vectors of what was too late must not make the next look-ups late as well: one run's worth may wait.
        if len(self._learning) >= (_MOST_LEARNING if looked.vector is not None else BATCH):
            return
        task = asyncio.create_task(self._learn(org_id, request_id, key, looked, fresh, policy, is_shadow=is_shadow))
        self._learning.add(task)
        task.add_done_callback(self._learning.discard)

    # --- in a thread, inside the organisation

    def _search(
        self,
        org_id: str,
        key: CacheKey,
        vector: NDArray[np.float32],
        errors_per_mille: int,
        is_usable: Callable[[Kept], bool],
    ) -> LookUp:
        scope = self._know_scope(org_id, key.scope)
        near = semantic_store.search(org_id, key.scope, vector, is_small=scope.size <= SIGNS_UP_TO)
        looked = LookUp(key.question, vector, tuple(near))
        if not near:
            return looked
        best = near[0].neighbour
        served, veto = _find_guarded(key.question, near)
        features = gate.make_features(
            key.question, [one.neighbour for one in near], scope.words, is_guarded=served is not None
        )
        looked = looked._replace(
            similarity=best.cosine, features=features, is_guarded=served is not None, veto="" if served else veto
        )
        row = self._know_gate(org_id)
        if row is None:
            likelihood, threshold = best.cosine, gate.COLD_THRESHOLD
            share = gate.RECHECK_CONFIDENT
        else:
            likelihood = float(gate.Gate(row.means, row.scales, row.weights).rate(features)[0])
            target = gate.draw_in(_AIM * errors_per_mille / 1000, row.learned_from)
            threshold = gate.find_threshold(row.likelihoods, row.kappa, target)
            share = gate.recheck_share(likelihood, threshold)
        looked = looked._replace(likelihood=likelihood, threshold=threshold)
        if served is None or likelihood < threshold:
            return looked
        kept = semantic_store.read_kept(org_id, served.id)
        if kept is None or not is_usable(kept):
            return looked
        return looked._replace(
            hit=kept,
            similarity=served.neighbour.cosine,
            share=share,
            is_recheck=self._draw() < share,
        )

    def _know_scope(self, org_id: str, scope: bytes) -> _Scope:
        known, now = self._scopes.get((org_id, scope)), clock.monotonic_ns()
        if known is None or now - known.known_at_ns > _KNOWN_FOR_NS:
            if len(self._scopes) >= _MOST_KNOWN:
                self._scopes.clear()
            size = semantic_store.measure_scope(org_id, scope)
            known = _Scope(size, semantic_store.count_words(org_id, scope), now)
            if size:
                self._scopes[org_id, scope] = known
        return known

    def _know_gate(self, org_id: str) -> GateRow | None:
        known, now = self._gates.get(org_id), clock.monotonic_ns()
        if known is None or now - known.known_at_ns > _KNOWN_FOR_NS:
            if len(self._gates) >= _MOST_KNOWN:
                self._gates.clear()
            known = self._gates[org_id] = _Gate(semantic_store.read_gate(org_id), now)
        return known.row

    async def _learn(
        self,
        org_id: str,
        request_id: str,
        key: CacheKey,
        looked: LookUp,
        fresh: Kept | None,
        policy: CachePolicySnapshot,
        *,
        is_shadow: bool,
    ) -> None:
        try:
            vector = looked.vector
            if vector is None:
                vector = await self._embedder.embed(key.question)
                # Nobody was served, so nothing is fit to be.
                search = partial(self._search, org_id, key, vector, policy.errors_per_mille, lambda _: False)
                looked = await self._in_thread(org_id, search)
            right, same_as = None, 0
            if fresh is not None:
                right, same_as = await self._compare(org_id, looked, fresh)
            values, near = _lookup_values(looked, right, is_shadow=is_shadow), looked.near

            def write() -> None:
                if right is not None:
                    semantic_store.note_truth(org_id, near[0].neighbour.answer, is_right=right)
                semantic_store.note_lookup(org_id, request_id, values)
                if fresh is not None:
                    semantic_store.keep(org_id, key.scope, key.question, vector, fresh, policy.ttl_seconds, same_as)

            await self._in_thread(org_id, write)
        except (AnyDatabaseError, EmbedderUnavailable):
            metrics.CACHE_FAILURES.labels("learning").inc()
        except Exception:  # noqa: BLE001 - the last resort of what runs beside a call
            # Beside a call nobody waits for: it must be seen somewhere.
            _log.exception("a look-up of the cache could not be learned from")

    async def _compare(self, org_id: str, looked: LookUp, fresh: Kept) -> tuple[bool | None, int]:
        """Whether the candidate's answer says the same as the fresh one, and which neighbour's answer does."""
        if not looked.near:
            return None, 0
        said = answer_text(fresh)
        first_of = {one.neighbour.answer: one for one in reversed(looked.near)}
        answers = list(dict.fromkeys(one.neighbour.answer for one in looked.near))[:_COMPARED]
        kept = await self._in_thread(
            org_id, lambda: [semantic_store.read_kept(org_id, first_of[answer].id) for answer in answers]
        )
        texts = [answer_text(one) if one is not None else "" for one in kept]
        same = [is_same_text(said, text) for text in texts]
        if not any(same) and said:
            own = await self._embedder.embed(said)
            for place, text in enumerate(texts):
                if text:
                    vectors = np.stack([own, await self._embedder.embed(text)])
                    same[place] = is_same_meaning(said, text, vectors)
                if same[place]:
                    break
        # An answer that is gone meanwhile says nothing of the candidate.
        right = same[0] if texts[0] and said else None
        return right, next((answer for answer, is_same in zip(answers, same, strict=True) if is_same), 0)

    async def _in_thread(self, org_id: str, work: Callable[[], _Value]) -> _Value:
        def run() -> _Value:
            try:
                with org_scope(org_id):
                    return work()
            finally:
                keep_connection()

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)


def _close_connections(together: Barrier) -> None:
    with suppress(BrokenBarrierError):
        together.wait(1)
    connections.close_all()


def _find_guarded(question: str, near: list[Near]) -> tuple[Near | None, str]:
    """The nearest entry with the candidate's answer to which no guard objects; else the first objection."""
    asked, first_veto = read(question), ""
    same = [one for one in near if one.neighbour.answer == near[0].neighbour.answer]
    for one in same[: gate.GUARDED]:
        veto = find_veto(asked, read(one.neighbour.text))
        if veto is None:
            return one, ""
        first_veto = first_veto or veto.value
    return None, first_veto


def _lookup_values(looked: LookUp, right: bool | None, *, is_shadow: bool) -> dict[str, Any]:
    best = looked.near[0] if looked.near else None
    served = looked.hit is not None
    return {
        "asked": looked.question,
        "entry_id": (looked.hit.id if looked.hit else best.id) if best else None,
        "answer_id": best.neighbour.answer if best else None,
        "kept_question": _question_of(looked) if best else "",
        "similarity": looked.similarity,
        "features": list(looked.features) if looked.features else None,
        "is_guarded": looked.is_guarded,
        "veto": looked.veto,
        "likelihood": looked.likelihood,
        "threshold": looked.threshold,
        "was_served": served,
        "is_shadow": is_shadow,
        "is_recheck": looked.is_recheck and not is_shadow,
        "share": looked.share if served and not is_shadow else 1.0,
        "right": right,
    }


def _question_of(looked: LookUp) -> str:
    """The question whose answer was given, or the nearest one."""
    for one in looked.near:
        if looked.hit is not None and str(one.id) == looked.hit.id:
            return one.neighbour.text
    return looked.near[0].neighbour.text
