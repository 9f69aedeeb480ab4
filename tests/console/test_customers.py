"""The operator's page of customers."""

from uuid import UUID, uuid4

import time_machine

from billing.invoices.actions.sellers import create_plan
from billing.invoices.models import BillingAccount, Plan
from costhub.lib import clock
from tenants.access import org_scope
from tenants.models import Organization
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, close, make_customer, make_plan
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
        BillingAccount.objects.filter(org=world.acme.org).update(dunning="read_only")
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
    for words in ("49.00 USD", "18 Nov 2026", "read only"):
        assert words in text_of(of_acme)
    assert "There is no exchange rate of EUR yet." in text_of(of_mallcorp)


def test_to_anybody_else_it_is_not_there(world: World) -> None:
    assert Visit(world.ada).get("/staff/customers").status_code == 404
    assert Visit(None).get("/staff/customers").headers["Location"] == "/login?next=/staff/customers"
    assert Visit(make_operator(has_factor=False)).get("/staff/customers").headers["Location"] == "/account/2fa/"


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
