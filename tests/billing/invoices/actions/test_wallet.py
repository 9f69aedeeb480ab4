"""Prepaid credits: the books balance, and the stop at zero is a budget."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Any

import pytest
import time_machine
from django.db import DatabaseError, connection, transaction

from billing.invoices.actions import wallet
from billing.invoices.actions.accounts import follow_plan, subscribe
from billing.invoices.actions.notes import make_note, void_invoice
from billing.invoices.actions.top_up import set_top_up
from billing.invoices.actions.wallet import add_credits, find_available, refund_credits, take_back_credits
from billing.invoices.choices import WalletAccount
from billing.invoices.models import BillingAccount
from billing.invoices.selectors.due import list_to_follow
from billing.invoices.selectors.wallet import find_balances
from costhub.lib import clock, keyspace
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.money import Nanos
from costhub.lib.redis import client
from proxy.core.budgets import make_scope
from proxy.errors import GovernanceUnavailable
from proxy.ledger import recount
from proxy.values.windows import Scope
from tenants.access import Actor, org_scope
from tenants.actions import room
from tenants.actions.budgets import update_budget
from tenants.actions.increases import increase_budget
from tenants.models import Budget
from tenants.selectors import load_org_snapshot
from tests.billing.invoices.at_once import apart, wait_until
from tests.billing.invoices.examples import DAY, DECEMBER, NOVEMBER, OCTOBER, close, lines_of, make_customer, make_plan
from tests.billing.ledger import record_call, record_correction
from tests.patience import PATIENCE_SECONDS
from tests.world import Tenant, World, make_budget

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


def test_without_credits_a_prepaid_plan_stops_calls_from_its_first_moment(acme: Tenant) -> None:
    record_call(acme, OCTOBER - DAY, cost=3 * USD)
    make_customer(acme, since=OCTOBER, prepaid=True)
    assert (limit(acme), find_available(acme.owner)) == (3 * USD, 0)
    add_credits(actor=acme.owner, amount_nanos=2 * USD, reference="pi_1")
    assert limit(acme) == 5 * USD


def test_a_plan_that_was_dated_is_followed_when_its_moment_comes(acme: Tenant) -> None:
    make_customer(acme, since=OCTOBER)
    record_call(acme, OCTOBER + DAY, cost=3 * USD)
    subscribe(actor=acme.owner, plan=make_plan(prepaid=True), at=OCTOBER + DAY * 5)
    add_credits(actor=acme.owner, amount_nanos=2 * USD, reference="pi_1")
    subscribe(actor=acme.owner, plan=make_plan(), at=OCTOBER + DAY * 9)
    seen = []
    for days in (4, 5, 9):
        now = OCTOBER + DAY * days + timedelta(seconds=20)
        with time_machine.travel(now, tick=False):
            due = list_to_follow([acme.org.pk], now)
            for _ in due:
                follow_plan(acme.owner, now)
        seen.append((len(due), *Budget.objects.filter(is_managed=True).values_list("limit_nanos", "is_active")))
    assert seen == [(0,), (1, (5 * USD, True)), (1, (5 * USD, False))]


def test_who_pays_by_invoice_again_is_stopped_by_no_credits(acme: Tenant) -> None:
    """And what it calls meanwhile is on an invoice: it takes nothing from the credits that are left."""
    make_customer(acme, since=OCTOBER, prepaid=True)
    add_credits(actor=acme.owner, amount_nanos=10 * USD, reference="pi_1")
    record_call(acme, OCTOBER + DAY, cost=4 * USD)
    subscribe(actor=acme.owner, plan=make_plan())
    assert not Budget.objects.get(is_managed=True).is_active
    with time_machine.travel(OCTOBER + DAY * 4, tick=False):
        record_call(acme, OCTOBER + DAY * 3, cost=100 * USD)
        assert find_available(acme.owner) == 6 * USD
        subscribe(actor=acme.owner, plan=make_plan(prepaid=True))
        budget = Budget.objects.get(is_managed=True)
        # Counted anew: nobody did in between.
        assert (budget.is_active, budget.created_at, budget.limit_nanos) == (True, OCTOBER + DAY * 4, 110 * USD)
        record_call(acme, OCTOBER + DAY * 4, cost=USD)
    with time_machine.travel(NOVEMBER + DAY * 3, tick=False):
        record_call(acme, NOVEMBER + DAY, cost=USD)
        close(acme, NOVEMBER + DAY * 3)
        # Where the invoice ends 105 were spent; the five that are left follow, of which one is spent.
        assert find_balances(acme.owner)[WalletAccount.CREDITS] == 5 * USD
        assert (limit(acme), find_available(acme.owner)) == (110 * USD, 4 * USD)


@pytest.mark.parametrize(("markup", "taken"), [("0", 2), ("100", 4)])
def test_what_comes_late_to_an_invoiced_month_is_held_against_the_credits_at_once(
    acme: Tenant, markup: str, taken: int
) -> None:
    make_customer(acme, since=OCTOBER, prepaid=True, markup=markup)
    add_credits(actor=acme.owner, amount_nanos=30 * USD, reference="pi_1")
    call = record_call(acme, OCTOBER + DAY, cost=5 * USD)
    with time_machine.travel(NOVEMBER + DAY * 3, tick=False):
        close(acme, NOVEMBER + DAY * 3)
        left = find_balances(acme.owner)[WalletAccount.CREDITS]
        usage_left = left // (taken // 2)
        assert (find_available(acme.owner), limit(acme)) == (left, 5 * USD + usage_left)
        record_call(acme, OCTOBER + DAY * 3, cost=2 * USD)
        follow_plan(acme.owner, clock.now())
        # Spent is seven now, and of what was left two less can be: the stop is where it was.
        assert (find_available(acme.owner), limit(acme)) == (left - taken * USD, 5 * USD + usage_left)
        # What is corrected down comes back with the next invoice.
        record_correction(acme, call, -3 * USD)
        assert find_available(acme.owner) == left
    with time_machine.travel(DECEMBER + DAY * 3, tick=False):
        record_call(acme, NOVEMBER + DAY * 4, cost=4 * USD)
        close(acme, DECEMBER + DAY * 3)
        # Eight in all, by the invoices of both months.
        spent = 8 * USD * taken // 2
        assert find_balances(acme.owner)[WalletAccount.CREDITS] == find_available(acme.owner) == 30 * USD - spent


@pytest.mark.parametrize(("markup", "left"), [("0", 6), ("100", 3), ("50", 4)])
def test_a_dearer_plan_makes_the_credits_that_are_left_shorter(acme: Tenant, markup: str, left: int) -> None:
    make_customer(acme, since=OCTOBER, prepaid=True)
    add_credits(actor=acme.owner, amount_nanos=10 * USD, reference="pi_1")
    record_call(acme, OCTOBER + DAY, cost=4 * USD)
    subscribe(actor=acme.owner, plan=make_plan(prepaid=True, markup=markup))
    assert (limit(acme), find_available(acme.owner)) == ((4 + left) * USD, 6 * USD)


def test_included_usage_takes_no_credits_once_it_is_invoiced(acme: Tenant) -> None:
    make_customer(acme, since=OCTOBER, prepaid=True, included="3.00")
    add_credits(actor=acme.owner, amount_nanos=10 * USD, reference="pi_1")
    record_call(acme, OCTOBER + DAY, cost=10 * USD)
    assert (limit(acme), find_available(acme.owner)) == (10 * USD, 0)
    close(acme, NOVEMBER + DAY * 3)
    with time_machine.travel(NOVEMBER + DAY * 4, tick=False):
        assert (limit(acme), find_available(acme.owner)) == (13 * USD, 3 * USD)


def test_credits_of_a_payment_that_was_taken_back_are_gone(acme: Tenant) -> None:
    make_customer(acme, since=OCTOBER, prepaid=True)
    add_credits(actor=acme.owner, amount_nanos=10 * USD, reference="pi_1")
    add_credits(actor=acme.owner, amount_nanos=5 * USD, reference="pi_10")
    record_call(acme, OCTOBER + DAY, cost=12 * USD)
    seen = []
    for dollars in (2, 2, 10, 4, 0):
        moved = take_back_credits(acme.owner, payment="pi_1", nanos=dollars * USD)
        seen.append((moved.reference if moved else "", find_available(acme.owner) // USD, limit(acme) // USD))
    assert seen == [("pi_1:1", 1, 13), ("", 1, 13), ("pi_1:2", -7, 5), ("pi_1:3", -1, 11), ("pi_1:4", 3, 15)]
    assert find_balances(acme.owner)[WalletAccount.CREDITS] == 15 * USD


@pytest.mark.parametrize("seed", range(4))
def test_in_any_order_calls_are_held_to_the_credits_that_are_left(acme: Tenant, seed: int) -> None:
    """Credits, calls up to the stop, other plans and closed months, beside a model of one number."""
    dice = Random(seed)
    left = spent = markup = 0
    is_prepaid = True
    make_customer(acme, since=OCTOBER, prepaid=True)
    with time_machine.travel(OCTOBER, tick=False) as travel:
        for number in range(40):
            travel.shift(timedelta(hours=dice.randrange(12, 80)))
            act = dice.choice(["credits", "calls", "calls", "plan", "close"])
            if act == "credits":
                bought = dice.randrange(1, 50) * 10**6
                add_credits(actor=acme.owner, amount_nanos=bought, reference=str(number))
                left += bought
            elif act == "calls":
                room = limit(acme) - spent if is_prepaid else 10**8
                cost = dice.randrange(room // 1_000 + 1) * 1_000
                record_call(acme, clock.now() - timedelta(seconds=1), cost=cost)
                spent += cost
                left -= cost * (100 + markup) // 100 if is_prepaid else 0
            elif act == "plan":
                is_prepaid, markup = dice.choice([(True, 0), (True, 25), (True, 100), (False, 0)])
                subscribe(actor=acme.owner, plan=make_plan(prepaid=is_prepaid, markup=str(markup)))
            else:
                close(acme, clock.now())
            assert find_available(acme.owner) == left, (number, act)
            assert Budget.objects.get(is_managed=True).is_active == is_prepaid
            if is_prepaid:
                # To the nano, but for one that is rounded down, or stands for nothing.
                assert abs(left - (limit(acme) - spent) * (100 + markup) // 100) <= 2, (number, act)


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


def test_no_number_of_limits_keeps_the_stop_from_being_made(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    make_budget(acme, "1")
    monkeypatch.setattr(room, "MAX_LIMITS", 1)
    make_customer(acme, since=OCTOBER, prepaid=True)
    assert (limit(acme), Budget.objects.count()) == (1, 2)
    with pytest.raises(Conflict, match="at most 1 active budgets"):
        make_budget(acme, "1")


def test_credits_of_who_has_no_account_are_given_back_too(acme: Tenant) -> None:
    add_credits(actor=acme.owner, amount_nanos=10 * USD, reference="pi_1")
    refund_credits(actor=acme.owner, amount_nanos=4 * USD, reference="re_1")
    assert find_balances(acme.owner)[WalletAccount.CREDITS] == 6 * USD


def test_a_refund_gives_back_what_nobody_used(acme: Tenant) -> None:
    make_customer(acme, since=OCTOBER, prepaid=True)
    add_credits(actor=acme.owner, amount_nanos=10 * USD, reference="pi_1")
    record_call(acme, OCTOBER + DAY, cost=4 * USD)
    with pytest.raises(InvalidField, match=r"up to 6\.000000000 USD"):
        refund_credits(actor=acme.owner, amount_nanos=7 * USD, reference="re_1")
    set_top_up(actor=acme.owner, account=BillingAccount.objects.get(), below=USD, amount=20 * USD)
    first = refund_credits(actor=acme.owner, amount_nanos=6 * USD, reference="re_1")
    assert refund_credits(actor=acme.owner, amount_nanos=6 * USD, reference="re_1").pk == first.pk
    assert (limit(acme), find_available(acme.owner)) == (4 * USD, 0)
    assert BillingAccount.objects.get().top_up_nanos is None, "what was given back is not bought again"


def scope_of_credits(acme: Tenant) -> Scope:
    """What calls are held to, as their proxies count it."""
    snapshot = load_org_snapshot(acme.org_id)
    assert snapshot is not None
    with org_scope(acme.org.pk):
        stop = str(BillingAccount.objects.get(org=acme.org).credit_budget)
    (budget,) = [each for each in snapshot.budgets if each.id == stop]
    return make_scope(snapshot, budget, acme.org_id, clock.now_ms())


def test_what_is_given_back_before_any_call_came_is_kept_from_the_first_one(committed_world: World) -> None:
    """Also after Valkey has lost its counters: one that is planned by the credits of before is planned anew."""
    acme = committed_world.acme
    with org_scope(acme.org.pk):
        make_customer(acme, since=clock.now(), prepaid=True)
        add_credits(actor=acme.owner, amount_nanos=10 * USD, reference="pi_1")
    for part in range(2):
        with org_scope(acme.org.pk):
            refund_credits(actor=acme.owner, amount_nanos=4 * USD, reference=f"re_{part}")
        snapshot, counter = load_org_snapshot(acme.org_id), scope_of_credits(acme).counter
        assert snapshot is not None
        assert client().hmget(counter, "s", "h") == [b"0", b"0"]
        oldest = keyspace.oldest_version_key(snapshot.shard, acme.org_id)
        assert client().get(oldest) == str(snapshot.version).encode()
        client().delete(counter, oldest)


def test_where_nobody_can_count_what_calls_hold_nothing_is_given_back(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_customer(acme, since=OCTOBER, prepaid=True)
    add_credits(actor=acme.owner, amount_nanos=10 * USD, reference="pi_1")
    monkeypatch.setattr(recount, "recount", fail_to_count)
    with pytest.raises(GovernanceUnavailable, match="cannot be counted"), transaction.atomic():
        refund_credits(actor=acme.owner, amount_nanos=4 * USD, reference="re_1")
    assert find_balances(acme.owner)[WalletAccount.CREDITS] == 10 * USD


def fail_to_count(*_: Any, **__: Any) -> None:
    """As where PostgreSQL is away, or the drain is far behind."""
    raise recount.RecountFailed


def test_nobody_gets_money_for_a_gift(acme: Tenant) -> None:
    make_customer(acme, since=OCTOBER, prepaid=True)
    add_credits(actor=acme.owner, amount_nanos=10 * USD, reference="pi_1")
    add_credits(actor=acme.owner, amount_nanos=5 * USD, reference="gift", source=WalletAccount.PROMOTIONS)
    record_call(acme, OCTOBER + DAY, cost=2 * USD)
    with pytest.raises(InvalidField, match=r"up to 10\.000000000 USD"):
        refund_credits(actor=acme.owner, amount_nanos=11 * USD, reference="re_1")
    refund_credits(actor=acme.owner, amount_nanos=10 * USD, reference="re_1")
    assert (limit(acme), find_available(acme.owner)) == (5 * USD, 3 * USD)
    with pytest.raises(InvalidField, match=r"up to 0\.000000000 USD"):
        refund_credits(actor=acme.owner, amount_nanos=1, reference="re_2")


@pytest.mark.parametrize(
    "statement",
    ["UPDATE billing_wallettransfer SET amount_nanos = 9", "DELETE FROM billing_wallettransfer"],
)
def test_a_transfer_is_for_ever(acme: Tenant, statement: str) -> None:
    make_customer(acme, since=OCTOBER, prepaid=True)
    add_credits(actor=acme.owner, amount_nanos=1, reference="pi_1")
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("is_noted", [False, True], ids=["owed", "given back before"])
def test_a_void_invoice_gives_its_credits_back(acme: Tenant, is_noted: bool) -> None:
    """Nine dollars of credits and one that is owed, or was until a note; void, the nine can be spent again."""
    make_customer(acme, since=OCTOBER, prepaid=True)
    add_credits(actor=acme.owner, amount_nanos=9 * USD, reference="pi_1")
    record_call(acme, OCTOBER + DAY, cost=10 * USD)
    (invoice,) = close(acme, NOVEMBER + DAY * 3)
    # The tenth is owed by the invoice, and not taken from credits that are bought later.
    assert (find_balances(acme.owner)[WalletAccount.CREDITS], limit(acme)) == (0, 10 * USD)
    if is_noted:
        make_note(actor=acme.owner, invoice=invoice, amounts=None, reason="The tenth", now=NOVEMBER + DAY * 4)
    for _ in range(2):
        with suppress(Conflict):
            void_invoice(actor=acme.owner, invoice=invoice, reason="Wrong", now=NOVEMBER + DAY * 4)
    assert find_balances(acme.owner) == {
        WalletAccount.CASH: -9 * USD,
        WalletAccount.PROMOTIONS: 0,
        WalletAccount.CREDITS: 9 * USD,
        WalletAccount.USAGE: 0,
    }
    assert limit(acme) == 19 * USD
    assert close(acme, NOVEMBER + DAY * 5) == []


def test_credits_that_are_given_back_while_an_invoice_is_issued_are_not_used_as_well(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four of ten dollars are used when six are given back. Before that is in the books another dollar is used, and the
    month is closed: four were left for it, and the fifth is owed."""
    acme = committed_world.acme
    make_customer(acme, since=OCTOBER, prepaid=True)
    with org_scope(acme.org.pk), time_machine.travel(OCTOBER + DAY * 2, tick=False):
        add_credits(actor=acme.owner, amount_nanos=10 * USD, reference="pi_1")
    record_call(acme, OCTOBER + DAY, cost=4 * USD)
    # Of what comes later no proxy has told yet.
    assert recount.recount_apart(acme.org.shard, acme.org_id, [scope_of_credits(acme)])
    issued: list[Future[Any]] = []
    find = wallet.find_available

    def find_slowly(actor: Actor) -> int:
        left = find(actor)
        if not issued:
            pool.submit(apart, lambda: record_call(acme, OCTOBER + DAY, cost=USD)).result(timeout=PATIENCE_SECONDS)
            issued.append(pool.submit(apart, lambda: close(acme, NOVEMBER + DAY * 3)))
            wait_until(issued[0].done)
        return left

    monkeypatch.setattr(wallet, "find_available", find_slowly)
    with ThreadPoolExecutor(1) as pool, time_machine.travel(NOVEMBER + DAY * 3, tick=False):
        with org_scope(acme.org.pk):
            refund_credits(actor=acme.owner, amount_nanos=6 * USD, reference="re_1")
        (invoice,) = issued[0].result(timeout=PATIENCE_SECONDS)
    with org_scope(acme.org.pk):
        assert (find_balances(acme.owner)[WalletAccount.CREDITS], invoice.total_cents) == (0, 100)


