"""How much of an invoice's sum each of its lines asks for: what no credit notes together give back more of. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from billing.invoices.choices import USAGE_KINDS, LineKind
from billing.invoices.core.lines import Line

_UNDER_INCLUDED: Final = (LineKind.USAGE, LineKind.MARKUP)
_UNDER_COUPONS: Final = (LineKind.FEE, LineKind.USAGE, LineKind.MARKUP, LineKind.MINIMUM)
_UNDER_CREDITS: Final = (*USAGE_KINDS, LineKind.MARKUP)
#: corrections and discounts first; then what credits have paid for, which is no money that could be given back; then as
#: an invoice takes off what depends on the sum of others
_ORDER: Final = (*USAGE_KINDS, LineKind.MARKUP, LineKind.CREDIT, LineKind.INCLUDED, LineKind.COUPON)


def spread_reductions(lines: Mapping[int, Line]) -> dict[int, int]:
    """Nano-USD that each line above zero asks for, by its place, once the lines below zero are taken off: each off what
    it is of (credits off the usage of their days, included usage off usage, a coupon off what is under it, a discount
    off its own usage) in proportion, to the nano, and off all others only where that is not enough. They sum to what
    the invoice asks for; where that is nothing, or less, each is 0."""
    left = {place: line.nanos for place, line in lines.items() if line.nanos > 0}
    below = [line for line in lines.values() if line.nanos < 0]
    for line in sorted(below, key=lambda line: _ORDER.index(line.kind) if line.kind in _ORDER else len(_ORDER)):
        taken = -line.nanos
        for is_under in (_find_base(line), lambda _: True):
            taken -= _take(left, [place for place in left if is_under(lines[place])], taken)
    return left


def _find_base(line: Line) -> Callable[[Line], bool]:
    """What a line below zero is taken off."""
    match line.kind:
        case LineKind.INCLUDED:
            return lambda other: other.kind in _UNDER_INCLUDED and other.start >= line.start
        case LineKind.COUPON:
            return lambda other: other.kind in _UNDER_COUPONS and other.start >= line.start
        case LineKind.CREDIT:
            return lambda other: other.kind in _UNDER_CREDITS and line.start <= other.start and other.end <= line.end
        case LineKind.MARKUP if line.group.startswith("tier:"):
            return lambda other: other.kind in USAGE_KINDS and (other.start, other.end) == (line.start, line.end)
        case _:
            return lambda other: other.group == line.group


def _take(left: dict[int, int], places: Sequence[int], wanted: int) -> int:
    """Take so much off what is left of these, in proportion; gives how much there was to take."""
    whole = sum(left[place] for place in places)
    taken = min(wanted, whole)
    passed = 0
    for place in places:
        # Between two shares that are rounded down: together they are all of it, and none is more than its line has.
        before, passed = passed, passed + left[place]
        left[place] -= taken * passed // whole - taken * before // whole if whole else 0
    return taken
