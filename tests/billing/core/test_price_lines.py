"""The lines of a price add up to what the proxy charges, to the nano."""

from hypothesis import given
from hypothesis import strategies as st

from billing.core.price_lines import PriceLine, format_picos, make_price_lines
from proxy.core.pricing import cost
from proxy.core.row import usage_columns
from proxy.types import Usage
from tenants.snapshots import PriceSnapshot

CLASSES = ("input", "cached_input", "cache_write", "audio_input", "output", "audio_output")


def price(**classes: int) -> PriceSnapshot:
    zero = dict.fromkeys([*CLASSES, "per_request"], 0)
    return PriceSnapshot(id="p", effective_from_ms=0, source="", **{**zero, **classes})


@given(st.lists(st.integers(0, 10**7), min_size=6, max_size=6), st.lists(st.integers(0, 10**9), min_size=7, max_size=7))
def test_the_sum_is_what_the_proxy_charges(tokens: list[int], prices: list[int]) -> None:
    used = Usage(**dict(zip(CLASSES, tokens, strict=True)))
    snapshot = price(**dict(zip([*CLASSES, "per_request"], prices, strict=True)))
    # As the ledger has them: a call that is stored is priced as it was charged.
    lines = make_price_lines(usage_columns(used).__getitem__, snapshot)
    assert lines.nanos == cost(used, snapshot)
    assert lines.picos == sum(line.picos for line in lines.lines)


def test_only_classes_with_tokens_are_shown_beside_input_and_output() -> None:
    counts = {"input_tokens": 10, "cache_read_input_tokens": 7}
    lines = make_price_lines(
        lambda column: counts.get(column, 0), price(input=150_000, cached_input=75_001, per_request=9)
    )
    assert lines.lines == (
        PriceLine("Input", 3, 150_000, 450_000),
        PriceLine("Cached input", 7, 75_001, 525_007),
        PriceLine("Output", 0, 0, 0),
        PriceLine("Per request", None, 9, 9),
    )
    assert (lines.picos, lines.nanos) == (975_016, 976)


def test_picos_are_written_whole() -> None:
    assert [format_picos(amount) for amount in (0, 1, 450_000, 1_234_000_000_000_000, -500)] == [
        "$0.000000000",
        "$0.000000000001",
        "$0.000000450",
        "$1,234.000000000",
        "-$0.0000000005",
    ]
