"""The management API of billing: what customers see, and what the operator does."""

from decimal import Decimal
from typing import Any

import pytest
import time_machine

from billing.invoices.models import Invoice
from tenants.access import org_scope
from tenants.actions.platform import create_platform_token
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
)
from tests.billing.ledger import NOW, record_call, record_correction
from tests.tenants.api.test_bad_input import check_problem
from tests.world import Api, World, make_catalog

USD = 10**9


@pytest.fixture
def ada(world: World) -> Api:
    return Api(token=world.acme.admin_token)


@pytest.fixture
def operator(db: None) -> Api:
    return Api(token=create_platform_token(email="operator@costhub.example"))


@pytest.fixture
def invoice(world: World) -> Invoice:
    """Acme's October: 5 calls of 1,000 input tokens at 1 USD a million, and one correction."""
    make_customer(world.acme, since=OCTOBER, fee="49.00", markup="10")
    made = make_catalog(world.acme, input_per_million="1", output_per_million="2", effective_from=SEPTEMBER)
    assert made.price
    for hour in range(5):
        call = record_call(world.acme, OCTOBER + DAY * hour, cost=1_000_000, price_id=made.price.pk, input_tokens=1_000)
    record_correction(world.acme, call, -500_000, input_tokens=-500)
    record_call(world.acme, OCTOBER + DAY, status=429)
    record_call(world.acme, OCTOBER + DAY, cost=7, request_model="large")
    record_call(world.acme, NOVEMBER, cost=9)
    (made_invoice,) = close(world.acme, NOVEMBER + DAY * 3)
    return made_invoice


def test_an_invoice_its_lines_and_the_calls_behind_them(ada: Api, world: World, invoice: Invoice) -> None:
    (shown,) = ada.get("/invoices").json()["data"]
    assert {name: shown[name] for name in ("number", "state", "usage", "net_exact", "net", "total", "due")} == {
        "number": invoice.number,
        "state": "issued",
        "usage": "0.004500007",
        "net_exact": "49.004950008",
        "net": "49.00",
        "total": "49.00",
        "due": "49.00",
    }
    assert shown["groups"][1] == {"title": "default: large", "exact": "0.000000008", "amount": "0.00"}
    lines = ada.get(f"/invoices/{invoice.pk}/lines").json()["data"]
    small = next(line for line in lines if line["token_class"] == "input")
    assert (small["quantity"], small["usd_per_million"], small["amount"]) == (4_500, "1.00", "0.004500000")
    path = f"/invoices/{invoice.pk}/lines/{small['position']}/requests"
    calls: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = ada.get(path, limit="2", **({"cursor": cursor} if cursor else {})).json()
        calls, cursor = calls + page["data"], page["next"]
    assert len(calls) == 6
    assert (sum(call["tokens"] for call in calls), {call["cost"] for call in calls}) == (
        4_500,
        {"0.001000000", "-0.000500000"},
    )


def test_from_a_line_of_late_usage_to_what_came_late(ada: Api, world: World, invoice: Invoice) -> None:
    late = record_call(world.acme, OCTOBER + DAY, cost=70, request_model="large", recorded_at=NOVEMBER + DAY * 5)
    (november,) = close(world.acme, DECEMBER + DAY * 3)
    place = next(line.position for line in lines_of(world.acme, november) if line.kind == "late_usage")
    page = ada.get(f"/invoices/{november.pk}/lines/{place}/requests").json()
    assert [(call["id"], call["cost"]) for call in page["data"]] == [(str(late.id), "0.000000070")]


def test_only_usage_is_made_of_calls(ada: Api, invoice: Invoice) -> None:
    assert check_problem(ada.get(f"/invoices/{invoice.pk}/lines/1/requests"))["status"] == 400
    for position in ("99", "x", "9" * 99):
        assert check_problem(ada.get(f"/invoices/{invoice.pk}/lines/{position}/requests"))["status"] == 404


@pytest.mark.parametrize(
    ("form", "media_type"), [("pdf", "application/pdf"), ("xml", "application/xml"), ("csv", "text/csv; charset=utf-8")]
)
def test_documents(ada: Api, invoice: Invoice, form: str, media_type: str) -> None:
    answer = ada.get(f"/invoices/{invoice.pk}/{form}")
    assert (answer.status_code, answer["Content-Type"]) == (200, media_type)
    assert answer["Content-Disposition"] == f'attachment; filename="{invoice.number}.{form}"'
    accepted = ada.send("GET", f"/invoices/{invoice.pk}/{form}", headers={"Accept": media_type.partition(";")[0]})
    assert accepted.content == answer.content


