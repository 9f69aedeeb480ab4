"""Credit notes: together they never take back more than an invoice, nor a cent less; and what they give back of money
that was there is the customer's credit, once."""

import random
import re
from contextlib import suppress
from decimal import Decimal

import pytest
import time_machine
from django.db import transaction

from billing.invoices.actions.accounts import subscribe
from billing.invoices.actions.dunning import settle_standing
from billing.invoices.actions.notes import make_note, mark_paid, void_invoice
from billing.invoices.actions.pushing import push_credits, push_issued
from billing.invoices.actions.sellers import set_exchange_rate
from billing.invoices.actions.wallet import add_credits
from billing.invoices.choices import InvoiceKind
from billing.invoices.models import Invoice
from billing.invoices.selectors.accounts import find_credit, list_unpaid
from billing.invoices.selectors.customers import list_customers
from billing.invoices.stripe_client import Stripe
from costhub.lib.errors import InvalidField
from costhub.lib.money import parse_usd
from tenants.access import org_scope
from tests.billing.invoices.examples import DAY, DECEMBER, NOVEMBER, OCTOBER, SEPTEMBER, close, make_customer, make_plan
from tests.billing.invoices.stripe_customer import make_stripe_customer
from tests.billing.ledger import record_call, record_correction
from tests.sampling import examples
from tests.stripe_double import StripeDouble
from tests.world import Tenant, World

USD = 10**9
CLOSED = NOVEMBER + DAY * 3
LATER = DECEMBER + DAY * 3
BERLIN = {"country": "DE", "tax_id": ""}


def note(acme: Tenant, invoice: Invoice, amounts: dict[int, int] | None) -> Invoice:
    return make_note(actor=acme.owner, invoice=invoice, amounts=amounts, reason="Too much", now=CLOSED)


def credit(acme: Tenant) -> dict[str, int]:
    with org_scope(acme.org.pk):
        return find_credit(acme.owner)


def test_of_three_thirds_the_last_takes_the_cent_that_is_left(world: World) -> None:
    acme = world.acme
    make_customer(acme, account=BERLIN, since=OCTOBER, fee="100.00")
    (invoice,) = close(acme, CLOSED)
    assert (invoice.net_cents, invoice.tax_cents) == (10_000, 1_900)
    with org_scope(acme.org.pk):
        notes = [note(acme, invoice, {1: nanos}) for nanos in (33_330_000_000, 33_330_000_000, 33_340_000_000)]
        assert [(each.net_cents, each.tax_cents) for each in notes] == [(3_333, 633), (3_333, 633), (3_334, 634)]
        # Nothing is owed, and so nothing comes to anything.
        assert list_unpaid(acme.owner) == []
        assert settle_standing(acme.owner, CLOSED + DAY * 90) == "none"


def test_whatever_parts_are_given_back_they_sum_to_the_invoice(world: World) -> None:
    acme = world.acme
    make_customer(acme, account=BERLIN, since=OCTOBER)
    for seed in range(examples(60)):
        with org_scope(acme.org.pk), transaction.atomic():
            _give_back_all(acme, random.Random(seed))
            transaction.set_rollback(True)


def _give_back_all(acme: Tenant, dice: random.Random) -> None:
    """A month of up to four amounts of some cents or dollars, given back in up to ten parts, the last of them whole."""
    for number in range(dice.randint(1, 4)):
        record_call(acme, OCTOBER, cost=dice.choice([1, 10**7, USD]) * dice.randint(1, 30), request_model=f"m{number}")
    (invoice,) = close(acme, CLOSED)
    left = {line.position: line.nanos for line in invoice.lines.filter(nanos__gt=0)}
    made: list[Invoice] = []
    while left and len(made) < 9:
        places = dice.sample(sorted(left), dice.randint(1, len(left)))
        parts = {place: dice.choice([left[place], dice.randint(1, left[place])]) for place in places}
        made.append(note(acme, invoice, parts))
        left = {place: nanos - parts.get(place, 0) for place, nanos in left.items() if nanos > parts.get(place, 0)}
    if left:
        made.append(note(acme, invoice, None))
    for name in ("net_nanos", "net_cents", "tax_cents", "total_cents"):
        assert sum(getattr(each, name) for each in made) == getattr(invoice, name)
    assert min(min(each.net_cents, each.tax_cents) for each in made) >= 0
    assert [sum(group["cents"] for group in each.groups) for each in made] == [each.net_cents for each in made]
    assert list_unpaid(acme.owner) == []


