"""Invoices go to Stripe once, whatever happens on the way and however long it lasts."""

import pytest
import time_machine

from billing.alerts.models import Alert
from billing.choices import AlertKind
from billing.invoices.actions.notes import make_note, mark_paid, mark_uncollectible, void_invoice
from billing.invoices.actions.pushing import push_issued, push_outcomes
from billing.invoices.actions.webhooks import refresh_invoice_state
from billing.invoices.choices import InvoiceKind
from billing.invoices.models import BillingAccount, Invoice
from billing.invoices.selectors.customers import list_customers
from billing.invoices.stripe_client import Stripe, StripeUnavailable
from tenants.access import org_scope
from tests.billing.invoices.examples import DAY, DECEMBER, NOVEMBER, OCTOBER, close
from tests.billing.invoices.stripe_customer import make_stripe_customer
from tests.billing.ledger import record_call
from tests.stripe_double import StripeDouble
from tests.world import Tenant, World

CLOSED = NOVEMBER + DAY * 3


def issue(acme: Tenant, quick: Stripe) -> Invoice:
    make_stripe_customer(acme, quick, since=OCTOBER, fee="49.00")
    (invoice,) = close(acme, CLOSED)
    return invoice


@pytest.mark.parametrize("hours", [1, 49], ids=["Stripe knows the keys", "Stripe has forgotten them"])
@pytest.mark.parametrize("trouble", ["lost", "never"])
@pytest.mark.parametrize("call", [0, 1, 2, 3], ids=["looked for", "made", "filled", "finalized"])
def test_an_answer_that_is_lost_makes_no_second_invoice(
    world: World, double: StripeDouble, quick: Stripe, call: int, trouble: str, hours: int
) -> None:
    with time_machine.travel(CLOSED, tick=False) as travel:
        invoice = issue(world.acme, quick)
        double.troubles = [""] * call + [trouble]
        with pytest.raises(StripeUnavailable):
            push_issued(world.acme.owner, quick)
        travel.shift(DAY / 24 * hours)
        assert [push_issued(world.acme.owner, quick) for _ in range(2)] == [1, 0]
    (there,) = double.invoices.values()
    assert (there["status"], there["amount_due"]) == ("open", 4_900)
    with org_scope(world.acme.org.pk):
        invoice.refresh_from_db()
    assert invoice.stripe_invoice == there["id"]


def test_one_that_is_refused_keeps_no_other_waiting(world: World, double: StripeDouble, quick: Stripe) -> None:
    acme = world.acme
    with time_machine.travel(CLOSED, tick=False):
        invoice = issue(acme, quick)
        with org_scope(acme.org.pk):
            note = make_note(
                actor=acme.owner,
                invoice=invoice,
                amounts={1: 10**9},
                reason="More",
                now=CLOSED,
                kind=InvoiceKind.DEBIT_NOTE,
            )
        # Somebody has written into the draft of the first one at Stripe.
        double.troubles = ["", "", "never"]
        with pytest.raises(StripeUnavailable):
            push_issued(acme.owner, quick)
        (draft,) = double.invoices.values()
        draft["total"] = 1
        assert [push_issued(acme.owner, quick) for _ in range(2)] == [1, 0]
        assert [(each["metadata"]["number"], each["status"]) for each in double.invoices.values()] == [
            (invoice.number, "draft"),
            (note.number, "open"),
        ]
        # The operator sees it, until Stripe takes it.
        with org_scope(acme.org.pk):
            BillingAccount.objects.update(refusal="Stripe refused: no such price")
        reason = f"Stripe's draft of {invoice.number} is over 1 cents, not 4900: look at it first."
        assert find_refusals(acme) == ["Stripe refused: no such price", f"{invoice.number}: {reason}"]
        draft["total"] = 0
        assert push_issued(acme.owner, quick) == 1
        assert find_refusals(acme) == ["Stripe refused: no such price"]


@pytest.mark.parametrize("how", ["paid", "void", "uncollectible"])
def test_what_was_refused_of_an_invoice_ends_with_it(world: World, quick: Stripe, how: str) -> None:
    acme = world.acme
    with time_machine.travel(CLOSED, tick=False):
        invoice = issue(acme, quick)
        with org_scope(acme.org.pk):
            Invoice.objects.update(refusal="Stripe refused: no such customer")
        assert find_refusals(acme) == [f"{invoice.number}: Stripe refused: no such customer"]
        with org_scope(acme.org.pk):
            if how == "paid":
                mark_paid(actor=acme.owner, invoice=invoice, now=CLOSED)
            elif how == "void":
                void_invoice(actor=acme.owner, invoice=invoice, reason="Wrong", now=CLOSED)
            else:
                mark_uncollectible(actor=acme.owner, invoice=invoice, now=CLOSED)
        assert find_refusals(acme) == []


def find_refusals(acme: Tenant) -> list[str]:
    (customer,), _ = list_customers(CLOSED, among={acme.org.pk})
    return customer.refusals


