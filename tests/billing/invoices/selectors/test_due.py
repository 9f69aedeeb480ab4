"""Of many customers those for whom there is something to do: nobody is left out for whom closing would do anything."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from billing.invoices.actions.accounts import end_subscription
from billing.invoices.actions.notes import make_note, mark_paid
from billing.invoices.actions.outbox import fill_outbox, send_outbox
from billing.invoices.actions.packs import deliver_packs
from billing.invoices.actions.pushing import push_credits, push_issued, push_outcomes
from billing.invoices.actions.stripe_setup import ensure_customer
from billing.invoices.actions.subscriptions import want_subscription
from billing.invoices.choices import InvoiceState, PackTo
from billing.invoices.core.calendar import find_unbilled
from billing.invoices.models import BillingAccount, FinancePack, Invoice
from billing.invoices.selectors.due import (
    _list_months,
    list_to_close,
    list_to_collect,
    list_to_mail,
    list_to_pack,
    list_to_send,
    list_to_tax,
)
from billing.invoices.stripe_client import Stripe
from tenants.access import org_scope
from tests.billing.invoices.examples import DAY, DECEMBER, NOVEMBER, OCTOBER, close, make_customer, make_seller
from tests.billing.invoices.stripe_customer import make_stripe_customer
from tests.billing.ledger import record_call
from tests.mail import MailSink
from tests.world import Tenant, World

CLOSED = NOVEMBER + DAY * 3


def show(tenant: Tenant) -> list[tuple[str, str, str]]:
    with org_scope(tenant.org.pk):
        rows = Invoice.objects.filter(org=tenant.org).order_by("period_start", "created_at")
        return [(f"{row.period_start:%m-%d}", row.state, row.number) for row in rows]


def walk(tenant: Tenant, first: datetime, last: datetime) -> tuple[int, int]:
    """Close every eight hours. Gives how often something was done, and how often the customer was said to be due:
    whoever is not, has nothing to be done."""
    done = due = 0
    now = first
    while now < last:
        is_due = tenant.org.pk in list_to_close([tenant.org.pk], now)
        before = show(tenant)
        close(tenant, now)
        has_changed = show(tenant) != before
        assert is_due or not has_changed, now
        done, due = done + has_changed, due + is_due
        now += timedelta(hours=8)
    return done, due


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
@pytest.mark.parametrize("grace_days", [0, 2])
def test_a_customer_is_looked_at_where_there_is_something_to_do(world: World, zone: str, grace_days: int) -> None:
    acme = world.acme
    acme.org.time_zone = acme.owner.org.time_zone = zone
    with org_scope(acme.org.pk):
        acme.org.save(update_fields=["time_zone"])
    make_customer(acme, since=OCTOBER + DAY, fee="1", grace_days=grace_days)
    done, due = walk(acme, OCTOBER + DAY * 28, DECEMBER + DAY * 4)
    # Two months, each a draft and an invoice, which are one step where nobody waits.
    assert done == (4 if grace_days else 2)
    assert due == done


def test_an_earlier_month_is_issued_while_the_last_one_waits(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, fee="1", grace_days=10)
    assert walk(acme, CLOSED, CLOSED + DAY)[0] == 1
    # Nobody closes until the next month is over.
    late = DECEMBER + DAY
    assert list_to_close([acme.org.pk], late) == [acme.org.pk]
    close(acme, late)
    assert [(state, bool(number)) for _, state, number in show(acme)] == [("issued", True), ("grace", False)]
    assert list_to_close([acme.org.pk], late) == []
    assert list_to_close([acme.org.pk], DECEMBER + DAY * 10) == [acme.org.pk]


def test_a_draft_that_cannot_be_issued_is_tried_again_and_hides_nothing(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, fee="1", currency="EUR", grace_days=2)
    done, due = walk(acme, NOVEMBER, NOVEMBER + DAY * 4)
    assert (done, due) == (1, 1 + 6), "without a rate it waits"
    assert show(acme)[0][1] == InvoiceState.GRACE


ZONES = st.sampled_from(["UTC", "Pacific/Kiritimati", "America/Los_Angeles", "Asia/Kolkata", "Pacific/Pago_Pago"])
#: an hour of two years, the zone that holds then, and of the months that nobody has billed how many are left for later
RUNS = st.lists(st.tuples(st.integers(0, 2 * 365 * 24), ZONES, st.integers(0, 2)), min_size=1, max_size=8)


@given(RUNS, st.integers(0, 24 * 100))
def test_wherever_a_tenant_moves_every_hour_is_billed_once(runs: list[tuple[int, str, int]], began: int) -> None:
    since = OCTOBER + timedelta(hours=began)
    documents: list[tuple[datetime, datetime]] = []
    for hour, zone, left in sorted(runs):
        months = _list_months(since, since + timedelta(hours=hour), zone)
        found = find_unbilled(months, [(since, None)], documents)
        # What is left for later is found by the next run, in whatever zone.
        documents += found[: max(len(found) - left, 0)]
    end = since + timedelta(days=900)
    documents = sorted(documents + find_unbilled(_list_months(since, end, "UTC"), [(since, None)], documents))
    assert documents[0][0] <= since
    assert all(earlier[1] == later[0] for earlier, later in pairwise(documents)), "no gap, no overlap"


def test_whoever_has_left_is_closed_once_and_never_looked_at_again(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, fee="1", grace_days=0)
    with org_scope(acme.org.pk):
        end_subscription(actor=acme.owner, at=OCTOBER + DAY * 9)
    done, due = walk(acme, OCTOBER + DAY * 28, DECEMBER + DAY * 4)
    assert (done, due) == (1, 1)


def test_many_are_asked_for_in_a_few_statements(world: World) -> None:
    tenants = [world.acme, world.mallcorp]
    seller = make_seller()
    for tenant in tenants:
        make_customer(tenant, seller=seller, since=OCTOBER, fee="1", grace_days=0)
    ids = [tenant.org.pk for tenant in tenants]

    def count(org_ids: list[UUID]) -> int:
        with CaptureQueriesContext(connection) as seen:
            assert list_to_close(org_ids, CLOSED) == list(dict.fromkeys(org_ids))
        return len(seen)

    assert count([*ids, *ids]) == count(ids[:1])
    assert list_to_close([], CLOSED) == []


def test_what_is_issued_is_mailed_once(world: World) -> None:
    acme, mallcorp = world.acme, world.mallcorp
    ids = [mallcorp.org.pk, acme.org.pk]
    make_customer(acme, since=OCTOBER, fee="1", grace_days=2)
    close(acme, NOVEMBER + DAY)
    assert list_to_mail(ids) == [], "a draft is not mailed"
    close(acme, CLOSED)
    assert list_to_mail(ids) == [acme.org.pk]
    with org_scope(acme.org.pk):
        BillingAccount.objects.update(emails=[])
    assert list_to_mail(ids) == [], "it waits for an address"
    with org_scope(acme.org.pk):
        BillingAccount.objects.update(emails=["late@acme.example"])
    assert list_to_mail(ids) == [acme.org.pk]
    with org_scope(acme.org.pk):
        Invoice.objects.update(mailed_at=CLOSED)
    assert list_to_mail(ids) == []


def test_packs_are_wanted_until_the_last_month_has_gone_out(world: World, sink: MailSink) -> None:
    acme = world.acme
    ids = [world.mallcorp.org.pk, acme.org.pk]
    make_customer(acme, since=OCTOBER, fee="1")
    close(acme, CLOSED)
    assert list_to_pack(ids, CLOSED) == []
    with org_scope(acme.org.pk):
        BillingAccount.objects.update(pack_to=PackTo.MAIL.value)
    for moment in (CLOSED, DECEMBER + DAY * 3):
        close(acme, moment)
        assert list_to_pack(ids, moment) == [acme.org.pk]
        assert deliver_packs(acme.owner, moment, None) == 1
        assert list_to_pack(ids, CLOSED) == []
    with org_scope(acme.org.pk):
        assert FinancePack.objects.count() == 2
        FinancePack.objects.filter(month=OCTOBER.date()).update(delivered_at=None, tried_at=moment)
    # One that could not be delivered is wanted when its turn is.
    assert list_to_pack(ids, moment + timedelta(hours=23)) == []
    assert list_to_pack(ids, moment + timedelta(hours=24)) == [acme.org.pk]


def test_tax_is_asked_for_where_the_seller_has_it_asked(world: World) -> None:
    ids = [world.acme.org.pk, world.mallcorp.org.pk]
    make_customer(world.acme, seller=make_seller(uses_stripe_tax=True), fee="1")
    make_customer(world.mallcorp, fee="1")
    assert list_to_tax(ids) == [world.acme.org.pk]


def test_stripe_is_asked_for_whom_it_has_something_to_do(world: World, quick: Stripe) -> None:
    acme, ids = world.acme, [world.mallcorp.org.pk, world.acme.org.pk]

    def change(**values: Any) -> None:
        with org_scope(acme.org.pk):
            BillingAccount.objects.update(**values)

    with time_machine.travel(CLOSED, tick=False):
        make_customer(acme, since=OCTOBER, fee="49")
        (invoice,) = close(acme, CLOSED)
        assert list_to_collect(ids) == [], "it pays by hand"
        change(collection="stripe")
        assert (list_to_collect(ids), ensure_customer(acme.owner, quick)) == ([acme.org.pk], 1)
        assert (list_to_collect(ids), push_issued(acme.owner, quick)) == ([acme.org.pk], 1)
        assert list_to_collect(ids) == []
        with org_scope(acme.org.pk):
            make_note(actor=acme.owner, invoice=invoice, amounts={1: 10**9}, reason="Too much", now=CLOSED)
        assert (list_to_collect(ids), push_credits(acme.owner, quick)) == ([acme.org.pk], 1)
        assert list_to_collect(ids) == []
        with org_scope(acme.org.pk):
            invoice.refresh_from_db()
            mark_paid(actor=acme.owner, invoice=invoice, now=CLOSED)
        assert (list_to_collect(ids), push_outcomes(acme.owner, quick)) == ([acme.org.pk], 1)
        assert list_to_collect(ids) == []
        change(refusal="Its address is none.")
        assert list_to_collect(ids) == [acme.org.pk]
        change(refusal="", top_up_below_nanos=1, top_up_nanos=10**10)
        assert list_to_collect(ids) == [acme.org.pk]
        change(top_up_below_nanos=None, top_up_nanos=None)
        assert list_to_collect(ids) == []
        with org_scope(acme.org.pk):
            want_subscription(actor=acme.owner)
        assert list_to_collect(ids) == [acme.org.pk]


def test_a_note_on_what_was_paid_by_hand_is_not_for_stripe(world: World, quick: Stripe) -> None:
    acme = world.acme
    with time_machine.travel(CLOSED, tick=False):
        make_stripe_customer(acme, quick, since=OCTOBER, fee="49")
        (invoice,) = close(acme, CLOSED)
        with org_scope(acme.org.pk):
            mark_paid(actor=acme.owner, invoice=invoice, now=CLOSED)
            make_note(actor=acme.owner, invoice=invoice, amounts=None, reason="All of it", now=CLOSED)
        assert list_to_collect([acme.org.pk]) == []
        assert [step(acme.owner, quick) for step in (push_issued, push_credits, push_outcomes)] == [0, 0, 0]


def test_usage_is_sent_for_whom_there_is_some(world: World, quick: Stripe) -> None:
    acme, ids = world.acme, [world.mallcorp.org.pk, world.acme.org.pk]
    make_stripe_customer(acme, quick, since=OCTOBER)
    record_call(acme, OCTOBER + DAY, cost=7)
    record_call(acme, OCTOBER + DAY * 2, cost=8)
    assert list_to_send(ids) == []
    later = OCTOBER + DAY * 2 + timedelta(hours=1)
    with time_machine.travel(later, tick=False), org_scope(acme.org.pk):
        assert fill_outbox(acme.owner, later) == 2
    assert list_to_send(ids) == [acme.org.pk]
    with time_machine.travel(later, tick=False):
        assert send_outbox(acme.owner, quick, later) == 2
    assert list_to_send(ids) == []
