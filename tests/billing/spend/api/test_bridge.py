"""/spend/bridge."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
import time_machine

from tenants.access import org_scope
from tenants.actions.pricing import create_price
from tests.billing.ledger import NOW, record_call
from tests.tenants.api.test_bad_input import check_problem
from tests.world import Api, Tenant, World, make_catalog

MONTH = timedelta(days=31)
AMOUNTS = {"input_tokens": 1_000, "output_tokens": 100}


def price(tenant: Tenant, output: str, at: datetime) -> None:
    """Input at 1 USD a million, from a moment on."""
    with org_scope(tenant.org.pk):
        model = tenant_model(tenant)
        create_price(
            actor=tenant.owner,
            model=model,
            input_per_million=Decimal(1),
            output_per_million=Decimal(output),
            effective_from=at,
        )


def tenant_model(tenant: Tenant):  # type: ignore[no-untyped-def]
    from tenants.models import LanguageModel

    return LanguageModel.objects.get(org=tenant.org)


@pytest.fixture
def ada(world: World) -> Api:
    """Two calls in October at 2 USD a million tokens of output, three in November at 4; 100 tokens each."""
    from tenants.models import Price

    made = make_catalog(world.acme, input_per_million="1", output_per_million="2", effective_from=NOW - MONTH * 2)
    assert made.price
    price(world.acme, "4", NOW - timedelta(days=20))
    with org_scope(world.acme.org.pk):
        new = Price.objects.get(org=world.acme.org, output_per_million=4)
    for hour in range(2):
        record_call(world.acme, NOW - MONTH - timedelta(hours=hour), cost=1_200_000, price_id=made.price.pk, **AMOUNTS)
    for hour in range(3):
        record_call(world.acme, NOW - timedelta(hours=hour), cost=1_400_000, price_id=new.pk, **AMOUNTS)
    return Api(token=world.acme.admin_token)


def test_this_month_against_the_same_days_of_the_last(ada: Api) -> None:
    with time_machine.travel(NOW + timedelta(seconds=1), tick=False):
        body = ada.get("/spend/bridge").json()
    # 2 calls x 1.2 m$ became 3 x 1.4: half a call more at 2.6, and 2.5 calls of 0.2 more.
    assert (body["before"]["effective_cost"], body["after"]["effective_cost"]) == ("0.002400000", "0.004200000")
    assert body["change"] == "0.001800000"
    assert (body["before"]["from"], body["before"]["to"]) == ("2026-10-01T00:00:00Z", "2026-10-22T12:00:01.000001Z")
    made = {part["cause"]: (part["amount"], part["text"]) for part in body["parts"] if part["text"]}
    assert made == {
        "volume": ("0.001300000", "Number of calls: < $0.01 more. 3 calls after 2."),
        "price": ("0.000500000", "Prices: < $0.01 more. small: output at $4.00 a million tokens, $2.00 before."),
    }
    assert len(body["parts"]) == 14


def test_any_two_stretches_of_time(ada: Api) -> None:
    query = {"from": "2026-10-22", "to": "2026-10-22", "before_from": "2026-11-22", "before_to": "2026-11-22"}
    body = ada.get("/spend/bridge", **query).json()
    assert (body["change"], body["text"]) == ("-0.001800000", "< $0.01 less: < $0.01 against < $0.01.")


def test_a_project_of_its_own(ada: Api, world: World) -> None:
    query = {"from": "2026-11-01", "to": "2026-11-30", "project": "default"}
    assert ada.get("/spend/bridge", **query).json()["after"]["effective_cost"] == "0.004200000"
    assert ada.get("/spend/bridge", **(query | {"tag": "team=x"})).json()["after"]["effective_cost"] == "0.000000000"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"before_from": "2026-11-01"}, "before_to"),
        ({"before_from": "2026-11-02", "before_to": "2026-10-01"}, "before_to"),
        ({"before_from": "yesterday", "before_to": "2026-10-01"}, "before_from"),
        ({"from": "2026-11-23", "to": "2026-11-21"}, "to"),
        ({"status": "ok"}, "status"),
        ({"group_by": "model"}, "group_by"),
    ],
)
def test_what_cannot_be_read_is_named(ada: Api, query: dict[str, str], field: str) -> None:
    problem = check_problem(ada.get("/spend/bridge", **query))
    assert (problem["status"], problem["errors"][0]["field"]) == (400, field)
