"""Invoices call by call, and the page of billing: plans, credits, means of payment and a month's papers."""

import io
import re
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from pytest_django import Settings

from billing.invoices.actions import top_up
from billing.invoices.actions.accounts import end_subscription
from billing.invoices.actions.dunning import settle_standing
from billing.invoices.actions.notes import make_note, mark_paid
from billing.invoices.models import BillingAccount, FinancePack, Invoice, InvoiceLine, Subscription
from tenants.access import org_scope
from tenants.actions.orgs import add_member
from tenants.choices import Role
from tenants.models import User
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, SEPTEMBER, close, make_customer, make_plan
from tests.billing.invoices.stripe_customer import make_stripe_customer
from tests.billing.ledger import NOW, record_call, record_correction
from tests.console.client import Visit, error_of, rows_of, text_of
from tests.stripe_double import StripeDouble
from tests.stripe_double.in_process import make_stripe
from tests.world import World, make_catalog

USD = 10**9


@pytest.fixture(autouse=True)
def _at_noon() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> StripeDouble:
    """A Stripe that the console asks."""
    made = StripeDouble(now=NOW.timestamp)
    made.add_meter("usage")
    settings.STRIPE_API_KEY = "sk_test_1"
    monkeypatch.setattr(top_up, "stripe_from_settings", lambda: make_stripe(made))
    return made


def test_a_document_says_until_when_it_is_owed_and_what_corrects_it(world: World) -> None:
    acme, ada = world.acme, Visit(world.ada)
    make_customer(acme, since=SEPTEMBER, fee="49.00", grace_days=0, payment_days=14)
    first, second = (close(acme, month)[0] for month in (OCTOBER, NOVEMBER))

    def state_of(invoice: Invoice) -> str:
        (row,) = (row for row in rows_of(ada.get("/o/acme/invoices")) if row.startswith(invoice.number))
        return row.split()[4 if invoice.kind == "invoice" else 5]

    # October's was due a week ago, September's five weeks ago.
    assert [state_of(each) for each in (first, second)] == ["overdue", "overdue"]
    with org_scope(acme.org.pk):
        mark_paid(actor=acme.owner, invoice=first, now=NOW)
        note = make_note(actor=acme.owner, invoice=second, amounts={1: 10 * USD}, reason="A day was lost", now=NOW)
    assert [state_of(each) for each in (first, second, note)] == ["paid", "overdue", "issued"]
    shown = text_of(ada.get(f"/o/acme/invoices/{second.pk}"))
    assert "State overdue Issued 1 Nov 2026 To be paid by 15 Nov 2026 Period" in shown
    assert f"Due 49.00 USD Left to pay 39.00 USD Corrected by {note.number}" in shown
    paid = text_of(ada.get(f"/o/acme/invoices/{first.pk}"))
    assert ("Paid 22 Nov 2026" in paid, "To be paid by" in paid, "Left to pay" in paid) == (True, False, False)
    page = ada.get(f"/o/acme/invoices/{note.pk}")
    assert f"State issued Credit note of {second.number} : A day was lost Issued 22 Nov 2026" in text_of(page)
    assert f'href="/o/acme/invoices/{second.pk}"' in page.content.decode()
    # What is taken back as a whole is owed by nobody, however long ago it was due.
    with org_scope(acme.org.pk):
        make_note(actor=acme.owner, invoice=second, amounts=None, reason="The rest", now=NOW)
    assert state_of(second) == "issued"
    shown = text_of(ada.get(f"/o/acme/invoices/{second.pk}"))
    assert ("Issued 1 Nov 2026" in shown, "To be paid by" in shown) == (True, False)


