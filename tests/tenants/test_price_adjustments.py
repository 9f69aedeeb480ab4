"""Discounts and mark-ups: which is in force, and what a price is with it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costhub.lib import clock
from costhub.lib.errors import Conflict, Forbidden, InvalidField
from costhub.lib.moments import to_ms
from tenants.access import org_scope
from tenants.actions.price_adjustments import AdjustmentKind, adjust_list_price
from tenants.choices import UpstreamKind
from tenants.models import ListPrice
from tenants.price_adjustments import Adjustment, adjust, adjust_versions
from tenants.price_histories import find_price_version
from tenants.price_snapshots import LongContext, PriceSnapshot, Rates, ServiceTier, make_rates
from tenants.selectors import load_org_snapshot
from tests.world import World, make_catalog

RATES = make_rates({"input": 150_000, "output": 600_000, "web_searches": 10_000_000_000})
LISTED = PriceSnapshot(
    "list",
    0,
    RATES,
    per_request=7,
    source="a table",
    long_context=(LongContext(100, False, RATES),),
    service_tiers=(ServiceTier("flex", RATES, (LongContext(9, True, RATES),)),),
    units=("web_searches",),
)
JANUARY = datetime(2026, 1, 1, tzinfo=UTC)


def less(percent: str, from_ms: int = 0, name: str = "one") -> Adjustment:
    return Adjustment(name, from_ms, -Decimal(percent))


def test_every_amount_is_changed_and_rounded_up() -> None:
    cheaper = adjust(LISTED, less("12.5"))
    rates = cheaper.rates
    assert (rates.input, rates.output, rates.web_searches) == (131_250, 525_000, 8_750_000_000)
    assert cheaper.per_request == 7  # 6.125
    assert cheaper.long_context == (LongContext(100, False, rates),)
    assert cheaper.service_tiers == (ServiceTier("flex", rates, (LongContext(9, True, rates),)),)
    assert (cheaper.id, cheaper.adjustment_id, cheaper.source) == ("list", "one", "a table, 12.5 % less")
    dearer = adjust(LISTED, Adjustment("two", 0, Decimal(20)))
    assert (dearer.rates.input, dearer.source) == (180_000, "a table, 20 % more")


def test_none_at_all_is_the_list_price() -> None:
    assert adjust(LISTED, less("0")) == LISTED


def test_a_models_own_stands_in_for_its_upstreams() -> None:
    versions = adjust_versions([LISTED], [less("50", 20, "own")], [less("10", 10, "all"), less("30", 30, "later")])
    assert [(one.effective_from_ms, one.adjustment_id, one.rates.input) for one in versions] == [
        (20, "own", 75_000),
        (10, "all", 135_000),
        (0, "", 150_000),
    ]


def test_a_new_list_price_keeps_the_discount() -> None:
    newer = replace(LISTED, id="newer", effective_from_ms=20, rates=make_rates({"input": 100, "output": 100}))
    versions = adjust_versions([newer, LISTED], [less("10", 10)], [])
    assert [(one.id, one.effective_from_ms, one.rates.input) for one in versions] == [
        ("newer", 20, 90),
        ("list", 10, 135_000),
        ("list", 0, 150_000),
    ]


def test_before_the_first_list_price_there_is_none() -> None:
    late = replace(LISTED, effective_from_ms=20)
    assert [one.effective_from_ms for one in adjust_versions([late], [less("10", 10)], [])] == [20]
    assert adjust_versions([], [less("10")], []) == []


@given(
    st.integers(0, 10**9),
    st.decimals(min_value=Decimal("0.0001"), max_value=Decimal("99.9999"), places=4),
)
def test_what_is_paid_is_the_share_to_less_than_a_pico_and_never_too_little(picos: int, percent: Decimal) -> None:
    found = adjust(replace(LISTED, rates=Rates(input=picos)), less(str(percent))).rates.input
    exact = picos * (100 - percent) / 100
    assert exact <= found < exact + 1


class TestAction:
    def test_a_discount_reaches_the_snapshot_and_an_older_row_finds_its_price(self, world: World) -> None:
        listed = ListPrice.objects.create(
            provider="openai",
            model="gpt-4o",
            input_per_million=Decimal("2.5"),
            output_per_million=Decimal(10),
            effective_from=JANUARY,
            source="a table",
        )
        catalog = make_catalog(
            world.acme,
            kind=UpstreamKind.OPENAI,
            model="gpt-4o",
            input_per_million=None,
            base_url="https://o.example/v1",
        )
        with org_scope(world.acme.org.pk):
            changed = adjust_list_price(
                actor=world.acme.owner, kind=AdjustmentKind.DISCOUNT, percent=Decimal(10), upstream=catalog.upstream
            )
        snapshot = load_org_snapshot(world.acme.org_id)
        assert snapshot is not None
        price = snapshot.models["gpt-4o"].find_price(to_ms(clock.now()) + 1)
        assert price is not None
        assert (price.id, price.adjustment_id) == (str(listed.pk), str(changed.pk))
        assert (price.rates.input, price.rates.output) == (2_250_000, 9_000_000)
        again = find_price_version(world.acme.org_id, listed.pk, changed.pk)
        assert again is not None
        assert again == replace(price, effective_from_ms=again.effective_from_ms)
        assert find_price_version(world.acme.org_id, listed.pk, UUID(int=1)) is None
        assert find_price_version(world.mallcorp.org_id, listed.pk, changed.pk) is None

    @pytest.mark.parametrize(
        ("kind", "percent", "words"),
        [
            (AdjustmentKind.DISCOUNT, "-5", "a discount below zero is a markup"),
            (AdjustmentKind.MARKUP, "-5", "a markup below zero is a discount"),
            (AdjustmentKind.DISCOUNT, "100", "less than 100 per cent"),
            (AdjustmentKind.DISCOUNT, "1e9", "less than 100 per cent"),
            (AdjustmentKind.MARKUP, "1000.0001", "at most 1000 per cent"),
            (AdjustmentKind.MARKUP, "0.00001", "at most 4 decimal places"),
            (AdjustmentKind.MARKUP, "NaN", "from 0 on"),
        ],
    )
    def test_per_cent_that_cannot_be(self, world: World, kind: AdjustmentKind, percent: str, words: str) -> None:
        catalog = make_catalog(world.acme)
        with org_scope(world.acme.org.pk), pytest.raises(InvalidField, match=words) as caught:
            adjust_list_price(actor=world.acme.owner, kind=kind, percent=Decimal(percent), model=catalog.model)
        assert caught.value.field == "percent"

    def test_it_is_of_one_thing_and_of_one_moment(self, world: World) -> None:
        catalog, owner = make_catalog(world.acme), world.acme.owner
        moment = clock.now() + timedelta(days=1)
        with org_scope(world.acme.org.pk):
            for model, upstream in ((None, None), (catalog.model, catalog.upstream)):
                with pytest.raises(InvalidField, match="either a model or an upstream"):
                    adjust_list_price(
                        actor=owner, kind=AdjustmentKind.MARKUP, percent=Decimal(1), model=model, upstream=upstream
                    )
            adjust_list_price(
                actor=owner,
                kind=AdjustmentKind.MARKUP,
                percent=Decimal(1),
                model=catalog.model,
                effective_from=moment,
            )
            with pytest.raises(Conflict):
                adjust_list_price(
                    actor=owner,
                    kind=AdjustmentKind.MARKUP,
                    percent=Decimal(2),
                    model=catalog.model,
                    effective_from=moment,
                )
            with pytest.raises(Forbidden):
                adjust_list_price(
                    actor=world.ben_actor, kind=AdjustmentKind.MARKUP, percent=Decimal(1), model=catalog.model
                )
