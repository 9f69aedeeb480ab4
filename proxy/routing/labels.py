"""What a call of a learning route leaves behind: numbers about its prompt and answers, and what became known of them.

Written beside the call, in a thread of its own, a few at a time. What cannot be written is not learned from.
"""

import asyncio
import logging
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import numpy as np
from django.db import Error as AnyDatabaseError
from django.db import connection, connections

from costhub.lib import metrics
from proxy.attempts.cascade import Rung
from proxy.attempts.reading import read_said
from proxy.cache.embedder import Embedder, EmbedderUnavailable
from proxy.cache.texts import is_same_meaning, is_same_text
from proxy.core.routes.answer_features import describe_answer, describe_logprobs
from proxy.core.routes.said import Said
from proxy.core.routes.scoring import TASK_TAG
from proxy.core.routes.text_features import describe, hash_words
from proxy.core.routes.texts import prompt_of
from proxy.edges.entry import Entry
from proxy.routing.model import COMPARED_WITH, SHARES, RouteLabel
from proxy.values.answer import Answer
from proxy.values.plan import Plan
from proxy.values.routing import Arm, Routing
from tenants.access import org_scope
from tenants.choices import RouteKind

_log = logging.getLogger(__name__)

#: calls whose labels wait to be written; more are not learned from
MOST_WAITING: Final = 200
_CLOSING_SECONDS: Final = 2.0
#: calls that were held out tell how good the baseline is, and are not fitted
_LEARNED_FROM: Final = frozenset({Arm.ROUTED, Arm.EXPLORED, Arm.HELD_OUT})


class _Seen(NamedTuple):
    """One model's answer, to be written down."""

    model: str
    is_strong: bool
    said: Said | None


class Labels:
    """The writer as a process has it open."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="labels")
        self._waiting: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Write what is under way, then end the thread."""
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=_CLOSING_SECONDS)
        closing = asyncio.get_running_loop().run_in_executor(self._thread, connections.close_all)
        await asyncio.wait([closing], timeout=1)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def note(self, entry: Entry, plan: Plan, rungs: Sequence[Rung], last: Answer | None) -> None:
        """Write down a call of a route that learns, beside it. ``rungs`` were judged; ``last`` is what the caller got,
        if its bytes were kept."""
        routing = plan.routing
        if routing is None or not routing.route.is_learning or len(self._waiting) >= MOST_WAITING:
            return
        if routing.arm not in _LEARNED_FROM:
            return
        task = asyncio.create_task(self._note(entry, plan, list(rungs), last))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def note_pair(self, entry: Entry, plan: Plan, names: tuple[str, str], said: tuple[Said, Said]) -> bool:
        """Write down what two of a route's models, the weak one and the strong one, said to the same call. Says whether
        they say the same: then the weak one was right, as far as the strong one is. What cannot be written is not
        learned from."""
        weak, strong = said
        seen = [_Seen(names[0], False, weak), _Seen(names[1], True, strong)]
        try:
            rights = await self._compare(seen)
        except EmbedderUnavailable:
            rights = {names[0]: is_same_text(weak.text, strong.text)} if strong.text.strip() else {}
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, _write, entry, plan, seen, rights)
        except AnyDatabaseError:
            metrics.ROUTE_LABELS_LOST.inc()
        return rights.get(names[0], False)

    async def _note(self, entry: Entry, plan: Plan, rungs: list[Rung], last: Answer | None) -> None:
        try:
            seen = await _list_seen(entry, plan, rungs, last)
            rights = await self._compare(seen) if len(seen) > 1 else {}
            await asyncio.get_running_loop().run_in_executor(self._thread, _write, entry, plan, seen, rights)
        except (AnyDatabaseError, EmbedderUnavailable):
            metrics.ROUTE_LABELS_LOST.inc()
        except Exception:  # noqa: BLE001 - the last resort of what runs beside a call
            _log.exception("a call of a route could not be learned from")

    async def _compare(self, seen: Sequence[_Seen]) -> dict[str, bool]:
        """Whether each model's answer says what the last one's says, which is taken for right."""
        rights: dict[str, bool] = {}
        best = seen[-1].said
        if best is None or not best.text.strip():
            return rights
        for one in seen[:-1]:
            if one.said is None:
                continue
            rights[one.model] = is_same_text(one.said.text, best.text) or await self._is_alike(one.said.text, best.text)
        return rights

    async def _is_alike(self, one: str, other: str) -> bool:
        if not one.strip():
            return False
        vectors = np.stack(await asyncio.gather(self._embedder.embed(one), self._embedder.embed(other)))
        return is_same_meaning(one, other, vectors)