def test_from_a_line_to_the_very_calls(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, fee="49.00", markup="12.5")
    made = make_catalog(acme, input_per_million="0.15", output_per_million="2", effective_from=SEPTEMBER)
    assert made.price
    common: dict[str, Any] = {"price_id": made.price.pk, "input_tokens": 2_000_000}
    call = record_call(
        acme, OCTOBER + DAY, cost=300_000_000, list_cost=7_300_000_000, savings={"cache": 7 * USD}, **common
    )
    record_correction(acme, call, -1)
    other = record_call(acme, OCTOBER + DAY, cost=1, request_model="large")
    (invoice,) = close(acme, NOVEMBER + DAY * 3)
    ada, address = Visit(world.ada), f"/o/acme/invoices/{invoice.pk}"
    page = ada.get(address)
    rows = rows_of(page)
    assert rows[0].endswith("fee $49.00 0000000")
    assert "small: input tokens usage · default 2,000,000 $0.15 a million $0.3 00000000" in rows
    assert "small: markup on usage markup · default 12.5 % $0.0375 00000" in rows
    # What was saved is said, and not billed.
    assert "small: saved by cache savings · default saved $7.00 0000000" in rows
    with org_scope(acme.org.pk):
        line = InvoiceLine.objects.get(invoice=invoice, model="small", token_class="input")
    link = f"{address}/lines/{line.position}"
    assert f'href="{link}"' in page.content.decode()
    calls = ada.get(link)
    assert [str(call.id) in row for row in rows_of(calls)] == [True]
    assert str(other.id) not in calls.content.decode()
    assert f'href="/o/acme/requests/{call.id}"' in calls.content.decode()
    assert ada.get(f"/o/acme/requests/{call.id}").status_code == 200
    # A correction leads to the call that it corrects.
    with org_scope(acme.org.pk):
        rest = InvoiceLine.objects.get(invoice=invoice, model="small", token_class="other")
        fee = InvoiceLine.objects.get(invoice=invoice, kind="fee")
    both = ada.get(f"{address}/lines/{rest.position}")
    assert [f"correction of {call.id}" in row for row in rows_of(both)].count(True) == 1
    assert both.content.decode().count(f'href="/o/acme/requests/{call.id}"') == 2
    for nothing in (fee.position, 0, 99, "x"):
        assert ada.get(f"{address}/lines/{nothing}").status_code == 404
    refused = ada.get(f"{link}?cursor=x")
    assert (refused.status_code, error_of(refused) != "") == (400, True)


def test_many_calls_are_pages(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER)
    price = uuid4()
    moments = [OCTOBER + timedelta(minutes=number) for number in range(60)]
    ids = {str(record_call(acme, moment, cost=1, price_id=price).id) for moment in moments}
    (invoice,) = close(acme, NOVEMBER + DAY * 3)
    with org_scope(acme.org.pk):
        line = InvoiceLine.objects.get(invoice=invoice, kind="usage")
    ada, link = Visit(world.ada), f"/o/acme/invoices/{invoice.pk}/lines/{line.position}"
    first = ada.get(link)
    older = first.content.decode().split('class="button" href="?cursor=')[1].split('"')[0]
    second = ada.get(f"{link}?cursor={older}")
    shown = [
        found for page in (first, second) for found in re.findall(r'/requests/([0-9a-f-]{36})"', page.content.decode())
    ]
    assert (len(rows_of(first)), sorted(shown) == sorted(ids)) == (50, True)


def test_who_is_no_customer_is_told_whom_to_ask(world: World) -> None:
    make_plan(fee="1")
    page = Visit(world.ada).get("/o/acme/billing")
    assert "the operator of this installation makes it one" in text_of(page)
    assert "Choose Plan" not in text_of(page)
    assert Visit(world.ada).get("/o/acme/billing/top-up").status_code == 404


def test_another_plan_is_chosen(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, fee="49.00")
    plan = make_plan(fee="99.00", markup="5", models={"small": "0"})
    with org_scope(acme.org.pk):
        # Who owes may still choose, and pay.
        acme.org.is_read_only = True
        acme.org.save()
    ada = Visit(world.ada)
    page = text_of(ada.get("/o/acme/billing"))
    assert "Fee 49.00 USD" in page
    assert f"Choose {plan.name} fee 99.00 USD; markup 5 %; models small 0 %" in page
    assert ada.post("/o/acme/billing/plan", {"plan": str(plan.pk)}).status_code == 302
    assert f"The plan is {plan.name} from now on" in text_of(ada.get("/o/acme/billing"))
    with org_scope(acme.org.pk):
        assert Subscription.objects.get(ends_at=None).plan_id == plan.pk
    assert ada.post("/o/acme/billing/plan", {"plan": "x"}).status_code == 404
    assert ada.submit("/o/acme/billing/top-up", top_up_below="10", top_up_amount="50").status_code != 402
    assert "The plan has ended" not in page
    euros = make_plan(currency="EUR")
    ada.post("/o/acme/billing/plan", {"plan": str(euros.pk)})
    assert "This month is invoiced in USD" in text_of(ada.get("/o/acme/billing"))


