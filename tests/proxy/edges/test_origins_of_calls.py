"""A key that is kept to networks and paths, through the whole application; and no path that forgets to ask."""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.conf import settings
from pytest_django import Settings

from tenants.access import org_scope
from tenants.actions.keys import update_key
from tests.proxy.in_process import CHAT, Conversation, chat, converse, events_of, make_known, running, serve
from tests.world import Tenant, World, make_catalog


@pytest.fixture
def acme(committed_world: World) -> Tenant:
    """Its key is for chat, from one network."""
    acme = committed_world.acme
    make_catalog(acme)
    with org_scope(acme.org_id):
        update_key(actor=acme.owner, key=acme.key, addresses=["10.1.0.0/16"], endpoints=[CHAT, "/v1/models"])
    make_known(acme)
    return acme


def come_from(address: str, conversation: Conversation) -> Conversation:
    conversation.scope["client"] = (address, 4_711)
    return conversation


def error_of(conversation: Conversation) -> tuple[int, str]:
    return conversation.status, orjson.loads(conversation.body)["error"]["code"]


async def test_a_call_from_elsewhere_is_refused_with_a_row_at_zero(acme: Tenant) -> None:
    async with running() as app:
        refused = await serve(app, come_from("10.2.0.1", converse(acme.api_key, chat())))
    assert error_of(refused) == (403, "address_not_allowed")
    event = events_of(acme)[-1]
    assert (event["error_code"], event["effective_cost"]) == ("address_not_allowed", 0)


async def test_so_is_another_path(acme: Tenant) -> None:
    body = {"model": "small", "input": "hi"}
    async with running() as app:
        refused = await serve(app, come_from("10.1.0.1", converse(acme.api_key, body, path="/v1/embeddings")))
    assert error_of(refused) == (403, "endpoint_not_allowed")
    assert events_of(acme)[-1]["error_code"] == "endpoint_not_allowed"


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/v1/models", "address_not_allowed"),
        ("GET", "/v1/costhub/budget", "endpoint_not_allowed"),
        ("POST", "/v1/costhub/estimate", "endpoint_not_allowed"),
        ("GET", "/v1/costhub/requests/0197e9d4-0000-7000-8000-000000000003", "endpoint_not_allowed"),
        ("POST", "/v1/costhub/requests/0197e9d4-0000-7000-8000-000000000003/feedback", "endpoint_not_allowed"),
    ],
)
async def test_questions_are_refused_too(acme: Tenant, method: str, path: str, code: str) -> None:
    async with running() as app:
        asked = converse(acme.api_key, chat() if method == "POST" else None, path=path, method=method)
        refused = await serve(app, come_from("192.0.2.1", asked))
    assert error_of(refused) == (403, code)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "status"),
    [(0, "10.1.0.1", 403), (1, "10.1.0.1", 200), (1, "10.1.0.1, 192.0.2.1", 403), (2, "10.1.0.1, 192.0.2.1", 200)],
)
async def test_behind_proxies_the_address_is_what_the_operators_own_say(
    acme: Tenant, settings: Settings, proxies: int, forwarded: str, status: int
) -> None:
    settings.TRUSTED_PROXIES = proxies
    async with running() as app:
        asked = converse(acme.api_key, path="/v1/models", method="GET", x_forwarded_for=forwarded)
        assert (await serve(app, come_from("192.0.2.9", asked))).status == status


def test_no_path_forgets_to_ask() -> None:
    """Only what writes a row looks at a key without its lists: it asks within the entry."""
    root = Path(settings.BASE_DIR) / "proxy"
    found: dict[str, Any] = {
        path.name: re.findall(r"auth\.authenticate\(", path.read_text()) for path in sorted(root.rglob("*.py"))
    }
    assert {name for name, uses in found.items() if uses} == {"arrival.py", "create.py"}
    for name in ("arrival.py", "batches/create.py"):
        assert "check_origin(" in (root / name).read_text()
