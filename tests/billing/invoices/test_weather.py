"""Two months through whatever weather: late calls, corrections, a price that was wrong, a note, and a Stripe that loses
answers, fails, limits and forgets; what it collects is paid, and it tells of that twice and in any order. In the end
ledger, invoices, notes, meter and Stripe say the same, nothing is there twice, and nothing is owed."""

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.db.models import Sum

from billing.invoices.actions.notes import make_note
from billing.invoices.actions.outbox import fill_outbox, send_outbox
from billing.invoices.actions.pushing import push_credits, push_issued
from billing.invoices.actions.rerating import approve_rerating, carry_on, preview_rerating
from billing.invoices.actions.sellers import set_exchange_rate
from billing.invoices.actions.subscriptions import sync_subscription, want_subscription
from billing.invoices.actions.webhooks import apply_event, store_event
from billing.invoices.choices import USAGE_KINDS, InvoiceKind, LineKind, OutboxState
from billing.invoices.models import Invoice, InvoiceLine, MeterDelta, StripeEvent
from billing.invoices.selectors.accounts import list_unpaid
from billing.invoices.selectors.rerating import find_next_rerating
from billing.invoices.selectors.usage import find_cost
from billing.invoices.stripe_client import Stripe, StripeUnavailable, read_stored
from tenants.access import job_scope, org_scope
from tenants.actions.pricing import create_price
from tests.billing.invoices.examples import DAY, DECEMBER, NOVEMBER, OCTOBER, SEPTEMBER, close
from tests.billing.invoices.stripe_customer import make_stripe_customer
from tests.billing.ledger import record_call, record_correction
from tests.sampling import examples
from tests.stripe_double import StripeDouble
from tests.world import Tenant, World, make_catalog

USD = 10**9
HOUR = timedelta(hours=1)
TROUBLES = ("", "", "lost", "never", "500", "429")
#: how the customer is billed, and what a credit of 5.00 USD takes back, in cents: as it is; with a subscription; and in
#: francs (at 0.9, later 0.8), by tiers, with a tax of 19 per cent
BILLED: Mapping[str, tuple[dict[str, Any], int]] = {
    "pushed": ({"markup": "7"}, 500),
    "subscribed": ({"markup": "7"}, 500),
    "taxed, in tiers and francs": (
        {
            "tiers": [{"from": "5", "markup": "3"}, {"from": "12", "markup": "-2"}],
            "currency": "CHF",
            "account": {"country": "DE", "tax_id": ""},
        },
        536,
    ),
}