def test_whose_plan_has_ended_is_told_so_and_chooses_another_one(world: World) -> None:
    make_customer(world.acme, since=OCTOBER)
    plan = make_plan(fee="5.00")
    with org_scope(world.acme.org.pk):
        end_subscription(actor=world.acme.owner)
    ada = Visit(world.ada)
    assert "The plan has ended, and calls are refused" in text_of(ada.get("/o/acme/billing"))
    assert "suspended: its plan has ended" in text_of(ada.get("/o/acme/settings"))
    ada.post("/o/acme/billing/plan", {"plan": str(plan.pk)})
    assert "The plan has ended" not in text_of(ada.get("/o/acme/billing"))
    assert "calls are taken" in text_of(ada.get("/o/acme/settings"))


def test_a_plan_is_ended_with_the_month_once_its_name_was_typed(world: World) -> None:
    acme = world.acme
    plan = make_plan(fee="49.00", included="10.00", seat_fee="1.00", prepaid=True)
    make_customer(acme, since=OCTOBER, plan=plan)
    ada = Visit(world.ada)
    words = (
        f"End the plan {plan.name} It ends with the month, on 1 December 2026, 00:00 (UTC). Until then everything is"
        " billed as agreed, the whole month's fee and seats too. Included usage is there until then; what of it is not"
        " used is gone. From then on calls are refused, until a plan is chosen again. Prepaid credits that are left"
        " stay yours, for the next prepaid plan."
    )
    page = text_of(ada.get("/o/acme/billing"))
    assert words in page
    assert f"Choose {plan.name}" not in page
    assert ada.post("/o/acme/billing/plan/end", {"confirm": "yes"}).status_code == 302
    assert f"Type {plan.name} exactly to confirm it." in text_of(ada.get("/o/acme/billing"))
    with org_scope(acme.org.pk):
        assert Subscription.objects.get().ends_at is None
    ada.post("/o/acme/billing/plan/end", {"confirm": plan.name})
    page = text_of(ada.get("/o/acme/billing"))
    assert "The plan ends on 1 December 2026, 00:00 (UTC)." in page
    assert "until 1 Dec 2026" in page
    # It is ended already, and may be chosen again.
    assert "End the plan" not in page
    assert f"Choose {plan.name}" in page
    with org_scope(acme.org.pk):
        ends_at = Subscription.objects.get().ends_at
        assert ends_at
        assert ends_at.isoformat() == "2026-12-01T00:00:00+00:00"
    assert Visit(world.mallory).post("/o/acme/billing/plan/end", {"confirm": plan.name}).status_code == 404


def test_a_plan_that_the_operator_agreed_is_not_ended_here(world: World) -> None:
    acme = world.acme
    plan = make_plan(fee="49.00")
    make_customer(acme, since=OCTOBER, plan=plan)
    with org_scope(acme.org.pk):
        Subscription.objects.update(overrides={"minimum": "100.00"})
    ada = Visit(world.ada)
    assert "End the plan" not in text_of(ada.get("/o/acme/billing"))
    ada.post("/o/acme/billing/plan/end", {"confirm": plan.name})
    assert "This plan was agreed with the operator" in text_of(ada.get("/o/acme/billing"))


def test_every_page_says_that_calls_are_refused_and_until_when_they_are_taken(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER)
    with org_scope(acme.org.pk):
        end_subscription(actor=acme.owner)
    ada = Visit(world.ada)
    assert "Calls of Acme are refused: its plan has ended." in text_of(ada.get("/o/acme/keys"))
    with org_scope(acme.org.pk):
        BillingAccount.objects.update(admitted_until=NOW + DAY * 7)
        settle_standing(acme.owner, NOW)
    assert "are refused" not in text_of(ada.get("/o/acme/keys"))
    words = "The plan has ended. Calls are taken until 29 November 2026, 12:00 (UTC), and refused from then on"
    assert words in text_of(ada.get("/o/acme/billing"))


