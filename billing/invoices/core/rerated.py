"""What a note has to say when calls of an invoiced month were re-rated: the usage at the old and at the new price, and
what follows of it for markup, tiers, included usage, minimum and coupon. Pure.

A month's bill is worked out twice, with the usage as it was billed and with the change on top; the note is the
difference, so that invoice and note together are what the month would have cost.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from billing.invoices.choices import LineKind
from billing.invoices.core.lines import Line, Span, Stretch, closing_lines, fee_lines, mark_up
from billing.invoices.core.terms import Coupon


def rerated_lines(
    billed: Sequence[Line],
    changed: Sequence[Line],
    stretches: Sequence[Stretch],
    spans: Sequence[Span],
    coupon: Coupon | None,
    start: datetime,
    end: datetime,
    seats: int = 0,
) -> list[Line]:
    """The lines that a month's bill changes by; they sum to what it would be less what it was.

    ``billed`` is the month's usage as it was billed, ``changed`` what it changes by, both as lines of kind USAGE;
    ``spans`` are the parts of the month in which it was; ``seats`` are those that it was billed for.
    """
    fees = fee_lines(stretches, seats)
    before = _follow(fees, billed, stretches, spans, coupon, start, end)
    after = _follow(fees, [*billed, *changed], stretches, spans, coupon, start, end)
    names = {line.project: line.project_name for line in changed}
    lines = [replace(line, kind=LineKind.RERATED, group=f"rerated:{line.group}") for line in changed]
    for key in dict.fromkeys([*before, *after]):
        nanos = (after[key].nanos if key in after else 0) - (before[key].nanos if key in before else 0)
        if nanos:
            follows = after.get(key) or before[key]
            # What was billed is known by ids alone.
            name = follows.project_name or names.get(follows.project, "")
            lines.append(replace(follows, nanos=nanos, group=f"rerated:{key}", project_name=name))
    return lines


def flip(lines: Sequence[Line]) -> list[Line]:
    """The same with the other sign: a credit note says what is taken back as amounts above zero."""
    return [replace(line, nanos=-line.nanos, quantity=-line.quantity) for line in lines]


def _follow(
    fees: Sequence[Line],
    usage: Sequence[Line],
    stretches: Sequence[Stretch],
    spans: Sequence[Span],
    coupon: Coupon | None,
    start: datetime,
    end: datetime,
) -> dict[str, Line]:
    """What depends on the usage, by kind and group."""
    marked = mark_up(usage, spans)
    lines = [*fees, *usage, *marked]
    return {
        f"{line.kind.value}:{line.group}": line
        for line in [*marked, *closing_lines(lines, stretches, coupon, start, end)]
    }
