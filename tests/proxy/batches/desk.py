"""Where files and batches are handed in: the application in this process, and a worker that is asked to work."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf
from typing import Any, Final, cast
from unittest.mock import patch
from uuid import UUID

import orjson

from costhub.lib import keyspace
from costhub.lib.redis import client
from proxy.app import App
from proxy.batches import work as worker
from proxy.batches.runner import Run
from proxy.batches.shift import Shift
from proxy.batches.work import work
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS
from tests.proxy.in_process import Conversation, running, serve
from tests.world import Tenant

CHAT: Final = "/v1/chat/completions"
BOUNDARY: Final = "the-boundary"
#: between two looks, in the place of half a second
_LOOK_SECONDS: Final = 0.05
Json = dict[str, Any]


@dataclass(frozen=True)
class Desk:
    """An application and the key that calls it."""

    app: App
    api_key: str

    async def ask(self, method: str, path: str, body: bytes = b"", query: str = "", **headers: str) -> Conversation:
        """One request."""
        sent = {"authorization": f"Bearer {self.api_key}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        conversation = Conversation(
            {
                "type": "http",
                "path": path,
                "method": method,
                "query_string": query.encode(),
                "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            }
        )
        for start in range(0, max(len(body), 1), 65_536):
            part = body[start : start + 65_536]
            more = start + 65_536 < len(body)
            conversation.incoming.put_nowait({"type": "http.request", "body": part, "more_body": more})
        return await serve(self.app, conversation)

    async def upload(
        self, content: bytes, *, purpose: str = "batch", filename: str = "calls.jsonl", **fields: str
    ) -> Conversation:
        """Hand in a file."""
        return await self.ask(
            "POST",
            "/v1/files",
            form(content, purpose=purpose, filename=filename, **fields),
            content_type=f"multipart/form-data; boundary={BOUNDARY}",
        )

    async def hand_in(self, lines: bytes | Iterable[Json], *, endpoint: str = CHAT, **headers: str) -> Conversation:
        """Upload lines, and make a batch of them."""
        content = lines if isinstance(lines, bytes) else b"".join(orjson.dumps(line) + b"\n" for line in lines)
        uploaded = await self.upload(content)
        assert uploaded.status == 200, uploaded.body
        body = {"input_file_id": read(uploaded)["id"], "endpoint": endpoint, "completion_window": "24h"}
        return await self.ask("POST", "/v1/batches", orjson.dumps(body), **headers)

    async def look(self, batch: Json) -> Json:
        """A batch as it is now."""
        return read(await self.ask("GET", f"/v1/batches/{batch['id']}"))

    async def read_lines(self, file_id: str | None) -> list[Json]:
        """The lines of an output or error file."""
        if file_id is None:
            return []
        found = await self.ask("GET", f"/v1/files/{file_id}/content")
        assert found.status == 200
        return [orjson.loads(line) for line in found.body.splitlines()]


def form(content: bytes, *, purpose: str = "batch", filename: str = "calls.jsonl", **fields: str) -> bytes:
    """A form as clients write it."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in {"purpose": purpose, **fields}.items()
    ]
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return b"".join(parts) + head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def line(number: int, *, url: str = CHAT, **fields: Any) -> Json:
    """A line of a batch: a short call that the bank answers with twelve tokens."""
    body = {"model": "small", "messages": [{"role": "user", "content": f"Hi {number}"}], "max_tokens": 20, **fields}
    return {"custom_id": f"line-{number}", "method": "POST", "url": url, "body": body}


def read(conversation: Conversation) -> Json:
    """The body of an answer."""
    found: Json = orjson.loads(conversation.body)
    return found


@asynccontextmanager
async def open_desk(tenant: Tenant) -> AsyncIterator[Desk]:
    """An application that the tenant calls."""
    async with running() as app:
        yield Desk(app, tenant.api_key)


class _Looks(Shift):
    """One that is over when what there is was brought on so many times, however long that takes."""

    def __init__(self, left: float) -> None:
        super().__init__(PATIENCE_SECONDS)
        self.left = left

    def is_over(self, *, for_soon: bool = False) -> bool:
        return self.left <= 0 or super().is_over(for_soon=for_soon)


def run_worker(tenant: Tenant, looks: int | None = None) -> int:
    """Let a worker, on a loop of its own, bring on what a tenant has: so many times, or until nothing is left."""
    shift, bring_on = _Looks(inf if looks is None else looks), worker._bring_on

    async def bring_on_once(run: Run, org_id: str) -> None:
        await bring_on(run, org_id)
        shift.left -= 1

    with patch.multiple(worker, Shift=lambda _: shift, _bring_on=bring_on_once, _LOOK_EVERY_SECONDS=_LOOK_SECONDS):
        return asyncio.run(work(PATIENCE_SECONDS, {tenant.org_id}))


def run_worker_for(tenant: Tenant, seconds: float) -> int:
    """As a worker does it: lines begin for so long."""
    return asyncio.run(work(seconds, {tenant.org_id}))


def ids_of(bank: Bank) -> set[str]:
    """The calls that the bank has billed, by the ids that we gave them."""
    return {call.request_id.partition(":")[0] for call in bank.bill()}


def held_of(tenant: Tenant, batch: Json) -> int | None:
    """Nano-USD that a batch holds for lines that have not drawn their share."""
    hold_id = str(UUID(batch["id"].removeprefix("batch_")))
    amount = cast("bytes | None", client().hget(keyspace.hold_key(tenant.org.shard, hold_id), "amount"))
    return None if amount is None else int(amount)