def test_without_stripe_nothing_is_offered_that_needs_it(world: World, settings: Settings) -> None:
    settings.STRIPE_API_KEY = ""
    make_customer(world.acme, since=OCTOBER)
    page = text_of(Visit(world.ada).get("/o/acme/billing"))
    assert "by hand: each invoice says how to pay" in page
    assert "Buy credits" not in page
    assert "Means of payment" not in page


def test_credits_are_bought_at_stripe_and_by_themselves(world: World, double: StripeDouble) -> None:
    acme = world.acme
    make_stripe_customer(acme, make_stripe(double), since=OCTOBER, prepaid=True)
    ada = Visit(world.ada)
    assert "Prepaid credits $0.00 to be spent" in text_of(ada.get("/o/acme/billing"))
    page = ada.submit("/o/acme/billing/credits", amount="25")
    (session,) = double.sessions.values()
    assert session["amount_total"] == 2_500
    # A link, as no form of ours may lead to another site.
    assert f'href="{session["url"]}"' in page.content.decode()
    refused = ada.submit("/o/acme/billing/credits", amount="1")
    assert (refused.status_code, "from 5.00" in error_of(refused)) == (400, True)
    assert ada.submit("/o/acme/billing/top-up", top_up_below="10", top_up_amount="50.00").status_code == 302
    with org_scope(acme.org.pk):
        account = BillingAccount.objects.get()
    assert (account.top_up_below_nanos, account.top_up_nanos) == (10 * USD, 50 * USD)
    assert "$50.00 when fewer than $10.00 are left" in text_of(ada.get("/o/acme/billing"))
    assert ada.submit("/o/acme/billing/top-up", top_up_below="").status_code == 400
    assert ada.submit("/o/acme/billing/top-up", top_up_below="", top_up_amount="").status_code == 302
    with org_scope(acme.org.pk):
        assert BillingAccount.objects.get().top_up_nanos is None
    portal = ada.post("/o/acme/billing/portal")
    assert 'href="https://billing.stripe.example/' in portal.content.decode()
    double.troubles = ["500"]
    assert ada.post("/o/acme/billing/portal").status_code == 302
    assert "Stripe gave no answer" in text_of(ada.get("/o/acme/billing"))


def test_a_months_papers_are_one_archive(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, fee="49.00")
    (invoice,) = close(acme, NOVEMBER + DAY * 3)
    ada = Visit(world.ada)
    assert '<option value="2026-10">October 2026</option>' in ada.get("/o/acme/billing").content.decode()
    answer = ada.get("/o/acme/billing/papers?month=2026-10")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="finance-2026-10.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert f"invoices/{invoice.number}.pdf" in archive.namelist()
    for month in ("2026-09", "2026-11", "x", ""):
        assert ada.get(f"/o/acme/billing/papers?month={month}").status_code == 404


