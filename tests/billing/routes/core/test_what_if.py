"""What past calls would have cost, to the nano where that can be known, and between what where it cannot."""

from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing.routes.core.what_if import Band, Calls, Policy, replay
from tenants.price_snapshots import make_rates

SMALL = make_rates({"input": 150_000, "output": 600_000, "cached_input": 75_000})
LARGE = make_rates({"input": 3_000_000, "output": 12_000_000, "cached_input": 1_500_000})
#: a thousand calls of 1,000 tokens in, half of them cached, and 100 out, at the large model's price
CALLS = Calls(1_000, {"input": 500_000, "cached_input": 500_000, "output": 100_000}, 3_450_000_000)


def test_the_same_tokens_at_another_price_are_exact() -> None:
    assert replay(CALLS, LARGE, Policy(rates=SMALL)) == Band(172_500_000, 172_500_000)
    assert replay(CALLS, LARGE, Policy(rates=SMALL, per_request=2_000)) == Band(172_502_000, 172_502_000)
    assert replay(CALLS, LARGE, Policy(rates=SMALL, share=Fraction(1, 2))) == Band(1_811_250_000, 1_811_250_000)


def test_how_long_the_others_answers_are_makes_a_range() -> None:
    longer = Calls(10, {"output": 1_500}, 1)
    assert replay(CALLS, LARGE, Policy(rates=SMALL), longer) == Band(172_500_000, 202_500_000)
    assert replay(CALLS, LARGE, Policy(rates=SMALL), Calls(0, {}, 0)) == Band(172_500_000, 172_500_000)


#: as providers sell them, at half the price
SMALL_BATCH = make_rates({"input": 75_000, "output": 300_000, "cached_input": 37_500})
LARGE_BATCH = make_rates({"input": 1_500_000, "output": 6_000_000, "cached_input": 750_000})


def test_compression_and_batches() -> None:
    policy = Policy(off_least=Fraction(1, 100), off_most=Fraction(1, 10))
    assert replay(CALLS, LARGE, policy) == Band(3_225_000_000, 3_427_500_000)
    assert replay(CALLS, LARGE, replace(policy, kept=LARGE_BATCH)) == Band(1_612_500_000, 1_713_750_000)
    half = Policy(rates=SMALL_BATCH, share=Fraction(1, 2), kept=LARGE_BATCH)
    assert replay(CALLS, LARGE, half) == Band(905_625_000, 905_625_000)
    assert replay(CALLS, LARGE, Policy()) == Band(CALLS.cost, CALLS.cost)


@given(
    st.integers(0, 10**6),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.integers(0, 100),
    st.integers(0, 95),
    st.booleans(),
)
def test_a_band_is_one_and_never_below_nothing(
    calls: int, tokens_in: int, tokens_out: int, share: int, off: int, is_batch: bool
) -> None:
    found = Calls(calls, {"input": tokens_in, "output": tokens_out}, tokens_in * 3_000 + tokens_out * 12_000)
    policy = Policy(SMALL, 0, Fraction(share, 100), Fraction(0), Fraction(off, 100), LARGE_BATCH if is_batch else None)
    band = replay(found, LARGE, policy, Calls(5, {"output": 100}, 1))
    assert 0 <= band.low <= band.high
