"""/upstream-bills."""

from tests.billing.ledger import NOW, record_call
from tests.tenants.api.test_bad_input import check_problem
from tests.world import Api, World


def test_a_bill_against_the_ledger(world: World) -> None:
    used = {"input_tokens": 900, "output_tokens": 100}
    record_call(world.acme, NOW, cost=2_000_000, response_model="gpt-4o", **used)
    record_call(world.acme, NOW, cost=0, response_model="gpt-new", **used)
    # What finding an answer cost is on no upstream's bill.
    record_call(world.acme, NOW, cost=250, response_model="gpt-4o", cache_status="hit-semantic")
    record_call(world.acme, NOW, cost=250, response_model="gpt-kept", cache_status="hit-semantic")
    record_call(world.mallcorp, NOW, cost=9, response_model="gpt-4o")
    table = (
        "day,model,cost,input_tokens,output_tokens\n"
        "2026-11-22,gpt-4o,0.002,900,100\n2026-11-22,gpt-new,0.001,900,100\n2026-11-22,o3,0.001,5,5\n"
    )
    body = Api(token=world.acme.admin_token).post("/upstream-bills", {"csv": table}).json()
    assert [(row["model"], row["finding"], row["drift"]) for row in body["data"]] == [
        ("gpt-4o", "agrees", "0.000000000"),
        ("gpt-new", "unpriced", "-0.001000000"),
        ("o3", "missing_calls", "-0.001000000"),
    ]
    assert (body["coverage"], body["drift"]) == (500, "-0.002000000")


def test_what_is_no_bill_is_refused(world: World) -> None:
    ada = Api(token=world.acme.admin_token)
    for body in ({}, {"csv": "x", "openai": {}}, {"openai": {"data": [1]}}, {"csv": "day,model\n1,2"}):
        assert check_problem(ada.post("/upstream-bills", body))["status"] == 400
    long = "day,model,cost\n2026-01-01,m,1\n2026-06-01,m,1\n"
    assert "at most 62 days" in check_problem(ada.post("/upstream-bills", {"csv": long}))["detail"]


def test_a_table_says_what_it_calls_its_columns(world: World) -> None:
    record_call(world.acme, NOW, cost=2_000_000, response_model="gpt-4o", input_tokens=900, output_tokens=100)
    ada = Api(token=world.acme.admin_token)
    body = {
        "csv": "Date;SKU;Euro\n2026-11-22;gpt-4o;0,001\n",
        "columns": {"day": "Date", "model": "SKU", "cost": "Euro"},
    }
    (row,) = ada.post("/upstream-bills", body).json()["data"]
    assert (row["billed"], row["drift"], row["coverage"]) == ("0.001000000", "0.001000000", 1_000)
    for change, field in (
        ({"columns": {"cost": "Dollar"}}, "columns.cost"),
        ({"columns": {"cost": 7}}, "columns.cost"),
        ({"csv": 'day,model\n2026-11-22,"' + "x" * 200_000, "columns": {}}, "csv line 2"),
    ):
        assert check_problem(ada.post("/upstream-bills", body | change))["errors"][0]["field"] == field
    assert check_problem(ada.post("/upstream-bills", {"openai": {"data": []}, "columns": {}}))["status"] == 400
