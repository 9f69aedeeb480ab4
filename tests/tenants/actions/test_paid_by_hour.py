"""Calls that hours of GPUs pay for have no price by the token meanwhile, whoever comes first."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from costhub.lib import clock
from costhub.lib.errors import Conflict
from tenants.access import org_scope
from tenants.actions.models import create_model, update_model
from tenants.actions.paid_by_hour import check_unpriced, costs, pay_by_hour
from tenants.actions.pricing import create_price
from tenants.models import LanguageModel
from tenants.models.upstreams import FOREVER
from tenants.price_snapshots import LongContext, PriceSnapshot, Rates, ServiceTier
from tenants.selectors import load_org_snapshot
from tests.world import Catalog, Tenant, World, make_catalog

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def acme(world: World) -> Tenant:
    return world.acme


def make_hourly(tenant: Tenant, until: Any = FOREVER, model: str = "own") -> Catalog:
    made = make_catalog(tenant, model=model, input_per_million=None)
    with org_scope(tenant.org.pk):
        pay_by_hour(tenant.owner, made.upstream, until)
    return made


def price(tenant: Tenant, model: LanguageModel | None, usd: str, **terms: Any) -> None:
    with org_scope(tenant.org.pk):
        create_price(
            actor=tenant.owner,
            model=model,
            **{"input_per_million": Decimal(usd), "output_per_million": Decimal(usd)} | terms,
        )


def find_input_price(tenant: Tenant, name: str, at_ms: int | None = None) -> int | None:
    """Pico-USD of a token, as proxies know it."""
    org = load_org_snapshot(tenant.org_id)
    assert org is not None
    found = org.models[name].find_price(clock.now_ms() if at_ms is None else at_ms)
    return found.rates.input if found else None


def test_a_price_is_refused_until_the_hours_end(acme: Tenant) -> None:
    open_hours = make_hourly(acme)
    with pytest.raises(Conflict, match="end those first") as refused:
        price(acme, open_hours.model, "1")
    assert refused.value.field == "effective_from"
    price(acme, open_hours.model, "0")
    ends = clock.now() + HOUR
    ending = make_hourly(acme, ends, "ending")
    with pytest.raises(Conflict, match=f"let the price begin at {ends:%Y-%m-%d %H:%M} UTC"):
        price(acme, ending.model, "1", effective_from=ends - HOUR / 2)
    price(acme, ending.model, "1", effective_from=ends)


@pytest.mark.parametrize(
    "terms",
    [
        {"per_request": Decimal("0.01")},
        {"fees": {"web_search": Decimal("10")}},
        {"service_tiers": {"priority": {"input_per_million": Decimal(1), "output_per_million": Decimal(1)}}},
    ],
    ids=["request", "fee", "tier"],
)
def test_whatever_a_call_could_cost_is_a_price(acme: Tenant, terms: dict[str, Any]) -> None:
    with pytest.raises(Conflict, match="paid twice"):
        price(acme, make_hourly(acme).model, "0", **terms)


def test_a_row_for_long_contexts_is_a_price() -> None:
    dear = LongContext(10, False, Rates(input=1))
    assert not costs(PriceSnapshot("", 0, Rates()))
    assert costs(PriceSnapshot("", 0, Rates(), long_context=(dear,)))
    assert costs(PriceSnapshot("", 0, Rates(), service_tiers=(ServiceTier("flex", Rates(), (dear,)),)))


def test_the_fallback_is_not_taken_meanwhile(acme: Tenant) -> None:
    ends = clock.now() + HOUR
    make_hourly(acme)
    make_hourly(acme, ends, "ending")
    make_catalog(acme, model="usual", input_per_million=None)
    price(acme, None, "2")
    assert [find_input_price(acme, name) for name in ("own", "ending", "usual")] == [None, None, 2_000_000]
    later = int(ends.timestamp() * 1000) + 1
    assert [find_input_price(acme, name, later) for name in ("own", "ending", "usual")] == [None, 2_000_000, 2_000_000]


def test_a_model_with_a_price_cannot_move_there(acme: Tenant) -> None:
    hourly, priced = make_hourly(acme), make_catalog(acme, model="priced")
    with org_scope(acme.org.pk):
        with pytest.raises(Conflict, match="priced costs by the token too") as refused:
            update_model(actor=acme.owner, model=priced.model, upstream=hourly.upstream)
        assert refused.value.field == "upstream"
        priced.model.refresh_from_db()
        assert priced.model.upstream_id == priced.upstream.pk
    price(acme, priced.model, "0")
    with org_scope(acme.org.pk):
        update_model(actor=acme.owner, model=priced.model, upstream=hourly.upstream)


def test_prices_that_held_then_or_will_hold_count(acme: Tenant) -> None:
    made = make_catalog(acme, effective_from=clock.now() - HOUR * 3)
    price(acme, made.model, "0", effective_from=clock.now() - HOUR)
    with org_scope(acme.org.pk):
        free = create_model(actor=acme.owner, name="free", upstream=made.upstream)
        check_unpriced(acme.owner, [free, made.model], clock.now())
        with pytest.raises(Conflict, match="small costs by the token too"):
            check_unpriced(acme.owner, [free, made.model], clock.now() - HOUR * 2)
    price(acme, made.model, "1", effective_from=clock.now() + HOUR)
    with org_scope(acme.org.pk), pytest.raises(Conflict, match="small costs by the token too"):
        check_unpriced(acme.owner, [made.model], clock.now())
