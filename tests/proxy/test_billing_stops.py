"""What unpaid invoices and spent credits do to calls, end to end: proxy, Valkey, PostgreSQL, an upstream that bills and
a Stripe that is paid."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, timedelta
from typing import Any

import pytest

from billing.invoices.actions.dunning import settle_standing
from billing.invoices.actions.pushing import push_issued
from billing.invoices.actions.wallet import add_credits, find_available, refund_credits
from billing.invoices.actions.webhooks import apply_event, store_event
from billing.invoices.models import Invoice, StripeEvent
from billing.invoices.stripe_client import read_stored
from billing.spend.selectors.standings import list_standings
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from costhub.lib.money import format_usd
from proxy.app import App
from proxy.ledger.drain import drain
from tenants.access import org_scope
from tenants.periods import period_bounds, previous_bounds
from tests.bank import Bank
from tests.billing.invoices.examples import close, make_customer
from tests.billing.invoices.stripe_customer import make_stripe_customer
from tests.patience import PATIENCE_SECONDS
from tests.proxy.edges.threads import in_thread
from tests.proxy.in_process import Conversation, chat, converse, events_of, serve
from tests.stripe_double import StripeDouble
from tests.stripe_double.in_process import make_stripe
from tests.world import Tenant, World, make_catalog

USD = 10**9


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """Acme, with a model that costs 0.15 and 0.60 USD a million."""
    make_catalog(committed_world.acme, base_url=bank.base_url)
    return committed_world.acme


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    await app.open()
    yield app
    await app.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return when it holds. How fast a change is known is measured in test_limits.py."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():
            await asyncio.sleep(0.02)


async def call(app: App, acme: Tenant, body: dict[str, Any] | None = None) -> Conversation:
    return await serve(app, converse(acme.api_key, body or chat()))


async def test_suspended_by_dunning_and_back_with_the_payment_while_calls_run(app: App, acme: Tenant) -> None:
    double = StripeDouble(now=lambda: clock.now().timestamp())
    quick = make_stripe(double)
    now = clock.now()
    month, _ = period_bounds("month", now.astimezone(UTC), "UTC")
    last, _ = previous_bounds("month", month, "UTC")

    def become_overdue() -> Invoice:
        make_stripe_customer(acme, quick, since=last, fee="49.00", grace_days=0, payment_days=0)
        (invoice,) = close(acme, month)
        push_issued(acme.owner, quick)
        with org_scope(acme.org.pk):
            assert settle_standing(acme.owner, month + timedelta(days=22)) == "suspended"
            invoice.refresh_from_db()
        return invoice

    def pay(invoice: Invoice) -> bool:
        body = double.make_event("invoice.paid", double.pay(invoice.stripe_invoice))
        event = read_stored(body)
        store_event(event, body)
        return apply_event(StripeEvent.objects.get(pk=event.id), event, quick, clock.now())

    async def answers(status: int) -> bool:
        return (await call(app, acme)).status == status

    assert (await call(app, acme)).status == 200
    invoice = await in_thread(become_overdue)
    await until(lambda: answers(402))
    refused = await call(app, acme)
    error = json.loads(refused.body)["error"]
    assert (error["code"], refused.headers["x-should-retry"]) == ("organization_suspended", "false")
    statuses: list[int] = []

    async def traffic() -> None:
        while 200 not in statuses:
            statuses.append((await call(app, acme)).status)
            # A refusal waits for nothing, and would leave nobody else a turn.
            await asyncio.sleep(0.01)

    running = asyncio.create_task(traffic())
    assert await in_thread(lambda: pay(invoice))
    before = len(statuses)
    await asyncio.wait_for(running, PATIENCE_SECONDS)
    assert set(statuses) == {402, 200}
    assert len(statuses) - before <= 500, "so many calls come in five seconds where the machine has time for all"


async def test_prepaid_credits_stop_calls_at_zero_and_more_of_them_let_calls_in(app: App, acme: Tenant) -> None:
    def buy(nanos: int, reference: str) -> None:
        with org_scope(acme.org_id):
            add_credits(actor=acme.owner, amount_nanos=nanos, reference=reference)

    async def answers(status: int) -> bool:
        return (await call(app, acme, chat(max_tokens=20))).status == status

    await in_thread(lambda: make_customer(acme, since=clock.now(), prepaid=True))
    await in_thread(lambda: buy(30_000, "first"))
    await until(lambda: answers(200))
    for _ in range(20):
        last = await call(app, acme, chat(max_tokens=20))
        if last.status != 200:
            break
    error = json.loads(last.body)["error"]
    assert (last.status, error["code"]) == (402, "budget_exceeded")
    assert app._edges is not None
    await asyncio.wait_for(app._edges.ledger._quiet.wait(), PATIENCE_SECONDS)
    assert sum(row["effective_cost"] for row in events_of(acme)) <= 30_000
    await in_thread(lambda: buy(USD, "second"))
    await until(lambda: answers(200))


async def test_what_calls_under_way_hold_is_not_given_back_and_the_rest_stops_calls_at_once(
    app: App, acme: Tenant, bank: Bank
) -> None:
    def buy() -> None:
        make_customer(acme, since=clock.now(), prepaid=True)
        with org_scope(acme.org_id):
            add_credits(actor=acme.owner, amount_nanos=USD, reference="first")

    def held() -> int:
        with org_scope(acme.org_id):
            return sum(each.held or 0 for each in list_standings(acme.owner, clock.now()))

    def give_back(nanos: int) -> str:
        with org_scope(acme.org_id):
            try:
                refund_credits(actor=acme.owner, amount_nanos=nanos, reference=f"re_{nanos}")
            except InvalidField as error:
                return error.message
        return ""

    async def answers() -> bool:
        return (await call(app, acme, chat(max_tokens=20))).status == 200

    async def is_held() -> bool:
        return await in_thread(held) > 0

    await in_thread(buy)
    await until(answers)
    assert app._edges is not None
    await asyncio.wait_for(app._edges.ledger._quiet.wait(), PATIENCE_SECONDS)
    running = asyncio.create_task(call(app, acme, chat(max_tokens=20, bank={"first_ms": 60_000})))
    await until(is_held)
    hold = await in_thread(held)
    spent = sum(row["effective_cost"] for row in events_of(acme))
    left = USD - spent
    refused = await in_thread(lambda: give_back(left))
    assert refused.startswith(f"Give an amount up to {format_usd(left - hold)} USD: ")
    assert await in_thread(lambda: give_back(left - hold)) == ""
    # Not one call more: what is left is the running one's.
    refusal = await call(app, acme, chat(max_tokens=1))
    assert (refusal.status, json.loads(refusal.body)["error"]["code"]) == (402, "budget_exceeded")
    assert await in_thread(held) == hold
    await in_thread(bank.let_go)
    assert (await running).status == 200
    await asyncio.wait_for(app._edges.ledger._quiet.wait(), PATIENCE_SECONDS)

    def drained() -> int:
        drain(acme.org.shard)
        with org_scope(acme.org_id):
            return find_available(acme.owner)

    assert 0 <= await in_thread(drained) <= hold