def test_papers_go_by_themselves_where_somebody_says(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, fee="49.00")
    close(acme, NOVEMBER + DAY * 3)
    ada, address = Visit(world.ada), "/o/acme/billing/papers-to"
    assert "They go nowhere by themselves." in text_of(ada.get("/o/acme/billing"))
    assert ada.submit(address, pack_to="mail").status_code == 302
    assert "They go by mail to the finance contacts." in text_of(ada.get("/o/acme/billing"))
    bucket = {
        "pack_to": "s3",
        "bucket_url": "https://s3.example/acme-finance",
        "bucket_region": "eu-central-1",
        "bucket_key_id": "AKIA1",
    }
    for typed, message in (
        (bucket, "Give the secret as plain letters"),
        (bucket | {"bucket_url": "https://s3.example", "bucket_secret": "s3cr3t"}, "with its name in the path"),
        (bucket | {"bucket_url": "https://127.0.0.1/b", "bucket_secret": "s3cr3t"}, "may not be called from here"),
        ({"pack_to": "s3"}, "Connect a bucket first"),
        ({"pack_to": "moon"}, "Choose one of the list"),
    ):
        refused = ada.submit(address, **typed)
        assert (refused.status_code, message in error_of(refused)) == (400, True), message
    assert ada.submit(address, **bucket, bucket_secret="s3cr3t").status_code == 302
    assert "They go to a bucket of your own." in text_of(ada.get("/o/acme/billing"))
    page = ada.get(address).content.decode()
    assert "https://s3.example/acme-finance" in page
    assert "s3cr3t" not in page
    # What stands there goes on without its secret; another address wants it again.
    assert ada.submit(address).status_code == 302
    moved = ada.submit(address, bucket_url="https://elsewhere.example/acme-finance")
    assert (moved.status_code, "Give the secret" in error_of(moved)) == (400, True)
    with org_scope(acme.org.pk):
        values = {"digest": "0" * 64, "problem": "It answered 403.", "tried_at": NOW}
        pack = FinancePack.objects.create(org=acme.org, month=OCTOBER.date(), **values)
    told = "Papers of October 2026: not delivered It answered 403. Tried 22 Nov 2026, 12:00 ; tried again by itself."
    assert told in text_of(ada.get("/o/acme/billing"))
    again = f"/o/acme/billing/papers/{pack.pk}/send"
    assert ada.post(again).status_code == 302
    page = text_of(ada.get("/o/acme/billing"))
    assert "The papers of October 2026 are sent again within minutes." in page
    with org_scope(acme.org.pk):
        pack.refresh_from_db()
        assert pack.tried_at is None
        FinancePack.objects.update(delivered_at=NOW)
    assert "not delivered" not in text_of(ada.get("/o/acme/billing"))
    ada.post(again)
    assert "was delivered: download it instead" in text_of(ada.get("/o/acme/billing"))
    assert ada.post(f"/o/acme/billing/papers/{uuid4()}/send").status_code == 404
    assert Visit(world.mallory).post(again).status_code == 404


@pytest.mark.parametrize(("role", "status"), [(Role.FINANCE, 200), (Role.VIEWER, 403)])
def test_who_may_see_money_opens_it(world: World, role: Role, status: int) -> None:
    make_customer(world.acme, since=OCTOBER)
    make_plan(fee="1")
    email = f"{role.value}@acme.example"
    with org_scope(world.acme.org.pk):
        add_member(actor=world.acme.owner, email=email, role=role)
    visit = Visit(User.objects.get(email=email))
    assert visit.get("/o/acme/billing").status_code == status
    assert Visit(world.mallory).get("/o/acme/billing").status_code == 404


def test_the_next_invoice_is_shown_line_by_line_while_its_month_runs(world: World) -> None:
    make_customer(world.acme, since=OCTOBER, fee="49.00", markup="10")
    record_call(world.acme, OCTOBER + DAY, cost=10 * USD)
    record_call(world.acme, NOVEMBER + DAY, cost=20 * USD)
    close(world.acme, NOVEMBER + DAY)
    ada = Visit(world.ada)
    with time_machine.travel(NOVEMBER + DAY * 2, tick=False):
        listed, found = ada.get("/o/acme/invoices"), ada.get("/o/acme/invoices/next")
        with org_scope(world.acme.org.pk):
            draft = Invoice.objects.get()
        in_grace = ada.get(f"/o/acme/invoices/{draft.pk}")
    assert "Next invoice so far 71.00 USD" in text_of(listed)
    assert 'href="/o/acme/invoices/next"' in listed.content.decode()
    text = text_of(found)
    assert "issued after 3 Dec 2026" in text
    for words in ("Next invoice", "draft", "Total 71.00 USD", "$49.00", "markup on usage"):
        assert words in text
    # Its lines are none of the database's yet.
    assert "/lines/" not in found.content.decode()
    assert "Total 60.00 USD" in text_of(in_grace)
    assert "/lines/" not in in_grace.content.decode()
    assert Visit(world.mallory).get("/o/acme/invoices/next").status_code == 404


def test_without_an_exchange_rate_no_sum_is_shown(world: World) -> None:
    make_customer(world.acme, since=OCTOBER, fee="49.00", currency="EUR")
    record_call(world.acme, NOW - timedelta(hours=1), cost=3 * USD)
    ada = Visit(world.ada)
    for path in ("/o/acme/invoices", "/o/acme/overview/money", "/o/acme/invoices/next"):
        page = ada.get(path)
        assert "There is no exchange rate of EUR yet." in page.content.decode(), path
        assert " EUR" not in text_of(page).replace("rate of EUR yet", ""), path
    assert "Next invoice so far not known yet" in text_of(ada.get("/o/acme/invoices"))
