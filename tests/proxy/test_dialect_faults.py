"""Whatever breaks, in whichever two formats a caller and an upstream speak: the ledger is the bank's bill."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tenants.access import org_scope
from tenants.actions.upstreams import update_upstream
from tenants.choices import UpstreamKind
from tests.bank import Bank
from tests.proxy.books import assert_balanced
from tests.proxy.deployment import Deployment, deploy
from tests.proxy.load import CHAT, call_all, make_bodies
from tests.world import World, make_budget, make_catalog

Json = dict[str, Any]

MESSAGES, RESPONSES = "/messages", "/responses"
#: one call in two has one of these
FAULTS: list[Json] = [
    {"fault": "reset", "at": 3},
    {"fault": "reset", "at_byte": 900},
    {"fault": "eof", "at": 2},
    {"fault": "error_after_tokens", "at": 4},
    {"fault": "http_503"},
    {"fault": "rate_limited"},
    {"fault": "error_event", "at": 0},
    {"fault": "error_event", "at": 2},
    {"fault": "hang_up"},
    {"fault": "no_usage"},
    {"fault": "zero_usage"},
    {"fault": "duplicate_final"},
    {"fault": "no_done"},
    {"fault": "crlf"},
    {"fault": "multi_line"},
    {"fault": "comments"},
    {"fault": "split_utf8", "wide": True},
    {"fault": "garbage"},
    {"fault": "wrong_content_length", "by": 10},
    {"fault": "wrong_model"},
    {"fault": "not_json"},
    {"cached_tokens": 2, "reasoning_tokens": 3},
]


def make_faulty(path: str) -> Iterator[Json]:
    """Calls of one format: every fault once as a stream and once not, and as many calls between them that go well."""
    for number, body in enumerate(make_bodies(4 * len(FAULTS), "small", n=1)):
        limit = body["max_tokens"]
        body["stream"] = number % 4 < 2
        if number % 2:
            body["bank"] |= FAULTS[number // 4]
        if path == RESPONSES:
            body |= {"input": body.pop("messages"), "max_output_tokens": limit}
            del body["max_tokens"]
        if path != CHAT:
            del body["n"]
        yield body


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Deployment]:
    with deploy(tmp_path_factory.mktemp("dialects")) as proxy:
        yield proxy


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (MESSAGES, UpstreamKind.ANTHROPIC),
        (RESPONSES, UpstreamKind.OPENAI),
        (MESSAGES, UpstreamKind.OPENAI_COMPATIBLE),
        (RESPONSES, UpstreamKind.OPENAI_COMPATIBLE),
        (CHAT, UpstreamKind.ANTHROPIC),
        (RESPONSES, UpstreamKind.ANTHROPIC),
    ],
    ids=lambda value: str(value).strip("/").replace("/", "-"),
)
def test_the_books_balance(
    committed_world: World, bank: Bank, proxy: Deployment, path: str, kind: UpstreamKind
) -> None:
    acme = committed_world.acme
    catalog = make_catalog(acme, base_url=bank.base_url, kind=kind)
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=catalog.upstream, bill_path="/costhub/bill", timeout_ms=20_000)
    make_budget(acme, "100.00")
    outcomes = asyncio.run(call_all(proxy.base_url, acme.api_key, make_faulty(path), clients=8, path=path))
    books = assert_balanced(acme, bank)
    assert len(books.rows) - books.corrections == 4 * len(FAULTS)
    assert sum(outcome.status == 200 and not outcome.error_code for outcome in outcomes) >= 2 * len(FAULTS)
    assert bank.complaints() == ""
