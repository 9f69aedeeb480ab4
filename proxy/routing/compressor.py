"""Shortens a call's prompt before it is planned, as its organisation's policy says.

What loses nothing takes microseconds. Passages are left out by their vectors, which take a third of a second for a
thousand tokens: within a deadline, after which the prompt is sent as long as it is, and remembered, so that the next
turn of the conversation needs them no more.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from costhub.lib import metrics
from proxy.cache.embedder import Embedder, EmbedderUnavailable, Vectors
from proxy.core.compression.apply import (
    Extracted,
    is_lossless,
    list_texts,
    prune_scored,
    shorten,
    shorten_and_count,
    split_question,
)
from proxy.core.compression.passages import Passages, find_passages, join, keep_passages
from proxy.core.compression.perplexity import ScoredToken
from proxy.core.compression.saved import count_shortened, saved_by
from proxy.core.routes.draw import is_drawn
from proxy.core.routes.texts import opening_of
from proxy.edges.counting import INLINE_BYTES, Counting
from proxy.values.request import Controls, Operation, Request
from tenants.choices import Compression, Mode
from tenants.route_snapshots import CompressionSnapshot
from tenants.snapshots import OrgSnapshot

_log = logging.getLogger(__name__)

_CLOSING_SECONDS: Final = 2.0
#: what a ladder's rung does to a prompt
BY_LADDER: Final = CompressionSnapshot("", Mode.ON.value, (Compression.LOSSLESS.value, Compression.FILLER.value))
#: vectors of passages that are remembered: 1.5 kB each
_MOST_VECTORS: Final = 4_000


#: of a call's texts the last so many are scored, which somebody waits for and pays; shorter ones have nothing to spare
_MOST_SCORED: Final = 4
_FEWEST_SCORED: Final = 400
_MOST_CHARACTERS_SCORED: Final = 20_000
_MOST_PRUNED: Final = 500

#: by the scorer's name and a text
Score = Callable[[str, str], Awaitable[Sequence[ScoredToken]]]


class _Pruning(NamedTuple):
    """A text that is to be shortened to so much of it, by what a model of an organisation's says of its words."""

    org_id: str
    scorer: str
    keep_permille: int
    text: str


class ScoringFailed(Exception):
    """No model could say how surprising a text's words are: the prompt is sent at its full length."""


