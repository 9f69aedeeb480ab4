"""What calls that were held out prove."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.routes.core.holdout import Arm, Effect, Quality, compare, compare_quality, compare_strata


def arm_of(costs: list[int]) -> Arm:
    return Arm(len(costs), sum(costs), sum(cost * cost for cost in costs))


def test_the_difference_of_two_means_with_its_interval() -> None:
    """Costs of 100 +- 10 and 200 +- 20, fifty each: Welch's error is the root of (102.04 + 408.16) / 50, 3.194."""
    treated, held_out = arm_of([90, 110] * 25), arm_of([180, 220] * 25)
    assert compare(treated, held_out) == Effect(100, 94, 106)
    assert compare(held_out, treated) == Effect(-100, -106, -94)
    assert Effect(100, 94, 106).times(3) == Effect(300, 282, 318)


def test_the_difference_of_two_shares_with_its_interval() -> None:
    """Newcombe's own example (1998, Statistics in Medicine 17, table II, case a): 56 of 70 against 48 of 80 gives 0.2,
    from 0.0524 to 0.3339 by his method 10."""
    treated, held_out = Arm(70, 0, 0, told=70, right=56), Arm(80, 0, 0, told=80, right=48)
    assert compare_quality(treated, held_out) == Quality(2000, 524, 3339)
    assert compare_quality(held_out, treated) == Quality(-2000, -3339, -524)
    certain = Arm(30, 0, 0, told=30, right=30)
    assert compare_quality(certain, certain) == Quality(0, -1135, 1135)
    assert compare_quality(treated, Arm(80, 0, 0, told=29, right=29)) is None


@pytest.mark.parametrize(("calls", "others"), [(29, 100), (100, 29), (0, 0)])
def test_few_calls_prove_nothing(calls: int, others: int) -> None:
    assert compare(arm_of([5] * calls), arm_of([9] * others)) is None


def test_kinds_of_calls_are_compared_among_themselves() -> None:
    """Of dear calls half are held out, of cheap ones a tenth: taken together, the policy would seem to save 252 a call.
    It saves 10 of each cheap one and 20 of each dear one, at 90 and 50 calls that were treated: 13.57 on average."""
    cheap = arm_of([90, 110] * 45), arm_of([100, 120] * 15)
    dear = arm_of([970, 990] * 25), arm_of([990, 1_010] * 25)
    few = arm_of([1] * 29), arm_of([10**9] * 500)
    effect = compare_strata([cheap, dear, few])
    assert effect == Effect(14, 11, 17)
    assert compare_strata([few]) is None
    assert compare_strata([]) is None
    assert compare_strata([dear]) == compare(*dear)


@given(
    st.lists(st.integers(0, 10**13), min_size=30, max_size=40),
    st.lists(st.integers(0, 10**13), min_size=30, max_size=40),
)
def test_the_estimate_lies_within_its_interval(treated: list[int], held_out: list[int]) -> None:
    effect = compare(arm_of(treated), arm_of(held_out))
    assert effect is not None
    assert effect.low <= effect.a_call <= effect.high
    assert compare(arm_of([7] * 30), arm_of([7] * 30)) == Effect(0, 0, 0)


def test_the_interval_holds_what_is_true_about_as_often_as_it_says() -> None:
    """In 200 trials of a true difference of 50, from a generator of this test's own."""
    state, hits = 12345, 0

    def draw(below: int) -> int:
        nonlocal state
        state = (1103515245 * state + 12345) % 2**31
        return (state >> 8) * below >> 23

    for _ in range(200):
        effect = compare(arm_of([100 + draw(100) for _ in range(60)]), arm_of([150 + draw(100) for _ in range(60)]))
        assert effect is not None
        hits += effect.low <= 50 <= effect.high
    assert 182 <= hits <= 199
