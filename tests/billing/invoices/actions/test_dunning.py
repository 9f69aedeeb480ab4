"""Unpaid invoices: what comes when, and back at once."""

import re
from datetime import UTC, datetime, timedelta
from importlib import import_module

import pytest
import time_machine
from django.db import connection

from billing.invoices.actions.accounts import end_subscription, subscribe
from billing.invoices.actions.dunning import remind, settle_standing, tell_end
from billing.invoices.actions.mails import mail_invoice
from billing.invoices.actions.notes import make_note, mark_paid, mark_uncollectible, void_invoice
from billing.invoices.choices import DunningStage
from billing.invoices.core.dunning import gravest, stage_of
from billing.invoices.models import BillingAccount, Invoice, Subscription
from proxy.core.plan import check_running
from proxy.errors import OrganizationSuspended
from tenants.access import org_scope
from tenants.models import Organization
from tenants.selectors import load_key_snapshot, load_org_snapshot
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, close, make_customer, make_plan
from tests.billing.ledger import NOW, record_call
from tests.mail import MailSink
from tests.world import Tenant, World


def issue(tenant: Tenant) -> Invoice:
    make_customer(tenant, since=OCTOBER, fee="49.00")
    record_call(tenant, OCTOBER, cost=1_000_000_000)
    (invoice,) = close(tenant, NOVEMBER + DAY * 3)
    return invoice


@pytest.mark.parametrize(
    ("days", "stage"),
    [(-1, "none"), (0, "none"), (1, "reminded"), (6, "reminded"), (7, "warned"), (14, "read_only"), (21, "suspended")],
)
def test_what_an_invoice_comes_to(days: int, stage: str) -> None:
    assert stage_of(NOW, NOW + timedelta(days=days)) == stage


def test_the_gravest_counts() -> None:
    assert gravest([]) is DunningStage.NONE
    assert gravest([DunningStage.WARNED, DunningStage.READ_ONLY, DunningStage.NONE]) is DunningStage.READ_ONLY


def test_from_due_to_suspended_and_back_with_the_payment(world: World) -> None:
    acme = world.acme
    invoice = issue(acme)
    assert invoice.due_at

    def standing(days: int) -> tuple[str, bool, bool]:
        assert invoice.due_at
        with org_scope(acme.org.pk):
            stage = settle_standing(acme.owner, invoice.due_at + DAY * days)
        snapshot = load_org_snapshot(acme.org_id)
        acme.org.refresh_from_db()
        assert snapshot
        return stage, acme.org.is_read_only, snapshot.is_suspended

    with org_scope(acme.org.pk):
        found = [standing(days) for days in (0, 7, 14, 21)]
        assert found == [
            ("none", False, False),
            ("warned", False, False),
            ("read_only", True, False),
            ("suspended", True, True),
        ]
        mark_paid(actor=acme.owner, invoice=invoice, now=NOW)
        assert standing(22) == ("none", False, False)


def test_what_another_job_has_done_since_the_organisation_was_read_is_seen(world: World) -> None:
    acme = world.acme
    invoice = issue(acme)
    assert invoice.due_at
    with org_scope(acme.org.pk):
        # Suspended meanwhile, and paid.
        Organization.objects.filter(pk=acme.org.pk).update(is_read_only=True, is_suspended=True)
        settle_standing(acme.owner, invoice.due_at)
        stored = Organization.objects.get(pk=acme.org.pk)
    assert (stored.is_read_only, stored.is_suspended) == (False, False)


@pytest.mark.parametrize("how", ["paid", "credit note", "void", "uncollectible"])
def test_who_owes_nothing_any_more_is_let_in_in_the_same_moment(world: World, how: str) -> None:
    acme = world.acme
    invoice = issue(acme)
    assert invoice.due_at
    now = invoice.due_at + DAY * 22
    with org_scope(acme.org.pk):
        assert settle_standing(acme.owner, now) == "suspended"
        if how == "paid":
            mark_paid(actor=acme.owner, invoice=invoice, now=now)
        elif how == "credit note":
            make_note(actor=acme.owner, invoice=invoice, amounts=None, reason="All of it", now=now)
        elif how == "void":
            void_invoice(actor=acme.owner, invoice=invoice, reason="All of it", now=now)
        else:
            mark_uncollectible(actor=acme.owner, invoice=invoice, now=now)
        acme.org.refresh_from_db()
        assert BillingAccount.objects.get().dunning == "none"
    snapshot = load_org_snapshot(acme.org_id)
    assert snapshot
    assert (acme.org.is_read_only, snapshot.is_suspended) == (False, False)


def test_a_part_that_is_taken_back_leaves_the_rest_owed(world: World) -> None:
    acme = world.acme
    invoice = issue(acme)
    assert invoice.due_at
    now = invoice.due_at + DAY * 22
    with org_scope(acme.org.pk):
        settle_standing(acme.owner, now)
        make_note(actor=acme.owner, invoice=invoice, amounts={1: 10**9}, reason="A part", now=now)
        assert BillingAccount.objects.get().dunning == "suspended"


