"""The operator's page of customers."""

import json
import re
from html import unescape
from uuid import UUID, uuid4

import pytest
import time_machine

from billing.invoices.actions.sellers import create_plan
from billing.invoices.actions.wallet import add_credits
from billing.invoices.choices import WalletAccount
from billing.invoices.models import BillingAccount, Invoice, Plan, StripeEvent, WalletTransfer
from costhub.lib import clock
from tenants.access import org_scope
from tenants.models import AuditEntry, Organization
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, close, make_customer, make_plan
from tests.billing.ledger import record_call
from tests.console.client import Visit, error_of, rows_of, text_of
from tests.console.test_staff import make_operator
from tests.world import World

CLOSED = NOVEMBER + DAY * 3


def before(org: Organization) -> UUID:
    return UUID(int=org.pk.int - 1)


def test_who_owes_what_since_when_and_what_waits(world: World) -> None:
    make_customer(world.acme, plan=make_plan(fee="49.00"), since=OCTOBER)
    make_customer(world.mallcorp, plan=make_plan(fee="5.00", currency="EUR"), since=OCTOBER)
    for tenant in (world.acme, world.mallcorp):
        close(tenant, CLOSED)
    with org_scope(world.acme.org.pk):
        BillingAccount.objects.filter(org=world.acme.org).update(
            dunning="read_only", refusal="Stripe refused: no card."
        )
        Invoice.objects.filter(org=world.acme.org).update(refusal="Stripe refused: no such customer.")
    with time_machine.travel(CLOSED + DAY * 20, tick=False):
        olga = Visit(make_operator())
        # Each from its own place on: other tests may have left many customers.
        of_acme, of_mallcorp = (
            olga.get(f"/staff/customers?after={before(it.org)}") for it in (world.acme, world.mallcorp)
        )
        named, nobody = (olga.get(f"/staff/customers?q={text}") for text in ("ACM", uuid4()))
    assert of_acme["Cache-Control"] == "private, no-store"
    assert any("acme" in row for row in rows_of(named))
    assert not any("mallcorp" in row for row in rows_of(named))
    assert "No customer is called so" in text_of(nobody)
    for words in ("49.00 USD", "18 Nov 2026", "read only", "refused: no card.", ": Stripe refused: no such customer."):
        assert words in text_of(of_acme)
    assert "There is no exchange rate of EUR yet." in text_of(of_mallcorp)


def test_credits_that_were_given_back_are_booked(world: World) -> None:
    acme = world.acme
    make_customer(acme, plan=make_plan(prepaid=True), since=OCTOBER)
    with org_scope(acme.org.pk):
        add_credits(actor=acme.owner, amount_nanos=10 * 10**9, reference="wire 1")
    olga, page = Visit(make_operator()), f"/staff/customers?after={before(acme.org)}"
    assert "$10.000000000" in text_of(olga.get(page))
    path = f"/staff/customers/{acme.org.pk}/refund"
    for typed, words in (
        ({"amount": "11", "reference": "wire 2"}, "up to 10.000000000 USD"),
        ({"amount": "x", "reference": "wire 2"}, "Give an amount in USD"),
        ({"amount": "4"}, "Say in one line"),
    ):
        assert olga.post(path, typed).headers["Location"] == "/staff/customers"
        assert words in text_of(olga.get("/staff/customers")), words
    for _ in range(2):
        olga.post(path, {"amount": "4", "reference": "wire 2"})
    assert "$4.00 were given back to Acme." in text_of(olga.get("/staff/customers"))
    with org_scope(acme.org.pk):
        back = WalletTransfer.objects.get(credit="cash")
        assert (back.amount_nanos, back.created_by) == (4 * 10**9, "operator olga@costhub.example")
        entry = AuditEntry.objects.get(target_id=str(back.pk))
        assert (entry.actor, entry.action) == ("operator olga@costhub.example", "wallet_transfer.created")
    assert olga.post("/staff/customers/x/refund", {"amount": "4"}).status_code == 404
    assert Visit(world.ada).post(path, {"amount": "4", "reference": "mine"}).status_code == 404