class Month:
    """What happens to Acme, with the dice that decide what goes wrong."""

    def __init__(self, acme: Tenant, double: StripeDouble, gateway: Stripe, dice: random.Random) -> None:
        self.acme, self.double, self.gateway, self.dice = acme, double, gateway, dice

    def work(self, now: datetime, travel: time_machine.Traveller) -> None:
        """Every job of Stripe's, until all is said: hours pass in between, sometimes more than Stripe remembers."""
        steps: list[Callable[[], int]] = [
            lambda: sync_subscription(self.acme.owner, self.gateway),
            lambda: push_issued(self.acme.owner, self.gateway),
            lambda: push_credits(self.acme.owner, self.gateway),
            lambda: send_outbox(self.acme.owner, self.gateway, now),
        ]
        for round_ in range(12):
            travel.move_to(now)
            self.double.troubles = [self.dice.choice(TROUBLES) for _ in range(30)] if round_ < 10 else []
            with org_scope(self.acme.org.pk):
                fill_outbox(self.acme.owner, now, since=OCTOBER)
            for step in steps:
                try:
                    step()
                except StripeUnavailable:
                    continue
            now += HOUR * (26 if round_ % 3 == 2 else 1)

    def pay(self, now: datetime) -> None:
        """The customer pays what is open at Stripe, whose events come twice and in any order."""
        there = [row for row in self.double.invoices.values() if row["status"] == "open"]
        bodies = [self.double.make_event("invoice.paid", self.double.pay(row["id"])) for row in there] * 2
        self.dice.shuffle(bodies)
        for body in bodies:
            store_event(read_stored(body), body)
        waiting = StripeEvent.objects.filter(pk__in=[read_stored(body).id for body in bodies], applied_at=None)
        while row := waiting.first():
            self.double.troubles = [self.dice.choice(TROUBLES)]
            try:
                assert apply_event(row, read_stored(bytes(row.body)), self.gateway, now)
            except StripeUnavailable:
                continue
        self.double.troubles = []

    def call(self, at: datetime, nanos: int) -> None:
        """So many calls of 1,000 tokens at a USD a million."""
        attempt = {"certainty": "exact", "model": "small", "cost": nanos, "usage": {"input": nanos // 1_000}}
        record_call(self.acme, at, cost=nanos, input_tokens=nanos // 1_000, attempts=[attempt])


@pytest.mark.parametrize("how", BILLED)
@pytest.mark.parametrize("seed", range(examples(4)))
def test_in_the_end_every_book_says_the_same(
    committed_world: World, double: StripeDouble, quick: Stripe, seed: int, how: str
) -> None:
    is_subscribed = how == "subscribed"
    terms, taken_back = BILLED[how]
    for month_end, rate in ((NOVEMBER, "0.9"), (DECEMBER, "0.8")):
        set_exchange_rate(currency="CHF", day=(month_end - DAY).date(), rate=Decimal(rate), source="SNB")
    acme = committed_world.acme
    month = Month(acme, double, quick, random.Random(seed))
    with time_machine.travel(OCTOBER + HOUR, tick=False) as travel:
        make_catalog(acme, input_per_million="1", output_per_million="1", effective_from=SEPTEMBER)
        make_stripe_customer(acme, quick, metered_from=OCTOBER, since=OCTOBER, fee="49.00", **terms)
        if is_subscribed:
            with org_scope(acme.org.pk):
                want_subscription(actor=acme.owner)
        for day in range(12, 30, 5):
            month.call(OCTOBER + DAY * day, month.dice.randrange(USD, 9 * USD))
        month.work(OCTOBER + DAY * 31, travel)
        _end_period(double, OCTOBER, NOVEMBER)
        travel.move_to(NOVEMBER + DAY * 3)
        (october,) = close(acme, NOVEMBER + DAY * 3)
        month.work(NOVEMBER + DAY * 3, travel)
        month.pay(NOVEMBER + DAY * 5)
        estimate = record_call(acme, NOVEMBER + DAY, cost=3 * USD, is_estimated=True)
        record_correction(acme, estimate, -USD)
        month.call(OCTOBER + DAY * 13, 11)
        _re_rate(acme, Decimal("1.5"), NOVEMBER + DAY * 5)
        with org_scope(acme.org.pk):
            fee = october.lines.get(kind=LineKind.FEE.value)
            make_note(
                actor=acme.owner,
                invoice=october,
                amounts={fee.position: 5 * USD},
                reason="A promise",
                now=NOVEMBER + DAY * 6,
            )
        month.work(NOVEMBER + DAY * 6, travel)
        _end_period(double, NOVEMBER, DECEMBER)
        travel.move_to(DECEMBER + DAY * 3)
        close(acme, DECEMBER + DAY * 3)
        month.work(DECEMBER + DAY * 3, travel)
        month.pay(DECEMBER + DAY * 5)
    with org_scope(acme.org.pk):
        ledger = [find_cost(acme.owner, *span) for span in ((OCTOBER, NOVEMBER), (NOVEMBER, DECEMBER))]
        assert [_billed(start) for start in (OCTOBER, NOVEMBER)] == ledger
        documents = list(Invoice.objects.exclude(number=""))
        assert list_unpaid(acme.owner) == []
        too_old = MeterDelta.objects.filter(state=OutboxState.NOTED.value).aggregate(total=Sum("value"))["total"] or 0
    owed = sum(row.total_cents for row in documents if row.kind != InvoiceKind.CREDIT_NOTE)
    given = sum(row.total_cents for row in documents if row.kind == InvoiceKind.CREDIT_NOTE)
    assert sum(row["total"] for row in double.invoices.values()) == owed
    assert {row["status"] for row in double.invoices.values()} == {"paid"}
    assert sum(int(row["amount"]) for row in double.billing.credit_notes.values()) == given == taken_back
    assert len(double.invoices) == sum(row.kind != InvoiceKind.CREDIT_NOTE for row in documents)
    # What changed of hours that are too old for a meter is on invoices and notes alone.
    assert sum(double.usage.values()) + too_old == sum(ledger)
    assert len(double.billing.subscriptions) == is_subscribed


def _billed(start: datetime) -> int:
    kinds = [kind.value for kind in (*USAGE_KINDS, LineKind.RERATED)]
    rows = InvoiceLine.objects.filter(start=start, kind__in=kinds).select_related("invoice")
    return sum(-row.nanos if row.invoice.kind == InvoiceKind.CREDIT_NOTE else row.nanos for row in rows)


def _end_period(double: StripeDouble, start: datetime, end: datetime) -> None:
    for subscription in double.billing.subscriptions:
        double.billing.end_period(subscription, int(start.timestamp()), int(end.timestamp()))


def _re_rate(acme: Tenant, amount: Decimal, now: datetime) -> None:
    from tenants.models import LanguageModel

    with org_scope(acme.org.pk):
        create_price(
            actor=acme.owner,
            model=LanguageModel.objects.get(org=acme.org),
            input_per_million=amount,
            output_per_million=Decimal(1),
            effective_from=OCTOBER + HOUR,
        )
        row = preview_rerating(actor=acme.owner, model="small", start=OCTOBER, end=NOVEMBER, reason="Mistyped")
        approve_rerating(actor=acme.owner, rerating=row, change_nanos=row.change_nanos)
    while True:
        with job_scope(acme.org.pk) as actor:
            if (found := find_next_rerating(actor)) is None:
                return
            carry_on(actor, found, now)
