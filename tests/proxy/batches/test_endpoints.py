"""Batches of every endpoint that OpenAI's take and that is served here: responses, moderations, images."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from proxy.models import Batch, LedgerEntry
from tenants.access import org_scope
from tenants.actions.pricing import create_price
from tenants.actions.upstreams import update_upstream
from tenants.choices import UpstreamKind
from tenants.models import Upstream
from tests.bank import Bank
from tests.bank.answers import answer_text
from tests.proxy.batches.desk import open_desk, read, run_worker
from tests.proxy.batches.test_remote import acme as account
from tests.proxy.batches.test_remote import balance, run
from tests.proxy.books import assert_balanced, close_the_day
from tests.proxy.scripted_upstream import scripted, whole
from tests.world import Tenant, World, make_budget, make_catalog

__all__ = ["account"]

Json = dict[str, Any]
RESPONSES = "/v1/responses"


def ask(url: str, number: int = 0, **body: Any) -> Json:
    """A line of a batch for one of these."""
    return {"custom_id": f"line-{number}", "method": "POST", "url": url, "body": {"model": "small", **body}}


def hand_in(tenant: Tenant, endpoint: str, lines: list[Json]) -> tuple[Json, list[Json], list[Json]]:
    """A batch when a worker has brought it on, its answers and its errors."""

    async def send() -> Json:
        async with open_desk(tenant) as desk:
            taken = await desk.hand_in(lines, endpoint=endpoint)
            assert taken.status == 200, taken.body
            return read(taken)

    async def collect() -> tuple[Json, list[Json], list[Json]]:
        async with open_desk(tenant) as desk:
            over = await desk.look(batch)
            files = over["output_file_id"], over["error_file_id"]
            return over, await desk.read_lines(files[0]), await desk.read_lines(files[1])

    batch = asyncio.run(send())
    run_worker(tenant)
    return asyncio.run(collect())


def said(answer: Json) -> str:
    body = answer["response"]["body"]
    assert body["object"] == "response"
    return str(body["output"][-1]["content"][0]["text"])


@pytest.mark.parametrize("model", ["small", "native"])
def test_responses_are_answered_in_their_own_form(acme: Tenant, bank: Bank, model: str) -> None:
    make_catalog(acme, base_url=bank.base_url, kind=UpstreamKind.OPENAI, model="native")
    lines = [ask(RESPONSES, number, model=model, input="one two three", max_output_tokens=50) for number in range(3)]
    over, answers, errors = hand_in(acme, RESPONSES, lines)
    assert over["request_counts"] == {"total": 3, "completed": 3, "failed": 0}
    assert ([said(answer) for answer in answers], errors) == ([answer_text()] * 3, [])
    books = assert_balanced(acme, bank)
    assert sorted(row.endpoint for row in books.rows) == ["batches", *["responses"] * 3]


def test_responses_are_handed_on_and_cost_half(account: Tenant, bank: Bank) -> None:
    lines = [ask(RESPONSES, number, input="one two three", max_output_tokens=50) for number in range(3)]
    over, answers, errors = run(account, lines, endpoint=RESPONSES)
    assert over["request_counts"] == {"total": 3, "completed": 3, "failed": 0}
    assert ([said(answer) for answer in answers], errors) == ([answer_text()] * 3, [])
    rows = balance(account, bank)
    # Three words and what a message of them has; twelve tokens.
    assert {(row.effective_cost, row.list_cost) for row in rows} == {(9 * 75 + 12 * 300, 9 * 150 + 12 * 600)}


def test_responses_are_asked_line_by_line_of_an_account_that_is_asked_for_chats(account: Tenant, bank: Bank) -> None:
    """Its batches take a chat at another address."""
    with org_scope(account.org_id):
        upstream = Upstream.objects.get(org=account.org)
        update_upstream(actor=account.owner, upstream=upstream, habits={"responses": False})
    lines = [ask(RESPONSES, number, input="one two three", max_output_tokens=50) for number in range(3)]
    over, answers, errors = hand_in(account, RESPONSES, lines)
    assert over["request_counts"] == {"total": 3, "completed": 3, "failed": 0}
    assert ([said(answer) for answer in answers], errors) == ([answer_text()] * 3, [])
    with org_scope(account.org_id):
        assert not Batch.objects.filter(org_id=account.org_id, is_remote=True).exists()


@pytest.mark.parametrize(
    ("field", "value"), [("background", True), ("previous_response_id", "resp_1"), ("stream", True), ("prompt", {})]
)
def test_what_only_somebody_who_waits_has_is_refused_by_its_line(acme: Tenant, field: str, value: Any) -> None:
    lines = [ask(RESPONSES, 0, input="one"), ask(RESPONSES, 1, input="one", **{field: value})]
    over, _, _ = hand_in(acme, RESPONSES, lines)
    assert over["status"] == "failed"
    assert [(one["param"], one["line"]) for one in over["errors"]["data"]] == [(f"body.{field}", 2)]


MODERATION = {"id": "modr-1", "model": "theirs", "results": [{"flagged": False}]}
IMAGES = {"created": 1, "data": [{"b64_json": "AAAA"}, {"b64_json": "BBBB"}]}


@pytest.mark.parametrize(
    ("endpoint", "body", "told", "fees", "cost"),
    [
        ("/v1/moderations", {"input": "Hi"}, MODERATION, {}, 0),
        ("/v1/images/generations", {"prompt": "A cat.", "n": 2}, IMAGES, {"image": "0.04"}, 80_000_000),
    ],
)
def test_what_is_billed_by_the_piece_is_asked_line_by_line(
    committed_world: World, endpoint: str, body: Json, told: Json, fees: dict[str, str], cost: int
) -> None:
    acme = committed_world.acme
    with scripted(lambda _: whole(told)) as upstream:
        catalog = make_catalog(acme, base_url=upstream.base_url, kind=UpstreamKind.OPENAI, input_per_million=None)
        with org_scope(acme.org_id):
            create_price(
                actor=acme.owner,
                model=catalog.model,
                input_per_million=Decimal(0),
                output_per_million=Decimal(0),
                fees={name: Decimal(usd) for name, usd in fees.items()},
                service_tiers={"batch": {"input_per_million": Decimal(0), "output_per_million": Decimal(0)}},
            )
        make_budget(acme, "1.00")
        over, answers, errors = hand_in(acme, endpoint, [ask(endpoint, number, **body) for number in range(3)])
    assert (over["status"], errors) == ("completed", [])
    assert [answer["response"]["body"] for answer in answers] == [told] * 3
    close_the_day(acme)
    with org_scope(acme.org_id):
        assert not Batch.objects.filter(org_id=acme.org_id, is_remote=True).exists()
        rows = LedgerEntry.objects.filter(org_id=acme.org_id).exclude(endpoint="batches")
        assert [row.effective_cost for row in rows] == [cost] * 3