def test_what_can_be_given_back_is_shown_and_the_list_stays_where_it_was(world: World) -> None:
    acme = world.acme
    make_customer(acme, plan=make_plan(prepaid=True), since=OCTOBER)
    with org_scope(acme.org.pk):
        add_credits(actor=acme.owner, amount_nanos=10 * 10**9, reference="wire 1")
    record_call(acme, clock.now(), cost=3 * 10**9)
    olga, query = Visit(make_operator()), f"q=acme&sort=-name&after={before(acme.org)}"
    page = olga.get(f"/staff/customers?{query}")
    assert "$10.000000000 $7.000000000 not spent yet" in text_of(page)
    action = f"/staff/customers/{acme.org.pk}/refund?{query}"
    assert f'action="{action}"' in unescape(page.content.decode())
    for amount, words in (("8", "up to 7.000000000 USD"), ("7", "$7.00 were given back to Acme.")):
        answer = olga.post(action, {"amount": amount, "reference": "wire 2"})
        assert answer.headers["Location"] == f"/staff/customers?{query}"
        assert words in text_of(olga.get("/staff/customers"))
    # Only what the list knows is kept.
    assert olga.post(f"{action}&x=1", {"amount": "1"}).headers["Location"] == f"/staff/customers?{query}"
    page = olga.get(f"/staff/customers?{query}")
    assert "$3.000000000 $0.000000000 not spent yet" in text_of(page)
    assert "/refund" not in page.content.decode()


def test_of_a_gift_nothing_is_offered_to_be_given_back(world: World) -> None:
    acme = world.acme
    make_customer(acme, plan=make_plan(prepaid=True), since=OCTOBER)
    olga, page = Visit(make_operator()), f"/staff/customers?after={before(acme.org)}"
    offered = []
    for reference, source in (("gift", WalletAccount.PROMOTIONS), ("wire 1", WalletAccount.CASH)):
        with org_scope(acme.org.pk):
            add_credits(actor=acme.owner, amount_nanos=10 * 10**9, reference=reference, source=source)
        offered.append(f"/staff/customers/{acme.org.pk}/refund" in olga.get(page).content.decode())
    assert offered == [False, True]


def test_customers_are_sorted_by_name_from_page_to_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("costhub.console.customers._ROWS_A_PAGE", 1)
    plan, olga = make_plan(fee="5.00"), Visit(make_operator())
    for tenant in (world.acme, world.mallcorp):
        make_customer(tenant, plan=plan, since=OCTOBER)
    for sort, order in (("name", ["acme", "mallcorp"]), ("-name", ["mallcorp", "acme"])):
        seen, path = list[str](), f"/staff/customers?q=c&sort={sort}"
        while path and len(seen) < 500:
            page = olga.get(path)
            seen += [name for row in rows_of(page) for name in order if name in row]
            more = re.search(r'href="([^"]*after=[^"]*)"', page.content.decode())
            path = unescape(more[1]) if more and len(set(seen)) < 2 else ""
        assert seen == order, sort
    assert olga.get("/staff/customers?sort=owed").status_code == 400


def test_to_anybody_else_it_is_not_there(world: World) -> None:
    assert Visit(world.ada).get("/staff/customers").status_code == 404
    assert Visit(None).get("/staff/customers").headers["Location"] == "/login?next=/staff/customers"
    assert Visit(make_operator(has_factor=False)).get("/staff/customers").headers["Location"] == "/account/2fa/"


