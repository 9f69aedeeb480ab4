"""Credits that are sold with an invoice: its tax on top, a number at once, a credit note over what is given back."""

from collections.abc import Iterator
from typing import Any

import pytest
import time_machine

from billing.alerts.models import Alert
from billing.choices import AlertKind
from billing.invoices.actions.accounts import subscribe, update_account
from billing.invoices.actions.documents import get_document
from billing.invoices.actions.mails import mail_invoice
from billing.invoices.actions.notes import make_note
from billing.invoices.actions.packs import make_pack
from billing.invoices.actions.prepayments import price_credits
from billing.invoices.actions.pushing import push_credits, push_issued
from billing.invoices.actions.top_up import open_checkout, set_top_up, top_up
from billing.invoices.actions.wallet import find_available
from billing.invoices.actions.webhooks import apply_event, store_event
from billing.invoices.choices import InvoiceKind
from billing.invoices.models import BillingAccount, Invoice, LegalEntity, StripeEvent, WalletTransfer
from billing.invoices.selectors.accounts import find_credit, list_unpaid
from billing.invoices.selectors.focus import list_focus
from billing.invoices.stripe_client import Stripe, StripeUnavailable, read_stored
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from tenants.access import org_scope
from tests.billing.invoices.actions.test_documents import text_of
from tests.billing.invoices.einvoices import find_errors
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, close, make_plan, make_seller
from tests.billing.invoices.stripe_customer import make_stripe_customer
from tests.billing.ledger import record_call
from tests.mail import MailSink
from tests.stripe_double import ACCOUNT_KEY, StripeDouble
from tests.stripe_double.in_process import make_stripe
from tests.world import Api, Tenant, World

USD = 10**9
HAMBURG = {"country": "DE", "tax_id": "", "city": "Hamburg"}


@pytest.fixture
def acme(world: World, quick: Stripe) -> Iterator[Tenant]:
    """A customer of Hamburg, at 19 % of tax, whose plan has credits sold with an invoice."""
    acme = world.acme
    with time_machine.travel(OCTOBER + DAY * 2, tick=False), org_scope(acme.org.pk):
        make_stripe_customer(acme, quick, since=OCTOBER, prepaid=True, invoices_credits=True, account=HAMBURG)
        yield acme


def deliver(double: StripeDouble, gateway: Stripe, kind: str, found: Any) -> None:
    body = double.make_event(kind, found)
    store_event(read_stored(body), body)
    row = StripeEvent.objects.get(pk=read_stored(body).id)
    assert apply_event(row, read_stored(body), gateway, clock.now()), row.error


def buy(acme: Tenant, double: StripeDouble, gateway: Stripe, cents: int = 2_000) -> dict[str, Any]:
    """Credits at Stripe's page, up to where they are paid for; the session."""
    account = BillingAccount.objects.select_related("legal_entity").get()
    session_id, _ = gateway.open_checkout(
        customer=account.stripe_customer,
        org_id=acme.org_id,
        cents=cents,
        currency="USD",
        back_to="https://costhub.example",
        key="k",
        sale=price_credits(acme.owner, account, cents),
    )
    return double.pay_session(session_id)


def documents() -> list[tuple[str, str, str, int, int, int]]:
    rows = Invoice.objects.exclude(number="").order_by("issued_at", "kind", "number")
    return [(row.kind, row.state, row.tax_category, row.net_cents, row.tax_cents, row.due_cents) for row in rows]


SOLD = ("prepayment", "paid", "S", 2_000, 380, 0)


