"""The split of a product's change: held against all orders, one by one."""

from fractions import Fraction
from itertools import permutations
from math import factorial, prod

from hypothesis import given
from hypothesis import strategies as st

from billing.spend.core.shapley import Pair, round_parts, split_product

PAIRS = st.lists(st.tuples(*[st.fractions(min_value=-5, max_value=5, max_denominator=7)] * 2), min_size=1, max_size=4)


def split_by_all_orders(pairs: list[Pair]) -> list[Fraction]:
    """The definition: the mean, over every order, of what changing a factor in its turn changes."""
    made = [Fraction(0)] * len(pairs)
    for order in permutations(range(len(pairs))):
        values = [before for before, _ in pairs]
        for place in order:
            old = prod(values)
            values[place] = pairs[place][1]
            made[place] += prod(values) - old
    return [part / factorial(len(pairs)) for part in made]


@given(PAIRS)
def test_it_is_the_mean_over_all_orders(pairs: list[Pair]) -> None:
    assert split_product(pairs) == split_by_all_orders(pairs)


@given(PAIRS, st.randoms())
def test_no_order_of_the_factors_changes_a_part(pairs: list[Pair], random) -> None:  # type: ignore[no-untyped-def]
    order = list(range(len(pairs)))
    random.shuffle(order)
    shuffled = split_product([pairs[place] for place in order])
    assert [shuffled[order.index(place)] for place in range(len(pairs))] == split_product(pairs)


def test_two_factors_by_hand() -> None:
    # 2 x 3 becomes 4 x 5: +14, of which the first made 2 x (3 + 5) / 2 and the second 2 x (2 + 4) / 2
    assert split_product([(Fraction(2), Fraction(4)), (Fraction(3), Fraction(5))]) == [8, 6]


@given(st.lists(st.fractions(min_value=-9, max_value=9, max_denominator=9), max_size=6))
def test_rounded_parts_sum_to_the_whole_and_none_is_off_by_one(parts: list[Fraction]) -> None:
    parts.append(-sum(parts, Fraction(0)) % 1)
    rounded = round_parts(parts)
    assert sum(rounded) == sum(parts)
    assert all(abs(whole - part) < 1 for whole, part in zip(rounded, parts, strict=True))