def test_an_event_of_stripe_s_that_was_given_up_is_tried_again(world: World) -> None:
    acme = world.acme
    make_customer(acme, plan=make_plan(), since=OCTOBER)
    with org_scope(acme.org.pk):
        BillingAccount.objects.update(stripe_customer="cus_acme")
    event = f"evt_{uuid4().hex}"
    body = {"id": event, "type": "invoice.paid", "data": {"object": {"customer": "cus_acme"}}}
    row = StripeEvent.objects.create(
        id=event,
        kind="invoice.paid",
        body=json.dumps(body).encode(),
        tries=20,
        given_up_at=clock.now(),
        error="It cannot be <now>.",
    )
    olga, path = Visit(make_operator()), f"/staff/stripe-events/{row.pk}/retry"
    page = olga.get("/staff/customers")
    assert "Stripe: invoice.paid, of Acme" in text_of(page)
    assert "It cannot be <now>." in unescape(page.content.decode())
    assert f'action="{path}"' in page.content.decode()
    assert Visit(world.ada).post(path).status_code == 404
    assert olga.post(path).headers["Location"] == "/staff/customers"
    page = olga.get("/staff/customers")
    assert f"The event {row.pk} is tried again within seconds." in text_of(page)
    assert "It is being tried again." in text_of(page)
    assert f'action="{path}"' in page.content.decode()
    row.refresh_from_db()
    assert (row.tries, row.waits_until) == (0, None)
    with org_scope(acme.org.pk):
        entry = AuditEntry.objects.get(org=acme.org, target_id=row.pk)
        assert (entry.actor, entry.action) == ("operator olga@costhub.example", "stripe_event.retried")
    row.applied_at = clock.now()
    row.save()
    olga.post(path)
    assert "Only an event that was given up" in text_of(olga.get("/staff/customers"))
    for unknown in ("evt_x", "%00", "%C3%A9"):
        assert olga.post(f"/staff/stripe-events/{unknown}/retry").status_code == 404


def test_without_customers_it_says_what_to_do(world: World) -> None:
    # behind the last of all ids: other tests may have made some
    page = Visit(make_operator()).get("/staff/customers?after=ffffffff-ffff-ffff-ffff-ffffffffffff")
    assert "No customer yet" in text_of(page)


def test_plans_show_each_version_with_what_is_said_in_it(world: World) -> None:
    olga = Visit(make_operator())
    name = f"team {uuid4().hex[:8]}"
    create_plan(name=name, terms={"fee": "400.00"})
    create_plan(name=name, terms={"fee": "500.00", "included": "1000.00", "prepaid": True}, is_public=True)
    rows = [row for row in rows_of(olga.get("/staff/plans")) if row.startswith(name)]
    today = f"{clock.now():%-d %b %Y}"
    assert [row.removeprefix(f"{name} ") for row in rows] == [
        f"2 fee 500.00 USD included 1000.00 USD prepaid yes {today} organisations themselves",
        f"1 fee 400.00 USD {today} operators",
    ]
    found = olga.get(f"/staff/plans?q={name.upper()}&sort=version")
    assert [row.removeprefix(f"{name} ")[0] for row in rows_of(found)] == ["1", "2"]
    assert olga.get("/staff/plans?sort=colour").status_code == 400
    assert Visit(world.ada).get("/staff/plans").status_code == 404


def test_a_plan_is_made_and_edited_by_its_next_version(world: World) -> None:
    olga, name = Visit(make_operator()), f"team {uuid4().hex[:8]}"
    new = "/staff/plans/new"
    assert "New plan" in text_of(olga.get("/staff/plans"))
    bad: list[tuple[dict[str, str], str]] = [
        ({"fee": "dear"}, "Give"),
        ({"markup": "lots"}, "Give"),
        ({"trial_days": "-1"}, "Give"),
        ({"models": "large"}, "Give two words a line"),
        ({"name": "\u202e"}, "visible characters"),
    ]
    for typed, words in bad:
        refused = olga.submit(new, **{"name": name, **typed})
        assert (refused.status_code, words in error_of(refused)) == (400, True), (typed, error_of(refused))
    made = olga.submit(new, name=name, fee="49.00", markup="12.5", models="large 5\nsmall -1", tiers="1000.00 -5")
    assert made.headers["Location"] == "/staff/plans"
    first = Plan.objects.get(name=name)
    assert (first.version, first.is_public, first.terms["fee"], first.terms["markup"]) == (
        1,
        False,
        "49.000000000",
        "12.5",
    )
    assert first.terms["models"] == {"large": "5", "small": "-1"}
    assert first.terms["tiers"] == [{"from": "1000.000000000", "markup": "-5"}]
    after = f"{new}?after={first.pk}"
    assert olga.submit(after, seat_fee="3.00", is_public="1").status_code == 302
    second = Plan.objects.get(name=name, version=2)
    assert second.terms == first.terms | {"seat_fee": "3.000000000"}, "the rest is as it was"
    assert second.is_public
    first.refresh_from_db()
    assert first.terms["seat_fee"] == "0.000000000", "a version never changes"
    assert Visit(world.ada).post(new, {"name": "mine"}).status_code == 404
