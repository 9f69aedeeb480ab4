"""/savings: the parts are the whole, to the nano."""

from datetime import timedelta

import time_machine

from tests.billing.ledger import NOW, record_call
from tests.tenants.api.test_bad_input import check_problem
from tests.world import Api, World


def test_what_each_mechanism_saved_in_the_month_so_far(world: World) -> None:
    record_call(world.acme, NOW, cost=3, list_cost=10, savings={"cache": 7})
    record_call(world.acme, NOW, cost=6, list_cost=10, savings={"cache": 1, "routing": 12, "compression": -9})
    record_call(world.acme, NOW, cost=5, request_model="large")
    record_call(world.acme, NOW - timedelta(days=40), cost=1, list_cost=9, savings={"cache": 8})
    record_call(world.mallcorp, NOW, cost=1, list_cost=9, savings={"cache": 8})
    program = Api(token=world.acme.admin_token)
    with time_machine.travel(NOW, tick=False):
        shown = program.get("/savings").json()
        spend = program.get("/spend").json()["total"]
        assert shown == {
            "data": [
                {"mechanism": "routing", "saved": "0.000000012"},
                {"mechanism": "cache", "saved": "0.000000008"},
                {"mechanism": "compression", "saved": "-0.000000009"},
            ],
            "saved": "0.000000011",
            "list_cost": spend["list_cost"],
            "effective_cost": spend["effective_cost"],
            "as_of": "2026-11-22T12:00:01Z",
            "from": "2026-11-01T00:00:00Z",
            "to": "2026-11-22T12:00:00.000001Z",
        }
        assert program.get("/savings", model="large").json()["data"] == []
    assert check_problem(program.get("/savings", group_by="model"))["errors"][0]["field"] == "group_by"
    assert Api(token=world.acme.api_key).get("/savings").status_code == 401
