"""What Stripe does beyond collecting an invoice: subscriptions, credit notes and tax come out at our cents, whatever
happens on the way."""

from datetime import datetime
from typing import Any

import pytest
import time_machine

from billing.invoices.actions import closing
from billing.invoices.actions.accounts import end_subscription, subscribe
from billing.invoices.actions.closing import UNQUOTED
from billing.invoices.actions.notes import make_note, void_invoice
from billing.invoices.actions.outbox import fill_outbox, send_outbox
from billing.invoices.actions.pushing import push_credits, push_issued
from billing.invoices.actions.subscriptions import sync_subscription, want_subscription
from billing.invoices.actions.taxes import settle_taxes
from billing.invoices.actions.webhooks import apply_event, store_event
from billing.invoices.choices import NOTHING, InvoiceKind
from billing.invoices.models import BillingAccount, Invoice, LegalEntity, StripeEvent
from billing.invoices.stripe_client import Stripe, StripeRefused, StripeUnavailable, read_stored
from costhub.lib.errors import Conflict
from tenants.access import org_scope
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, close, make_customer, make_plan, make_seller
from tests.billing.invoices.stripe_customer import make_stripe_customer
from tests.billing.ledger import record_call
from tests.stripe_double import StripeDouble
from tests.stripe_double.billing import VAT
from tests.world import Tenant, World

CLOSED = NOVEMBER + DAY * 3
USD = 10**9


def insist(step: Any, *arguments: Any) -> int:
    """A job that runs again and again until Stripe has answered to everything."""
    for _ in range(20):
        try:
            return int(step(*arguments))
        except StripeUnavailable:
            continue
    raise AssertionError("Stripe never answered")


def issue(acme: Tenant, quick: Stripe, **terms: Any) -> Invoice:
    make_stripe_customer(acme, quick, since=OCTOBER, **({"fee": "49.00"} | terms))
    (invoice,) = close(acme, CLOSED)
    insist(push_issued, acme.owner, quick)
    return invoice


def note(acme: Tenant, invoice: Invoice, nanos: int) -> Invoice:
    with org_scope(acme.org.pk):
        return make_note(actor=acme.owner, invoice=invoice, amounts={1: nanos}, reason="Too much", now=CLOSED)


@pytest.mark.parametrize("hours", [1, 49], ids=["Stripe knows the keys", "Stripe has forgotten them"])
@pytest.mark.parametrize("trouble", ["lost", "never", "500", "429"])
@pytest.mark.parametrize("call", [0, 1, 2])
def test_a_credit_note_is_given_once(
    world: World, double: StripeDouble, quick: Stripe, call: int, trouble: str, hours: int
) -> None:
    acme = world.acme
    with time_machine.travel(CLOSED, tick=False) as travel:
        invoice = issue(acme, quick)
        made = note(acme, invoice, 9 * USD)
        double.troubles = [""] * call + [trouble]
        with pytest.raises(StripeUnavailable):
            push_credits(acme.owner, quick)
        travel.shift(DAY / 24 * hours)
        assert [push_credits(acme.owner, quick) for _ in range(2)] == [1, 0]
    (there,) = double.billing.credit_notes.values()
    assert (there["metadata"]["number"], there["amount"]) == (made.number, "900")
    (owed,) = double.invoices.values()
    assert (owed["amount_remaining"], owed["status"]) == (4_000, "open")


@pytest.mark.parametrize("trouble", ["lost", "500", "500 after"])
def test_stripe_is_away_for_25_hours(world: World, double: StripeDouble, quick: Stripe, trouble: str) -> None:
    acme = world.acme
    with time_machine.travel(CLOSED, tick=False) as travel:
        invoice = issue(acme, quick)
        note(acme, invoice, 9 * USD)
        double.troubles = ["", "", trouble]
        for _ in range(26):
            with pytest.raises(StripeUnavailable):
                push_credits(acme.owner, quick)
            double.is_down = True
            travel.shift(DAY / 24)
        double.is_down = False
        assert [push_credits(acme.owner, quick) for _ in range(2)] == [1, 0]
    (there,) = double.billing.credit_notes.values()
    assert there["amount"] == "900"


