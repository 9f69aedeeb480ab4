"""Prepaid credits: the books balance, and the stop at zero is a budget."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
import time_machine
from django.db import DatabaseError, connection, transaction

from billing.invoices.actions.accounts import subscribe
from billing.invoices.actions.notes import void_invoice
from billing.invoices.actions.wallet import add_credits, find_available, refund_credits
from billing.invoices.choices import WalletAccount
from billing.invoices.selectors.wallet import find_balances
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.money import Nanos
from tenants.access import org_scope
from tenants.actions.budgets import update_budget
from tenants.actions.increases import increase_budget
from tenants.models import Budget
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, close, lines_of, make_customer, make_plan
from tests.billing.ledger import record_call
from tests.world import Tenant, World

USD = 10**9


@pytest.fixture
def acme(world: World) -> Iterator[Tenant]:
    with org_scope(world.acme.org.pk), time_machine.travel(OCTOBER + DAY * 2, tick=False):
        yield world.acme


def limit(acme: Tenant) -> int:
    return Budget.objects.get(org=acme.org, is_managed=True).limit_nanos


def test_credits_raise_the_managed_budget_once_a_reference(acme: Tenant) -> None:
    record_call(acme, OCTOBER - DAY, cost=3 * USD)
    make_customer(acme, since=OCTOBER, prepaid=True)
    first = add_credits(actor=acme.owner, amount_nanos=10 * USD, reference="pi_1")
    assert add_credits(actor=acme.owner, amount_nanos=10 * USD, reference="pi_1").pk == first.pk
    with pytest.raises(Conflict):
        add_credits(actor=acme.owner, amount_nanos=11 * USD, reference="pi_1")
    # What was spent before the plan began is not paid from credits.
    assert limit(acme) == 13 * USD
    add_credits(actor=acme.owner, amount_nanos=2 * USD, reference="gift", source=WalletAccount.PROMOTIONS)
    assert limit(acme) == 15 * USD
    assert find_balances(acme.owner) == {
        WalletAccount.CASH: -10 * USD,
        WalletAccount.PROMOTIONS: -2 * USD,
        WalletAccount.CREDITS: 12 * USD,
        WalletAccount.USAGE: 0,
    }
    record_call(acme, OCTOBER + DAY, cost=4 * USD)
    assert find_available(acme.owner) == 8 * USD


def test_a_plan_chosen_again_makes_no_credits(acme: Tenant) -> None:
    make_customer(acme, since=OCTOBER, prepaid=True)
    add_credits(actor=acme.owner, amount_nanos=10 * USD, reference="pi_1")
    record_call(acme, OCTOBER + DAY, cost=10 * USD)
    subscribe(actor=acme.owner, plan=make_plan(prepaid=True), at=OCTOBER + DAY * 2)
    add_credits(actor=acme.owner, amount_nanos=5 * USD, reference="pi_2")
    assert (limit(acme), find_available(acme.owner)) == (15 * USD, 5 * USD)


def test_nobody_changes_the_managed_budget_by_hand(acme: Tenant) -> None:
    make_customer(acme, since=OCTOBER, prepaid=True)
    add_credits(actor=acme.owner, amount_nanos=USD, reference="pi_1")
    budget = Budget.objects.get(org=acme.org, is_managed=True)
    with pytest.raises(Conflict, match="buy more"):
        update_budget(actor=acme.owner, budget=budget, limit_nanos=Nanos(5 * USD))
    with pytest.raises(Conflict, match="buy more"):
        increase_budget(actor=acme.owner, budget=budget, amount_nanos=Nanos(1), until=OCTOBER + DAY * 9)


def test_a_markup_makes_credits_shorter(acme: Tenant) -> None:
    make_customer(acme, since=OCTOBER, prepaid=True, markup="25")
    add_credits(actor=acme.owner, amount_nanos=10 * USD, reference="pi_1")
    assert limit(acme) == 8 * USD
    record_call(acme, OCTOBER + DAY, cost=4 * USD)
    assert find_available(acme.owner) == 5 * USD


def test_the_invoice_takes_what_was_used_from_the_credits(acme: Tenant) -> None:
    make_customer(acme, since=OCTOBER, prepaid=True, fee="1")
    add_credits(actor=acme.owner, amount_nanos=10 * USD, reference="pi_1")
    record_call(acme, OCTOBER + DAY, cost=4 * USD)
    (invoice,) = close(acme, NOVEMBER + DAY * 3)
    assert [(line.kind, line.nanos) for line in lines_of(acme, invoice)] == [
        ("fee", USD),
        ("usage", 4 * USD),
        ("credit", -4 * USD),
    ]
    assert invoice.total_cents == 100
    balances = find_balances(acme.owner)
    assert (balances[WalletAccount.CREDITS], balances[WalletAccount.USAGE], sum(balances.values())) == (
        6 * USD,
        4 * USD,
        0,
    )
    # The ceiling stays: what was used is in the books and in the budget.
    assert limit(acme) == 10 * USD


def test_a_refund_gives_back_what_nobody_used(acme: Tenant) -> None:
    make_customer(acme, since=OCTOBER, prepaid=True)
    add_credits(actor=acme.owner, amount_nanos=10 * USD, reference="pi_1")
    record_call(acme, OCTOBER + DAY, cost=4 * USD)
    with pytest.raises(InvalidField, match=r"up to 6\.000000000 USD"):
        refund_credits(actor=acme.owner, amount_nanos=7 * USD, reference="re_1")
    refund_credits(actor=acme.owner, amount_nanos=6 * USD, reference="re_1")
    assert (limit(acme), find_available(acme.owner)) == (4 * USD, 0)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE billing_wallettransfer SET amount_nanos = 9", "DELETE FROM billing_wallettransfer"],
)
def test_a_transfer_is_for_ever(acme: Tenant, statement: str) -> None:
    make_customer(acme, since=OCTOBER, prepaid=True)
    add_credits(actor=acme.owner, amount_nanos=1, reference="pi_1")
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_a_void_invoice_gives_its_credits_back(acme: Tenant) -> None:
    """Nine dollars of credits and one that is owed; void, the nine can be spent again."""
    make_customer(acme, since=OCTOBER, prepaid=True)
    add_credits(actor=acme.owner, amount_nanos=9 * USD, reference="pi_1")
    record_call(acme, OCTOBER + DAY, cost=10 * USD)
    (invoice,) = close(acme, NOVEMBER + DAY * 3)
    assert (find_balances(acme.owner)[WalletAccount.CREDITS], limit(acme)) == (0, 9 * USD)
    for _ in range(2):
        with suppress(Conflict):
            void_invoice(actor=acme.owner, invoice=invoice, reason="Wrong", now=NOVEMBER + DAY * 4)
    assert find_balances(acme.owner) == {
        WalletAccount.CASH: -9 * USD,
        WalletAccount.PROMOTIONS: 0,
        WalletAccount.CREDITS: 9 * USD,
        WalletAccount.USAGE: 0,
    }
    assert limit(acme) == 18 * USD
    assert close(acme, NOVEMBER + DAY * 5) == []
