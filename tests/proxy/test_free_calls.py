"""Requests that cost nothing, with an Idempotency-Key: done once, and answered as the first time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
import pytest

from proxy.batches.model import StoredFile
from tenants.access import org_scope
from tenants.actions.orgs import update_organization
from tests.bank import Bank
from tests.proxy.batches.desk import CHAT, Desk, form, line, open_desk, read
from tests.world import Tenant, World, make_budget, make_catalog

Json = dict[str, Any]
Found = TypeVar("Found")


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """Acme, which keeps answers for an hour."""
    acme = committed_world.acme
    make_catalog(acme, base_url=bank.base_url, max_output_tokens=100)
    make_budget(acme, "10.00")
    with org_scope(acme.org_id):
        update_organization(actor=acme.owner, answers_kept_hours=1)
    return acme


def at_desk(tenant: Tenant, act: Callable[[Desk], Awaitable[Found]]) -> Found:
    """What ``act`` gives at the tenant's desk."""

    async def run() -> Found:
        async with open_desk(tenant) as desk:
            return await act(desk)

    return asyncio.run(run())


def test_a_kept_chat_is_changed_once(acme: Tenant) -> None:
    async def act(desk: Desk) -> None:
        body = {"model": "small", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9, "store": True}
        path = f"{CHAT}/{read(await desk.ask('POST', CHAT, orjson.dumps(body)))['id']}"

        async def change(metadata: Json, **headers: str) -> tuple[int, Json, dict[str, str]]:
            got = await desk.ask("POST", path, orjson.dumps({"metadata": metadata}), **headers)
            return got.status, read(got), got.headers

        status, first, headers = await change({"by": "Ada"}, idempotency_key="k")
        assert (status, first["metadata"]) == (200, {"by": "Ada"})
        await change({"by": "Ben"})
        again = await change({"by": "Ada"}, idempotency_key="k")
        assert (again[0], again[1]) == (200, first)
        assert again[2]["x-costhub-replayed"] == "true"
        assert again[2]["x-costhub-original-request-id"] == headers["x-request-id"]
        assert read(await desk.ask("GET", path))["metadata"] == {"by": "Ben"}
        status, told, _ = await change({"by": "Cem"}, idempotency_key="k")
        assert (status, told["error"]["code"]) == (409, "idempotency_conflict")
        # Elsewhere the same key, or one that cannot be one.
        other = await desk.ask("POST", "/v1/costhub/estimate", orjson.dumps(body), idempotency_key="k")
        assert (other.status, read(other)["error"]["code"]) == (409, "idempotency_conflict")
        long = await desk.ask("POST", path, b"{}", idempotency_key="k" * 256)
        assert (long.status, read(long)["error"]["param"]) == (400, "Idempotency-Key")

    at_desk(acme, act)


def test_what_failed_may_be_tried_again(acme: Tenant) -> None:
    async def act(desk: Desk) -> list[int]:
        path = f"{CHAT}/chatcmpl-none"
        return [(await desk.ask("POST", path, b'{"metadata":{}}', idempotency_key="k")).status for _ in range(2)]

    assert at_desk(acme, act) == [404, 404]


def test_feedback_is_taken_once(acme: Tenant) -> None:
    async def act(desk: Desk) -> None:
        call = await desk.ask("POST", CHAT, orjson.dumps(line(1)["body"]))
        path = f"/v1/costhub/requests/{call.headers['x-request-id']}/feedback"

        async def say(verdict: str, **headers: str) -> tuple[int, Json]:
            got = await desk.ask("POST", path, orjson.dumps({"verdict": verdict}), **headers)
            return got.status, read(got)

        first = await say("wrong", idempotency_key="k")
        assert (first[0], first[1]["verdict"]) == (200, "wrong")
        assert await say("wrong", idempotency_key="k") == first

    at_desk(acme, act)


def test_a_file_is_kept_once_whatever_boundary_its_form_has(acme: Tenant) -> None:
    async def act(desk: Desk) -> None:
        async def upload(content: bytes, boundary: str, purpose: str = "batch") -> tuple[int, Json]:
            raw = form(content, purpose=purpose).replace(b"the-boundary", boundary.encode())
            sent = f"multipart/form-data; boundary={boundary}"
            got = await desk.ask("POST", "/v1/files", raw, content_type=sent, idempotency_key="k")
            return got.status, read(got)

        first = await upload(b"{}\n" * 100_000, "one")
        assert (first[0], first[1]["bytes"]) == (200, 300_000)
        assert await upload(b"{}\n" * 100_000, "two") == first
        for content, purpose in ((b"{}\n" * 99_999 + b"{} ", "batch"), (b"{}\n" * 100_000, "evals")):
            status, told = await upload(content, "one", purpose)
            assert (status, told["error"]["code"]) == (409, "idempotency_conflict")
        (kept,) = read(await desk.ask("GET", "/v1/files"))["data"]
        assert kept == first[1]

    at_desk(acme, act)
    with org_scope(acme.org_id):
        assert StoredFile.objects.filter(org_id=acme.org_id).count() == 1