class Compressor:
    """The step as a process has it open."""

    def __init__(self, counting: Counting, embedder: Embedder, deadline_ms: int) -> None:
        self._counting = counting
        self._embedder = embedder
        self._deadline = deadline_ms / 1000
        self._vectors: OrderedDict[str, Vectors] = OrderedDict()
        # What scoring has cost once is not paid again in the next turn, by its organisation: a scorer's name, and what
        # that model says of a text, is each one's own.
        self._pruned: OrderedDict[_Pruning, str] = OrderedDict()
        # What is scored at the moment, whoever waits for it still.
        self._scoring: dict[_Pruning, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """End what is scored: what it has spent is settled."""
        tasks = list(self._scoring.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSING_SECONDS)

    async def apply(
        self, request: Request, controls: Controls, org: OrgSnapshot, score: Score | None = None
    ) -> Request:
        """The request as it is sent: shorter, or as it was where the policy only watches, or holds its conversation
        out. ``compression`` says which. ``score`` asks a model for the log probabilities of a text's tokens."""
        policy = org.find_compression(request.model)
        if policy is None or controls.is_uncompressed or request.operation is not Operation.CHAT:
            return request
        if share := policy.holdout_permille:
            stick = controls.session or opening_of(request)
            if is_drawn(share, policy.model, "compression", stick):
                return request._replace(compression="compression held out")
        shorter = await self._shorten(request, policy, org, score)
        if policy.mode == Mode.SHADOW:
            if not shorter.shortened:
                return request
            return request._replace(compression=f"compression shadow: {saved_by(shorter)} tokens")
        told = f"{shorter.compression}, compressed" if shorter.compression else "compressed"
        return shorter._replace(compression=told) if shorter.shortened else request

    async def by_ladder(self, request: Request, controls: Controls, org: OrgSnapshot) -> Request:
        """The request that a rung of a ladder wants shorter; the same one where it is so already."""
        if request.shortened or controls.is_uncompressed:
            return request
        return await self._shorten(request, BY_LADDER, org)

    async def _shorten(
        self, request: Request, policy: CompressionSnapshot, org: OrgSnapshot, score: Score | None = None
    ) -> Request:
        if request.body_bytes <= INLINE_BYTES and is_lossless(policy):
            shorter = shorten(request, policy)
            if not shorter.shortened:
                # As most calls are: nothing has to be waited for, nor counted.
                return request
            act = partial(count_shortened, shorter, org)
        else:
            extracted = await self._extract(request, policy, org.id) if Compression.EXTRACT in policy.methods else {}
            if Compression.PERPLEXITY in policy.methods and score is not None:
                extracted = {**extracted, **await self._prune(request, policy, org.id, extracted, score)}
            act = partial(shorten_and_count, request, policy, org, extracted)
        model = org.models.get(request.model)
        vocabulary = model.tokenizer if model is not None else ""
        return await self._counting.run(request.body_bytes, act, lambda: request, whose=org.id, vocabulary=vocabulary)

    async def _extract(self, request: Request, policy: CompressionSnapshot, org_id: str) -> Extracted:
        extracted: dict[str, str] = {}
        try:
            async with asyncio.timeout(self._deadline):
                for text in list_texts(request):
                    # What is looked for takes several times as long as counting a text's tokens does.
                    size, find = 4 * len(text), partial(find_passages, text)
                    found = await self._counting.run(size, find, _find_none, whose=org_id)
                    if found is not None:
                        extracted[text] = await self._keep(found, policy.extract_permille / 1000, org_id)
        except (TimeoutError, EmbedderUnavailable):
            metrics.COMPRESSION_FAILURES.inc()
        return extracted

    async def _prune(
        self, request: Request, policy: CompressionSnapshot, org_id: str, extracted: Extracted, score: Score
    ) -> Extracted:
        """Texts without the words that a model would have guessed, by the text before."""
        pruned: dict[str, str] = {}
        try:
            async with asyncio.timeout(self._deadline):
                for text in list_texts(request)[-_MOST_SCORED:]:
                    whole = extracted.get(text, text)
                    found = split_question(whole)
                    if found is None or not _FEWEST_SCORED <= len(found[0]) <= _MOST_CHARACTERS_SCORED:
                        continue
                    key = _Pruning(org_id, policy.scorer, policy.keep_permille, whole)
                    if key not in self._pruned:
                        # It is paid for, so that who stops waiting does not end it: the next turn finds what it said.
                        await asyncio.shield(self._score(key, found[0], score))
                    pruned[whole] = self._pruned.get(key, whole)
        except (TimeoutError, ScoringFailed, ValueError):
            metrics.COMPRESSION_FAILURES.inc()
        return pruned

    def _score(self, key: "_Pruning", text: str, score: Score) -> "asyncio.Task[None]":
        """The scoring of a text, which calls that come meanwhile wait for, too."""
        task = self._scoring.get(key)
        if task is None:
            task = self._scoring[key] = asyncio.create_task(self._prune_one(key, text, score))
            task.add_done_callback(partial(self._note_scored, key))
        return task

    async def _prune_one(self, key: "_Pruning", text: str, score: Score) -> None:
        scored = await score(key.scorer, text)
        act = partial(prune_scored, key.text, scored, key.keep_permille / 1000)
        self._pruned[key] = await self._counting.run(len(key.text), act, partial(str, key.text), whose=key.org_id)
        while len(self._pruned) > _MOST_PRUNED:
            self._pruned.popitem(last=False)

    def _note_scored(self, key: "_Pruning", task: "asyncio.Task[None]") -> None:
        del self._scoring[key]
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, ScoringFailed):
            _log.error("a text could not be scored, by our own fault", exc_info=error)

    async def _keep(self, found: Passages, keep: float, org_id: str) -> str:
        texts = [*dict.fromkeys((found.question, *found.texts))]
        known = dict(zip(texts, await asyncio.gather(*map(self._embed, texts)), strict=True))
        act = partial(self._choose, found, keep, known)
        size = sum(map(len, texts))
        return await self._counting.run(size, act, lambda: join(found, found.movable), whose=org_id)

    def _choose(self, found: Passages, keep: float, known: Mapping[str, Vectors]) -> str:
        vectors = np.stack([known[text] for text in found.texts])
        return keep_passages(found, known[found.question], vectors, keep)

    async def _embed(self, text: str) -> Vectors:
        """What is there when the deadline is over is there in the conversation's next turn."""
        vector = self._vectors.get(text)
        if vector is None:
            vector = self._vectors[text] = await self._embedder.embed(text)
            # Here, and not where all are there: a deadline may be over before that each time.
            while len(self._vectors) > _MOST_VECTORS:
                self._vectors.popitem(last=False)
        return vector


def _find_none() -> Passages | None:
    return None