def test_who_may_not_see_money_sees_none(world: World, invoice: Invoice) -> None:
    ben = Api(user=world.ben, org=world.acme.org.slug)
    assert ben.get("/invoices").status_code == 200
    ben_may_not = ben.patch("/billing-account", {"name": "Ben's"})
    assert check_problem(ben_may_not)["status"] == 403


def test_the_operator_makes_a_customer_and_agrees_terms(operator: Api, ada: Api, world: World) -> None:
    seller, plan = make_seller(), make_plan(fee="100", trial_days=30)
    base = f"/organizations/{world.acme.org_id}"
    assert [ada.get(path).status_code for path in ("/billing-account", "/subscription")] == [404, 404]
    account = operator.post(f"{base}/billing-account", {"legal_entity": seller.name, "name": "Acme", "country": "DE"})
    assert (account.status_code, account.json()["seller"]) == (201, seller.name)
    again = operator.post(f"{base}/billing-account", {"legal_entity": seller.name, "name": "Acme", "country": "DE"})
    assert check_problem(again)["status"] == 409
    body = {"plan": plan.name, "overrides": {"fee": "80"}, "coupon": {"percent_off": "50", "months": 2}}
    with time_machine.travel(NOW, tick=False):
        agreed = operator.post(f"{base}/subscription", body)
    assert agreed.status_code == 201
    shown = ada.get("/subscription").json()
    assert (shown["terms"]["fee"], shown["coupon"], shown["trial_until"]) == (
        "80.000000000",
        {"percent_off": "50", "months": 2},
        "2026-12-22T12:00:00Z",
    )


def test_a_tenant_chooses_a_public_plan_and_leaves(operator: Api, ada: Api, world: World) -> None:
    base = f"/organizations/{world.acme.org_id}"
    make_customer(world.acme, since=OCTOBER)
    plan = make_plan(fee="5")
    assert plan.name in [each["name"] for each in ada.get("/plans").json()["data"]]
    with time_machine.travel(NOW, tick=False):
        assert ada.post("/subscription", {"plan": plan.name}).status_code == 201
        assert check_problem(ada.post("/subscription", {"plan": "none"}))["errors"][0]["field"] == "plan"
    with time_machine.travel(NOW + DAY, tick=False):
        assert [ada.delete("/subscription").json()["ends_at"] for _ in range(2)] == ["2026-12-01T00:00:00Z"] * 2
        assert operator.delete(f"{base}/subscription").json()["ends_at"] == "2026-11-23T12:00:00Z"
        assert check_problem(operator.delete(f"{base}/subscription"))["status"] == 409
        assert check_problem(ada.delete("/subscription"))["status"] == 409


def test_the_operator_corrects_by_a_note(operator: Api, ada: Api, world: World, invoice: Invoice) -> None:
    path = f"/organizations/{world.acme.org_id}/notes"
    part = {"invoice": invoice.number, "reason": "A promise", "lines": [{"position": 1, "amount": "9.00"}]}
    note = operator.post(path, part)
    assert (note.status_code, note.json()["total"], note.json()["corrects"]) == (201, "9.00", str(invoice.pk))
    too_much = part | {"lines": [{"position": 1, "amount": "40.01"}]}
    assert "up to 40.000000000 USD" in check_problem(operator.post(path, too_much))["detail"]
    rest = operator.post(path, {"invoice": invoice.number, "reason": "All of it"})
    assert rest.json()["net_exact"] == "40.004950008"
    assert check_problem(operator.post(path, {"invoice": invoice.number, "reason": "More"}))["status"] == 400
    assert [each["number"] for each in ada.get("/credit-notes").json()["data"]] == [
        rest.json()["number"],
        note.json()["number"],
    ]
    assert ada.get("/invoices").json()["data"][0]["total"] == "49.00"


def test_the_operator_says_what_becomes_of_an_invoice(operator: Api, world: World, invoice: Invoice) -> None:
    path = f"/organizations/{world.acme.org_id}/invoice-events"
    for event, state in (("uncollectible", "uncollectible"), ("paid", "paid"), ("paid", "paid")):
        assert operator.post(path, {"invoice": invoice.number, "event": event}).json()["state"] == state
    assert check_problem(operator.post(path, {"invoice": invoice.number, "event": "void"}))["status"] == 409
    unknown = check_problem(operator.post(path, {"invoice": invoice.number, "event": "lost"}))
    assert (unknown["status"], unknown["errors"][0]["field"]) == (400, "event")


