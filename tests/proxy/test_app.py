"""The application in this very process, on real edges: ASGI's messages in, ASGI's messages out."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

import orjson
import pytest
from django.conf import settings
from django.db import connections

from costhub.lib import keyspace
from costhub.lib.redis import client
from costhub.lib.secrets import digest_of
from proxy.app import App
from proxy.edges.drain import read_events
from tenants.selectors import load_key_snapshot, load_org_snapshot
from tenants.snapshots import OrgSnapshot
from tests.bank import Bank, answer_text
from tests.world import Tenant, World, make_catalog

CHAT: Final = "/v1/chat/completions"
Message = dict[str, Any]


@dataclass
class Conversation:
    """One request, and what the application sends for it."""

    scope: dict[str, Any]
    incoming: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)
    sent: list[Message] = field(default_factory=list)
    has_begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        self.has_begun.set()

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])


def converse(key: str, body: Any = None, *, path: str = CHAT, method: str = "POST", **headers: str) -> Conversation:
    """A request whose body is there; the caller stays until told otherwise."""
    raw = orjson.dumps(body) if body is not None else b""
    sent = {"authorization": f"Bearer {key}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "path": path,
        "method": method,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
    }
    conversation = Conversation(scope)
    conversation.incoming.put_nowait({"type": "http.request", "body": raw, "more_body": False})
    return conversation


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "small", "messages": [{"role": "user", "content": "Hi there"}], **fields}


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """Acme with a model at the bank known to Valkey as a proxy would make it known."""
    acme = committed_world.acme
    make_catalog(acme, base_url=bank.base_url)
    digest = digest_of(acme.api_key, settings.KEY_PEPPER)
    key, org = load_key_snapshot(digest), load_org_snapshot(acme.org_id)
    assert key is not None
    assert org is not None
    client().set(keyspace.key_snapshot_key(digest), key.to_json())
    client().set(keyspace.org_snapshot_key(org.id), org.to_json())
    # Its shard is whole: nothing has to be counted anew from the database.
    client().set(keyspace.epoch_key(org.shard), "1")
    connections.close_all()
    return acme


def send_to(tenant: Tenant, base_url: str) -> None:
    """Have the tenant's calls go elsewhere."""
    name = keyspace.org_snapshot_key(tenant.org_id)
    org = OrgSnapshot.from_json(cast("bytes", client().get(name)))
    upstreams = {key: replace(one, base_url=base_url, credential=None) for key, one in org.upstreams.items()}
    client().set(name, replace(org, upstreams=upstreams).to_json())


@asynccontextmanager
async def running() -> AsyncIterator[App]:
    """The application, opened; when the block ends every entry of it is written."""
    app = App()
    await app.open()
    try:
        yield app
    finally:
        await app.close()


async def serve(app: App, conversation: Conversation) -> Conversation:
    await app(conversation.scope, conversation.incoming.get, conversation.send)
    return conversation


def events_of(tenant: Tenant) -> list[dict[str, Any]]:
    """The ledger events of a tenant that nobody has drained."""
    events = [orjson.loads(fields[b"e"]) for _, fields in read_events(keyspace.shard_of(tenant.org_id))]
    return [event for event in events if event["org_id"] == tenant.org_id]


async def test_a_call_is_answered_paid_and_written_down(acme: Tenant) -> None:
    async with running() as app:
        answer = await serve(app, converse(acme.api_key, chat(), x_costhub_tags="team=search", x_costhub_user="ben"))
        assert answer.status == 200
        assert json.loads(answer.body)["choices"][0]["message"]["content"] == answer_text()
        # 3 + 3 + 2 words in at 0.15, 12 out at 0.60 USD a million
        assert answer.headers["x-costhub-cost"] == "0.000008400"
    (row,) = events_of(acme)
    assert (row["id"], row["status"], row["effective_cost"]) == (answer.headers["x-request-id"], 200, 8_400)
    assert (row["request_model"], row["end_user"], row["tags"]) == ("small", "ben", {"team": "search"})
    assert (row["input_tokens"], row["output_tokens"], row["is_estimated"]) == (8, 12, False)


async def test_the_same_call_again_is_not_paid_again(acme: Tenant) -> None:
    async with running() as app:
        first, second = [await serve(app, converse(acme.api_key, chat(), idempotency_key="k")) for _ in range(2)]
        assert first.body == second.body
        assert second.headers["x-costhub-replayed"] == "true"
    assert [row["effective_cost"] for row in events_of(acme)] == [8_400, 0]


async def test_a_refusal_is_written_down_at_nothing(acme: Tenant) -> None:
    async with running() as app:
        answer = await serve(app, converse(acme.api_key, chat(n=0)))
        assert (answer.status, json.loads(answer.body)["error"]["param"]) == (400, "n")
    (row,) = events_of(acme)
    assert (row["status"], row["error_code"], row["effective_cost"]) == (400, "invalid_request", 0)


async def test_nobody_known_is_nobodys_row(acme: Tenant) -> None:
    async with running() as app:
        answer = await serve(app, converse("chk_nobody", chat()))
        assert answer.status == 401
    assert events_of(acme) == []


async def test_a_caller_who_leaves_ends_the_call(acme: Tenant, bank: Bank) -> None:
    async with running() as app:
        conversation = converse(acme.api_key, chat(stream=True, bank={"output_tokens": 1_000, "pace_ms": 50}))
        serving = asyncio.create_task(serve(app, conversation))
        await conversation.has_begun.wait()
        conversation.incoming.put_nowait({"type": "http.disconnect"})
        await serving
        assert conversation.sent[-1]["more_body"] is True
    (row,) = events_of(acme)
    assert (row["status"], row["error_code"], row["is_estimated"]) == (499, "client_disconnected", True)
    assert 0 < row["output_tokens"] < 1_000
    assert 0 < row["effective_cost"] <= row["held"]
    await asyncio.to_thread(bank.wait_quiet)


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An upstream that answers everything with a 429, to be tried again after \u00b2 seconds."""
    await reader.readuntil(b"}]}")
    writer.write(
        b"HTTP/1.1 429 Too Many Requests\r\nretry-after: \xb2\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"
    )
    writer.close()
    await writer.wait_closed()


async def test_a_pause_that_is_no_number_is_not_believed(acme: Tenant) -> None:
    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server, running() as app:
        send_to(acme, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        answer = await serve(app, converse(acme.api_key, chat()))
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (429, "upstream_error")
    assert "retry-after" not in answer.headers
    (row,) = events_of(acme)
    assert [attempt["status"] for attempt in row["attempts"]] == [429, 429, 429]
    assert (row["effective_cost"], row["is_estimated"]) == (0, False)


async def test_a_stream_ends_with_its_cost_and_done(acme: Tenant) -> None:
    async with running() as app:
        answer = await serve(app, converse(acme.api_key, chat(stream=True)))
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.body.endswith(b"\n\ndata: [DONE]\n\n")
        assert b": x-costhub-cost: 0.000008400\n" in answer.body
        assert [message["more_body"] for message in answer.sent[1:]][-1] is False


async def test_a_model_is_found_under_its_own_name_decoded_once(acme: Tenant) -> None:
    async with running() as app:
        found = await serve(app, converse(acme.api_key, path="/v1/models/small", method="GET"))
        assert json.loads(found.body) == {
            **json.loads(found.body),
            "id": "small",
            "object": "model",
            "owned_by": "costhub",
        }
        # What the server has decoded already is the name itself.
        missed = await serve(app, converse(acme.api_key, path="/v1/models/sm%61ll", method="GET"))
        assert missed.status == 404