@pytest.mark.parametrize("trouble", ["500", "lost"])
def test_a_credit_note_that_failed_before_its_invoice_was_paid_is_given_as_credit(
    world: World, double: StripeDouble, quick: Stripe, trouble: str
) -> None:
    acme = world.acme
    with time_machine.travel(CLOSED, tick=False):
        invoice = issue(acme, quick)
        (there,) = double.invoices.values()
        note(acme, invoice, 9 * USD)
        double.troubles = ["", "", trouble]
        with pytest.raises(StripeUnavailable):
            push_credits(acme.owner, quick)
        double.pay(there["id"])
        # By now it is another request than the one that Stripe keeps under the note's first key.
        assert push_credits(acme.owner, quick) == 1
    (given,) = double.billing.credit_notes.values()
    assert (given["amount"], given.get("credit_amount")) == ("900", "900" if trouble == "500" else None)


def test_a_void_invoice_is_owed_no_more_at_stripe(world: World, double: StripeDouble, quick: Stripe) -> None:
    acme = world.acme
    with time_machine.travel(CLOSED, tick=False):
        invoice = issue(acme, quick)
        with org_scope(acme.org.pk):
            void_invoice(actor=acme.owner, invoice=invoice, reason="A mistake", now=CLOSED)
        assert push_credits(acme.owner, quick) == 1
    (there,) = double.invoices.values()
    assert (there["amount_remaining"], there["status"]) == (0, "paid")


def test_of_a_paid_invoice_it_is_the_customers_credit(world: World, double: StripeDouble, quick: Stripe) -> None:
    acme = world.acme
    with time_machine.travel(CLOSED, tick=False):
        invoice = issue(acme, quick)
        (there,) = double.invoices.values()
        double.pay(there["id"])
        note(acme, invoice, 9 * USD)
        assert push_credits(acme.owner, quick) == 1
    (given,) = double.billing.credit_notes.values()
    assert (given["amount"], given["credit_amount"]) == ("900", "900")


def test_one_of_an_invoice_that_stripe_was_not_told_of_is_asked_about_once(
    world: World, double: StripeDouble, quick: Stripe
) -> None:
    acme = world.acme
    with time_machine.travel(CLOSED, tick=False):
        invoice = issue(acme, quick)
        with org_scope(acme.org.pk):
            Invoice.objects.filter(pk=invoice.pk).update(stripe_invoice=NOTHING)
        made = note(acme, invoice, 9 * USD)
        double.troubles = ["402"]  # for the first call, if there is one
        assert [push_credits(acme.owner, quick) for _ in range(2)] == [1, 0]
    assert (double.troubles, double.billing.credit_notes) == (["402"], {})
    with org_scope(acme.org.pk):
        made.refresh_from_db()
    assert made.stripe_invoice == NOTHING


# ---- subscriptions


def subscribed(acme: Tenant, quick: Stripe, **terms: Any) -> BillingAccount:
    make_stripe_customer(acme, quick, metered_from=OCTOBER, since=OCTOBER, **({"fee": "49.00"} | terms))
    with org_scope(acme.org.pk):
        account = want_subscription(actor=acme.owner)
    insist(sync_subscription, acme.owner, quick)
    with org_scope(acme.org.pk):
        account.refresh_from_db()
    return account


def meter(acme: Tenant, quick: Stripe, now: datetime) -> None:
    with org_scope(acme.org.pk):
        fill_outbox(acme.owner, now, since=OCTOBER)
    insist(send_outbox, acme.owner, quick, now)


def end_month(double: StripeDouble) -> dict[str, Any]:
    (subscription,) = double.billing.subscriptions
    return double.billing.end_period(subscription, int(OCTOBER.timestamp()), int(NOVEMBER.timestamp()))


def test_stripe_bills_fee_and_meter_and_both_say_the_same_cents(
    world: World, double: StripeDouble, quick: Stripe
) -> None:
    acme = world.acme
    with time_machine.travel(OCTOBER + DAY, tick=False) as travel:
        account = subscribed(acme, quick, markup="10")
        assert account.stripe_subscription in double.billing.subscriptions
        record_call(acme, OCTOBER + DAY, cost=123_456_789_012)
        travel.move_to(CLOSED)
        meter(acme, quick, CLOSED)
        draft = end_month(double)
        # 49.00, and 123.456789012 with a tenth on top: what Stripe makes of its own prices needs no help.
        assert draft["amount_due"] == 4_900 + 13_580
        (invoice,) = close(acme, CLOSED)
        assert invoice.due_cents == 18_480
        assert [push_issued(acme.owner, quick) for _ in range(2)] == [1, 0]
    assert (draft["status"], draft["amount_due"], draft["metadata"]["invoice"]) == ("open", 18_480, str(invoice.pk))
    assert len(double.invoices) == 1


