"""``costhub tuned-server``: every organisation's tuned models as models of an upstream, in OpenAI's form.

It is no part of the proxy, which asks it as any other upstream, with a price and a hold.
"""

import asyncio
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import httpx2
import orjson
from django.conf import settings

from costhub.lib import clock
from proxy.learning.choices import TunedState
from proxy.learning.lora.bases import UnknownBase, find_base, read_template
from proxy.learning.lora.sealed import SERVED, Unreadable, open_bytes
from proxy.learning.lora.serving import Child, NotServed, start_child
from proxy.learning.models import TunedModel
from proxy.learning.own_upstream import Answer, Key, OwnUpstream, Send, refuse
from tenants.access import org_scope
from tenants.models import Organization

_log = logging.getLogger(__name__)

#: processes at once: each has 0.1 to 0.5 GB of its own beside its base's weights
MOST_CHILDREN: Final = 4
_MOST_BYTES: Final = 8 * 1024 * 1024


class _Known(NamedTuple):
    """A tuned model as it was at a moment."""

    row_id: UUID
    sha256: str
    base_model: str
    is_ready: bool
    #: tokens of a conversation
    context: int


class TunedServer(OwnUpstream[_Known]):
    """An ASGI application. ``threads`` are each process's."""

    def __init__(self, pepper: bytes, *, threads: int = 1, most_children: int = MOST_CHILDREN) -> None:
        super().__init__(pepper, what="tuned models", most_bytes=_MOST_BYTES)
        self._threads = threads
        self._most = most_children
        self._children: dict[Key, Child] = {}
        self._starting = asyncio.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="costhub-tuned-")

    async def sweep(self) -> None:
        """End their processes too."""
        await super().sweep()
        for key in list(self._children):
            async with self._starting:
                known = await self._find(key)
                if known is None or not known.is_ready or self._find_child(key, known) is None:
                    await self._stop(key)

    async def close(self) -> None:
        """End every process."""
        await super().close()
        while self._children:
            await self._stop(next(iter(self._children)))
        self._folder.cleanup()

    async def complete(
        self, key: Key, known: _Known | None, body: dict[str, Any], call_id: str, send: Send
    ) -> Answer | None:
        """What the model's process says, as it comes."""
        if known is None or not known.is_ready:
            await self._stop(key)
            return refuse(404, f"There is no tuned model {key[1]!r}, or it was withdrawn.", "model_not_found")
        # llama.cpp's own fields, by which an adapter is left out.
        body.pop("lora", None)
        try:
            child = await self._get_child(key, known)
        except (NotServed, UnknownBase, Unreadable) as failed:
            _log.error("a tuned model cannot be served", extra={"model": str(known.row_id), "reason": str(failed)})
            return refuse(503, "This model cannot be served at the moment.", "service_unavailable")
        if child is None:
            return refuse(503, "Other models are being served: try again soon.", "service_unavailable")
        child.calls += 1
        child.used_ns = clock.monotonic_ns()
        try:
            return await _relay(child, orjson.dumps(body), send)
        finally:
            child.calls -= 1

    def load(self, org_id: UUID, name: str) -> _Known | None:
        """By its name."""
        rows = TunedModel.objects.select_related("job").defer("adapter", "served")
        tuned = rows.filter(org_id=org_id, name=name).first()
        if tuned is None:
            return None
        is_ready = tuned.state == TunedState.READY.value
        return _Known(tuned.pk, tuned.sha256, tuned.base_model, is_ready, tuned.context)

    def list_names(self, org_id: UUID) -> Sequence[str]:
        """Those that something is left of."""
        ready = TunedModel.objects.filter(org_id=org_id, state=TunedState.READY.value)
        return list(ready.order_by("name").values_list("name", flat=True))

    async def _get_child(self, key: Key, known: _Known) -> Child | None:
        """The process that serves it, started where there is none; None while there is room for no other one."""
        if (child := self._find_child(key, known)) is not None:
            return child
        async with self._starting:
            if (child := self._find_child(key, known)) is not None:
                return child
            await self._stop(key)
            if len(self._children) >= self._most:
                idle = [other for other, one in self._children.items() if not one.calls]
                if not idle:
                    return None
                await self._stop(min(idle, key=lambda other: self._children[other].used_ns))
            base = find_base(known.base_model, settings.BASE_MODELS_DIR)
            if base.file is None:
                raise UnknownBase(f"llama.cpp has no file of {known.base_model}.")
            chat_template = await self.run(read_template, base)
            adapter = await self.run(_read_adapter, key[0], known.row_id)
            child = await start_child(
                Path(self._folder.name),
                name=key[1],
                base=base.file,
                chat_template=chat_template,
                context=known.context,
                adapter=adapter,
                sha256=known.sha256,
                threads=self._threads,
            )
            self._children[key] = child
            return child

    def _find_child(self, key: Key, known: _Known) -> Child | None:
        child = self._children.get(key)
        return child if child is not None and child.is_alive and child.sha256 == known.sha256 else None

    async def _stop(self, key: Key) -> None:
        child = self._children.pop(key, None)
        if child is not None:
            await child.stop()


async def _relay(child: Child, body: bytes, send: Send) -> Answer | None:
    """Send the process's answer on as it comes."""
    headers = {"content-type": "application/json"}
    has_begun = False
    try:
        async with child.http.stream("POST", "/v1/chat/completions", content=body, headers=headers) as answer:
            content_type = answer.headers.get("content-type", "application/json")
            head = [(b"content-type", content_type.encode("latin-1"))]
            await send({"type": "http.response.start", "status": answer.status_code, "headers": head})
            has_begun = True
            async for piece in answer.aiter_raw():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except httpx2.HTTPError:
        if has_begun:
            # A stream that breaks must not look as if it had ended.
            raise
        return refuse(503, "This model cannot be served at the moment.", "service_unavailable")
    return None


def _read_adapter(org_id: UUID, row_id: UUID) -> bytes:
    with org_scope(org_id):
        tuned = TunedModel.objects.filter(org_id=org_id, pk=row_id).first()
        if tuned is None or not tuned.served:
            raise NotServed("Nothing of this model is left that llama.cpp reads.")
        return open_bytes(Organization.objects.get(pk=org_id), row_id, SERVED, tuned.served)
