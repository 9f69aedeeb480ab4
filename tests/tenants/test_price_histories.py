"""List prices of the providers that upstreams are billed by."""

from decimal import Decimal

import pytest
from django.core.management import call_command

from costhub.lib import clock
from tenants.choices import UpstreamKind
from tenants.models import ListPrice
from tenants.price_histories import LIST_PRICES_OF, list_price_names
from tenants.selectors import load_org_snapshot
from tenants.snapshots import ModelSnapshot
from tests.world import World, make_catalog

MILLION = 1_000_000


def find_model(world: World, upstream_model: str) -> ModelSnapshot:
    make_catalog(
        world.acme,
        kind=UpstreamKind.ANTHROPIC,
        base_url="https://api.anthropic.com/v1",
        input_per_million=None,
        upstream_model=upstream_model,
    )
    org = load_org_snapshot(world.acme.org_id)
    assert org is not None
    return org.models["small"]


def test_each_provider_that_upstreams_are_billed_by_is_seeded(world: World) -> None:
    call_command("seed_prices")
    assert set(ListPrice.objects.values_list("provider", flat=True)) == set(LIST_PRICES_OF.values())
    sources = ListPrice.objects.filter(provider="anthropic").values_list("source", flat=True)
    assert {source.split()[0] for source in sources} == {"genai-prices"}


@pytest.mark.parametrize(
    "upstream_model", ["claude-haiku-4-5", "claude-haiku-4-5-20251001", "claude-haiku-4-5-20251001-latest"]
)
def test_an_anthropic_model_costs_what_the_list_says_under_its_dated_name_too(
    world: World, upstream_model: str
) -> None:
    call_command("seed_prices", "--provider", "anthropic")
    model = find_model(world, upstream_model)
    price = model.find_price(clock.now_ms())
    if upstream_model.endswith("-latest"):
        assert price is None, "only one ending is taken off"
        return
    assert price is not None
    rates = price.rates
    assert (rates.input, rates.cached_input, rates.cache_write, rates.cache_write_1h, rates.output) == (
        *(MILLION, MILLION // 10, MILLION * 5 // 4, MILLION * 2, MILLION * 5),
    )
    assert rates.web_searches == 10_000_000_000
    assert [tier.name for tier in price.service_tiers] == ["batch"]
    assert (model.context_window, model.dated) == (200_000, ())
    newest = ListPrice.objects.filter(provider="anthropic", model="claude-haiku-4-5").latest("effective_from")
    assert (price.id, newest.input_per_million) == (str(newest.pk), Decimal(1))


@pytest.mark.parametrize(
    ("provider", "model", "names"),
    [
        ("anthropic", "claude-opus-4-5", ["claude-opus-4-5", "claude-opus-4-5-latest"]),
        (
            "anthropic",
            "claude-3-5-haiku-20241022",
            ["claude-3-5-haiku-20241022", "claude-3-5-haiku", "claude-3-5-haiku-latest"],
        ),
        ("anthropic", "claude-3-5-sonnet-latest", ["claude-3-5-sonnet-latest", "claude-3-5-sonnet"]),
        # versions of these have cost something else
        ("openai", "gpt-4o-2024-05-13", ["gpt-4o-2024-05-13"]),
    ],
)
def test_under_which_names_a_price_is_looked_for(provider: str, model: str, names: list[str]) -> None:
    assert list_price_names(provider, model) == names