def test_a_customers_credit_with_stripe_is_not_billed_again(world: World, double: StripeDouble, quick: Stripe) -> None:
    acme = world.acme
    with time_machine.travel(OCTOBER + DAY, tick=False) as travel:
        subscribed(acme, quick)
        travel.move_to(CLOSED)
        draft = end_month(double)
        # A credit note over what was paid has left them 10.00 there.
        draft["amount_due"] -= 1_000
        (invoice,) = close(acme, CLOSED)
        assert push_issued(acme.owner, quick) == 1
    assert (draft["total"], draft["amount_due"], invoice.due_cents) == (4_900, 3_900, 4_900)


def test_what_credit_with_us_pays_for_stripes_draft_asks_nobody_for(
    world: World, double: StripeDouble, quick: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = world.acme
    monkeypatch.setattr(closing, "find_credit", lambda actor: {"USD": 10_000})
    with time_machine.travel(OCTOBER + DAY, tick=False) as travel:
        subscribed(acme, quick)
        travel.move_to(CLOSED)
        draft = end_month(double)
        (invoice,) = close(acme, CLOSED)
        assert (invoice.total_cents, invoice.due_cents, invoice.state) == (4_900, 0, "paid")
        assert [push_issued(acme.owner, quick) for _ in range(2)] == [1, 0]
    assert (draft["status"], draft["total"], len(double.invoices)) == ("open", 0, 1)


@pytest.mark.parametrize("call", range(8))
def test_a_subscription_is_billed_once_whatever_is_lost(
    world: World, double: StripeDouble, quick: Stripe, call: int
) -> None:
    acme = world.acme
    with time_machine.travel(OCTOBER + DAY, tick=False) as travel:
        # What makes the customer is not lost.
        double.troubles = [*[""] * 4, *[""] * call, "lost"]
        subscribed(acme, quick)
        assert len(double.billing.subscriptions) == 1
        assert len(double.billing.prices) == 2
        record_call(acme, OCTOBER + DAY, cost=5 * USD)
        travel.move_to(CLOSED)
        draft = end_month(double)
        close(acme, CLOSED)
        double.troubles = [""] * call + ["lost"]
        insist(push_issued, acme.owner, quick)
        travel.shift(DAY * 2)
        double.troubles = []
        insist(push_issued, acme.owner, quick)
    # Its usage never reached the meter: the item that levels has it.
    assert (draft["status"], draft["amount_due"], len(double.invoices)) == ("open", 5_400, 1)


def test_a_draft_of_the_subscription_waits_for_our_invoice(world: World, double: StripeDouble, quick: Stripe) -> None:
    acme = world.acme
    with time_machine.travel(OCTOBER + DAY, tick=False) as travel:
        subscribed(acme, quick)
        travel.move_to(NOVEMBER)
        draft = end_month(double)
        body = double.make_event("invoice.created", draft)
        event = read_stored(body)
        store_event(event, body)
        assert apply_event(StripeEvent.objects.get(pk=event.id), event, quick, NOVEMBER)
        assert (draft["auto_advance"], draft["status"]) == (False, "draft")
        # A webhook that never came is not missed.
        draft["auto_advance"] = True
        sync_subscription(acme.owner, quick)
    assert (draft["auto_advance"], draft["status"]) == (False, "draft")


def test_a_plan_that_changes_after_a_try_that_failed_is_the_one_that_stripe_bills(
    world: World, double: StripeDouble, quick: Stripe
) -> None:
    acme = world.acme
    with time_machine.travel(NOVEMBER + DAY, tick=False) as travel:
        make_stripe_customer(acme, quick, metered_from=OCTOBER, since=OCTOBER, fee="49.00")
        with org_scope(acme.org.pk):
            want_subscription(actor=acme.owner)
        # The customer's, the meter's and both prices' calls come before.
        double.troubles = [*[""] * 6, "500"]
        with pytest.raises(StripeUnavailable):
            sync_subscription(acme.owner, quick)
        assert (double.troubles, double.billing.subscriptions) == ([], {})
        travel.shift(60)
        with org_scope(acme.org.pk):
            subscribe(actor=acme.owner, plan=make_plan(fee="99.00"))
        assert sync_subscription(acme.owner, quick) == 1
    (made,) = double.billing.subscriptions.values()
    fees = [double.billing.prices[item["price"]["id"]]["unit_amount_decimal"] for item in made["items"]["data"]]
    assert fees == ["9900.0000000", "0.0000001"]


def test_it_follows_the_plan_and_ends_with_it(world: World, double: StripeDouble, quick: Stripe) -> None:
    acme = world.acme
    with time_machine.travel(OCTOBER + DAY, tick=False) as travel:
        subscribed(acme, quick)
        with org_scope(acme.org.pk):
            subscribe(actor=acme.owner, plan=make_plan(fee="99.00", markup="5"), at=OCTOBER + DAY)
        assert sync_subscription(acme.owner, quick) == 1
        (subscription,) = double.billing.subscriptions.values()
        prices = [double.billing.prices[item["price"]["id"]] for item in subscription["items"]["data"]]
        assert [price["unit_amount_decimal"] for price in prices] == ["9900.0000000", "0.000000105"]
        with org_scope(acme.org.pk):
            end_subscription(actor=acme.owner, at=OCTOBER + DAY * 2)
        # The plan holds until it ends.
        assert sync_subscription(acme.owner, quick) == 1
        assert subscription["status"] == "active"
        travel.move_to(OCTOBER + DAY * 2)
        assert sync_subscription(acme.owner, quick) == 1
        assert subscription["status"] == "canceled"
    # Its last draft is wanted until our last invoice is told.
    with time_machine.travel(CLOSED, tick=False):
        draft = end_month(double)
        close(acme, CLOSED)
        assert sync_subscription(acme.owner, quick) == 1
        assert push_issued(acme.owner, quick) == 1
        assert (draft["status"], len(double.invoices)) == ("open", 1)
        assert [sync_subscription(acme.owner, quick) for _ in range(2)] == [1, 0]


def test_one_that_stripe_has_sent_by_itself_is_not_sent_again(
    world: World, double: StripeDouble, quick: Stripe
) -> None:
    acme = world.acme
    with time_machine.travel(OCTOBER + DAY, tick=False) as travel:
        subscribed(acme, quick)
        travel.move_to(CLOSED)
        draft = end_month(double)
        draft["status"] = "open"
        close(acme, CLOSED)
        assert push_issued(acme.owner, quick) == 0
        assert len(double.invoices) == 1
        # As the refusal asks for; from then on ours is one of its own.
        double.void(draft["id"])
        assert [push_issued(acme.owner, quick) for _ in range(2)] == [1, 0]
        assert [each["status"] for each in double.invoices.values()] == ["void", "open"]


def test_who_pays_by_hand_has_none(world: World) -> None:
    make_customer(world.acme, since=OCTOBER)
    with org_scope(world.acme.org.pk), pytest.raises(Conflict, match="Stripe customer first"):
        want_subscription(actor=world.acme.owner)


# ---- tax


def taxed(acme: Tenant, **account: str) -> None:
    seller = make_seller(tax_rates={})
    seller.uses_stripe_tax = True
    seller.save()
    make_customer(acme, seller=seller, since=OCTOBER, fee="100", account=account)


@pytest.mark.parametrize(
    ("buyer", "category", "rate", "tax"),
    [
        ({"country": "FR", "tax_id": ""}, "S", 2_000, 2_000),
        ({"country": "NL", "tax_id": "NL123456782B01"}, "AE", 0, 0),
        ({"country": "US", "tax_id": ""}, "O", 0, 0),
    ],
)
def test_the_tax_is_what_stripe_says(
    world: World, double: StripeDouble, quick: Stripe, buyer: dict[str, str], category: str, rate: int, tax: int
) -> None:
    acme = world.acme
    taxed(acme, **buyer)
    assert close(acme, CLOSED) == []
    with org_scope(acme.org.pk):
        assert Invoice.objects.get().problem == UNQUOTED
    assert [settle_taxes(acme.owner, quick, CLOSED) for _ in range(2)] == [1, 0]
    with org_scope(acme.org.pk):
        invoice = Invoice.objects.get()
    assert (invoice.tax_category, invoice.tax_rate, invoice.tax_cents) == (category, rate, tax)
    (kept,) = double.billing.tax_transactions.values()
    assert (kept["reference"], kept["total"], invoice.stripe_tax) == (invoice.number, 10_000 + tax, kept["id"])


@pytest.mark.parametrize("trouble", ["lost", "never", "500", "500 after"])
@pytest.mark.parametrize("call", [0, 1])
def test_what_is_lost_is_asked_again_and_kept_once(
    world: World, double: StripeDouble, quick: Stripe, call: int, trouble: str
) -> None:
    acme = world.acme
    taxed(acme, country="FR", tax_id="")
    close(acme, CLOSED)
    double.troubles = [""] * call + [trouble]
    insist(settle_taxes, acme.owner, quick, CLOSED)
    (kept,) = double.billing.tax_transactions
    assert settle_taxes(acme.owner, quick, CLOSED) == 0
    with org_scope(acme.org.pk):
        invoice = Invoice.objects.get()
    # Stripe never tells the id of what it says it failed to do.
    assert invoice.stripe_tax == ("recorded" if (call, trouble) == (1, "500 after") else kept)


@pytest.mark.parametrize("trouble", ["", "lost", "never", "500", "500 after"])
def test_a_credit_note_is_taken_out_of_the_tax_once(
    world: World, double: StripeDouble, quick: Stripe, trouble: str
) -> None:
    acme = world.acme
    taxed(acme, country="FR", tax_id="")
    close(acme, CLOSED)
    settle_taxes(acme.owner, quick, CLOSED)
    with org_scope(acme.org.pk):
        note = make_note(
            actor=acme.owner, invoice=Invoice.objects.get(), amounts={1: 10 * USD}, reason="Too much", now=CLOSED
        )
    double.troubles = [trouble]
    insist(settle_taxes, acme.owner, quick, CLOSED)
    assert settle_taxes(acme.owner, quick, CLOSED) == 0
    assert [row["total"] for row in double.billing.tax_transactions.values()] == [12_000, -1_200]
    with org_scope(acme.org.pk):
        note.refresh_from_db()
    assert note.stripe_tax == ("recorded" if trouble == "500 after" else list(double.billing.tax_transactions)[1])


def test_a_credit_note_whose_invoice_stripe_keeps_under_an_id_that_it_never_told_is_left_to_people(
    world: World, double: StripeDouble, quick: Stripe, caplog: pytest.LogCaptureFixture
) -> None:
    acme = world.acme
    taxed(acme, country="FR", tax_id="")
    close(acme, CLOSED)
    double.troubles = ["", "500 after"]
    insist(settle_taxes, acme.owner, quick, CLOSED)
    with org_scope(acme.org.pk):
        note = make_note(
            actor=acme.owner, invoice=Invoice.objects.get(), amounts={1: 10 * USD}, reason="Too much", now=CLOSED
        )
    assert [settle_taxes(acme.owner, quick, CLOSED) for _ in range(2)] == [0, 0]
    assert len(double.billing.tax_transactions) == 1
    assert [getattr(each, "note", "") for each in caplog.records].count(note.number) == 1
    with org_scope(acme.org.pk):
        note.refresh_from_db()
    assert note.stripe_tax == NOTHING


def test_a_number_that_somebody_else_has_used_at_stripe_is_not_taken_for_ours(
    world: World, double: StripeDouble, quick: Stripe
) -> None:
    acme = world.acme
    taxed(acme, country="FR", tax_id="")
    close(acme, CLOSED)
    with org_scope(acme.org.pk):
        number = f"{LegalEntity.objects.get(pk=BillingAccount.objects.get().legal_entity_id).prefix}000001"
    double.billing.tax_transactions["tax_other"] = {"id": "tax_other", "reference": number, "total": 5}
    for _ in range(2):
        with pytest.raises(StripeRefused, match="already exists"):
            settle_taxes(acme.owner, quick, CLOSED)
    with org_scope(acme.org.pk):
        assert Invoice.objects.get().stripe_tax == ""


def test_a_sum_that_has_changed_since_is_asked_again(world: World, double: StripeDouble, quick: Stripe) -> None:
    acme = world.acme
    taxed(acme, country="FR", tax_id="")
    close(acme, CLOSED)
    with org_scope(acme.org.pk):
        Invoice.objects.filter(number="").update(tax_quote={})
    settle_taxes(acme.owner, quick, CLOSED)
    with org_scope(acme.org.pk):
        invoice = Invoice.objects.get()
        make_note(actor=acme.owner, invoice=invoice, amounts={1: 10 * USD}, reason="Too much", now=CLOSED)
    settle_taxes(acme.owner, quick, CLOSED)
    shown = [(row["reference"][-2:], row["total"]) for row in double.billing.tax_transactions.values()]
    assert shown == [("01", 12_000), ("01", -1_200)]


def issue_debit_note(acme: Tenant, quick: Stripe) -> Invoice:
    taxed(acme, country="FR", tax_id="")
    close(acme, CLOSED)
    settle_taxes(acme.owner, quick, CLOSED)
    with org_scope(acme.org.pk):
        return make_note(
            actor=acme.owner,
            invoice=Invoice.objects.get(),
            amounts={1: 10 * USD},
            reason="Forgotten",
            now=CLOSED,
            kind=InvoiceKind.DEBIT_NOTE,
        )


@pytest.mark.parametrize("trouble", ["", "lost", "never", "500", "500 after"])
@pytest.mark.parametrize("call", [0, 1])
def test_a_debit_note_is_told_once_with_its_tax(
    world: World, double: StripeDouble, quick: Stripe, call: int, trouble: str
) -> None:
    acme = world.acme
    made = issue_debit_note(acme, quick)
    double.troubles = [""] * call + [trouble]
    insist(settle_taxes, acme.owner, quick, CLOSED)
    assert settle_taxes(acme.owner, quick, CLOSED) == 0
    shown = [(row["reference"], row["total"]) for row in double.billing.tax_transactions.values()]
    assert shown[1:] == [(made.number, 1_200)]
    with org_scope(acme.org.pk):
        made.refresh_from_db()
    is_untold = (call, trouble) == (1, "500 after")
    assert made.stripe_tax == ("recorded" if is_untold else list(double.billing.tax_transactions)[1])


def test_one_that_stripe_would_tax_at_another_rate_is_left_to_people(
    world: World, double: StripeDouble, quick: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = world.acme
    made = issue_debit_note(acme, quick)
    monkeypatch.setitem(VAT, "FR", "21")
    assert [settle_taxes(acme.owner, quick, CLOSED) for _ in range(2)] == [0, 0]
    assert len(double.billing.tax_transactions) == 1
    with org_scope(acme.org.pk):
        made.refresh_from_db()
    assert made.stripe_tax == NOTHING


def test_one_document_that_stripe_refuses_holds_no_other(world: World, double: StripeDouble, quick: Stripe) -> None:
    acme = world.acme
    first = issue_debit_note(acme, quick)
    with org_scope(acme.org.pk):
        invoice = Invoice.objects.get(kind=InvoiceKind.INVOICE.value)
        second = make_note(
            actor=acme.owner,
            invoice=invoice,
            amounts={1: 5 * USD},
            reason="And this",
            now=CLOSED,
            kind=InvoiceKind.DEBIT_NOTE,
        )
    double.troubles = ["402"]
    with pytest.raises(StripeRefused):
        settle_taxes(acme.owner, quick, CLOSED)
    told = [row["reference"] for row in double.billing.tax_transactions.values()]
    assert told == [invoice.number, second.number]
    # What was refused has its turn again.
    assert settle_taxes(acme.owner, quick, CLOSED) == 0
    told = [row["reference"] for row in double.billing.tax_transactions.values()]
    assert told == [invoice.number, second.number, first.number]


def test_what_stripe_refuses_is_told(world: World, double: StripeDouble, quick: Stripe) -> None:
    taxed(world.acme, country="FR", tax_id="")
    close(world.acme, CLOSED)
    double.troubles = ["402"]
    with pytest.raises(StripeRefused):
        settle_taxes(world.acme.owner, quick, CLOSED)
