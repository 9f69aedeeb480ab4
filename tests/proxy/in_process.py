"""The application in this very process, on real edges: ASGI's messages in, ASGI's messages out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

import orjson
from django.conf import settings
from django.db import connections

from costhub.lib import keyspace
from costhub.lib.redis import client
from costhub.lib.secrets import digest_of
from proxy.app import App
from proxy.ledger.drain import read_events
from tenants.selectors import load_key_snapshot, load_org_snapshot
from tenants.snapshots import OrgSnapshot
from tests.world import Tenant

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
        """What the application calls."""
        self.sent.append(message)
        self.has_begun.set()

    @property
    def status(self) -> int:
        """Of the answer."""
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer."""
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        """All bytes of the answer."""
        return b"".join(message["body"] for message in self.sent[1:])


def converse(key: str, body: Any = None, *, path: str = CHAT, method: str = "POST", **headers: str) -> Conversation:
    """A request whose body is there; the caller stays until told otherwise."""
    path, _, query = path.partition("?")
    raw = body if isinstance(body, bytes) else orjson.dumps(body) if body is not None else b""
    sent = {"authorization": f"Bearer {key}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "path": path,
        "method": method,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
    }
    conversation = Conversation(scope)
    conversation.incoming.put_nowait({"type": "http.request", "body": raw, "more_body": False})
    return conversation


def chat(**fields: Any) -> dict[str, Any]:
    """A body of one short message; ``fields`` go over it."""
    return {"model": "small", "messages": [{"role": "user", "content": "Hi there"}], **fields}


def make_known(tenant: Tenant) -> None:
    """Tell Valkey of a tenant as a proxy would, and let go of the database."""
    digest = digest_of(tenant.api_key, settings.KEY_PEPPER)
    key, org = load_key_snapshot(digest), load_org_snapshot(tenant.org_id)
    assert key is not None
    assert org is not None
    client().set(keyspace.key_snapshot_key(digest), key.to_json())
    client().set(keyspace.org_snapshot_key(org.id), org.to_json())
    # Its shard is whole: nothing has to be counted anew from the database.
    client().set(keyspace.epoch_key(org.shard), "1")
    connections.close_all()


def send_to(tenant: Tenant, base_url: str, **model_fields: Any) -> None:
    """Have the tenant's calls go elsewhere, its models with these fields."""
    name = keyspace.org_snapshot_key(tenant.org_id)
    org = OrgSnapshot.from_json(cast("bytes", client().get(name)))
    upstreams = {key: replace(one, base_url=base_url, credential=None) for key, one in org.upstreams.items()}
    models = {key: replace(one, **model_fields) for key, one in org.models.items()}
    client().set(name, replace(org, upstreams=upstreams, models=models).to_json())


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
    """Have the application answer."""
    await app(conversation.scope, conversation.incoming.get, conversation.send)
    return conversation


def events_of(tenant: Tenant) -> list[dict[str, Any]]:
    """The ledger events of a tenant that nobody has drained."""
    events = [orjson.loads(fields[b"e"]) for _, fields in read_events(keyspace.shard_of(tenant.org_id))]
    return [event for event in events if event["org_id"] == tenant.org_id]
