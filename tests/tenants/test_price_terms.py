"""Rows, tiers and fees as they are typed: what is refused, and what is compiled of them."""

from decimal import Decimal
from typing import Any

import pytest

from costhub.lib.errors import InvalidField
from tenants.price_snapshots import LongContext, Rates, ServiceTier
from tenants.price_terms import (
    check_fees,
    check_long_context,
    check_service_tiers,
    compile_long_context,
    compile_rates,
    compile_service_tiers,
    list_units,
)

BASE = {
    "input_per_million": Decimal(1),
    "output_per_million": Decimal(6),
    "cached_input_per_million": Decimal("0.1"),
}
DOUBLE = {
    "input_per_million": Decimal(2),
    "output_per_million": Decimal(9),
    "cached_input_per_million": Decimal("0.2"),
}
ABOVE = {"input_per_million": Decimal(2), "cached_input_per_million": Decimal("0.2")}


def row(above: int, amounts: dict[str, Decimal] = DOUBLE, **more: Any) -> dict[str, Any]:
    return {"above": above, **amounts, **more}


@pytest.mark.parametrize(
    ("rows", "field", "words"),
    [
        ([row(0)], "long_context[0].above", "from 1 to"),
        ([row(200), row(200)], "long_context[1].above", "more than 200"),
        ([row(200), row(100)], "long_context[1].above", "more than 200"),
        ([row(1_000)], "long_context[0].above", "holds 1000 tokens"),
        ([row(5, ABOVE)], "long_context[0].output_per_million", "Give this too"),
        ([row(5, {**DOUBLE, "input_per_million": Decimal(-1)})], "long_context[0].input_per_million", "from 0 to"),
        ([row(5, {**DOUBLE, "input_per_million": Decimal("NaN")})], "long_context[0].input_per_million", "from 0 to"),
        (
            [row(5, {**DOUBLE, "input_per_million": Decimal("0.0000001")})],
            "long_context[0].input_per_million",
            "at most 6 decimal places",
        ),
        ([row(5, DOUBLE, applies_to="tokens_above")], "long_context[0].output_per_million", "input only"),
        (
            [row(5, {"input_per_million": Decimal(2)}, applies_to="tokens_above")],
            "long_context[0].cached_input_per_million",
            "Give this too",
        ),
        ([row(place + 1) for place in range(11)], "long_context", "at most 10 rows"),
    ],
)
def test_rows_that_cannot_be(rows: list[dict[str, Any]], field: str, words: str) -> None:
    with pytest.raises(InvalidField, match=words) as caught:
        check_long_context(rows, BASE, context_window=1_000)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("tiers", "field", "words"),
    [
        ({"Flex": DOUBLE}, "service_tiers.Flex", "such as flex"),
        ({"": DOUBLE}, "service_tiers.", "such as flex"),
        ({"default": DOUBLE}, "service_tiers.default", "the price itself"),
        ({"auto": DOUBLE}, "service_tiers.auto", "the price itself"),
        ({"flex": ABOVE}, "service_tiers.flex.output_per_million", "Give this too"),
        ({"flex": {**DOUBLE, "long_context": [row(0)]}}, "service_tiers.flex.long_context[0].above", "from 1 to"),
        ({f"t{place}": DOUBLE for place in range(11)}, "service_tiers", "at most 10"),
    ],
)
def test_tiers_that_cannot_be(tiers: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidField, match=f"(?i){words}") as caught:
        check_service_tiers(tiers, BASE, context_window=1_000)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("fees", "field"),
    [
        ({"search": Decimal(1)}, "fees.search"),
        ({"image": Decimal(-1)}, "fees.image"),
        ({"web_search_tokens": Decimal(8_000)}, "fees.web_search_tokens"),
        ({"web_search": Decimal(0), "web_search_tokens": Decimal("0.5")}, "fees.web_search_tokens"),
        ({"web_search": Decimal(0), "web_search_tokens": Decimal(-1)}, "fees.web_search_tokens"),
        ({"web_search": Decimal(0), "web_search_tokens": Decimal(1_000_001)}, "fees.web_search_tokens"),
    ],
)
def test_fees_that_cannot_be(fees: dict[str, Decimal], field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        check_fees(fees)
    assert caught.value.field == field


def test_fees_are_compiled_to_what_is_counted() -> None:
    fees = check_fees({"web_search": Decimal("0.01"), "minute": Decimal("0.006"), "million_characters": Decimal(15)})
    assert fees == {"web_search": "0.01", "minute": "0.006", "million_characters": "15"}
    rates = compile_rates(BASE, fees)
    # ten dollars a thousand searches, a hundredth of a cent a second, fifteen millionths a character
    assert (rates.web_searches, rates.seconds, rates.characters) == (10_000_000_000, 100_000_000, 15_000_000)
    # a search of any size, unless that has a fee of its own
    assert (rates.web_searches_low, rates.web_searches_high, rates.pages) == (10_000_000_000, 10_000_000_000, 0)
    assert list_units(BASE, fees) == ("characters", "seconds", "web_searches", "web_searches_high", "web_searches_low")
    assert compile_rates(BASE, {**fees, "web_search_low": "0.001"}).web_searches_low == 1_000_000_000


def test_a_search_that_is_billed_as_tokens_costs_those_of_its_row() -> None:
    fees = check_fees(
        {"web_search": Decimal("0.01"), "web_search_preview": Decimal("0.025"), "web_search_tokens": Decimal(8_000)}
    )
    assert fees == {"web_search": "0.01", "web_search_preview": "0.025", "web_search_tokens": "8000"}
    rates = compile_rates(BASE, fees)
    # a cent, and 8,000 tokens at a dollar a million: 0.018 dollars a search, of any size
    assert rates[12:15] == (18_000_000_000,) * 3
    assert rates.web_searches_preview == 25_000_000_000
    assert compile_rates(DOUBLE, fees).web_searches == 26_000_000_000
    (tier,) = compile_service_tiers({"batch": {"input_per_million": "0.5", "output_per_million": "3"}}, fees)
    assert tier.rates.web_searches == 14_000_000_000
    names = ("web_searches", "web_searches_high", "web_searches_low", "web_searches_preview")
    assert list_units(BASE, fees) == names


def test_sound_and_pictures_with_a_price_of_their_own_are_known() -> None:
    assert list_units({**BASE, "image_output_per_million": Decimal(0)}, {}) == ("image_output",)


def test_a_part_of_a_fee_is_rounded_up() -> None:
    assert compile_rates(BASE, {"minute": "0.000000000001"}).seconds == 1


def test_a_row_of_the_whole_call_replaces_the_base() -> None:
    stored = check_long_context([row(272_000)], BASE, context_window=1_050_000)
    assert stored == [
        {
            "above": 272_000,
            "applies_to": "call",
            "input_per_million": "2",
            "output_per_million": "9",
            "cached_input_per_million": "0.2",
        }
    ]
    (compiled,) = compile_long_context(stored, BASE, {"page": "0.001"})
    assert (compiled.above, compiled.is_marginal) == (272_000, False)
    assert (compiled.rates.input, compiled.rates.cached_input, compiled.rates.output) == (2_000_000, 200_000, 9_000_000)
    assert compiled.rates.pages == 1_000_000_000


def test_a_row_of_the_tokens_above_leaves_output_as_it_is() -> None:
    stored = check_long_context([row(5, ABOVE, applies_to="tokens_above")], BASE, context_window=None)
    (compiled,) = compile_long_context(stored, BASE, {})
    assert compiled == LongContext(5, True, compile_rates({**BASE, **ABOVE}, {}))
    assert compiled.rates.output == 6_000_000


def test_tiers_have_rows_of_their_own() -> None:
    stored = check_service_tiers({"flex": {**BASE, "long_context": [row(9)]}}, BASE, context_window=10)
    (tier,) = compile_service_tiers(stored, {})
    assert tier == ServiceTier("flex", compile_rates(BASE, {}), (LongContext(9, False, compile_rates(DOUBLE, {})),))


def test_classes_without_a_price_cost_what_the_one_nearest_to_them_does() -> None:
    sound = {"input_per_million": Decimal(1), "output_per_million": Decimal(2), "audio_input_per_million": Decimal(3)}
    written = {**BASE, "cache_write_per_million": Decimal(4)}
    assert compile_rates(sound, {}).cached_audio_input == 3_000_000
    assert compile_rates(BASE, {}).cached_audio_input == compile_rates(BASE, {}).cached_image_input == 100_000
    assert compile_rates(written, {}).cache_write_1h == 4_000_000
    assert compile_rates(BASE, {}) == Rates(
        input=1_000_000,
        cached_input=100_000,
        cache_write=1_000_000,
        cache_write_1h=1_000_000,
        audio_input=1_000_000,
        cached_audio_input=100_000,
        image_input=1_000_000,
        cached_image_input=100_000,
        output=6_000_000,
        audio_output=6_000_000,
        image_output=6_000_000,
    )
