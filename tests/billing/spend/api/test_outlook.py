"""/forecast and /anomalies."""

from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine

from tenants.choices import BudgetPeriod
from tests.billing.ledger import NOW
from tests.billing.outlook import store_anomaly, store_forecast
from tests.tenants.api.test_bad_input import check_problem
from tests.world import Api, World, make_budget


@pytest.fixture(autouse=True)
def _at_noon():  # type: ignore[no-untyped-def]
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def ada(world: World) -> Api:
    return Api(token=world.acme.admin_token)


def test_the_forecast_and_what_it_exceeds(world: World, ada: Api) -> None:
    store_forecast(world.acme)
    store_forecast(world.mallcorp, expected=1)
    budget = make_budget(world.acme, "12", period=BudgetPeriod.MONTH)
    assert ada.get("/forecast").json() == {
        "data": [
            {
                "scope": "organization",
                "subject": "",
                "name": "Acme",
                "month": "2026-11-01",
                "spent": "10.000000000",
                "expected": "18.500000000",
                "low": "17.000000000",
                "high": "20.000000000",
                "method": "smoothing",
                "backtest_error": 64,
                "backtest_coverage": 833,
                "days_of_history": 90,
                "as_of": "2026-11-22T12:00:00Z",
            }
        ],
        "exceeds": [
            {
                "budget": str(budget.pk),
                "name": "",
                "scope": "organization",
                "subject": "",
                "limit": "12.000000000",
                "expected": "18.500000000",
                "date": "2026-11-24",
            }
        ],
    }


def test_before_the_first_one_there_is_none(ada: Api) -> None:
    assert ada.get("/forecast").json() == {"data": [], "exceeds": []}


def test_what_cannot_be_said_is_null(world: World, ada: Api) -> None:
    store_forecast(world.acme, expected=None, low=None, high=None, backtest_error=None, running=[])
    [row] = ada.get("/forecast").json()["data"]
    assert (row["expected"], row["low"], row["high"], row["backtest_error"]) == (None, None, None, None)


def test_of_a_project_or_key(world: World, ada: Api) -> None:
    store_forecast(world.acme)
    project, key = world.acme.project, world.acme.key
    store_forecast(world.acme, scope="project", subject=str(project.pk))
    store_forecast(world.acme, scope="key", subject=str(key.pk))
    for query, name in (
        ({"project": project.name}, project.name),
        ({"project": str(project.pk)}, project.name),
        ({"key": str(key.pk)}, key.name),
    ):
        assert [row["name"] for row in ada.get("/forecast", **query).json()["data"]] == [name]


def test_a_foreign_project_or_key_is_an_unknown_one(world: World, ada: Api) -> None:
    for name, foreign in (("project", world.mallcorp.project.pk), ("key", world.mallcorp.key.pk)):
        answers = [ada.get("/forecast", **{name: str(each)}) for each in (foreign, uuid4())]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].content == answers[1].content


def test_an_anomaly(world: World, ada: Api) -> None:
    row = store_anomaly(world.acme)
    store_anomaly(world.mallcorp)
    shown = {
        "id": str(row.pk),
        "scope": "organization",
        "subject": "",
        "unit": "day",
        "starts": "2026-11-21T00:00:00Z",
        "severity": "high",
        "actual": "40.000000000",
        "expected": "10.000000000",
        "low": "8.000000000",
        "high": "13.000000000",
        "cause": "calls",
        "excess": {"calls": "29.000000000", "tokens": "2.000000000", "price": "-1.000000000"},
        "driver": {"dimension": "key", "subject": str(world.acme.key.pk), "excess": "28.000000000"},
        "created_at": "2026-11-22T12:00:00Z",
    }
    assert ada.get("/anomalies").json() == {"data": [shown], "next": None}
    assert ada.get(f"/anomalies/{row.pk}").json() == shown


def test_pages_and_filters(world: World, ada: Api) -> None:
    rows = [
        store_anomaly(
            world.acme,
            scope=scope,
            subject=subject,
            starts=NOW - timedelta(days=back),
            created_at=NOW - timedelta(days=back - 1),
            driver_dimension="",
        )
        for scope, subject, back in (("key", "k", 1), ("model", "small", 2), ("model", "small", 3))
    ]
    ids = [str(row.pk) for row in rows]

    def ask(**query: str) -> list[str]:
        return [row["id"] for row in ada.get("/anomalies", **query).json()["data"]]

    first = ada.get("/anomalies", limit="2").json()
    assert [row["id"] for row in first["data"]] == ids[:2]
    assert first["data"][0]["driver"] is None
    assert ask(cursor=first["next"]) == ids[2:]
    assert ask(scope="model") == ids[1:]
    assert ask(**{"from": "2026-11-20"}) == ids[:2]
    assert ask(to="2026-11-19") == ids[2:]
    for query in ({"scope": "cat"}, {"from": "soon"}, {"until": "x"}, {"cursor": "x"}):
        answer = ada.get("/anomalies", **query)
        assert answer.status_code == 400
        assert check_problem(answer)["errors"][0]["field"] in query