def test_who_buys_pays_the_tax_and_has_a_numbered_invoice_once(
    acme: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    session = buy(acme, double, quick)
    lines = [item["price_data"] for item in session["line_items"].values()]
    assert [(line["product_data"]["name"], line["unit_amount"]) for line in lines] == [
        ("Prepaid credits", "2000"),
        ("Tax, 19 %", "380"),
    ]
    for kind in ("checkout.session.completed", "checkout.session.async_payment_succeeded"):
        deliver(double, quick, kind, session)
    assert (documents(), find_available(acme.owner)) == ([SOLD], 20 * USD)
    row, entity = Invoice.objects.get(), LegalEntity.objects.get(pk=Invoice.objects.get().legal_entity)
    assert (row.number, entity.next_invoice) == (f"{entity.prefix}000001", 2)
    assert row.reason == f"Paid at Stripe, {session['id']}"
    assert (list_unpaid(acme.owner), find_credit(acme.owner)) == ([], {})
    # Stripe has its money: it is sent there as no second one.
    assert (push_issued(acme.owner, quick), double.invoices) == (0, {})


@pytest.mark.parametrize("place", [2, 3])
@pytest.mark.parametrize("trouble", ["lost", "never", "500", "500 after"])
def test_so_has_who_buys_by_itself_whatever_answer_is_lost(
    acme: Tenant, double: StripeDouble, quick: Stripe, trouble: str, place: int
) -> None:
    set_top_up(actor=acme.owner, account=BillingAccount.objects.get(), below=2 * USD, amount=20 * USD)
    double.troubles = [""] * place + [trouble]
    with pytest.raises(StripeUnavailable):
        top_up(acme.owner, quick)
    assert [top_up(acme.owner, quick) for _ in range(2)] == [1, 0]
    (payment,) = double.intents.values()
    assert (payment["amount_received"], payment["metadata"]["credits"]) == (2_380, "2000")
    deliver(double, quick, "payment_intent.succeeded", payment)
    assert (documents(), find_available(acme.owner)) == ([SOLD], 20 * USD)


def test_what_was_asked_for_is_what_is_invoiced_wherever_the_customer_has_moved(
    acme: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    session = buy(acme, double, quick)
    update_account(actor=acme.owner, account=BillingAccount.objects.get(), country="NL", tax_id="NL123456782B01")
    deliver(double, quick, "checkout.session.completed", session)
    assert documents() == [SOLD]
    # And the next one is what holds by now.
    set_top_up(actor=acme.owner, account=BillingAccount.objects.get(), below=50 * USD, amount=20 * USD)
    assert top_up(acme.owner, quick) == 1
    assert sorted(documents()) == [("prepayment", "paid", "AE", 2_000, 0, 0), SOLD]


def test_another_tax_for_a_payment_that_was_made_and_not_taken_is_said_to_stripe(
    acme: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    """Its amount, and what it remembers: nothing of the tax of before is left."""
    set_top_up(actor=acme.owner, account=BillingAccount.objects.get(), below=2 * USD, amount=20 * USD)
    double.troubles = ["", "", "", "never"]
    with pytest.raises(StripeUnavailable):
        top_up(acme.owner, quick)
    subscribe(actor=acme.owner, plan=make_plan(prepaid=True))
    assert top_up(acme.owner, quick) == 1
    (payment,) = double.intents.values()
    assert (payment["amount_received"], "credits" in payment["metadata"]) == (2_000, False)
    assert (documents(), find_available(acme.owner)) == ([], 20 * USD)


def test_a_payment_over_another_sum_than_was_asked_for_is_not_booked(
    acme: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    session = buy(acme, double, quick)
    session["amount_total"] = 2_000
    body = double.make_event("checkout.session.completed", session)
    store_event(read_stored(body), body)
    row = StripeEvent.objects.get(pk=read_stored(body).id)
    assert not apply_event(row, read_stored(body), quick, clock.now())
    row.refresh_from_db()
    assert row.error == f"{session['id']} is over 2000 cents, not 2380."
    assert (documents(), WalletTransfer.objects.count()) == ([], 0)


def test_what_is_given_back_has_a_credit_note_and_together_they_are_the_invoice(
    acme: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    deliver(double, quick, "checkout.session.completed", buy(acme, double, quick))
    (charge,) = double.charges.values()
    for cents in (793, 1_587):
        deliver(double, quick, "charge.refunded", double.refund(charge["id"], cents))
        deliver(double, quick, "charge.refunded", charge)
    first = ("credit_note", "issued", "S", 666, 127, 793)
    assert [each[:5] for each in documents()] == [first[:5], ("credit_note", "issued", "S", 1_334, 253), SOLD[:5]]
    assert (find_available(acme.owner), find_credit(acme.owner), list_unpaid(acme.owner)) == (0, {}, [])
    assert (push_credits(acme.owner, quick), push_credits(acme.owner, quick), double.billing.credit_notes) == (2, 0, {})


def test_what_was_given_back_by_hand_is_beside_what_stripe_gives_back(
    acme: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    deliver(double, quick, "checkout.session.completed", buy(acme, double, quick))
    sold = Invoice.objects.get()
    make_note(actor=acme.owner, invoice=sold, amounts={1: 5 * USD}, reason="By bank transfer", now=clock.now())
    (charge,) = double.charges.values()
    given = []
    # Half of it, and then the other half, of which a part has its note already.
    for _ in range(2):
        deliver(double, quick, "charge.refunded", double.refund(charge["id"], 1_190))
        given.append([row.net_cents for row in Invoice.objects.filter(corrects=sold.pk).order_by("number")])
    assert given == [[500, 1_000], [500, 1_000, 500]]
    assert sum(row.total_cents for row in Invoice.objects.filter(corrects=sold.pk)) == sold.total_cents


def test_a_dispute_takes_the_credits_and_has_a_note_once_it_is_lost(
    acme: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    deliver(double, quick, "checkout.session.completed", buy(acme, double, quick))
    (charge,) = double.charges.values()
    dispute, seen = double.dispute(charge["id"]), []
    for status in ("needs_response", "under_review", "lost", "lost"):
        dispute["status"] = status
        deliver(double, quick, "charge.dispute.updated", dispute)
        seen.append((find_available(acme.owner) // USD, len(documents())))
    assert seen == [(0, 1), (0, 1), (0, 2), (0, 2)]
    assert documents()[0][:5] == ("credit_note", "issued", "S", 2_000, 380)


def test_one_that_is_won_has_none(acme: Tenant, double: StripeDouble, quick: Stripe) -> None:
    deliver(double, quick, "checkout.session.completed", buy(acme, double, quick))
    (charge,) = double.charges.values()
    dispute = double.dispute(charge["id"])
    for status in ("needs_response", "won"):
        dispute["status"] = status
        deliver(double, quick, "charge.dispute.closed", dispute)
    assert (documents(), find_available(acme.owner)) == ([SOLD], 20 * USD)


CASES: dict[str, dict[str, Any]] = {
    "at home": {},
    "reverse charge": {"country": "NL", "tax_id": "NL123456782B01"},
    "outside the EU": {"country": "US"},
}


@pytest.mark.parametrize("moved", CASES.values(), ids=CASES.keys())
def test_its_documents_say_that_it_is_paid_and_are_valid(
    acme: Tenant, double: StripeDouble, quick: Stripe, moved: dict[str, Any]
) -> None:
    update_account(actor=acme.owner, account=BillingAccount.objects.get(), **moved)
    deliver(double, quick, "checkout.session.completed", buy(acme, double, quick))
    row = Invoice.objects.get()
    xml = get_document(acme.owner, row, "xml")
    assert find_errors(xml) == []
    assert b"<ram:TypeCode>386</ram:TypeCode>" in xml
    assert b"<ram:DuePayableAmount>0.00<" in xml
    text = text_of(get_document(acme.owner, row, "pdf"))
    total = "23.80" if not moved else "20.00"
    for words in ("Prepayment invoice", "Prepaid credits", f"Total USD {total}", f"Paid -{total}", "To pay 0.00"):
        assert words in text
    (charge,) = double.charges.values()
    deliver(double, quick, "charge.refunded", double.refund(charge["id"], charge["amount_captured"]))
    note = Invoice.objects.get(kind=InvoiceKind.CREDIT_NOTE.value)
    assert find_errors(get_document(acme.owner, note, "xml")) == []


def test_the_months_invoice_takes_the_credits_off_before_its_tax_and_focus_has_them_once(
    acme: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    deliver(double, quick, "checkout.session.completed", buy(acme, double, quick))
    record_call(acme, OCTOBER + DAY * 3, cost=15 * USD)
    (invoice,) = close(acme, NOVEMBER + DAY * 3)
    assert (invoice.net_cents, invoice.tax_cents, find_available(acme.owner)) == (0, 0, 5 * USD)
    with time_machine.travel(NOVEMBER + DAY * 3, tick=False):
        rows = list(list_focus(acme.owner, OCTOBER, NOVEMBER))
        assert {row["InvoiceId"] for row in rows} == {invoice.number}
        _, files = make_pack(acme.owner, OCTOBER.date(), clock.now(), None)
    sold = Invoice.objects.get(kind=InvoiceKind.PREPAYMENT.value)
    assert {f"invoices/{row.number}.pdf" for row in (invoice, sold)} <= files.keys()


def test_finance_is_mailed_what_was_paid(acme: Tenant, double: StripeDouble, quick: Stripe, sink: MailSink) -> None:
    session = buy(acme, double, quick)
    deliver(double, quick, "checkout.session.completed", session)
    row = Invoice.objects.get()
    assert mail_invoice(acme.owner, row, clock.now())
    (mail,) = sink.mails
    body = mail.get_body()
    assert body
    assert mail["Subject"] == f"Prepayment invoice {row.number}"
    assert f"It is paid: Paid at Stripe, {session['id']}." in body.get_content()
    assert [part.get_filename() for part in mail.iter_attachments()] == [f"{row.number}.pdf", f"{row.number}.csv"]


def test_the_api_has_it_among_invoices(acme: Tenant, double: StripeDouble, quick: Stripe) -> None:
    deliver(double, quick, "checkout.session.completed", buy(acme, double, quick))
    (shown,) = Api(token=acme.admin_token).get("/invoices").json()["data"]
    assert (shown["kind"], shown["net"], shown["tax"], shown["total"], shown["due"]) == (
        *("prepayment", "20.00", "3.80", "23.80", "0.00"),
    )


def test_without_a_tax_rate_nothing_is_sold_and_finance_is_told(
    acme: Tenant, double: StripeDouble, quick: Stripe, settings: Any
) -> None:
    account = BillingAccount.objects.get()
    update_account(actor=acme.owner, account=account, country="ES", tax_id="")
    set_top_up(actor=acme.owner, account=account, below=2 * USD, amount=20 * USD)
    assert [top_up(acme.owner, quick) for _ in range(2)] == [0, 0]
    alert = Alert.objects.get(kind=AlertKind.TOP_UP.value)
    assert alert.facts["reason"] == "There is no tax rate for ES: add it to the legal entity."
    settings.STRIPE_API_KEY = ACCOUNT_KEY
    with pytest.raises(InvalidField, match="no tax rate for ES"):
        open_checkout(actor=acme.owner, amount=20 * USD, key="k")
    assert (double.intents, double.sessions) == ({}, {})


def test_a_seller_who_has_stripe_tax_asked_sells_credits_without_an_invoice(world: World) -> None:
    gateway = make_stripe(StripeDouble(now=lambda: clock.now().timestamp()))
    seller = make_seller(uses_stripe_tax=True)
    with pytest.raises(InvalidField, match="fixed rates"):
        make_stripe_customer(world.acme, gateway, seller=seller, prepaid=True, invoices_credits=True)


def test_plans_as_they_were_sell_credits_without_one(world: World, double: StripeDouble, quick: Stripe) -> None:
    acme = world.acme
    with time_machine.travel(OCTOBER + DAY * 2, tick=False), org_scope(acme.org.pk):
        make_stripe_customer(acme, quick, since=OCTOBER, prepaid=True, account=HAMBURG)
        session = buy(acme, double, quick)
        assert session["amount_total"] == 2_000
        deliver(double, quick, "checkout.session.completed", session)
        assert (documents(), find_available(acme.owner)) == ([], 20 * USD)
