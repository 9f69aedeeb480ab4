"""Money: exact, rounded in one place, in one direction."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costhub.lib.money import (
    FEE_DECIMAL_PLACES,
    MAX_LIMIT_NANOS,
    MAX_PRICE_PER_MILLION,
    PRICE_DECIMAL_PLACES,
    coarsen,
    compile_fee,
    compile_price,
    format_for_people,
    format_usd,
    parse_usd,
    round_up,
    to_usd,
)

amounts = st.integers(-(10**21), 10**21)
prices = st.decimals(min_value=0, max_value=MAX_PRICE_PER_MILLION, places=12)


@pytest.mark.parametrize(
    ("typed", "nanos"),
    [
        ("10.00", 10_000_000_000),
        ("0.000000001", 1),
        ("-1.5", -1_500_000_000),
        ("1e-9", 1),
        (7, 7_000_000_000),
        (Decimal("9000000"), MAX_LIMIT_NANOS),
    ],
)
def test_amounts_are_read_as_they_are_typed(typed: str | int | Decimal, nanos: int) -> None:
    assert parse_usd(typed) == nanos


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ten",
        "NaN",
        "Infinity",
        "-inf",
        "0.0000000001",
        "1e13",
        "1,5",
        "1e999999",
        "1e-999999",
        "1e999999999",
        "-1e999999999",
        "1e-999999999",
    ],
)
def test_what_is_no_amount_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match=r"USD|amount|money|nano-dollar"):
        parse_usd(typed)


@given(amounts)
def test_a_written_amount_reads_back_as_itself(nanos: int) -> None:
    assert parse_usd(format_usd(nanos)) == nanos
    assert format_usd(nanos) == f"{to_usd(nanos):.9f}"


@given(prices)
def test_a_compiled_price_is_never_too_low_and_never_a_pico_too_high(usd_per_million: Decimal) -> None:
    exact = usd_per_million * 1_000_000
    assert 0 <= compile_price(usd_per_million) - exact < 1


@pytest.mark.parametrize(
    ("usd_per_million", "picos"),
    [("0", 0), ("0.15", 150_000), ("0.60", 600_000), ("1000000", 10**12), ("0.000001", 1), ("0.0000001", 1)],
)
def test_prices_in_picos_a_token(usd_per_million: str, picos: int) -> None:
    assert compile_price(Decimal(usd_per_million)) == picos


@given(prices)
def test_a_fee_in_picos_is_never_too_low(usd: Decimal) -> None:
    assert 0 <= compile_fee(usd) - usd * 10**12 < 1


@given(st.integers(0, 10**24))
def test_a_cost_rounds_up_to_the_next_whole_nano(picos: int) -> None:
    assert 0 <= round_up(picos) * 1000 - picos < 1000


@given(st.lists(st.integers(0, 10**15), max_size=8))
def test_rounding_a_sum_once_never_costs_more_than_rounding_its_parts(parts: list[int]) -> None:
    assert 0 <= sum(map(round_up, parts)) - round_up(sum(parts)) <= max(0, len(parts) - 1)


@pytest.mark.parametrize(
    ("nanos", "shown"),
    [
        (0, "$0.00"),
        (1, "< $0.01"),
        (9_999_999, "< $0.01"),
        (10_000_000, "$0.01"),
        (1_234_500_000_000, "$1,234.50"),
        (-1_500_000_000, "-$1.50"),
        (-10_000_000, "-$0.01"),
        (-1, "> -$0.01"),
        (MAX_LIMIT_NANOS, "$9,000,000.00"),
    ],
)
def test_amounts_for_people(nanos: int, shown: str) -> None:
    assert format_for_people(nanos) == shown


def test_the_largest_limit_is_exact_in_lua() -> None:
    assert MAX_LIMIT_NANOS < 2**53
    assert float(MAX_LIMIT_NANOS) == MAX_LIMIT_NANOS
    assert float(MAX_LIMIT_NANOS - 1) == MAX_LIMIT_NANOS - 1


@given(prices)
def test_a_coarsened_price_is_the_same_price_for_the_ledger(usd: Decimal) -> None:
    coarse = coarsen(usd, PRICE_DECIMAL_PLACES)
    assert 0 <= coarse - usd < Decimal("0.000001")
    assert compile_price(coarse) == compile_price(usd) == coarse * 1_000_000
    assert coarsen(usd, FEE_DECIMAL_PLACES) == usd
