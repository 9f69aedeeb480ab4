"""/roi."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine

from tenants.access import org_scope
from tenants.actions.orgs import create_admin_token
from tenants.choices import Role
from tests.billing.ledger import NOW, record_call
from tests.tenants.api.test_bad_input import check_problem
from tests.world import Api, World

DEAR: dict[str, Any] = {
    "requests_per_day": 10_000,
    "input_tokens": 1_000,
    "output_tokens": 200,
    "input_per_million": "30",
    "output_per_million": "60",
}
LLAMA: dict[str, Any] = {"training_cost": "500", "input_per_million": "0.2", "output_per_million": "0.2"}
HALF_PRICE: dict[str, Any] = {"share_percent": 100, "discount_percent": 50}
HOST: dict[str, Any] = {"per_gpu_hour": "2", "tokens_per_second": 1_000, "utilisation_percent": 50}


@pytest.fixture
def ada(world: World) -> Iterator[Api]:
    with time_machine.travel(NOW, tick=False):
        yield Api(token=world.acme.admin_token)


def call_at(world: World, at: datetime, cost: int = 700_000_000, **columns: Any) -> None:
    record_call(world.acme, at, cost=cost, **{"input_tokens": 7_000, "output_tokens": 700} | columns)


def test_a_fine_tuned_llama_in_place_of_gpt_4(ada: Api) -> None:
    body = ada.post("/roi", {"fine_tune": LLAMA, "traffic": DEAR}).json()
    curve = body.pop("curve")
    assert body == {
        "scenario": "fine_tune",
        "verdict": "pays",
        "text": "Pays for itself after 1.2 days: it saves $417.60 a day and costs $500.00 once.",
        "traffic": {
            "requests": "10000.000",
            "input_tokens": "10000000.000",
            "output_tokens": "2000000.000",
            "cost": "420.000000000",
            "from": None,
            "to": None,
        },
        "cost_per_day": "420.000000000",
        "cost_per_day_after": "2.400000000",
        "saving_per_day": "417.600000000",
        "once": "500.000000000",
        "break_even_days": "1.1973",
        "horizon_days": 365,
        "net": "151924.000000000",
        "spread": None,
    }
    assert curve[0] == {"day": 0} | dict.fromkeys(("net", "low", "high"), "-500.000000000")
    assert curve[-1] == {"day": 365} | dict.fromkeys(("net", "low", "high"), "151924.000000000")


def test_an_average_day_of_the_ledger_and_its_weeks(ada: Api, world: World) -> None:
    # Last week two calls, the one before six: 1.40 and 4.20 USD a week, 0.40 a day.
    for week, calls in ((0, 2), (1, 6)):
        for hour in range(calls):
            call_at(world, NOW - timedelta(days=7 * week, hours=hour + 1))
    call_at(world, NOW - timedelta(hours=3), cost=0, cache_status="hit_exact", input_tokens=0, output_tokens=0)
    call_at(world, NOW - timedelta(hours=4), cost=0, status=402, input_tokens=0, output_tokens=0)
    body = ada.post("/roi", {"batch": HALF_PRICE}).json()
    assert body["traffic"] == {
        "requests": "0.571",
        "input_tokens": "4000.000",
        "output_tokens": "400.000",
        "cost": "0.400000000",
        "from": "2026-11-08T12:00:00Z",
        "to": "2026-11-22T12:00:00Z",
    }
    assert (body["saving_per_day"], body["verdict"]) == ("0.200000000", "pays")
    # Between the quiet week's 0.20 a day and the busy one's 0.60, half of it saved.
    saving = body["spread"]["saving_per_day"]
    assert (body["spread"]["trials"], body["spread"]["pays"]) == (1_000, 1_000)
    assert "0.1" < saving["low"] < saving["middle"] < saving["high"] < "0.3"
    assert ada.post("/roi", {"batch": HALF_PRICE}).json() == body


def test_one_model_and_one_project_of_the_ledger(ada: Api, world: World) -> None:
    call_at(world, NOW - timedelta(hours=1))
    call_at(world, NOW - timedelta(hours=2), request_model="large")
    for ledger, cost in (
        ({}, "0.200000000"),
        ({"model": "large"}, "0.100000000"),
        ({"project": "default", "weeks": 1}, "0.200000000"),
        ({"model": "nobody's"}, "0.000000000"),
    ):
        assert ada.post("/roi", {"batch": HALF_PRICE, "ledger": ledger}).json()["cost_per_day"] == cost


def test_without_any_call_nothing_ever_pays(ada: Api) -> None:
    body = ada.post("/roi", {"fine_tune": LLAMA}).json()
    assert (body["verdict"], body["break_even_days"], body["spread"]) == ("never", None, None)
    assert (body["net"], body["curve"][-1]["net"]) == ("-500.000000000", "-500.000000000")
    assert body["text"] == ("Never pays: there are no calls that it could save anything on, and $500.00 once on top.")


def test_a_saving_below_zero_is_said_plainly(ada: Api) -> None:
    host = HOST | {"gpus": 10, "setup_cost": "100"}
    body = ada.post("/roi", {"self_host": host, "traffic": DEAR, "horizon_days": 10}).json()
    assert body["text"] == "Never pays: it costs $60.00 a day more than now, and $100.00 once on top."
    assert (body["saving_per_day"], body["net"]) == ("-60.000000000", "-700.000000000")


def test_ranges_say_how_sure_it_is(ada: Api) -> None:
    # At 420 USD a day a cache that hits 1 % saves 4.20 and costs 10: between 0 and 5 % it seldom pays.
    question = {
        "cache": {"hit_percent": 1, "per_request": "0.001"},
        "traffic": DEAR,
        "ranges": {"hit_percent": {"low": 0, "high": "5"}, "traffic": {"low": "90", "high": "110"}},
        "trials": 500,
        "seed": 3,
    }
    body = ada.post("/roi", question).json()
    spread = body["spread"]
    assert (body["verdict"], spread["break_even_days"]["middle"], spread["seed"]) == ("never", None, 3)
    # More than 10 / 420 of hits are above 2.381 %: (5 - 2.381)^2 / (5 x 4) = 34.3 % of the triangle.
    assert spread["pays"] + spread["never"] == spread["trials"] == 500
    assert abs(spread["pays"] - 171) <= 2
    assert body == ada.post("/roi", question).json()
    assert body != ada.post("/roi", question | {"seed": 4}).json()


def test_the_largest_numbers_that_are_taken(ada: Api) -> None:
    most = dict.fromkeys(("requests_per_day",), 10**9) | dict.fromkeys(("input_tokens", "output_tokens"), 10**6)
    traffic = most | dict.fromkeys(("input_per_million", "output_per_million"), 10**4)
    fleet = dict.fromkeys(("per_gpu_hour", "spot_per_gpu_hour"), 10**4) | {
        "tokens_per_second": 1,
        "utilisation_percent": 1,
    }
    rest = {"setup_cost": 10**9, "operations_per_month": 10**9, "spot_percent": 100}
    lost = {"interruptions_per_day": 1_000, "minutes_lost": 1_440}
    ranges = {"traffic": {"low": 0, "high": 1_000}}
    question = {"self_host": fleet | rest | lost, "traffic": traffic, "horizon_days": 3_650, "ranges": ranges}
    assert ada.post("/roi", question | {"trials": 100}).status_code == 200


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ({}, "fine_tune"),
        ({"batch": HALF_PRICE, "cache": {"hit_percent": 1}}, "batch"),
        ({"batch": {"share_percent": 101, "discount_percent": 50}}, "batch.share_percent"),
        ({"batch": {"share_percent": -1, "discount_percent": 50}}, "batch.share_percent"),
        ({"batch": {"share_percent": 1}}, "batch.discount_percent"),
        ({"batch": HALF_PRICE | {"rebate": 1}}, "batch.rebate"),
        ({"self_host": HOST | {"utilisation_percent": 0}}, "self_host.utilisation_percent"),
        ({"self_host": HOST | {"tokens_per_second": "fast"}}, "self_host.tokens_per_second"),
        ({"batch": HALF_PRICE, "traffic": DEAR, "ledger": {}}, "ledger"),
        ({"batch": HALF_PRICE, "traffic": {"requests_per_day": 1}}, "traffic.input_tokens"),
        ({"batch": HALF_PRICE, "ledger": {"project": "nowhere"}}, "project"),
        ({"batch": HALF_PRICE, "ledger": {"weeks": 27}}, "ledger.weeks"),
        ({"batch": HALF_PRICE, "horizon_days": 0}, "horizon_days"),
        ({"batch": HALF_PRICE, "trials": 10**6}, "trials"),
        ({"batch": HALF_PRICE, "ranges": {"setup_cost": {"low": 0, "high": 1}}}, "ranges.setup_cost"),
        ({"batch": HALF_PRICE, "ranges": {"share_percent": {"low": 0, "high": 99}}}, "ranges.share_percent"),
        ({"batch": HALF_PRICE, "ranges": {"share_percent": {"low": 0, "high": 101}}}, "ranges.share_percent.high"),
        ({"batch": HALF_PRICE, "ranges": {"traffic": {"low": 101, "high": 110}}}, "ranges.traffic"),
        ({"batch": HALF_PRICE, "ranges": {"traffic": {"low": 1}}}, "ranges.traffic.high"),
    ],
)
def test_what_cannot_be_reckoned_with_is_named(ada: Api, question: Any, field: str) -> None:
    problem = check_problem(ada.post("/roi", question))
    assert problem["errors"][0]["field"] == field


def test_who_may_not_see_money_is_refused(world: World) -> None:
    with org_scope(world.acme.org.pk):
        token = create_admin_token(actor=world.acme.owner, name="vera", role=Role.VIEWER)
    assert check_problem(Api(token=token).post("/roi", {"batch": HALF_PRICE}))["status"] == 403
