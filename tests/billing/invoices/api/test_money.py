"""Re-rating, GPU endpoints and finance packs as their callers see them."""

from typing import Any

import pytest
import time_machine

from billing.invoices.models import BillingAccount
from tenants.access import org_scope
from tenants.actions.platform import create_platform_token
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, SEPTEMBER, close, make_customer, make_plan
from tests.billing.ledger import NOW, record_call
from tests.tenants.api.test_bad_input import check_problem
from tests.world import Api, World, make_catalog

CLOSED = NOVEMBER + DAY * 3


@pytest.fixture
def ada(world: World) -> Api:
    return Api(token=world.acme.admin_token)


def test_a_re_rating_is_looked_at_before_it_is_applied(ada: Api, world: World) -> None:
    made = make_catalog(world.acme, input_per_million="1", output_per_million="1", effective_from=SEPTEMBER)
    assert made.price
    attempt = {"certainty": "exact", "model": "small", "cost": 1_000, "usage": {"input": 1}}
    record_call(world.acme, OCTOBER, cost=1_000, price_id=made.price.pk, input_tokens=1, attempts=[attempt])
    right = {"model": "small", "input_per_million": "3", "output_per_million": "1", "effective_from": OCTOBER}
    assert ada.post("/prices", {**right, "effective_from": "2026-10-01T00:00:00Z"}).status_code == 201
    wanted = {"model": "small", "start": "2026-10-01T00:00:00Z", "to": "2026-11-01T00:00:00Z", "reason": "Mistyped"}
    row = ada.post("/reratings", wanted).json()
    assert {name: row[name] for name in ("state", "changed", "before", "after", "change")} == {
        "state": "previewed",
        "changed": 1,
        "before": "0.000001000",
        "after": "0.000003000",
        "change": "0.000002000",
    }
    refused = check_problem(ada.post(f"/reratings/{row['id']}/apply", {"change": "1.00"}))
    assert refused["status"] == 409
    approved = ada.post(f"/reratings/{row['id']}/apply", {"change": "0.000002000"}).json()
    assert approved["state"] == "approved"
    assert [each["id"] for each in ada.get("/reratings").json()["data"]] == [row["id"]]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model": "unknown"}, "model"),
        ({"to": "2026-09-01T00:00:00Z"}, "to"),
        ({"reason": ""}, "reason"),
        ({"start": 5}, "start"),
        ({"more": 1}, "more"),
    ],
)
def test_a_bad_re_rating_is_named(ada: Api, world: World, change: dict[str, Any], field: str) -> None:
    make_catalog(world.acme)
    wanted = {"model": "small", "start": "2026-10-01T00:00:00Z", "to": "2026-11-01T00:00:00Z", "reason": "Mistyped"}
    problem = check_problem(ada.post("/reratings", wanted | change))
    assert (problem["status"], problem["errors"][0]["field"]) == (400, field)


def test_gpus_are_charged_by_the_hour(ada: Api, world: World) -> None:
    make_catalog(world.acme, input_per_million="0", output_per_million="0")
    wanted = {
        "name": "llama",
        "upstream": "for small",
        "project": "default",
        "gpus": "0.25",
        "per_hour": "2.50",
        "basis": "allocation",
    }
    with time_machine.travel(NOW, tick=False):
        row = ada.post("/gpu-endpoints", wanted).json()
        assert (row["gpus"], row["per_hour"], row["ends_at"]) == ("0.250", "2.500000000", None)
        found = ada.get(f"/gpu-endpoints/{row['id']}/cost").json()
        assert (found["allocated_hours"], found["by_allocation"], found["tokens"]) == ("0.000000", "0.000000000", 0)
        again = check_problem(ada.post("/gpu-endpoints", wanted | {"name": "again"}))
        assert again["status"] == 409
        ended = ada.post(f"/gpu-endpoints/{row['id']}/end", {}).json()
    assert ended["ends_at"] == "2026-11-22T12:00:00Z"


@pytest.mark.parametrize(
    ("change", "field"), [({"gpus": "x"}, "gpus"), ({"basis": "tokens"}, "basis"), ({"upstream": "none"}, "upstream")]
)
def test_a_bad_endpoint_is_named(ada: Api, world: World, change: dict[str, str], field: str) -> None:
    make_catalog(world.acme, input_per_million="0", output_per_million="0")
    wanted = {
        "name": "l",
        "upstream": "for small",
        "project": "default",
        "gpus": "1",
        "per_hour": "1",
        "basis": "usage",
    }
    problem = check_problem(ada.post("/gpu-endpoints", wanted | change))
    assert problem["errors"][0]["field"] == field


