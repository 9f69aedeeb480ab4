"""Webhooks: only Stripe's are taken, each is applied once, and their order does not matter."""

import json
from io import BytesIO
from itertools import permutations
from typing import Any

import pytest
import time_machine
from django.core.handlers.asgi import ASGIRequest
from django.db import transaction
from pytest_django import Settings

from billing.invoices.actions.pushing import push_issued
from billing.invoices.actions.wallet import find_available
from billing.invoices.actions.webhooks import apply_event, list_waiting, store_event
from billing.invoices.api.webhooks import MAX_BYTES, receive_stripe
from billing.invoices.models import Invoice, StripeEvent, WalletTransfer
from billing.invoices.stripe_client import BadSignature, Stripe, read_signed, read_stored
from tenants.access import org_scope
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, close
from tests.billing.invoices.stripe_customer import make_stripe_customer
from tests.billing.ledger import NOW
from tests.stripe_double import ACCOUNT_KEY, WEBHOOK_SECRET, StripeDouble, sign
from tests.world import Tenant, World, make_client

USD = 10**9
AT = NOW.timestamp()


def issue(acme: Tenant, double: StripeDouble, gateway: Stripe) -> Invoice:
    """Acme's October, issued and on its way to Stripe; its invoice there is the last one."""
    make_stripe_customer(acme, gateway, since=OCTOBER, fee="49.00", prepaid=True)
    (invoice,) = close(acme, NOVEMBER + DAY * 3)
    assert push_issued(acme.owner, gateway) == 1
    invoice.refresh_from_db()
    return invoice


def deliver(body: bytes, gateway: Stripe) -> bool:
    """Store and apply, as the view and the job do."""
    event = read_stored(body)
    store_event(event, body)
    return apply_event(StripeEvent.objects.get(pk=event.id), event, gateway, NOW)


def state_of(acme: Tenant, invoice: Invoice) -> str:
    with org_scope(acme.org.pk):
        return Invoice.objects.get(pk=invoice.pk).state


@pytest.fixture
def acme(world: World) -> Any:
    with org_scope(world.acme.org.pk), time_machine.travel(NOW, tick=False):
        yield world.acme


def test_an_issued_invoice_is_collected_by_stripe_once(acme: Tenant, double: StripeDouble, gateway: Stripe) -> None:
    invoice = issue(acme, double, gateway)
    assert push_issued(acme.owner, gateway) == 0
    (theirs,) = double.invoices.values()
    assert (theirs["status"], theirs["amount_due"], theirs["metadata"]["number"]) == ("open", 4_900, invoice.number)
    assert invoice.stripe_invoice == theirs["id"]


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("trouble", ["lost", "never", "500"])
def test_pushed_again_after_any_failure_it_is_one_invoice(
    acme: Tenant, double: StripeDouble, quick: Stripe, trouble: str, place: int
) -> None:
    make_stripe_customer(acme, quick, since=OCTOBER, fee="49.00")
    close(acme, NOVEMBER + DAY * 3)
    double.troubles = [""] * place + [trouble]
    with pytest.raises(Exception, match="Stripe gave no answer"):
        push_issued(acme.owner, quick)
    assert push_issued(acme.owner, quick) == 1
    assert [(each["status"], each["amount_due"]) for each in double.invoices.values()] == [("open", 4_900)]


def test_what_an_event_says_is_asked_again(acme: Tenant, double: StripeDouble, quick: Stripe) -> None:
    invoice = issue(acme, double, quick)
    theirs = double.invoices[invoice.stripe_invoice]
    # It says paid, and Stripe knows of no payment.
    assert deliver(double.make_event("invoice.paid", theirs | {"status": "paid"}), quick)
    assert state_of(acme, invoice) == "issued"
    double.pay(invoice.stripe_invoice)
    assert deliver(double.make_event("invoice.updated", theirs), quick)
    assert state_of(acme, invoice) == "paid"


