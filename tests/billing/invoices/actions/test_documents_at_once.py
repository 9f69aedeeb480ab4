"""A customer's documents are changed by one at a time: who comes second waits, and nobody for each other."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from django.db import connection

from billing.invoices.actions.closing import open_invoice
from billing.invoices.actions.notes import mark_paid, void_invoice
from billing.invoices.models import Invoice
from tenants.access import org_scope
from tests.billing.invoices.at_once import apart, wait_until
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, SEPTEMBER, close, make_customer
from tests.patience import PATIENCE_SECONDS
from tests.world import Tenant, World

CLOSED = NOVEMBER + DAY * 3


def close_two_months_while(acme: Tenant, act: Callable[[], Any]) -> tuple[list[Invoice], Any]:
    """Before the second of them is locked somebody else acts, until it is done or has to wait. Gives what was issued,
    and what that gave."""
    locked = 0
    others: list[Future[Any]] = []

    def act_between(run: Callable[..., Any], sql: str, *more: Any) -> Any:
        nonlocal locked
        locked += "FOR UPDATE" in sql and 'FROM "billing_invoice"' in sql
        if locked == 2 and not others:
            others.append(pool.submit(apart, act))
            wait_until(others[0].done)
        return run(sql, *more)

    with ThreadPoolExecutor(1) as pool:
        with connection.execute_wrapper(act_between):
            issued = close(acme, CLOSED)
        return issued, others[0].result(timeout=PATIENCE_SECONDS)


def test_a_draft_that_is_voided_while_it_and_the_month_before_are_issued(committed_world: World) -> None:
    acme = committed_world.acme
    account = make_customer(acme, since=SEPTEMBER, fee="49.00")
    with org_scope(acme.org.pk):
        draft = open_invoice(acme.owner, account, OCTOBER, NOVEMBER)

    def void() -> Invoice | None:
        with org_scope(acme.org.pk):
            return void_invoice(actor=acme.owner, invoice=draft, reason="Wrong", now=CLOSED)

    issued, note = close_two_months_while(acme, void)
    assert [(row.period_start, row.total_cents) for row in issued] == [(SEPTEMBER, 4_900), (OCTOBER, 4_900)]
    with org_scope(acme.org.pk):
        states = Invoice.objects.filter(org=acme.org, kind="invoice").order_by("period_start")
        assert list(states.values_list("state", flat=True)) == ["issued", "void"]
    # It was issued by the time that it was voided.
    assert note is not None
    assert (note.corrects, note.total_cents) == (issued[1].pk, 4_900)


def test_an_invoice_that_is_paid_while_two_more_are_issued(committed_world: World) -> None:
    acme = committed_world.acme
    make_customer(acme, since=SEPTEMBER - DAY * 31, fee="49.00")
    (august,) = close(acme, SEPTEMBER + DAY * 3)

    def pay() -> Invoice:
        with org_scope(acme.org.pk):
            return mark_paid(actor=acme.owner, invoice=august, now=CLOSED)

    issued, paid = close_two_months_while(acme, pay)
    assert [row.period_start for row in issued] == [SEPTEMBER, OCTOBER]
    assert (paid.pk, paid.state) == (august.pk, "paid")