def test_notes_give_back_of_a_line_what_is_asked_for_it_and_no_coupon_twice(world: World) -> None:
    acme = world.acme
    coupon = {"percent_off": "20", "months": 1}
    make_customer(acme, since=OCTOBER, fee="100.00", included="20.00", coupon=coupon)
    record_call(acme, OCTOBER, cost=50 * USD)
    (invoice,) = close(acme, CLOSED)
    # 100 and 50, less 20 that are included, less 20 %: 104, of which the usage asks for 24 and the fee for 80.
    assert invoice.net_cents == 10_400
    with org_scope(acme.org.pk):
        place = {line.kind: line.position for line in invoice.lines.all()}
        for kind, most in (("fee", "80.000000000"), ("usage", "24.000000000")):
            with pytest.raises(InvalidField, match=f"up to {most} USD, as what the invoice takes off is off it"):
                note(acme, invoice, {place[kind]: 80 * USD + 1})
        first = note(acme, invoice, {place["fee"]: 80 * USD})
        with pytest.raises(InvalidField, match=r"up to 0\.000000000 USD"):
            note(acme, invoice, {place["fee"]: 1})
        last = note(acme, invoice, None)
        assert [(each.net_cents, each.total_cents) for each in (first, last)] == [(8_000, 8_000), (2_400, 2_400)]
        assert list_unpaid(acme.owner) == []
        with pytest.raises(InvalidField, match="nothing left"):
            note(acme, invoice, None)


def test_of_a_month_that_was_prepaid_in_part_what_was_not_is_given_back_whole(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, fee="49.00")
    record_call(acme, OCTOBER + DAY, cost=10 * USD)
    record_call(acme, OCTOBER + DAY * 20, cost=30 * USD)
    with org_scope(acme.org.pk):
        subscribe(actor=acme.owner, plan=make_plan(prepaid=True), at=OCTOBER + DAY * 10)
        add_credits(actor=acme.owner, amount_nanos=100 * USD, reference="pi_1")
    (invoice,) = close(acme, CLOSED)
    with org_scope(acme.org.pk):
        lines = {(line.kind, line.start): line for line in invoice.lines.all()}
        early, late = lines["usage", OCTOBER], lines["usage", OCTOBER + DAY * 10]
        paid = lines["credit", OCTOBER + DAY * 10]
        assert (early.nanos, late.nanos, paid.nanos) == (10 * USD, 30 * USD, -30 * USD)
        # Thirty dollars were credits, and are given back as credits; the ten are owed in money.
        with pytest.raises(InvalidField, match=r"up to 0\.000000000 USD"):
            note(acme, invoice, {late.position: 1})
        assert note(acme, invoice, {early.position: 10 * USD}).total_cents == 1_000


def test_a_reduced_month_in_any_parts_is_given_back_once(world: World) -> None:
    acme = world.acme
    make_customer(
        acme,
        account=BERLIN,
        since=OCTOBER,
        fee="7.77",
        included="3.33",
        markup="-10",
        coupon={"percent_off": "33", "months": 1},
    )
    for seed in range(examples(40)):
        with org_scope(acme.org.pk), transaction.atomic():
            _give_back_reduced(acme, random.Random(seed))
            transaction.set_rollback(True)


def _give_back_reduced(acme: Tenant, dice: random.Random) -> None:
    for number in range(dice.randint(1, 3)):
        record_call(acme, OCTOBER, cost=dice.choice([1, 10**7, USD]) * dice.randint(1, 30), request_model=f"m{number}")
    (invoice,) = close(acme, CLOSED)
    places = [line.position for line in invoice.lines.filter(nanos__gt=0)]
    for _ in range(dice.randint(0, 6)):
        place, nanos = dice.choice(places), dice.randint(1, 8 * USD)
        try:
            note(acme, invoice, {place: nanos})
        except InvalidField as refused:
            left = re.search(r"up to ([0-9.]+) USD", refused.message)
            assert left
            if most := parse_usd(left[1]):
                note(acme, invoice, {place: most})
    with suppress(InvalidField):
        note(acme, invoice, None)
    made = list(Invoice.objects.filter(corrects=invoice.pk))
    for name in ("net_nanos", "net_cents", "tax_cents", "total_cents"):
        assert sum(getattr(each, name) for each in made) == getattr(invoice, name)
    assert min(min(each.net_cents, each.tax_cents) for each in made) >= 0
    assert list_unpaid(acme.owner) == []