def test_an_event_that_stripe_does_not_answer_to_is_tried_again(
    acme: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    invoice = issue(acme, double, quick)
    double.pay(invoice.stripe_invoice)
    body = double.make_event("invoice.paid", double.invoices[invoice.stripe_invoice])
    double.troubles = ["500"]
    assert not deliver(body, quick)
    row = StripeEvent.objects.get(pk=json.loads(body)["id"])
    assert (row.tries, row.applied_at) == (1, None)
    # It waits a second first.
    assert (list_waiting(row.received_at), list_waiting(row.received_at + DAY)) == ([], [row])
    assert deliver(body, quick)
    assert state_of(acme, invoice) == "paid"


def test_events_that_fail_keep_no_new_one_waiting(acme: Tenant) -> None:
    for number in range(3):
        StripeEvent.objects.create(id=f"evt_{number}", kind="invoice.paid", body=b"{}", tries=1)
    fresh = StripeEvent.objects.create(id="evt_new", kind="invoice.paid", body=b"{}")
    assert list_waiting(NOW + DAY, most=1) == [fresh]


def test_a_hundred_duplicates_are_one(acme: Tenant, double: StripeDouble, quick: Stripe) -> None:
    issue(acme, double, quick)
    session_id, _ = quick.open_checkout(
        customer=next(iter(double.customers)),
        org_id=acme.org_id,
        cents=2_000,
        currency="USD",
        back_to="https://costhub.example",
        key="k",
    )
    double.sessions[session_id] |= {"payment_status": "paid", "status": "complete"}
    body = double.make_event("checkout.session.completed", double.sessions[session_id])
    assert [deliver(body, quick) for _ in range(100)] == [True] * 100
    assert WalletTransfer.objects.get().amount_nanos == 20 * USD
    assert (StripeEvent.objects.filter(pk=json.loads(body)["id"]).count(), find_available(acme.owner)) == (1, 20 * USD)


def six_events(acme: Tenant, double: StripeDouble, gateway: Stripe) -> tuple[Invoice, list[bytes]]:
    """The story of an invoice that failed and was paid, and of credits bought beside it."""
    invoice = issue(acme, double, gateway)
    theirs = double.invoices[invoice.stripe_invoice]
    bodies = [double.make_event("invoice.created", theirs | {"status": "draft"})]
    bodies.append(double.make_event("invoice.finalized", theirs))
    bodies.append(double.make_event("invoice.payment_failed", theirs))
    customer = theirs["customer"]
    session_id, _ = gateway.open_checkout(
        customer=customer, org_id=acme.org_id, cents=500, currency="USD", back_to="https://x.example", key="s"
    )
    session = double.sessions[session_id]
    bodies.append(double.make_event("checkout.session.async_payment_failed", session))
    session |= {"payment_status": "paid"}
    bodies.append(double.make_event("checkout.session.completed", session))
    bodies.append(double.make_event("invoice.paid", double.pay(invoice.stripe_invoice)))
    return invoice, bodies


def check_every(orders: list[tuple[bytes, ...]], acme: Tenant, invoice: Invoice, gateway: Stripe) -> None:
    for order in orders:
        with transaction.atomic():
            for body in order:
                assert deliver(body, gateway)
            assert (state_of(acme, invoice), find_available(acme.owner)) == ("paid", 5 * USD)
            assert StripeEvent.objects.filter(applied_at=None).count() == 0
            transaction.set_rollback(True)


def test_some_orders_of_six_events_end_alike(acme: Tenant, double: StripeDouble, quick: Stripe) -> None:
    invoice, bodies = six_events(acme, double, quick)
    check_every(list(permutations(bodies))[::31], acme, invoice, quick)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_all_720_orders_of_six_events_end_alike(acme: Tenant, double: StripeDouble, quick: Stripe) -> None:
    invoice, bodies = six_events(acme, double, quick)
    orders = list(permutations(bodies))
    assert len(orders) == 720
    check_every(orders, acme, invoice, quick)


def body_of(**more: Any) -> bytes:
    event = {"id": "evt_1", "object": "event", "type": "invoice.paid", "livemode": False, "data": {"object": {}}}
    return json.dumps(event | more).encode()


GOOD = body_of()


@pytest.mark.parametrize(
    ("body", "signature", "words"),
    [
        (GOOD, None, "not signed"),
        (GOOD, "", "not signed"),
        (GOOD, "t=x,v1=y", "not signed"),
        (GOOD, sign(GOOD, AT, "whsec_other"), "not signed"),
        (GOOD, sign(GOOD, AT)[:-1], "not signed"),
        (GOOD, f"t={int(AT)},v1=\xe9", "not signed"),
        (GOOD + b" ", sign(GOOD, AT), "not signed"),
        (GOOD, sign(GOOD, AT - 301), "not signed"),
        (GOOD, sign(GOOD, AT + 3_600), "a time to come"),
        (b"{", sign(b"{", AT), "not signed"),
        (b"[]", sign(b"[]", AT), "not signed"),
        (b'{"id": 1}', sign(b'{"id": 1}', AT), "not signed"),
        (body_of(livemode=True), sign(body_of(livemode=True), AT), "the other mode"),
        (body_of(account="acct_2"), sign(body_of(account="acct_2"), AT), "another account"),
    ],
)
def test_what_stripe_did_not_sign_for_us_now_is_refused(body: bytes, signature: str | None, words: str) -> None:
    with time_machine.travel(NOW, tick=False), pytest.raises(BadSignature, match=words):
        read_signed(body, signature, secret=WEBHOOK_SECRET, now=NOW, is_live=False)


def test_an_empty_secret_takes_nothing() -> None:
    with time_machine.travel(NOW, tick=False), pytest.raises(BadSignature):
        read_signed(GOOD, sign(GOOD, AT, ""), secret="", now=NOW, is_live=False)


def test_the_view_stores_what_is_signed_and_nothing_else(db: None, settings: Settings) -> None:
    settings.STRIPE_API_KEY, settings.STRIPE_WEBHOOK_SECRET = ACCOUNT_KEY, WEBHOOK_SECRET
    client = make_client()
    # Events are the installation's: a test with connections of its own may have left some.
    others = list(StripeEvent.objects.values_list("pk", flat=True))

    def post(body: bytes, signature: str) -> int:
        with time_machine.travel(NOW, tick=False):
            return client.generic(
                "POST",
                "/api/v1/stripe/webhook",
                body,
                content_type="application/json",
                headers={"Stripe-Signature": signature},
            ).status_code

    assert [post(GOOD, sign(GOOD, AT)) for _ in range(3)] == [200, 200, 200]
    assert post(GOOD, "t=1,v1=0") == 400
    assert post(b"\xff", sign(GOOD, AT)) == 400
    (row,) = StripeEvent.objects.exclude(pk__in=others)
    assert (row.id, row.kind, bytes(row.body)) == ("evt_1", "invoice.paid", GOOD)
    settings.STRIPE_API_KEY = ""
    assert post(GOOD, sign(GOOD, AT)) == 404


def test_a_body_in_chunks_is_measured_when_it_has_come(settings: Settings) -> None:
    """It announces no length; no signature is looked at."""
    settings.STRIPE_API_KEY, settings.STRIPE_WEBHOOK_SECRET = ACCOUNT_KEY, WEBHOOK_SECRET
    scope = {"type": "http", "method": "POST", "path": "/api/v1/stripe/webhook", "query_string": b"", "headers": []}
    statuses = [
        receive_stripe(ASGIRequest(scope, BytesIO(b"x" * size))).status_code for size in (MAX_BYTES, MAX_BYTES + 1)
    ]
    assert statuses == [400, 413]
