"""What tokens cost, against an independent computation in Decimal."""

from dataclasses import replace
from decimal import ROUND_CEILING, Context, Decimal, Inexact, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costhub.lib.money import compile_fee, compile_price
from proxy.core.pricing import bound_cost, cost, make_bound
from proxy.values.attempt import Usage
from proxy.values.plan import Demand
from tenants.price_snapshots import INPUT_CLASSES, OUTPUT_CLASSES, UNIT_CLASSES, PriceSnapshot, Rates
from tests.proxy.core.examples import MODEL, PRICE, reprice

EXACT = Context(prec=200, traps=[Inexact])
TOKENS = (*INPUT_CLASSES, *OUTPUT_CLASSES)
CLASSES = (*TOKENS, *UNIT_CLASSES)

#: USD per million tokens as a person types them: six places are whole picos a token
typed_prices = st.decimals(min_value=0, max_value=1_000_000, places=6)
finer_prices = st.decimals(min_value=0, max_value=1_000_000, places=12)
counts = st.integers(0, 10_000_000)
usages = st.builds(Usage, **dict.fromkeys(CLASSES, counts))


def test_prices_stand_in_the_order_of_what_is_counted() -> None:
    """They are multiplied place by place."""
    assert Usage._fields == Rates._fields


def price_lists(prices: st.SearchStrategy[Decimal]) -> st.SearchStrategy[dict[str, Decimal]]:
    """USD: per million tokens, and a unit."""
    return st.fixed_dictionaries(dict.fromkeys((*CLASSES, "per_request"), prices))


def compiled(usd: dict[str, Decimal]) -> PriceSnapshot:
    tokens = {name: int(compile_price(usd[name])) for name in TOKENS}
    units = {name: int(compile_fee(usd[name])) for name in UNIT_CLASSES}
    return replace(PRICE, rates=Rates(**tokens, **units), per_request=compile_fee(usd["per_request"]))


def exact_nanos(usage: Usage, usd: dict[str, Decimal]) -> Decimal:
    with localcontext(EXACT):
        per_million = sum((getattr(usage, name) * usd[name] for name in TOKENS), Decimal(0))
        whole = sum((getattr(usage, name) * usd[name] for name in UNIT_CLASSES), usd["per_request"])
        return per_million * 1_000 + whole * 1_000_000_000


@given(usages, price_lists(typed_prices))
def test_a_cost_is_the_exact_sum_rounded_up_once(usage: Usage, usd: dict[str, Decimal]) -> None:
    exact = exact_nanos(usage, usd)
    assert cost(usage, compiled(usd)) == int(exact.to_integral_value(ROUND_CEILING))


@given(usages, price_lists(finer_prices))
def test_a_price_finer_than_a_pico_is_never_undercharged(usage: Usage, usd: dict[str, Decimal]) -> None:
    too_much = cost(usage, compiled(usd)) - exact_nanos(usage, usd)
    # at most a pico a token, one for the fee, and the rounding
    assert 0 <= too_much < (sum(getattr(usage, name) for name in CLASSES) + 1) / Decimal(1000) + 1


@pytest.mark.parametrize(
    ("usage", "nanos"),
    [
        (Usage(), 0),
        (Usage(input=1), 150),
        (Usage(cached_input=1), 75),
        (Usage(input=1, cached_input=1), 225),
        (Usage(output=1, reasoning=1), 600),
        (Usage(input=1_000_000, output=1_000_000), 750_000_000),
    ],
)
def test_known_costs(usage: Usage, nanos: int) -> None:
    assert cost(usage, PRICE) == nanos


def test_picos_are_summed_before_they_are_rounded() -> None:
    price = reprice(PRICE, input=1, output=1, cached_input=1)
    assert cost(Usage(input=1, output=1, cached_input=1), price) == 1
    assert cost(Usage(input=998, output=1, cached_input=1), price) == 1
    assert cost(Usage(input=999, output=1, cached_input=1), price) == 2


def test_reasoning_is_paid_once_as_the_output_that_it_is() -> None:
    assert cost(Usage(output=10, reasoning=10), PRICE) == cost(Usage(output=10), PRICE) == 6_000


def test_a_fee_is_paid_for_a_call_without_tokens() -> None:
    assert cost(Usage(), reprice(PRICE, per_request=1)) == 1
    assert cost(Usage(), reprice(PRICE, per_request=25_000_000)) == 25_000


def test_a_bound_takes_the_dearest_price_of_each_side() -> None:
    price = reprice(PRICE, cache_write=187_500, audio_input=40_000_000, audio_output=80_000_000, per_request=7)
    silent = make_bound(price, input_tokens=1_000, choices=3, max_output=100, is_exact=False)
    assert (silent.fixed_picos, silent.output_picos) == (1_000 * 187_500 + 7, 3 * 600_000)
    heard = make_bound(
        price, input_tokens=1_000, choices=3, max_output=100, is_exact=False, demand=Demand(has_audio=True)
    )
    assert (heard.fixed_picos, heard.output_picos) == (1_000 * 40_000_000 + 7, 3 * 80_000_000)
    assert (heard.input_tokens, heard.choices, heard.max_output, heard.is_exact) == (1_000, 3, 100, False)


def test_a_bound_is_rounded_up_once() -> None:
    bound = make_bound(
        reprice(PRICE, input=1, cached_input=1, cache_write=1, output=1, image_output=1),
        input_tokens=1,
        choices=1,
        max_output=9_999,
        is_exact=True,
    )
    assert [bound_cost(bound, tokens) for tokens in (0, 1, 999, 1_000, 1_999, 2_000)] == [1, 1, 1, 2, 2, 3]


@pytest.mark.parametrize(("at_ms", "found"), [(0, None), (99, None), (100, "a"), (199, "a"), (200, "b"), (10**15, "b")])
def test_the_price_of_a_moment_is_the_newest_that_has_begun(at_ms: int, found: str | None) -> None:
    versions = (replace(PRICE, id="b", effective_from_ms=200), replace(PRICE, id="a", effective_from_ms=100))
    price = replace(MODEL, prices=versions).find_price(at_ms)
    assert (price.id if price else None) == found


def test_a_model_without_prices_has_none() -> None:
    assert replace(MODEL, prices=()).find_price(10**15) is None
