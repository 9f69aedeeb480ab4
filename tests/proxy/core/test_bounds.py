"""A bound is an upper limit: for any table, any demand, and any usage within what was assumed."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.pricing import bound_cost, cost, make_bound
from proxy.values.attempt import Usage
from proxy.values.plan import Demand
from tenants.price_snapshots import (
    INPUT_CLASSES,
    OUTPUT_CLASSES,
    UNIT_CLASSES,
    LongContext,
    PriceSnapshot,
    Rates,
    ServiceTier,
    make_rates,
)

TIERS = ("default", "flex", "priority")
Draw = Callable[[st.SearchStrategy[Any]], Any]

picos = st.integers(0, 10**8)
row_of_rates = st.builds(Rates, *[picos] * len(Rates._fields)).map(lambda rates: rates._replace(reasoning=0))
counts = st.integers(0, 3_000)


@st.composite
def long_contexts(draw: Draw, below: Rates) -> tuple[LongContext, ...]:
    """Up to three rows, whole or marginal; a marginal one has an input of its own only."""
    found = []
    for above in sorted(draw(st.sets(st.integers(1, 8_000), max_size=3))):
        rates, is_marginal = draw(row_of_rates), draw(st.booleans())
        if is_marginal:
            rates = below._replace(**{name: getattr(rates, name) for name in INPUT_CLASSES})
        found.append(LongContext(above, is_marginal, rates))
        below = rates
    return tuple(found)


@st.composite
def tables(draw: Draw) -> PriceSnapshot:
    rates = draw(row_of_rates)
    tiers = []
    for name in draw(st.sets(st.sampled_from(TIERS[1:]))):
        of_tier = draw(row_of_rates)
        tiers.append(ServiceTier(name, of_tier, draw(long_contexts(of_tier))))
    return PriceSnapshot(
        "p",
        0,
        rates,
        per_request=draw(picos),
        long_context=draw(long_contexts(rates)),
        service_tiers=tuple(tiers),
        units=UNIT_CLASSES,
    )


@st.composite
def demands(draw: Draw) -> Demand:
    return Demand(
        tiers=tuple(draw(st.sets(st.sampled_from(TIERS), min_size=1))),
        has_audio=draw(st.booleans()),
        has_images=draw(st.booleans()),
        has_long_cache=draw(st.booleans()),
        units=tuple(draw(st.dictionaries(st.sampled_from(UNIT_CLASSES), st.integers(0, 20))).items()),
    )


def unasked(demand: Demand) -> set[str]:
    """The token classes that an answer cannot use, as the demand says."""
    out: set[str] = set()
    if not demand.has_audio:
        out |= {"audio_input", "cached_audio_input", "audio_output"}
    if not demand.has_images:
        out |= {"image_input", "cached_image_input"}
    if not demand.has_long_cache:
        out |= {"cache_write_1h"}
    return out


@given(st.data(), tables(), demands(), st.integers(1, 4), st.integers(0, 500), st.integers(0, 500))
def test_no_usage_within_a_bound_costs_more_than_the_bound(
    data: st.DataObject, price: PriceSnapshot, demand: Demand, choices: int, spare_input: int, spare_output: int
) -> None:
    classes = [name for name in (*INPUT_CLASSES, *OUTPUT_CLASSES) if name not in unasked(demand)]
    tokens = {name: data.draw(counts) for name in classes}
    units = {name: data.draw(st.integers(0, most)) for name, most in demand.units}
    usage = Usage(**tokens, **units)
    per_choice = -(-usage.output_tokens // choices) + spare_output
    bound = make_bound(
        price,
        input_tokens=usage.input_tokens + spare_input,
        choices=choices,
        max_output=per_choice,
        is_exact=True,
        demand=demand,
    )
    for tier in demand.tiers:
        assert cost(usage, price, tier) <= bound_cost(bound, per_choice)


@pytest.mark.parametrize(
    ("rows", "picos"),
    [
        ((), 2_000 * 7 + 1_000 * 31),
        ((LongContext(1_000, False, make_rates({"input": 14, "output": 40})),), 2_000 * 14 + 1_000 * 40),
        ((LongContext(2_000, False, make_rates({"input": 14, "output": 40})),), 2_000 * 7 + 1_000 * 31),
    ],
)
def test_the_bound_is_what_the_dearest_answer_costs(rows: tuple[LongContext, ...], picos: int) -> None:
    """Not any upper limit: where a call is billed by one row, the least there is."""
    flex = ServiceTier("flex", make_rates({"input": 7, "output": 31}), rows)
    price = PriceSnapshot("p", 0, make_rates({"input": 3, "output": 5}), service_tiers=(flex,))
    bound = make_bound(
        price, input_tokens=2_000, choices=2, max_output=500, is_exact=True, demand=Demand(tiers=("default", "flex"))
    )
    assert cost(Usage(input=2_000, output=1_000), price, "flex") == bound_cost(bound, 500) == -(-picos // 1_000)
