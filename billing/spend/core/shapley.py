"""Who made how much of a change: the Shapley value of products, in exact rationals.

A cost that is a product of factors changes from ``a1 * a2 * ...`` to ``b1 * b2 * ...``. Replacing one factor after the
other splits the change, and every order splits it differently. The Shapley value is the mean over all orders (Shapley,
"A value for n-person games", 1953), so it has none. It need not be enumerated: a product is multilinear, and of such a
function the value of a factor is the integral of its partial derivative along the straight line from before to after
(Owen, "Multilinear extensions of games", 1972): a polynomial in one variable, integrated exactly.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import lcm

Pair = tuple[Fraction, Fraction]


def split_product(pairs: Sequence[Pair]) -> list[Fraction]:
    """Of each factor, given as (before, after), what it made of the change of their product. The parts sum to that
    change exactly."""
    parts = [Fraction(0)] * len(pairs)
    moved = [place for place, (before, after) in enumerate(pairs) if before != after]
    constant = Fraction(1)
    for before, after in pairs:
        if before == after:
            constant *= before
    if constant == 0 or not moved:
        return parts
    # Whole numbers from here on: a factor's pair over its own common denominator.
    lines: list[tuple[int, int]] = []
    for place in moved:
        before, after = pairs[place]
        scale = lcm(before.denominator, after.denominator)
        low, high = int(before * scale), int(after * scale)
        lines.append((low, high - low))
        constant /= scale
    first: list[list[int]] = [[1]]
    last: list[list[int]] = [[1]]
    for line in lines[:-1]:
        first.append(_multiply(first[-1], line))
    for line in reversed(lines[1:]):
        last.append(_multiply(last[-1], line))
    last.reverse()
    common = lcm(*range(1, len(lines) + 1))
    for number, place in enumerate(moved):
        integral = 0
        for power, left in enumerate(first[number]):
            for more, right in enumerate(last[number]):
                integral += left * right * (common // (power + more + 1))
        parts[place] = constant * Fraction(lines[number][1] * integral, common)
    return parts


def _multiply(polynomial: Sequence[int], line: tuple[int, int]) -> list[int]:
    """A polynomial times ``low + slope * t``; coefficients by rising power."""
    low, slope = line
    product = [0] * (len(polynomial) + 1)
    for power, coefficient in enumerate(polynomial):
        product[power] += coefficient * low
        product[power + 1] += coefficient * slope
    return product


def round_parts(parts: Sequence[Fraction]) -> list[int]:
    """Whole numbers that sum to what the parts sum to, which is whole: each is its part rounded down or up, those with
    the largest remainder up. Ties go to the earlier one."""
    floors = [part.numerator // part.denominator for part in parts]
    missing = int(sum(parts) - sum(floors))
    order = sorted(range(len(parts)), key=lambda place: (floors[place] - parts[place], place))
    for place in order[:missing]:
        floors[place] += 1
    return floors