def test_a_suspended_organisation_is_told_so(world: World) -> None:
    acme = world.acme
    key = load_key_snapshot(bytes(acme.key.digest))
    with org_scope(acme.org.pk):
        acme.org.is_suspended = True
        acme.org.save()
    org = load_org_snapshot(acme.org_id)
    assert key
    assert org
    with pytest.raises(OrganizationSuspended) as raised:
        check_running(key, org)
    assert (raised.value.status, raised.value.error_code) == (402, "organization_suspended")
    assert raised.value.headers == {"x-should-retry": "false"}


def test_each_stage_is_mailed_once(world: World, sink: MailSink) -> None:
    acme = world.acme
    invoice = issue(acme)
    assert invoice.due_at
    with org_scope(acme.org.pk):
        sent = [remind(acme.owner, invoice.due_at + DAY * days) for days in (0, 1, 2, 7, 8, 14, 21, 22)]
    assert sent == [0, 1, 0, 1, 0, 1, 1, 0]
    assert sink.subjects() == [f"Unpaid: invoice {invoice.number}"] * 4


def test_what_credit_notes_took_back_is_not_dunned(world: World, sink: MailSink) -> None:
    acme = world.acme
    invoice = issue(acme)
    assert invoice.due_at
    late = invoice.due_at + DAY * 21

    def take_back(nanos: int) -> None:
        make_note(actor=acme.owner, invoice=invoice, amounts={1: nanos}, reason="Too much", now=NOW)

    with org_scope(acme.org.pk):
        take_back(39_000_000_000)
        assert remind(acme.owner, invoice.due_at + DAY) == 1
        make_note(actor=acme.owner, invoice=invoice, amounts={2: 10**9}, reason="Too much", now=NOW)
        assert settle_standing(acme.owner, late) is DunningStage.SUSPENDED
        take_back(10_000_000_000)
        assert (settle_standing(acme.owner, late), remind(acme.owner, late)) == (DunningStage.NONE, 0)
    body = sink.mails[0].get_body()
    assert body
    assert "over USD 50.00 is not paid.\nOf it USD 11.00 are owed." in body.get_content().replace("\r\n", "\n")


def test_without_a_font_for_its_names_an_invoice_is_mailed_without_its_page(world: World, sink: MailSink) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, fee="49.00", account={"name": "株式会社 例"})
    (invoice,) = close(acme, NOVEMBER + DAY * 3)
    with org_scope(acme.org.pk):
        assert mail_invoice(acme.owner, invoice, NOW)
    (mail,) = sink.mails
    assert [part.get_filename() for part in mail.iter_attachments()] == [
        f"{invoice.number}.xml",
        f"{invoice.number}.csv",
    ]
    for kind in ("plain", "html"):
        body = mail.get_body((kind,))
        assert body
        assert "It has no PDF, as no font here has all letters of its names" in body.get_content()


def test_without_an_address_mails_wait_until_there_is_one(world: World, sink: MailSink) -> None:
    acme = world.acme
    invoice = issue(acme)
    assert invoice.due_at
    late = invoice.due_at + DAY
    with org_scope(acme.org.pk):
        BillingAccount.objects.update(emails=[])
        assert (mail_invoice(acme.owner, invoice, NOW), remind(acme.owner, late)) == (False, 0)
        assert Invoice.objects.get().mailed_at is None
        BillingAccount.objects.update(emails=["late@acme.example"])
        assert (mail_invoice(acme.owner, invoice, NOW), remind(acme.owner, late)) == (True, 1)
    assert sink.subjects() == [f"Invoice {invoice.number}", f"Unpaid: invoice {invoice.number}"]


def test_an_invoice_is_mailed_with_pdf_csv_and_the_reason_for_every_change(world: World, sink: MailSink) -> None:
    acme = world.acme
    invoice = issue(acme)
    sink.refusals = ["451 later"]
    with org_scope(acme.org.pk):
        assert not mail_invoice(acme.owner, invoice, NOW)
        assert mail_invoice(acme.owner, invoice, NOW)
        assert mail_invoice(acme.owner, invoice, NOW)
    (mail,) = sink.mails
    assert (mail["To"], mail["Subject"]) == ("finance@acme.example", f"Invoice {invoice.number}")
    body, page = mail.get_body(("plain",)), mail.get_body(("html",))
    assert body
    assert page
    text, shown = body.get_content(), page.get_content()
    assert "USD 50.00" in text
    assert "$1.00 more: $1.00 against $0.00." in text
    assert "- Number of calls: +$1.00. 1 calls after 0." in text
    # The bars of a mail are cells of a table: the bill before, what came to it, and the bill.
    widths = re.findall(r'<td width="(\d+)%"[^>]*background:(#\w+)', shown)
    assert widths == [("1", "#7b8496"), ("100", "#c2571f"), ("100", "#7b8496")]
    assert "- Number of calls: +$1.00. 1 calls after 0." in shown
    assert [name in shown for name in ("September", "October", "+$1.00")] == [True] * 3
    names = [(part.get_filename(), part.get_content_type()) for part in mail.iter_attachments()]
    assert names == [(f"{invoice.number}.pdf", "application/pdf"), (f"{invoice.number}.csv", "text/csv")]


