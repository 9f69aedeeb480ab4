"""The bill bridge: exact sums, and what happens at the edges."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.spend.core.bridge import Bridge, Cause, ClassSums, ModelSums, build_bridge, find_line
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
    output_a_call: int = 300,
    versions: dict[str, tuple[int, int]] | None = None,
) -> ModelSums:
    """A month of one model."""
    billed = calls - hits
    tokens = {"input": billed * 1_000, "cached_input": billed * 200, "output": billed * output_a_call}
    picos = {name: count * prices[name] for name, count in tokens.items()}
    return ModelSums(
        calls=calls,
        hits=hits,
        billed=billed,
        effective=-(-sum(picos.values()) // 1000),
        classes={name: ClassSums(tokens[name], picos[name]) for name in tokens},
        versions=versions or {},
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


def part_of(bridge: Bridge, cause: Cause) -> int:
    return next(part.nanos for part in bridge.parts if part.cause is cause)


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


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-5.1-mini", "gpt-mini"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet"),
        ("claude-sonnet-latest", "claude-sonnet"),
        ("Llama-3.1-70B", "llama-70b"),
        ("deepseek-v3", "deepseek"),
        ("2024", ""),
    ],
)
def test_versions_of_a_line_differ_in_numbers_and_dates(version: str, line: str) -> None:
    assert find_line(version) == line


def test_prompts_that_grow_beside_a_new_version_are_not_its_tokenizers() -> None:
    # Half of the calls moved from a version to one that makes 1,200 tokens of what the other made 1,000 of.
    before = {"smart": make_model(100, PRICES["smart"], versions={"smart-1": (100, 120_000)})}
    after = {
        "smart": make_model(100, PRICES["smart"], versions={"smart-1": (50, 60_000), "smart-2": (50, 72_000)}),
    }
    factors = [part for part in build_bridge(before, after).parts if part.cause is Cause.TOKENIZER]
    assert factors[0].driver
    assert factors[0].driver.after / factors[0].driver.before == Fraction(132, 120)
    # The same version in both periods, with longer prompts: that is no tokenizer's.
    longer = {"smart": make_model(100, PRICES["smart"], versions={"smart-1": (100, 240_000)})}
    assert part_of(build_bridge(before, longer), Cause.TOKENIZER) == 0
    # Nor is what goes to a model of another line.
    routed = {"smart": make_model(100, PRICES["smart"], versions={"smart-1": (50, 90_000), "tiny-1": (50, 10_000)})}
    assert part_of(build_bridge(before, routed), Cause.TOKENIZER) == 0


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
    versions=st.dictionaries(st.sampled_from(["a-1", "a-2", "b-1"]), st.tuples(COUNTS, COUNTS)),
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