def task_of(plan: Plan) -> str:
    """What kind of work a call is, as its tag says."""
    return plan.controls.tags.get(TASK_TAG, "")


async def _list_seen(entry: Entry, plan: Plan, rungs: Sequence[Rung], last: Answer | None) -> list[_Seen]:
    """Every model that answered, the last one last."""
    assert plan.routing is not None
    strongest = plan.routing.route.targets[-1].model
    seen = [_Seen(rung.candidate.model.name, rung.candidate.model.name == strongest, rung.said) for rung in rungs]
    served = entry.served or entry.candidate
    # A router is learned from prompts alone.
    last = last if plan.is_cascade else None
    if served is not None and served.model.name not in {one.model for one in seen}:
        said = await read_said(last) if last is not None and last.parts else None
        seen.append(_Seen(served.model.name, served.model.name == strongest, said))
    return seen


def _write(entry: Entry, plan: Plan, seen: Sequence[_Seen], rights: dict[str, bool]) -> None:
    assert plan.routing is not None
    route, prompt = plan.routing.route, prompt_of(plan.request)
    is_of_several = route.kind == RouteKind.ROUTER and len(route.targets) > 2
    of_prompt = describe_prompt(prompt)
    rows = [
        RouteLabel(
            id=uuid.uuid4(),
            org_id=entry.org.id,
            route_id=route.id,
            request_id=entry.request_id,
            model=one.model,
            task=task_of(plan),
            is_strong=one.is_strong,
            share=plan.routing.permille / 1000,
            # A router is learned from prompts alone.
            features={"prompt": of_prompt, "arm": plan.routing.arm.value}
            | (_describe_pair(plan.routing, [each.model for each in seen], one.model) if is_of_several else {})
            | ({"answer": describe_said(prompt, one.said)} if one.said and route.kind == RouteKind.CASCADE else {}),
            right=rights.get(one.model),
            # The strong model's answer is taken for right: it is better where the weak one says something else.
            gain=float(not rights[one.model]) if one.model in rights and seen[-1].is_strong else None,
        )
        for one in seen
    ]
    try:
        with org_scope(entry.org.id):
            RouteLabel.objects.bulk_create(rows)
    finally:
        connection.close_if_unusable_or_obsolete()


def _describe_pair(routing: Routing, models: list[str], model: str) -> dict[str, Any]:
    """Of a router of more than two: which dearer model an answer was compared with, else how often a call like this
    goes to each."""
    if len(models) > 1:
        return {COMPARED_WITH: models[1]} if model == models[0] else {SHARES: {}}
    return {SHARES: dict(routing.shares) or {model: 1000}}


def describe_prompt(prompt: str) -> dict[str, Any]:
    """A prompt as numbers: its form, and where its words are in the table of words."""
    places, weights = hash_words(prompt)
    return {"form": describe(prompt), "places": places, "weights": weights}


def describe_said(prompt: str, said: Said) -> dict[str, Any]:
    """An answer as numbers: its form, its tokens' probabilities where they are known, its words' places."""
    places, weights = hash_words(said.text)
    return {
        "form": describe_answer(prompt, said.text),
        "logprobs": describe_logprobs(said.logprobs),
        "places": places,
        "weights": weights,
    }