def end_plan(acme: Tenant, at: datetime) -> None:
    """Whose plan has ended."""
    make_customer(acme, since=OCTOBER, fee="49.00")
    Subscription.objects.filter(org=acme.org).update(ends_at=at)


def test_the_end_of_a_plan_is_mailed_once(world: World, sink: MailSink) -> None:
    acme = world.acme
    with org_scope(acme.org.pk):
        end_plan(acme, NOW)
        sink.refusals = ["451 later"]
        assert [tell_end(acme.owner, NOW + timedelta(hours=hours)) for hours in (-1, 1, 2, 3)] == [0, 0, 1, 0]
        plan = Subscription.objects.get().plan.name
    (mail,) = sink.mails
    body = mail.get_body()
    assert body
    assert body.get_content().replace("\r\n", "\n").strip().split("\n") == [
        f"The plan {plan} of Acme ended on 22 November 2026, 12:00.",
        "Calls are refused since then.",
        "Choose a plan under Invoices & billing: calls are taken again within seconds.",
    ]


def test_who_chose_another_plan_or_left_long_ago_is_told_of_no_end(world: World, sink: MailSink) -> None:
    acme = world.acme
    with org_scope(acme.org.pk):
        end_plan(acme, NOW)
        assert tell_end(acme.owner, NOW + DAY * 7) == 0
        subscribe(actor=acme.owner, plan=make_plan(), at=NOW + DAY)
        assert tell_end(acme.owner, NOW + DAY * 2) == 0
    assert sink.mails == []


def test_nobody_of_a_closed_organisation_is_told_to_choose_a_plan(world: World, sink: MailSink) -> None:
    """Once it is open again they are."""
    acme = world.acme
    with org_scope(acme.org.pk):
        end_plan(acme, NOW)
        sent = []
        for is_active in (False, True):
            acme.owner.org.is_active = is_active
            sent.append(tell_end(acme.owner, NOW + DAY))
    assert (sent, len(sink.mails)) == ([0, 1], 1)


def test_whose_plan_had_ended_before_calls_were_refused_for_it_is_let_in_for_a_week(
    world: World, sink: MailSink
) -> None:
    acme = world.acme
    with org_scope(acme.org.pk):
        end_plan(acme, NOW - DAY * 10)
        BillingAccount.objects.update(admitted_until=NOW + DAY * 7)
        refused = []
        for days in (0, 6, 7):
            settle_standing(acme.owner, NOW + DAY * days)
            refused.append(Organization.objects.get(pk=acme.org.pk).is_suspended)
        assert refused == [False, False, True]
        assert [tell_end(acme.owner, NOW + DAY * days) for days in (0, 1)] == [1, 0]
    body = sink.mails[0].get_body()
    assert body
    assert "Calls are still taken until 29 November 2026, 12:00, and refused from then on." in body.get_content()


def test_who_chooses_a_plan_in_that_week_has_no_days_after_it_for_nothing(world: World) -> None:
    """The week is for calls without a plan before; the next plan's end is as any other's."""
    acme = world.acme
    with org_scope(acme.org.pk):
        end_plan(acme, NOW - DAY * 10)
        BillingAccount.objects.update(admitted_until=NOW + DAY * 7)
        with time_machine.travel(NOW, tick=False) as travel:
            # One that begins later leaves the days until then as they are.
            subscribe(actor=acme.owner, plan=make_plan(), at=NOW + DAY)
            settle_standing(acme.owner, NOW)
            assert not Organization.objects.get(pk=acme.org.pk).is_suspended
            travel.shift(DAY)
            settle_standing(acme.owner, NOW + DAY)
            travel.shift(DAY)
            end_subscription(actor=acme.owner)
            assert Organization.objects.get(pk=acme.org.pk).is_suspended


@pytest.mark.parametrize(
    ("ends", "is_suspended", "is_let_in"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_an_upgrade_lets_those_in_whose_plan_had_ended_and_who_called(
    world: World, ends: bool, is_suspended: bool, is_let_in: bool
) -> None:
    acme = world.acme
    week = import_module("billing.migrations.0019_told_ends_of_plans")._WEEK
    with org_scope(acme.org.pk):
        end_plan(acme, NOW)
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        Subscription.objects.update(starts_at=long_ago, ends_at=long_ago + DAY if ends else None)
        Organization.objects.filter(pk=acme.org.pk).update(is_suspended=is_suspended)
        with connection.cursor() as cursor:
            cursor.execute(week)
            cursor.execute("SELECT now() + interval '7 days'")
            (wanted,) = cursor.fetchone()
        assert BillingAccount.objects.get().admitted_until == (wanted if is_let_in else None)
