"""The bill bridge: twenty planted shocks, exact sums, and what happens at the edges."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.spend.core.bridge import Bridge, Cause, ClassSums, ModelSums, build_bridge
from billing.spend.core.bridge_texts import TITLES, describe_parts
from tenants.price_snapshots import INPUT_CLASSES, OUTPUT_CLASSES

PRICES = {
    "small": {"input": 150, "cached_input": 75, "output": 600},
    "large": {"input": 2_500, "cached_input": 1_250, "output": 10_000},
    "smart": {"input": 3_000, "cached_input": 300, "output": 15_000},
}


def make_model(
    calls: int,
    prices: dict[str, int],
    *,
    hits: int = 0,
    failed: int = 0,
    input_a_call: int = 1_000,
    cached_a_call: int = 200,
    output_a_call: int = 300,
    retried_per_mille: int = 0,
    compressed_per_mille: int = 0,
    routed_per_mille: int = 0,
) -> ModelSums:
    """A month of one model. Compression takes so much off the input, routing so much off the price."""
    billed = calls - hits - failed
    kept = 1000 - compressed_per_mille
    paid = 1000 - routed_per_mille
    tokens = {
        "input": billed * input_a_call * kept // 1000,
        "cached_input": billed * cached_a_call * kept // 1000,
        "output": billed * output_a_call,
    }
    tokens = {name: count * (1000 + retried_per_mille) // 1000 for name, count in tokens.items()}
    picos = {name: count * prices[name] * paid // 1000 for name, count in tokens.items()}
    effective = -(-sum(picos.values()) // 1000)
    inputs = (picos["input"] + picos["cached_input"]) // 1000
    return ModelSums(
        calls=calls,
        hits=hits,
        billed=billed,
        effective=effective,
        retried=effective * retried_per_mille // (1000 + retried_per_mille),
        compressed=inputs * compressed_per_mille // kept,
        routed=effective * routed_per_mille // paid,
        classes={name: ClassSums(tokens[name], picos[name]) for name in tokens},
    )


def make_month(**models: Any) -> dict[str, ModelSums]:
    """A usual month: the same calls of three models, each with what is said of it."""
    calls = {"small": 60_000, "large": 30_000, "smart": 10_000}
    return {
        name: make_model(
            **({"calls": calls[name], "prices": PRICES[name], "hits": calls[name] // 5} | models.get(name, {}))
        )
        for name in calls
    }


def dearer(name: str, classes: tuple[str, ...], per_cent: int) -> dict[str, int]:
    return {cls: PRICES[name][cls] * (100 + per_cent if cls in classes else 100) // 100 for cls in PRICES[name]}


def each(**options: int) -> dict[str, Any]:
    return {name: dict(options) for name in PRICES}


#: name, what is different after, what is different before, the planted cause
SHOCKS: list[tuple[str, Any, Any, Cause]] = [
    ("output of large is dearer", {"large": {"prices": dearer("large", ("output",), 20)}}, {}, Cause.PRICE),
    ("all of small is cheaper", {"small": {"prices": dearer("small", ("input", "cached_input", "output"), -50)}}, {}, Cause.PRICE),
    ("cached input of smart is dearer", {"smart": {"prices": dearer("smart", ("cached_input",), 900)}}, {}, Cause.PRICE),
    ("twice the calls", {n: {"calls": c, "hits": c // 5} for n, c in (("small", 120_000), ("large", 60_000), ("smart", 20_000))}, {}, Cause.VOLUME),
    ("a third of the calls", {n: {"calls": c, "hits": c // 5} for n, c in (("small", 20_000), ("large", 10_000), ("smart", 3_335))}, {}, Cause.VOLUME),
    ("small's calls go to smart", {"small": {"calls": 30_000, "hits": 6_000}, "smart": {"calls": 40_000, "hits": 8_000}}, {}, Cause.MODEL_MIX),
    ("smart is given up for small", {"small": {"calls": 69_000, "hits": 13_800}, "smart": {"calls": 1_000, "hits": 200}}, {}, Cause.MODEL_MIX),
    ("large becomes chattier", {"large": {"output_a_call": 700}}, {}, Cause.OUTPUT_TOKENS),
    ("all answer shorter", each(output_a_call=150), {}, Cause.OUTPUT_TOKENS),
    ("longer prompts", each(input_a_call=3_000, cached_a_call=600), {}, Cause.INPUT_TOKENS),
    ("a new tokenizer", {"smart": {"input_a_call": 1_350, "cached_a_call": 270}}, {}, Cause.INPUT_TOKENS),
    ("our cache is switched off", each(hits=0), {}, Cause.CACHE),
    ("our cache is switched on", {}, each(hits=0), Cause.CACHE),
    ("the provider's cache is cold", each(input_a_call=1_200, cached_a_call=0), {}, Cause.PROVIDER_CACHE),
    ("the provider's cache is warm", each(input_a_call=300, cached_a_call=900), {}, Cause.PROVIDER_CACHE),
    ("retries", each(retried_per_mille=250), {}, Cause.RETRIES),
    ("a third of large's calls fail", {"large": {"failed": 8_000}}, {}, Cause.FAILURES),
    ("routing is switched off", {}, each(routed_per_mille=400), Cause.ROUTING),
    ("large is routed to cheaper models", {"large": {"routed_per_mille": 600}}, {}, Cause.ROUTING),
    ("prompts are compressed", each(compressed_per_mille=500), {}, Cause.COMPRESSION),
]  # fmt: skip


def part_of(bridge: Bridge, cause: Cause) -> int:
    return next(part.nanos for part in bridge.parts if part.cause is cause)


@pytest.mark.parametrize(("after", "before", "cause"), [shock[1:] for shock in SHOCKS], ids=[s[0] for s in SHOCKS])
def test_the_planted_cause_carries_the_change(after: dict[str, Any], before: dict[str, Any], cause: Cause) -> None:
    bridge = build_bridge(make_month(**before), make_month(**after))
    assert bridge.change != 0
    assert sum(part.nanos for part in bridge.parts) == bridge.change
    assert part_of(bridge, cause) / bridge.change >= 0.95


def test_there_are_twenty_shocks_of_every_kind() -> None:
    assert len(SHOCKS) == 20
    assert {shock[3] for shock in SHOCKS} == set(Cause) - {Cause.BATCH, Cause.OTHER}


def test_nothing_changed() -> None:
    bridge = build_bridge(make_month(), make_month())
    assert (bridge.change, {part.nanos for part in bridge.parts}) == (0, {0})
    assert {part.driver for part in bridge.parts} == {None}


def test_back_is_the_way_there_with_the_other_sign() -> None:
    quiet, loud = make_month(), make_month(large={"output_a_call": 700, "calls": 50_000})
    there, back = build_bridge(quiet, loud), build_bridge(loud, quiet)
    for way, other in zip(there.parts, back.parts, strict=True):
        assert abs(way.nanos + other.nanos) <= 1


def test_a_new_model_is_a_matter_of_the_mix_alone() -> None:
    before = make_month()
    after = before | {"new": make_model(10_000, PRICES["smart"])}
    bridge = build_bridge(before, after)
    assert {part.cause for part in bridge.parts if part.nanos} == {Cause.VOLUME, Cause.MODEL_MIX}
    mix = next(part for part in bridge.parts if part.cause is Cause.MODEL_MIX)
    assert mix.driver
    assert (mix.driver.model, mix.driver.before, mix.driver.after * 110) == ("new", Fraction(0), Fraction(10))


def test_a_first_month_is_all_volume_and_an_empty_one_nothing() -> None:
    bridge = build_bridge({}, make_month())
    assert part_of(bridge, Cause.VOLUME) == bridge.change == bridge.after
    assert build_bridge({}, {}).change == 0


def test_a_correction_of_a_month_without_calls_is_other() -> None:
    bridge = build_bridge({"small": ModelSums(effective=-7)}, {})
    assert (part_of(bridge, Cause.OTHER), bridge.change) == (7, 7)


def test_the_driver_of_a_price_says_which() -> None:
    bridge = build_bridge(make_month(), make_month(large={"prices": dearer("large", ("output",), 20)}))
    price = next(part for part in bridge.parts if part.cause is Cause.PRICE)
    assert price.driver
    # nano-USD a token
    assert (price.driver.model, price.driver.token_class) == ("large", "output")
    assert (price.driver.before, price.driver.after) == (Fraction(10), Fraction(12))


COUNTS = st.integers(min_value=-3, max_value=50)
SUMS = st.builds(
    ModelSums,
    calls=st.integers(min_value=0, max_value=20),
    hits=st.integers(min_value=0, max_value=20),
    billed=st.integers(min_value=0, max_value=20),
    effective=st.integers(min_value=-1_000, max_value=10**6),
    retried=COUNTS,
    compressed=COUNTS,
    routed=COUNTS,
    batched=COUNTS,
    classes=st.dictionaries(
        st.sampled_from([*INPUT_CLASSES, *OUTPUT_CLASSES]),
        st.builds(ClassSums, tokens=COUNTS, picos=st.integers(min_value=-1_000, max_value=10**6)),
    ),
)
PERIODS = st.dictionaries(st.sampled_from(["a", "b", "c"]), SUMS)


@given(PERIODS, PERIODS)
def test_the_parts_sum_to_the_nano_whatever_the_books_say(
    before: dict[str, ModelSums], after: dict[str, ModelSums]
) -> None:
    bridge = build_bridge(before, after)
    assert sum(part.nanos for part in bridge.parts) == bridge.change


def test_sentences_leave_out_what_nobody_would_ask_about() -> None:
    bridge = build_bridge(make_month(), make_month(large={"output_a_call": 700}, small={"calls": 60_001}))
    cents = {part.cause: abs(part.nanos) // 10**7 for part in bridge.parts if part.nanos}
    assert len(cents) > 1
    assert [cause for cause, amount in cents.items() if amount] == [Cause.OUTPUT_TOKENS]
    assert describe_parts(bridge, least=10**7) == [
        "Output tokens a call: +$0.10. large: 700 output tokens a call, 300 before."
    ]
    told = describe_parts(bridge, least=0)
    assert {text.partition(":")[0] for text in told} == {TITLES[cause] for cause in cents}