def test_to_anybody_else_the_operators_paths_are_not_there(ada: Api, operator: Api, world: World) -> None:
    body = {"invoice": "x", "event": "paid"}
    own = ada.post(f"/organizations/{world.acme.org_id}/invoice-events", body)
    unknown = operator.post("/organizations/00000000-0000-0000-0000-000000000000/invoice-events", body)
    assert own.status_code == unknown.status_code == 404
    assert own.content == unknown.content


def test_a_read_only_organisation_can_read_and_pay_and_change_nothing_else(
    ada: Api, world: World, invoice: Invoice
) -> None:
    with org_scope(world.acme.org.pk):
        world.acme.org.is_read_only = True
        world.acme.org.save()
    refused = ada.post("/projects", {"name": "new"})
    assert (refused.status_code, check_problem(refused)["code"]) == (402, "organization_suspended")
    assert ada.get("/invoices").status_code == 200
    assert ada.patch("/billing-account", {"po_number": "PO-78"}).json()["po_number"] == "PO-78"


def test_the_next_invoice_and_one_in_its_days_of_grace_are_made_of_the_ledger_of_now(ada: Api, world: World) -> None:
    assert check_problem(ada.get("/invoices/next"))["status"] == 404
    make_customer(world.acme, since=OCTOBER, fee="49.00", markup="10")
    call = record_call(world.acme, OCTOBER + DAY, cost=10 * USD)
    record_call(world.acme, NOVEMBER + DAY, cost=20 * USD)
    close(world.acme, NOVEMBER + DAY)
    with org_scope(world.acme.org.pk):
        Invoice.objects.update(problem="Its calls are being re-rated.")
    with time_machine.travel(NOVEMBER + DAY * 2, tick=False):
        found = ada.get("/invoices/next").json()
        (draft,) = ada.get("/invoices").json()["data"]
        shown = ada.get(f"/invoices/{draft['id']}").json()
        lines = ada.get(f"/invoices/{draft['id']}/lines").json()["data"]
        place = next(line["position"] for line in lines if line["kind"] == "usage")
        calls = ada.get(f"/invoices/{draft['id']}/lines/{place}/requests").json()["data"]
        none = ada.get(f"/invoices/{draft['id']}/lines/{len(lines) + 1}/requests")
    assert (found["period_start"], found["usage"], found["total"], found["due"]) == (
        "2026-11-01T00:00:00Z",
        "20.000000000",
        "71.00",
        "71.00",
    )
    assert [(line["kind"], line["amount"]) for line in found["lines"]] == [
        ("fee", "49.000000000"),
        ("usage", "20.000000000"),
        ("markup", "2.000000000"),
    ]
    assert not {"id", "number", "state"} & found.keys()
    assert (shown["state"], shown["usage"], shown["total"]) == ("grace", "10.000000000", "60.00")
    assert shown["problem"] == "Its calls are being re-rated."
    assert sum(Decimal(line["amount"]) for line in lines) == 60
    assert [each["id"] for each in calls] == [str(call.id)]
    assert check_problem(none)["status"] == 404


def test_without_an_exchange_rate_dollars_are_not_shown_as_another_currency(ada: Api, world: World) -> None:
    make_customer(world.acme, since=OCTOBER, fee="49.00", currency="EUR")
    record_call(world.acme, OCTOBER + DAY, cost=10 * USD)
    close(world.acme, NOVEMBER + DAY)
    with time_machine.travel(NOVEMBER + DAY * 2, tick=False):
        (draft,) = ada.get("/invoices").json()["data"]
        for path, usage, exact in (
            ("/invoices/next", "0.000000000", "49.000000000"),
            (f"/invoices/{draft['id']}", "10.000000000", "59.000000000"),
        ):
            found = ada.get(path).json()
            assert (found["problem"], found["rate_day"]) == ("There is no exchange rate of EUR yet.", None), path
            assert (found["usage"], found["net_exact"]) == (usage, exact), path
            assert [found[name] for name in ("net", "tax", "total", "carried", "due")] == ["0.00"] * 5, path
            assert {group["amount"] for group in found["groups"]} == {"0.00"}, path


def test_nor_are_they_where_a_tax_rate_is_missing_too(ada: Api, world: World) -> None:
    seller = make_seller()
    make_customer(world.acme, seller=seller, since=OCTOBER, fee="49.00", currency="EUR", account={"tax_id": ""})
    with time_machine.travel(OCTOBER + DAY, tick=False):
        found = ada.get("/invoices/next").json()
    assert "NL" in found["problem"]
    assert [found[name] for name in ("net", "tax", "total", "carried", "due")] == ["0.00"] * 5
    assert found["net_exact"] == "49.000000000"
