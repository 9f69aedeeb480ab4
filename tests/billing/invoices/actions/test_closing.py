"""A month is closed: its lines are the ledger, issued once, and never change."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from billing.invoices.actions.accounts import end_subscription, subscribe
from billing.invoices.actions.closing import (
    issue_invoice,
    open_invoice,
    preview_invoice,
    preview_next,
    refresh_invoice,
)
from billing.invoices.actions.notes import void_invoice
from billing.invoices.actions.sellers import set_exchange_rate
from billing.invoices.actions.wallet import add_credits
from billing.invoices.choices import USAGE_KINDS, InvoiceState
from billing.invoices.core.lines import PREPAID
from billing.invoices.models import BillingAccount, Invoice, InvoiceLine, LegalEntity, Subscription
from billing.invoices.selectors.due import list_to_close
from billing.spend.actions.rollups import roll_up
from costhub.lib.errors import Conflict, InvalidField, NotFound
from tenants.access import org_scope
from tenants.actions.orgs import add_member, update_organization
from tenants.actions.pricing import create_price
from tenants.choices import Role
from tenants.models import Membership
from tests.billing.invoices.examples import (
    DAY,
    DECEMBER,
    NOVEMBER,
    OCTOBER,
    SEPTEMBER,
    close,
    lines_of,
    make_customer,
    make_plan,
    make_seller,
    show_lines,
)
from tests.billing.ledger import record_call, record_correction
from tests.world import Tenant, World, make_catalog

USD = 10**9
HOUR = timedelta(hours=1)


def ledger_sum(tenant: Tenant, start: datetime, end: datetime) -> int:
    with org_scope(tenant.org.pk), connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(effective_cost), 0) FROM proxy_ledgerentry"
            " WHERE org_id = %s AND started_at >= %s AND started_at < %s",
            [tenant.org.pk, start, end],
        )
        return int(cursor.fetchone()[0])


def billed_sum(tenant: Tenant, start: datetime) -> int:
    """All usage that any invoice bills of the month that begins so."""
    with org_scope(tenant.org.pk):
        rows = InvoiceLine.objects.filter(start=start, kind__in=[kind.value for kind in USAGE_KINDS])
        return sum(rows.values_list("nanos", flat=True))


def test_a_month_from_calls_to_a_numbered_invoice(world: World) -> None:
    acme = world.acme
    seller = make_seller()
    make_customer(acme, seller=seller, fee="49.00", markup="10")
    made = make_catalog(acme, input_per_million="1", output_per_million="2", effective_from=SEPTEMBER)
    assert made.price
    record_call(
        acme, OCTOBER + DAY, cost=1_200_000_001, price_id=made.price.pk, input_tokens=1_000_000, output_tokens=100_000
    )
    record_call(acme, OCTOBER + DAY, cost=0, cache_status="hit-l1", list_cost=7, savings={"cache": 7})
    record_call(acme, OCTOBER - HOUR, cost=5 * USD)
    (september, october) = close(acme, NOVEMBER + DAY * 3)
    assert [september.number, october.number] == [f"{seller.prefix}000001", f"{seller.prefix}000002"]
    assert (october.state, october.total_cents, october.tax_category) == ("issued", 5_032, "AE")
    assert show_lines(acme, october) == [
        ("fee", f"{plan_name(acme)}: subscription", 49 * USD),
        ("usage", "small: input tokens", USD),
        ("usage", "small: output tokens", 200_000_000),
        ("usage", "small: request fees, roundings and estimates", 1),
        ("markup", "small: markup on usage", 120_000_000),
        ("savings", "small: saved by cache", 0),
    ]
    assert lines_of(acme, october)[5].saved == 7
    assert october.usage_nanos == ledger_sum(acme, OCTOBER, NOVEMBER) == 1_200_000_001
    assert (october.seller["name"], october.buyer["name"], october.po_number) == (
        seller.name,
        "Tulip Data B.V.",
        "PO-77",
    )
    assert october.due_at == NOVEMBER + DAY * 17
    assert close(acme, NOVEMBER + DAY * 4) == []


def plan_name(tenant: Tenant) -> str:
    with org_scope(tenant.org.pk):
        return Subscription.objects.select_related("plan").filter(org=tenant.org)[0].plan.name


def test_in_its_days_of_grace_an_invoice_follows_the_ledger(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, grace_days=2)
    record_call(acme, OCTOBER, cost=3)
    assert close(acme, NOVEMBER + HOUR) == []
    with org_scope(acme.org.pk):
        invoice = Invoice.objects.get()
        assert (invoice.state, invoice.number) == ("grace", "")
        assert refresh_invoice(acme.owner, invoice, NOVEMBER + HOUR).usage_nanos == 3
    record_call(acme, NOVEMBER - HOUR, cost=4)
    (issued,) = close(acme, NOVEMBER + DAY * 2)
    assert (issued.pk, issued.usage_nanos) == (invoice.pk, 7)


def test_the_next_invoice_is_what_closing_will_make_of_it(world: World) -> None:
    """Whatever a plan has: while the month runs it shows what it comes to in the end, if nobody calls any more."""
    acme = world.acme
    make_customer(
        acme,
        since=OCTOBER,
        account={"country": "DE", "tax_id": ""},
        coupon={"percent_off": "10", "months": 12},
        fee="49.00",
        included="2.00",
        markup="10",
        minimum="60.00",
        prepaid=True,
    )
    with org_scope(acme.org.pk):
        add_credits(actor=acme.owner, amount_nanos=15 * USD, reference="bought")
    record_call(acme, OCTOBER + DAY, cost=12 * USD)
    record_call(acme, NOVEMBER + DAY, cost=9 * USD, list_cost=11 * USD, savings={"cache": 2 * USD})
    moment = NOVEMBER + DAY * 2
    # October is in its days of grace, and takes its part of the credits first: 12.00, 1.20 of markup, less 2.00.
    assert close(acme, NOVEMBER + HOUR) == []
    with org_scope(acme.org.pk):
        draft = Invoice.objects.get()
        before, running = preview_invoice(acme.owner, draft, moment), preview_next(acme.owner, moment)
        assert [line.nanos for line in before.lines if line.group == PREPAID] == [-11_200_000_000]
        assert (Invoice.objects.count(), InvoiceLine.objects.count()) == (1, 0)
    assert (running.invoice.state, running.invoice.number) == ("draft", "")
    (october,) = close(acme, NOVEMBER + DAY * 3)
    (november,) = close(acme, DECEMBER + DAY * 3)
    for preview, issued in ((before, october), (running, november)):
        assert [(line.kind, line.text, line.nanos, line.saved) for line in preview.lines] == [
            (line.kind, line.text, line.nanos, line.saved) for line in lines_of(acme, issued)
        ]
        for name in ("usage_nanos", "net_cents", "tax_cents", "total_cents", "carried_cents", "groups", "period_end"):
            assert getattr(preview.invoice, name) == getattr(issued, name), name
    assert november.tax_cents > 0
    kinds = {line.kind for line in running.lines}
    assert kinds == {"fee", "usage", "markup", "included", "minimum", "coupon", "credit", "savings"}


def test_the_next_invoice_says_what_it_will_wait_for(world: World) -> None:
    acme = world.acme
    with org_scope(acme.org.pk), pytest.raises(NotFound, match="nobody's customer"):
        preview_next(acme.owner, NOVEMBER)
    make_customer(acme, since=OCTOBER, fee="49.00", account={"country": "IT", "tax_id": ""})
    with org_scope(acme.org.pk):
        found = preview_next(acme.owner, OCTOBER + DAY).invoice
        assert (found.total_cents, found.problem.partition(":")[0]) == (4_900, "There is no tax rate for IT")
        with pytest.raises(NotFound, match="No plan holds"):
            preview_next(acme.owner, SEPTEMBER)


def test_seats_are_the_members_that_there_were_when_the_draft_was_made(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, grace_days=2, seat_fee="5", included_seats=1)
    with org_scope(acme.org.pk):
        members = Membership.objects.filter(org=acme.org)
        # Ada and Ben; whom the directory has suspended, and who visits, has no seat.
        assert members.count() == 2
        for name, fields in (("gone", {"suspended_at": OCTOBER}), ("operator", {"visit_until": DECEMBER})):
            one = add_member(actor=acme.owner, email=f"{name}@acme.example", role=Role.VIEWER)
            members.filter(pk=one.pk).update(**fields)
    assert close(acme, NOVEMBER) == []
    with org_scope(acme.org.pk):
        add_member(actor=acme.owner, email="new@acme.example", role=Role.VIEWER)
    (issued,) = close(acme, NOVEMBER + DAY * 2)
    assert (issued.seats, issued.net_cents) == (2, 500)
    assert show_lines(acme, issued) == [("fee", f"{plan_name(acme)}: 1 seat beyond 1", 5 * USD)]


def test_late_rows_and_corrections_go_to_the_next_month_under_their_own_dates(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER)
    call = record_call(acme, OCTOBER, cost=1_000, is_estimated=True)
    record_call(acme, OCTOBER, cost=50, request_model="large")
    close(acme, NOVEMBER + DAY * 3)
    record_correction(acme, call, -400)
    record_call(acme, OCTOBER + HOUR, cost=70, request_model="late")
    record_call(acme, NOVEMBER, cost=9)
    (november,) = close(acme, DECEMBER + DAY * 3)
    shown = [(line.kind, line.model, line.nanos, line.start) for line in lines_of(acme, november)]
    assert sorted(shown) == [
        ("late_usage", "late", 70, OCTOBER),
        ("late_usage", "small", -400, OCTOBER),
        ("usage", "small", 9, NOVEMBER),
    ]
    for start, end in ((OCTOBER, NOVEMBER), (NOVEMBER, DECEMBER)):
        assert billed_sum(acme, start) == ledger_sum(acme, start, end)
    titles = [group["title"] for group in november.groups]
    assert "default: late, of October 2026" in titles


def test_a_draft_that_was_looked_at_loses_no_late_usage(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, grace_days=2)
    close(acme, NOVEMBER + DAY * 2)
    record_call(acme, OCTOBER, cost=70)
    close(acme, DECEMBER + HOUR)
    with org_scope(acme.org.pk):
        draft = Invoice.objects.get(number="")
        assert [refresh_invoice(acme.owner, draft, DECEMBER + HOUR).usage_nanos for _ in range(2)] == [70, 70]
    (issued,) = close(acme, DECEMBER + DAY * 2)
    assert issued.usage_nanos == 70


def test_usage_is_never_too_late_to_be_billed(world: World, settings: Any) -> None:
    acme = world.acme
    months = [datetime(2026, month, 1, tzinfo=UTC) for month in range(3, 13)]
    make_customer(acme, since=months[0], markup="10")
    record_call(acme, months[0] + DAY, cost=1)
    for following in months[1:-2]:
        close(acme, following + DAY * 3)
    # Six and five months after, when three invoices of later months are issued.
    record_call(acme, months[0] + DAY, cost=2 * USD, request_model="late")
    record_call(acme, months[1] + DAY, cost=-USD)
    (october,) = close(acme, NOVEMBER + DAY * 3)
    assert [(line.kind, line.model, line.nanos, line.start) for line in lines_of(acme, october)] == [
        ("late_usage", "late", 2 * USD, months[0]),
        ("markup", "late", USD // 5, months[0]),
        ("late_usage", "small", -USD, months[1]),
        ("markup", "small", -USD // 10, months[1]),
    ]
    # What the ledger need not have any more is not looked at: a month without rows is no month without usage.
    settings.LEDGER_MONTHS = 3
    record_call(acme, months[0] + DAY, cost=USD)
    (november,) = close(acme, DECEMBER + DAY * 3)
    assert lines_of(acme, november) == []


def test_nothing_is_late_twice(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=SEPTEMBER)
    record_call(acme, SEPTEMBER, cost=1)
    close(acme, OCTOBER + DAY * 3)
    record_call(acme, SEPTEMBER, cost=10)
    close(acme, NOVEMBER + DAY * 3)
    record_call(acme, SEPTEMBER, cost=100)
    (november,) = close(acme, DECEMBER + DAY * 3)
    assert [(line.kind, line.nanos) for line in lines_of(acme, november)] == [("late_usage", 100)]
    assert billed_sum(acme, SEPTEMBER) == 111


def test_a_price_that_changes_in_mid_month_is_lines_of_its_own(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER)
    old = make_catalog(acme, input_per_million="1", output_per_million="1", effective_from=SEPTEMBER)
    assert old.price
    with org_scope(acme.org.pk):
        new = create_price(
            actor=acme.owner,
            model=old.model,
            input_per_million=Decimal(3),
            output_per_million=Decimal(3),
            effective_from=OCTOBER + DAY * 9,
        )
    record_call(acme, OCTOBER + DAY, cost=1_000_000, price_id=old.price.pk, input_tokens=1_000)
    record_call(acme, OCTOBER + DAY * 10, cost=3_000_000, price_id=new.pk, input_tokens=1_000)
    (invoice,) = close(acme, NOVEMBER + DAY * 3)
    found = [(line.unit_price, line.quantity, line.nanos) for line in lines_of(acme, invoice)]
    assert sorted(found) == [(1_000_000, 1_000, 1_000_000), (3_000_000, 1_000, 3_000_000)]
    assert len(invoice.groups) == 1


def test_usage_is_marked_up_by_the_plan_that_held_when_it_happened(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, markup="50")
    record_call(acme, OCTOBER + DAY, cost=100 * USD)
    # On the last day, for the whole month: that is not how it goes.
    changed = NOVEMBER - HOUR * 9
    with org_scope(acme.org.pk):
        subscribe(actor=acme.owner, plan=make_plan(markup="0"), at=changed)
    record_call(acme, changed - timedelta(milliseconds=1), cost=10 * USD)
    record_call(acme, changed, cost=USD)
    (october,) = close(acme, NOVEMBER + DAY * 3)
    assert [(line.kind, line.nanos, line.start, line.end) for line in lines_of(acme, october)] == [
        ("usage", 100 * USD, OCTOBER, changed),
        ("usage", 10 * USD, OCTOBER, changed),
        ("usage", USD, changed, NOVEMBER),
        ("markup", 55 * USD, OCTOBER, changed),
    ]
    assert (october.net_cents, october.usage_nanos) == (16_600, 111 * USD)
    # What comes late has the markup of its moment, too, and each part is looked at by itself.
    record_call(acme, OCTOBER + DAY, cost=2 * USD)
    record_call(acme, changed + HOUR, cost=4 * USD)
    (november,) = close(acme, DECEMBER + DAY * 3)
    assert [(line.kind, line.nanos, line.start, line.end) for line in lines_of(acme, november)] == [
        ("late_usage", 2 * USD, OCTOBER, changed),
        ("markup", USD, OCTOBER, changed),
        ("late_usage", 4 * USD, changed, NOVEMBER),
    ]


def test_late_usage_stands_behind_its_months_usage_in_the_tiers_of_its_month(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, tiers=[{"from": "0", "markup": "10"}, {"from": "100", "markup": "-5"}])
    record_call(acme, OCTOBER, cost=90 * USD)
    (october,) = close(acme, NOVEMBER + DAY * 3)
    assert october.net_nanos == 99 * USD
    record_call(acme, OCTOBER, cost=30 * USD)
    record_call(acme, NOVEMBER, cost=50 * USD)
    (november,) = close(acme, DECEMBER + DAY * 3)
    marked = [(line.start, line.nanos) for line in lines_of(acme, november) if line.kind == "markup"]
    assert marked == [(NOVEMBER, 5 * USD), (OCTOBER, USD), (OCTOBER, -USD)]


def test_an_invoice_of_before_plans_were_told_apart_is_billed_nothing_twice(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, markup="50")
    record_call(acme, OCTOBER + DAY, cost=100 * USD)
    close(acme, NOVEMBER + DAY * 3)
    # Its lines are over the whole month, and there are two plans in it: that is what such an invoice left behind.
    changed = OCTOBER + DAY * 9
    with org_scope(acme.org.pk):
        row = Subscription.objects.get()
        Subscription.objects.filter(pk=row.pk).update(ends_at=changed)
        Subscription.objects.create(org=acme.org, plan=make_plan(markup="10"), starts_at=changed)
    record_call(acme, OCTOBER + DAY * 20, cost=10 * USD)
    (november,) = close(acme, DECEMBER + DAY * 3)
    assert [(line.kind, line.nanos) for line in lines_of(acme, november)] == [
        ("late_usage", 10 * USD),
        ("markup", USD),
    ]
    assert billed_sum(acme, OCTOBER) == ledger_sum(acme, OCTOBER, NOVEMBER)


def test_no_two_plans_hold_at_once(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, fee="31")
    with org_scope(acme.org.pk):
        # It was to end with the month, and then another one was chosen before.
        end_subscription(actor=acme.owner, at=NOVEMBER)
        subscribe(actor=acme.owner, plan=make_plan(markup="10"), at=OCTOBER + DAY * 10)
    record_call(acme, OCTOBER + DAY * 20, cost=10 * USD)
    (october,) = close(acme, NOVEMBER + DAY * 3)
    assert [(line.kind, line.nanos) for line in lines_of(acme, october)] == [
        ("fee", 10 * USD),
        ("usage", 10 * USD),
        ("markup", USD),
    ]


def test_a_currency_changes_at_a_months_end_alone(world: World) -> None:
    acme = world.acme
    with org_scope(acme.org.pk):
        update_organization(actor=acme.owner, time_zone="Europe/Berlin")
    make_customer(acme, since=OCTOBER, markup="10")
    euros = make_plan(currency="EUR")
    with org_scope(acme.org.pk):
        with pytest.raises(InvalidField, match=r"in USD.* in EUR can begin at 2026-11-01T00:00:00\+01:00") as error:
            subscribe(actor=acme.owner, plan=euros, at=OCTOBER + DAY * 9)
        assert error.value.field == "at"
        assert Subscription.objects.get().ends_at is None
        subscribe(actor=acme.owner, plan=euros, at=NOVEMBER - HOUR)
    record_call(acme, NOVEMBER - HOUR * 2, cost=100 * USD)
    set_exchange_rate(currency="EUR", day=(DECEMBER - DAY).date(), rate=Decimal("0.9"), source="ECB")
    record_call(acme, NOVEMBER, cost=100 * USD)
    (october,) = close(acme, NOVEMBER + DAY * 3)
    (november,) = close(acme, DECEMBER + DAY * 3)
    assert [(each.currency, each.net_cents) for each in (october, november)] == [("USD", 11_000), ("EUR", 9_000)]


def test_a_month_that_waited_is_issued_after_a_later_one_too(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, currency="EUR", grace_days=0)
    record_call(acme, OCTOBER + DAY, cost=100 * USD)
    assert close(acme, NOVEMBER + DAY * 3) == []
    set_exchange_rate(currency="EUR", day=(NOVEMBER + DAY * 9).date(), rate=Decimal("0.9"), source="ECB")
    (november,) = close(acme, DECEMBER + DAY * 3)
    assert november.period_start == NOVEMBER
    # October's rate comes last. Whoever closes looks at the customer, whose last month is invoiced.
    set_exchange_rate(currency="EUR", day=OCTOBER.date(), rate=Decimal("0.8"), source="ECB")
    assert list_to_close([acme.org.pk], DECEMBER + DAY * 4) == [acme.org.pk]
    (october,) = close(acme, DECEMBER + DAY * 4)
    assert (october.period_start, october.net_cents) == (OCTOBER, 8_000)
    assert list_to_close([acme.org.pk], DECEMBER + DAY * 5) == []


def test_the_last_month_of_whoever_left_is_issued_however_long_its_grace_is(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, grace_days=40)
    record_call(acme, OCTOBER + DAY, cost=100 * USD)
    with org_scope(acme.org.pk):
        end_subscription(actor=acme.owner, at=OCTOBER + DAY * 9)
    assert close(acme, NOVEMBER + DAY * 3) == []
    later = NOVEMBER + DAY * 41
    assert list_to_close([acme.org.pk], later) == [acme.org.pk]
    (october,) = close(acme, later)
    assert october.net_cents == 10_000
    assert list_to_close([acme.org.pk], later) == []


def test_a_draft_of_another_time_zone_bills_nothing_again(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, grace_days=2)
    record_call(acme, OCTOBER + DAY, cost=100 * USD)
    close(acme, NOVEMBER + HOUR)
    with org_scope(acme.org.pk):
        update_organization(actor=acme.owner, time_zone="Asia/Tokyo")
    close(acme, NOVEMBER + HOUR * 2)
    with org_scope(acme.org.pk):
        assert Invoice.objects.get().period_start == OCTOBER
    (october,) = close(acme, NOVEMBER + DAY * 3)
    assert october.usage_nanos == 100 * USD
    assert close(acme, NOVEMBER + DAY * 4) == []


@pytest.mark.parametrize("cost", [0, 1, -1])
def test_months_of_next_to_nothing(world: World, cost: int) -> None:
    make_customer(world.acme, since=OCTOBER)
    record_call(world.acme, OCTOBER, cost=cost)
    (invoice,) = close(world.acme, NOVEMBER + DAY * 3)
    # Nothing is owed, so there is nothing to pay.
    assert (invoice.total_cents, invoice.state, invoice.usage_nanos) == (0, "paid", cost)


def test_a_month_ends_where_the_tenant_lives(world: World) -> None:
    acme = world.acme
    with org_scope(acme.org.pk):
        update_organization(actor=acme.owner, time_zone="America/New_York")
    make_customer(acme, since=OCTOBER + DAY)
    record_call(acme, NOVEMBER + HOUR * 3, cost=1)
    record_call(acme, NOVEMBER + HOUR * 5, cost=2)
    (invoice,) = close(acme, NOVEMBER + DAY * 3)
    # The last of October in New York is four hours longer than in Greenwich.
    assert (invoice.period_end, invoice.usage_nanos) == (NOVEMBER + HOUR * 4, 1)


def test_a_tenant_that_moves_to_another_zone_is_billed_for_every_hour_once(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER)
    for hour in range(-30, 30, 3):
        record_call(acme, NOVEMBER + HOUR * hour, cost=1)
    close(acme, NOVEMBER + DAY * 3)
    with org_scope(acme.org.pk):
        update_organization(actor=acme.owner, time_zone="Asia/Tokyo")
    close(acme, DECEMBER + DAY * 3)
    with org_scope(acme.org.pk):
        spans = list(Invoice.objects.order_by("period_start").values_list("period_start", "period_end"))
        total = sum(Invoice.objects.values_list("usage_nanos", flat=True))
    assert spans == [(OCTOBER, NOVEMBER), (NOVEMBER, DECEMBER - HOUR * 9)]
    assert total == 20


def test_only_the_fee_where_the_tenant_pays_its_upstreams(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=SEPTEMBER, fee="99", pass_through=True)
    record_call(acme, SEPTEMBER + DAY, cost=5 * USD)
    close(acme, OCTOBER + DAY * 3)
    # A later plan that bills usage does not go back for it.
    with org_scope(acme.org.pk):
        subscribe(actor=acme.owner, plan=make_plan(fee="0"), at=OCTOBER + DAY * 4)
    record_call(acme, OCTOBER + DAY, cost=3 * USD)
    record_call(acme, OCTOBER + DAY * 5, cost=2 * USD)
    (october,) = close(acme, NOVEMBER + DAY * 3)
    assert [(line.kind, line.nanos) for line in lines_of(acme, october)][1:] == [("usage", 2 * USD)]


def test_who_leaves_pays_until_then_and_no_longer(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, fee="31")
    record_call(acme, OCTOBER + DAY, cost=7)
    with org_scope(acme.org.pk):
        end_subscription(actor=acme.owner, at=OCTOBER + DAY * 10)
    (last,) = close(acme, NOVEMBER + DAY * 3)
    assert [line.nanos for line in lines_of(acme, last)] == [10 * USD, 7]
    assert close(acme, DECEMBER + DAY * 3) == []
    with org_scope(acme.org.pk), pytest.raises(InvalidField, match="invoiced already"):
        subscribe(actor=acme.owner, plan=make_plan(), at=OCTOBER + DAY * 20)


def test_no_month_is_too_long_ago_to_be_invoiced(world: World) -> None:
    acme = world.acme
    months = [datetime(2026, month, 1, tzinfo=UTC) for month in range(3, 12)]
    # The contract was typed in months after it had begun, and again after a pause of two.
    make_customer(acme, since=months[0] + DAY * 15, fee="31")
    with org_scope(acme.org.pk):
        end_subscription(actor=acme.owner, at=months[3])
        subscribe(actor=acme.owner, plan=make_plan(fee="7"), at=months[5])
    record_call(acme, months[1], cost=2 * USD)
    record_call(acme, months[4], cost=3 * USD)
    later = NOVEMBER + DAY * 3
    assert list_to_close([acme.org.pk], later) == [acme.org.pk]
    issued = close(acme, later)
    assert [(each.period_start.month, each.net_cents) for each in issued] == [
        (3, 1_600),
        (4, 3_300),
        (5, 3_100),
        (8, 700),
        (9, 700),
        (10, 700),
    ]
    assert list_to_close([acme.org.pk], later) == []
    assert close(acme, later + DAY) == []


def test_who_left_while_nobody_closed_is_invoiced_all_the_same(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=SEPTEMBER, fee="30")
    with org_scope(acme.org.pk):
        end_subscription(actor=acme.owner, at=SEPTEMBER + DAY * 10)
    later = DECEMBER + DAY * 3
    assert list_to_close([acme.org.pk], later) == [acme.org.pk]
    (september,) = close(acme, later)
    assert (september.period_start, september.net_cents) == (SEPTEMBER, 1_000)
    assert list_to_close([acme.org.pk], later) == []


def test_a_month_that_was_left_out_is_cut_where_its_neighbours_begin(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=SEPTEMBER)
    for hour in range(-30, 30, 3):
        record_call(acme, OCTOBER + HOUR * hour, cost=1)
        record_call(acme, NOVEMBER + HOUR * hour, cost=1)
    close(acme, OCTOBER + DAY * 3)
    with org_scope(acme.org.pk):
        update_organization(actor=acme.owner, time_zone="Asia/Tokyo")
        november = [NOVEMBER - HOUR * 9, DECEMBER - HOUR * 9]
        account = BillingAccount.objects.get()
        open_invoice(acme.owner, account, november[0], november[1])
        update_organization(actor=acme.owner, time_zone="America/New_York")
    issued = close(acme, DECEMBER + DAY * 3)
    assert [(each.period_start, each.period_end, each.usage_nanos) for each in issued] == [
        (OCTOBER, november[0], 10 + 7),
        (november[0], november[1], 3 + 10),
    ]


def test_what_comes_late_to_who_has_left_has_an_invoice_of_its_own(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, fee="31", markup="10", currency="EUR", grace_days=2)
    set_exchange_rate(currency="EUR", day=(NOVEMBER - DAY).date(), rate=Decimal("0.5"), source="ECB")
    with org_scope(acme.org.pk):
        end_subscription(actor=acme.owner, at=OCTOBER + DAY * 10)
    record_call(acme, OCTOBER + DAY, cost=100 * USD)
    # What is not under a contract is nobody's: such calls are refused.
    record_call(acme, OCTOBER + DAY * 20, cost=1_000 * USD)
    close(acme, NOVEMBER + DAY * 3)
    record_call(acme, OCTOBER + DAY * 2, cost=20 * USD, recorded_at=NOVEMBER + DAY * 9)
    while roll_up():
        pass
    # It is on the invoice of the month that follows, as that of a customer would be.
    assert close(acme, NOVEMBER + DAY * 20) == []
    assert list_to_close([acme.org.pk], NOVEMBER + DAY * 20) == []
    assert list_to_close([acme.org.pk], DECEMBER) == [acme.org.pk]
    assert close(acme, DECEMBER) == []
    assert list_to_close([acme.org.pk], DECEMBER + DAY) == [], "it is in its days of grace"
    (late,) = close(acme, DECEMBER + DAY * 2)
    assert (late.period_start, late.period_end, late.currency, late.net_cents) == (NOVEMBER, DECEMBER, "EUR", 1_100)
    assert [(line.kind, line.nanos, line.start) for line in lines_of(acme, late)] == [
        ("late_usage", 20 * USD, OCTOBER),
        ("markup", 2 * USD, OCTOBER),
    ]
    assert late.due_at == DECEMBER + DAY * 16
    again = datetime(2027, 1, 3, tzinfo=UTC)
    assert list_to_close([acme.org.pk], again) == []
    assert close(acme, again) == []


def test_another_currency_takes_the_rate_of_the_months_end_and_keeps_it(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, fee="100", currency="EUR")
    assert close(acme, NOVEMBER + DAY * 3) == []
    with org_scope(acme.org.pk):
        assert Invoice.objects.get().problem == "There is no exchange rate of EUR yet."
    set_exchange_rate(currency="EUR", day=(NOVEMBER - DAY).date(), rate=Decimal("0.9"), source="ECB")
    (invoice,) = close(acme, NOVEMBER + DAY * 4)
    assert (invoice.currency, invoice.rate, invoice.total_cents) == ("EUR", Decimal("0.9"), 9_000)
    assert invoice.rate_source == "ECB"


def test_a_rate_of_long_ago_is_none(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, fee="100", currency="EUR")
    set_exchange_rate(currency="EUR", day=(OCTOBER - DAY).date(), rate=Decimal("0.8"), source="ECB")
    assert close(acme, NOVEMBER + DAY * 3) == []
    with org_scope(acme.org.pk):
        assert Invoice.objects.get().problem == (
            "The newest exchange rate of EUR is that of 2026-09-30, and the month ends more than 31 days later: set a"
            " newer one."
        )
    set_exchange_rate(currency="EUR", day=OCTOBER.date(), rate=Decimal("0.9"), source="ECB")
    (invoice,) = close(acme, NOVEMBER + DAY * 4)
    assert (invoice.rate, invoice.problem) == (Decimal("0.9"), "")


def test_a_tax_rate_that_is_missing_waits_and_says_so(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, fee="100", account={"country": "IT", "tax_id": ""})
    assert close(acme, NOVEMBER + DAY * 3) == []
    with org_scope(acme.org.pk):
        assert Invoice.objects.get().problem.startswith("There is no tax rate for IT")
    LegalEntity.objects.all().update(tax_rates={"IT": 2_200})
    (invoice,) = close(acme, NOVEMBER + DAY * 4)
    assert (invoice.tax_cents, invoice.total_cents, invoice.problem) == (2_200, 12_200, "")


def test_what_is_issued_never_changes(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, fee="1")
    (invoice,) = close(acme, NOVEMBER + DAY * 3)
    statements = [
        "UPDATE billing_invoice SET total_cents = 0 WHERE id = %s",
        "UPDATE billing_invoice SET number = '' WHERE id = %s",
        "UPDATE billing_invoice SET state = 'draft' WHERE id = %s",
        "DELETE FROM billing_invoice WHERE id = %s",
        "UPDATE billing_invoiceline SET nanos = 0 WHERE invoice_id = %s",
        "DELETE FROM billing_invoiceline WHERE invoice_id = %s",
    ]
    with org_scope(acme.org.pk):
        for statement in statements:
            with (
                pytest.raises(IntegrityError, match="never changes"),
                transaction.atomic(),
                connection.cursor() as cursor,
            ):
                cursor.execute(statement, [invoice.pk])
        with pytest.raises(Conflict, match="make a note"):
            refresh_invoice(acme.owner, invoice, DECEMBER)
        assert issue_invoice(acme.owner, invoice, DECEMBER).issued_at == NOVEMBER + DAY * 3
        assert Invoice.objects.get().state == InvoiceState.ISSUED


def test_a_number_that_was_not_used_is_the_next_ones(world: World) -> None:
    seller = make_seller()
    make_customer(world.acme, seller=seller, since=OCTOBER, fee="1")
    make_customer(world.mallcorp, seller=seller, since=OCTOBER, fee="1", account={"emails": []})
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        close(world.acme, NOVEMBER + DAY * 3)
        raise ZeroDivisionError
    (theirs,) = close(world.mallcorp, NOVEMBER + DAY * 3)
    (ours,) = close(world.acme, NOVEMBER + DAY * 3)
    assert (theirs.number, ours.number) == (f"{seller.prefix}000001", f"{seller.prefix}000002")


def test_a_month_below_zero_is_taken_into_account_by_those_that_follow(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=SEPTEMBER)
    call = record_call(acme, SEPTEMBER, cost=30 * USD)
    close(acme, OCTOBER + DAY * 3)
    record_correction(acme, call, -25 * USD)
    (october,) = close(acme, NOVEMBER + DAY * 3)
    assert (october.total_cents, october.due_cents, october.state) == (-2_500, 0, "paid")
    record_call(acme, NOVEMBER, cost=100 * USD)
    (november,) = close(acme, DECEMBER + DAY * 3)
    assert (november.total_cents, november.carried_cents, november.due_cents) == (10_000, 2_500, 7_500)


def test_a_draft_that_was_voided_is_not_made_again(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, fee="49.00")
    assert close(acme, NOVEMBER + timedelta(hours=1)) == []
    with org_scope(acme.org.pk):
        assert void_invoice(actor=acme.owner, invoice=Invoice.objects.get(), reason="A gift", now=NOVEMBER) is None
    assert close(acme, NOVEMBER + DAY * 5) == []
    with org_scope(acme.org.pk):
        assert Invoice.objects.get().state == InvoiceState.VOID
    (november,) = close(acme, DECEMBER + DAY * 5)
    assert (november.period_start, november.total_cents) == (NOVEMBER, 4_900)
