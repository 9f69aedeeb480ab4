"""The lines of a price add up to what the proxy charges, to the nano."""

from hypothesis import given
from hypothesis import strategies as st

from billing.spend.core.price_lines import PriceLine, format_picos, make_price_lines
from proxy.core.pricing import cost
from proxy.core.row import read_usage, usage_columns
from proxy.values.attempt import Usage
from tenants.price_snapshots import LongContext, PriceSnapshot, Rates, make_rates

amounts = st.lists(st.integers(0, 10**9), min_size=len(Rates._fields), max_size=len(Rates._fields))
rates = amounts.map(lambda found: Rates(*found)._replace(reasoning=0))
counts = st.integers(0, 10**7)


@given(st.builds(Usage, *[counts] * len(Usage._fields)), rates, rates, counts, st.booleans())
def test_the_sum_is_what_the_proxy_charges(
    used: Usage, below: Rates, beyond: Rates, above: int, is_marginal: bool
) -> None:
    used = used._replace(reasoning=min(used.reasoning, used.output))
    price = PriceSnapshot("p", 0, below, per_request=9, long_context=(LongContext(above, is_marginal, beyond),))
    # As the ledger has them: a call that is stored is priced as it was charged.
    lines = make_price_lines(read_usage(usage_columns(used)), price)
    assert lines.nanos == cost(used, price)
    assert lines.picos == sum(line.picos for line in lines.lines)


def test_only_classes_that_were_used_are_shown_beside_input_and_output() -> None:
    price = PriceSnapshot("p", 0, make_rates({"input": 150_000, "cached_input": 75_001, "output": 9}), per_request=9)
    lines = make_price_lines(Usage(input=3, cached_input=7), price)
    assert lines.lines == (
        PriceLine("Input", 3, 150_000, 450_000),
        PriceLine("Cached input", 7, 75_001, 525_007),
        PriceLine("Output", 0, 9, 0),
        PriceLine("Per request", None, 9, 9),
    )
    assert (lines.picos, lines.nanos) == (975_016, 976)


def test_searches_have_a_line_by_the_piece_and_a_long_input_two() -> None:
    price = PriceSnapshot(
        "p",
        0,
        make_rates({"input": 2, "output": 5, "web_searches": 10_000_000_000}),
        long_context=(LongContext(100, True, make_rates({"input": 4, "output": 5, "web_searches": 10_000_000_000})),),
        units=("web_searches",),
    )
    lines = make_price_lines(Usage(input=120, output=1, web_searches=2), price)
    assert lines.lines == (
        PriceLine("Input", 100, 2, 200),
        PriceLine("Input", 20, 4, 80),
        PriceLine("Output", 1, 5, 5),
        PriceLine("Web searches", 2, 10_000_000_000, 20_000_000_000, is_unit=True),
    )


def test_picos_are_written_whole() -> None:
    assert [format_picos(amount) for amount in (0, 1, 450_000, 1_234_000_000_000_000, -500)] == [
        "$0.000000000",
        "$0.000000000001",
        "$0.000000450",
        "$1,234.000000000",
        "-$0.0000000005",
    ]