def _carry(acme: Tenant) -> Invoice:
    """November over 100.00, of which 25.00 are carried over from October."""
    call = record_call(acme, SEPTEMBER, cost=30 * USD)
    close(acme, OCTOBER + DAY * 3)
    record_correction(acme, call, -25 * USD)
    close(acme, CLOSED)
    assert credit(acme) == {"USD": 2_500}
    record_call(acme, NOVEMBER, cost=100 * USD)
    (november,) = close(acme, LATER)
    assert (november.total_cents, november.carried_cents, november.due_cents) == (10_000, 2_500, 7_500)
    assert credit(acme) == {}
    return november


@pytest.mark.parametrize("is_void", [False, True], ids=["credited", "void"])
def test_what_was_carried_to_an_invoice_that_is_taken_back_is_carried_on(world: World, is_void: bool) -> None:
    acme = world.acme
    make_customer(acme, since=SEPTEMBER)
    november = _carry(acme)
    with org_scope(acme.org.pk):
        if is_void:
            void_invoice(actor=acme.owner, invoice=november, reason="A mistake", now=LATER)
        else:
            # The first 75.00 are owed no more, and nothing else; then the credit comes back.
            note(acme, november, {1: 75 * USD})
            assert find_credit(acme.owner) == {}
            note(acme, november, None)
    assert credit(acme) == {"USD": 2_500}
    record_call(acme, DECEMBER, cost=40 * USD)
    (december,) = close(acme, LATER + DAY * 31)
    assert (december.total_cents, december.carried_cents, december.due_cents) == (4_000, 2_500, 1_500)
    assert credit(acme) == {}


def test_stripe_gives_back_what_it_collected_and_we_what_was_carried(
    world: World, double: StripeDouble, quick: Stripe
) -> None:
    acme = world.acme
    with time_machine.travel(LATER, tick=False):
        make_stripe_customer(acme, quick, since=SEPTEMBER)
        november = _carry(acme)
        push_issued(acme.owner, quick)
        with org_scope(acme.org.pk):
            november.refresh_from_db()
            double.pay(november.stripe_invoice)
            mark_paid(actor=acme.owner, invoice=november, now=LATER, is_by_hand=False)
            notes = [note(acme, november, {1: nanos * USD}) for nanos in (60, 30, 10)]
        assert [push_credits(acme.owner, quick) for _ in range(2)] == [3, 0]
    given = {row["metadata"]["number"]: row["amount"] for row in double.billing.credit_notes.values()}
    assert given == {notes[0].number: "6000", notes[1].number: "1500"}
    assert credit(acme) == {"USD": 2_500}


def test_what_was_paid_by_hand_and_is_given_back_is_for_the_next_invoice(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, fee="49.00")
    (october,) = close(acme, CLOSED)
    with org_scope(acme.org.pk):
        make_note(actor=acme.owner, invoice=october, amounts={1: 9 * USD}, reason="Early", now=CLOSED)
        mark_paid(actor=acme.owner, invoice=october, now=CLOSED + DAY)
        # What was not asked for was not paid.
        assert find_credit(acme.owner) == {}
        make_note(actor=acme.owner, invoice=october, amounts={1: 10 * USD}, reason="Late", now=CLOSED + DAY * 2)
    assert credit(acme) == {"USD": 1_000}
    (november,) = close(acme, LATER)
    assert (november.carried_cents, november.due_cents) == (1_000, 3_900)
    assert credit(acme) == {}


def test_credit_stays_in_its_currency(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=SEPTEMBER)
    call = record_call(acme, SEPTEMBER, cost=30 * USD)
    close(acme, OCTOBER + DAY * 3)
    record_correction(acme, call, -25 * USD)
    with org_scope(acme.org.pk):
        subscribe(actor=acme.owner, plan=make_plan(fee="100.00", currency="EUR"), at=NOVEMBER)
    set_exchange_rate(currency="EUR", day=DECEMBER.date(), rate=Decimal("0.9"), source="ECB")
    close(acme, CLOSED)
    (november,) = close(acme, LATER)
    assert (november.currency, november.total_cents, november.carried_cents) == ("EUR", 9_000, 0)
    assert credit(acme) == {"USD": 2_500}
    (customer,), _ = list_customers(LATER, among={acme.org.pk})
    assert customer.credit == {"USD": 2_500}


def test_a_debit_note_is_due_when_an_invoice_would_be(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, fee="49.00", payment_days=30)
    (october,) = close(acme, CLOSED)
    with org_scope(acme.org.pk):
        made = make_note(
            actor=acme.owner,
            invoice=october,
            amounts={1: USD},
            reason="More",
            now=CLOSED,
            kind=InvoiceKind.DEBIT_NOTE,
        )
    assert (october.due_at, made.due_at) == (CLOSED + DAY * 30, CLOSED + DAY * 30)