def test_of_two_refunds_at_once_that_are_more_than_what_is_left_one_is_refused(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of who has no billing account."""
    acme = committed_world.acme
    with org_scope(acme.org.pk):
        add_credits(actor=acme.owner, amount_nanos=10 * USD, reference="pi_1")
    others: list[Future[Any]] = []
    find = wallet.find_available

    def refund(reference: str) -> str:
        with org_scope(acme.org.pk):
            try:
                return refund_credits(actor=acme.owner, amount_nanos=6 * USD, reference=reference).reference
            except InvalidField as error:
                return error.message

    def find_slowly(actor: Actor) -> int:
        left = find(actor)
        if not others:
            others.append(pool.submit(apart, lambda: refund("re_2")))
            wait_until(others[0].done)
        return left

    monkeypatch.setattr(wallet, "find_available", find_slowly)
    with ThreadPoolExecutor(1) as pool:
        assert refund("re_1") == "re_1"
        assert "up to 4.000000000 USD" in others[0].result(timeout=PATIENCE_SECONDS)


def test_credits_and_a_refund_that_meet_under_one_reference_do_not_wait_for_each_other(
    committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = committed_world.acme
    make_customer(acme, since=OCTOBER, prepaid=True)
    with org_scope(acme.org.pk):
        add_credits(actor=acme.owner, amount_nanos=10 * USD, reference="pi_1")
    others: list[Future[Any]] = []
    find = wallet.find_available

    def buy() -> str:
        with org_scope(acme.org.pk):
            try:
                return add_credits(actor=acme.owner, amount_nanos=USD, reference="same").reference
            except Conflict as error:
                return error.message

    def find_slowly(actor: Actor) -> int:
        left = find(actor)
        if not others:
            others.append(pool.submit(apart, buy))
            wait_until(others[0].done)
        return left

    monkeypatch.setattr(wallet, "find_available", find_slowly)
    with ThreadPoolExecutor(1) as pool:
        with org_scope(acme.org.pk):
            refund_credits(actor=acme.owner, amount_nanos=6 * USD, reference="same")
        assert others[0].result(timeout=PATIENCE_SECONDS).startswith("This reference stands for another transfer")
