"""/spend: sums by any grouping, to the nano."""

from datetime import timedelta

import pytest
import time_machine

from tests.billing.ledger import NOW, record_call
from tests.tenants.api.test_bad_input import check_problem
from tests.world import Api, World


@pytest.fixture
def ada(world: World) -> Api:
    record_call(world.acme, NOW, cost=3, list_cost=10, savings={"cache": 7}, input_tokens=5, output_tokens=2)
    record_call(world.acme, NOW - timedelta(days=1), cost=1_000_000_000, request_model="large", tags={"team": "search"})
    record_call(world.acme, NOW - timedelta(days=40), cost=999)
    record_call(world.mallcorp, NOW, cost=77)
    return Api(token=world.acme.admin_token)


def test_the_month_so_far_by_model(ada: Api) -> None:
    with time_machine.travel(NOW, tick=False):
        assert ada.get("/spend", group_by="model").json() == {
            "data": [
                {
                    "group": {"model": "large"},
                    "labels": {},
                    "requests": 1,
                    "input_tokens": 0,
                    "output_tokens": 0,
                    "list_cost": "1.000000000",
                    "effective_cost": "1.000000000",
                    "savings": {},
                },
                {
                    "group": {"model": "small"},
                    "labels": {},
                    "requests": 1,
                    "input_tokens": 5,
                    "output_tokens": 2,
                    "list_cost": "0.000000010",
                    "effective_cost": "0.000000003",
                    "savings": {"cache": "0.000000007"},
                },
            ],
            "total": {
                "requests": 2,
                "input_tokens": 5,
                "output_tokens": 2,
                "list_cost": "1.000000010",
                "effective_cost": "1.000000003",
                "savings": {"cache": "0.000000007"},
            },
            "as_of": "2026-11-22T12:00:01Z",
            "from": "2026-11-01T00:00:00Z",
            "to": "2026-11-22T12:00:00.000001Z",
        }


def test_days_are_the_organisations(ada: Api, world: World) -> None:
    ada.patch(f"/organizations/{world.acme.org_id}", {"time_zone": "Asia/Tokyo"})
    body = ada.get("/spend", **{"from": "2026-11-21", "to": "2026-11-22", "group_by": "day"}).json()
    assert (body["from"], body["to"]) == ("2026-11-20T15:00:00Z", "2026-11-22T15:00:00Z")
    assert [row["group"]["day"] for row in body["data"]] == ["2026-11-21", "2026-11-22"]


def test_several_groups_with_the_names_of_today(ada: Api, world: World) -> None:
    query = {"from": "2026-11-01", "to": "2026-11-30", "group_by": "project,tag:team"}
    rows = ada.get("/spend", **query).json()["data"]
    project = str(world.acme.project.pk)
    assert [(row["group"], row["labels"]) for row in rows] == [
        ({"project": project, "tag:team": "search"}, {"project": "default"}),
        ({"project": project, "tag:team": ""}, {"project": "default"}),
    ]


def test_a_filter_narrows_the_sum(ada: Api) -> None:
    body = ada.get("/spend", **{"from": "2026-01-01", "to": "2026-12-31", "model": "small"}).json()
    assert body["total"]["effective_cost"] == "0.000001002"


def test_an_empty_month_is_zero(world: World) -> None:
    body = Api(token=world.acme.admin_token).get("/spend", group_by="model").json()
    assert (body["data"], body["as_of"], body["total"]["effective_cost"]) == ([], None, "0.000000000")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"group_by": "colour"}, "group_by"),
        ({"group_by": "tag:"}, "group_by"),
        ({"group_by": "tag:a\x00"}, "group_by"),
        ({"group_by": "model,project,key,status,day"}, "group_by"),
        ({"from": "2026-11-23", "to": "2026-11-21"}, "to"),
        ({"limit": "5"}, "limit"),
    ],
)
def test_what_cannot_be_read_is_named(ada: Api, query: dict[str, str], field: str) -> None:
    problem = check_problem(ada.get("/spend", **query))
    assert (problem["status"], problem["errors"][0]["field"]) == (400, field)