def test_a_months_papers_are_fetched(ada: Api, world: World) -> None:
    make_customer(world.acme, since=OCTOBER, fee="1")
    close(world.acme, CLOSED)
    with time_machine.travel(CLOSED, tick=False):
        answer = ada.get("/finance-packs/archive", month="2026-10")
        assert (answer.status_code, answer["Content-Type"], answer.content[:2]) == (200, "application/zip", b"PK")
        for month in ("2026-13", "2026-11", "october"):
            assert check_problem(ada.get("/finance-packs/archive", month=month))["errors"][0]["field"] == "month"
    assert len(ada.get("/finance-packs/key").json()["public_key"]) == 44


def test_the_account_says_where_papers_go_and_the_operator_who_bills(ada: Api, world: World) -> None:
    make_customer(world.acme, plan=make_plan(fee="1"))
    assert ada.patch("/billing-account", {"pack_to": "mail"}).json()["pack_to"] == "mail"
    assert check_problem(ada.patch("/billing-account", {"pack_to": "moon"}))["errors"][0]["field"] == "pack_to"
    operator = Api(token=create_platform_token(email="operator@costhub.example"))
    path = f"/organizations/{world.acme.org_id}/stripe-subscription"
    assert check_problem(operator.post(path, {}))["status"] == 409
    assert check_problem(ada.post(path, {}))["status"] == 404
    with org_scope(world.acme.org.pk):
        BillingAccount.objects.update(collection="stripe", stripe_customer="cus_1")
    assert operator.post(path, {}).json() == {"stripe_subscription": "wanted"}


def test_the_operator_gives_credits_back(ada: Api, world: World) -> None:
    make_customer(world.acme, plan=make_plan(prepaid=True))
    operator = Api(token=create_platform_token(email="operator@costhub.example"))
    base = f"/organizations/{world.acme.org_id}"
    assert operator.post(f"{base}/credits", {"amount": "10", "reference": "wire 1"}).status_code == 201
    body = {"amount": "4.00", "reference": "wire 2", "reason": "They left"}
    shown = [operator.post(f"{base}/credit-refunds", body).json() for _ in range(2)]
    assert shown[0] == shown[1]
    assert [shown[0][name] for name in ("debit", "credit", "amount")] == ["credits", "cash", "4.000000000"]
    assert shown[0]["created_by"].startswith("platform token ")
    more = check_problem(operator.post(f"{base}/credit-refunds", {"amount": "6.01", "reference": "wire 3"}))
    assert (more["errors"][0]["field"], "up to 6.0" in more["errors"][0]["message"]) == ("amount", True)
    other = check_problem(operator.post(f"{base}/credit-refunds", body | {"reference": "wire 1"}))
    assert other["status"] == 409
    assert ada.get("/wallet").json()["balance"] == "6.000000000"
    assert check_problem(ada.post(f"{base}/credit-refunds", body))["status"] == 404


def test_the_operator_sees_who_owes_what(world: World) -> None:
    for tenant in (world.acme, world.mallcorp):
        make_customer(tenant, plan=make_plan(fee="49.00"), since=OCTOBER)
    (invoice,) = close(world.acme, CLOSED)
    with org_scope(world.mallcorp.org.pk):
        BillingAccount.objects.filter(org=world.mallcorp.org).update(dunning="warned")
    operator = Api(token=create_platform_token(email="operator@costhub.example"))
    with time_machine.travel(CLOSED + DAY * 20, tick=False):
        # Page by page to the end: other tests' organisations may stand between these two.
        page = operator.get("/customers", limit="1").json()
        found = {row["organization"]: row for row in page["data"]}
        while page["next"]:
            page = operator.get("/customers", limit="1", cursor=page["next"]).json()
            assert len(page["data"]) == 1
            found |= {row["organization"]: row for row in page["data"]}
    acme, mallcorp = found[world.acme.org_id], found[world.mallcorp.org_id]
    assert (acme["owed"], acme["last_number"], acme["overdue_since"]) == (
        {"USD": "49.00"},
        invoice.number,
        "2026-11-18T00:00:00Z",
    )
    assert (mallcorp["owed"], mallcorp["dunning"], mallcorp["last_number"]) == ({}, "warned", "")
    documents = operator.get(f"/organizations/{world.acme.org_id}/invoices").json()["data"]
    assert [row["number"] for row in documents] == [invoice.number]
    assert check_problem(operator.get("/customers", cursor="x"))["errors"][0]["field"] == "cursor"
    assert check_problem(Api(token=world.acme.admin_token).get("/customers"))["status"] == 404