@pytest.mark.parametrize("trouble", ["", "lost", "never"])
@pytest.mark.parametrize("call", [0, 1], ids=["asked", "told"])
@pytest.mark.parametrize("hours", [1, 49], ids=["Stripe knows the keys", "Stripe has forgotten them"])
@pytest.mark.parametrize("is_given_up", [False, True], ids=["paid", "given up"])
def test_what_happened_by_hand_is_told_whatever_happens_on_the_way(
    world: World, double: StripeDouble, quick: Stripe, is_given_up: bool, hours: int, call: int, trouble: str
) -> None:
    acme = world.acme
    with time_machine.travel(CLOSED, tick=False) as travel:
        invoice = issue(acme, quick)
        assert [push_issued(acme.owner, quick), push_outcomes(acme.owner, quick)] == [1, 0]
        with org_scope(acme.org.pk):
            if is_given_up:
                mark_uncollectible(actor=acme.owner, invoice=invoice, now=CLOSED)
            else:
                mark_paid(actor=acme.owner, invoice=invoice, now=CLOSED, reference="Transfer 7")
        if trouble:
            double.troubles = [""] * call + [trouble]
            with pytest.raises(StripeUnavailable):
                push_outcomes(acme.owner, quick)
        travel.shift(DAY / 24 * hours)
        assert [push_outcomes(acme.owner, quick) for _ in range(2)] == [1, 0]
        (there,) = double.invoices.values()
        found = there["status"], there["amount_remaining"], there.get("amount_paid_off_stripe", 0)
        assert found == (("uncollectible", 4_900, 0) if is_given_up else ("paid", 0, 4_900))
        # Nobody can pay it any more, and its webhook changes nothing here.
        with org_scope(acme.org.pk):
            refresh_invoice_state(acme.owner, there["id"], quick, CLOSED)
            invoice.refresh_from_db()
            assert invoice.state == ("uncollectible" if is_given_up else "paid")
        assert push_outcomes(acme.owner, quick) == 0
    assert double.balances == {}


def test_what_was_given_up_may_still_be_paid_by_hand(world: World, double: StripeDouble, quick: Stripe) -> None:
    acme = world.acme
    with time_machine.travel(CLOSED, tick=False):
        invoice = issue(acme, quick)
        push_issued(acme.owner, quick)
        with org_scope(acme.org.pk):
            mark_uncollectible(actor=acme.owner, invoice=invoice, now=CLOSED)
        push_outcomes(acme.owner, quick)
        with org_scope(acme.org.pk):
            mark_paid(actor=acme.owner, invoice=invoice, now=CLOSED)
        assert [push_outcomes(acme.owner, quick) for _ in range(2)] == [1, 0]
    (there,) = double.invoices.values()
    assert (there["status"], there["amount_paid_off_stripe"]) == ("paid", 4_900)


@pytest.mark.parametrize("trouble", ["", "lost", "never"])
def test_who_paid_twice_has_it_back_as_credit_and_everybody_hears_of_it(
    world: World, double: StripeDouble, quick: Stripe, trouble: str
) -> None:
    acme = world.acme
    with time_machine.travel(CLOSED, tick=False) as travel:
        invoice = issue(acme, quick)
        push_issued(acme.owner, quick)
        with org_scope(acme.org.pk):
            mark_paid(actor=acme.owner, invoice=invoice, now=CLOSED)
        # Before Stripe is told, the customer pays there, too, and the webhook comes first.
        (there,) = double.invoices.values()
        double.pay(there["id"])
        with org_scope(acme.org.pk):
            refresh_invoice_state(acme.owner, there["id"], quick, CLOSED)
        if trouble:
            double.troubles = ["", "", trouble]
            with pytest.raises(StripeUnavailable):
                push_outcomes(acme.owner, quick)
            travel.shift(DAY * 2)
        assert [push_outcomes(acme.owner, quick) for _ in range(2)] == [1, 0]
    (entry,) = double.balances.values()
    assert (entry["amount"], entry["currency"], entry["description"]) == (
        -4_900,
        "usd",
        f"{invoice.number} was paid twice",
    )
    with org_scope(acme.org.pk):
        alert = Alert.objects.get(kind=AlertKind.PAID_TWICE.value)
        assert (alert.subject, alert.facts["cents"], alert.facts["entry"]) == (invoice.number, 4_900, entry["id"])
    # The next invoice takes it: a fee of 49.00 and usage of 1.00, less 49.00.
    with time_machine.travel(DECEMBER + DAY * 3, tick=False):
        record_call(acme, NOVEMBER, cost=10**9)
        close(acme, DECEMBER + DAY * 3)
        push_issued(acme.owner, quick)
    assert [(each["total"], each["amount_due"]) for each in double.invoices.values()] == [(4_900, 4_900), (5_000, 100)]


def test_a_payment_at_stripe_alone_is_no_second_one(world: World, double: StripeDouble, quick: Stripe) -> None:
    acme = world.acme
    with time_machine.travel(CLOSED, tick=False):
        invoice = issue(acme, quick)
        push_issued(acme.owner, quick)
        (there,) = double.invoices.values()
        double.pay(there["id"])
        with org_scope(acme.org.pk):
            refresh_invoice_state(acme.owner, there["id"], quick, CLOSED)
            invoice.refresh_from_db()
            assert invoice.state == "paid"
            # By hand once more: it is paid already.
            mark_paid(actor=acme.owner, invoice=invoice, now=CLOSED)
        assert push_outcomes(acme.owner, quick) == 0
    assert double.balances == {}
