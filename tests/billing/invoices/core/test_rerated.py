"""A note over re-rated calls and its invoice are together what the month would have cost."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing.invoices.choices import LineKind
from billing.invoices.core.calendar import Contract, billed_spans, find_stretches
from billing.invoices.core.lines import (
    Line,
    Span,
    Stretch,
    Usage,
    closing_lines,
    fee_lines,
    group_lines,
    markup_lines,
    usage_lines,
)
from billing.invoices.core.rerated import flip, rerated_lines
from billing.invoices.core.terms import Coupon, Terms, Tier

START, END = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
USD = 10**9


def lines_of(cost: int, model: str = "small", price: str = "v1", tokens: int = 0) -> list[Line]:
    picos = {"input": 1_000}
    used = Usage("p", "Search", model, price, 1, {"input": tokens} if tokens else {}, picos, cost, {})
    return usage_lines([used], START, END)


def stretches_of(**terms: Any) -> list[Stretch]:
    return find_stretches([Contract(START, None, Terms(**terms), "Plan")], START, END)


def spans_of(**terms: Any) -> tuple[list[Stretch], list[Span]]:
    stretches = stretches_of(**terms)
    return stretches, billed_spans(stretches)


def whole(usage: list[Line], stretches: list[Stretch], coupon: Coupon | None) -> int:
    lines = [*fee_lines(stretches, 0), *usage]
    lines += markup_lines(usage, stretches[-1].terms)
    return sum(line.nanos for line in [*lines, *closing_lines(lines, stretches, coupon, START, END)])


def test_the_old_and_the_new_price_and_the_markup_that_follows() -> None:
    billed = lines_of(100 * USD)
    changed = lines_of(-100 * USD, tokens=-100_000_000_000) + lines_of(60 * USD, price="v2", tokens=60_000_000_000)
    found = rerated_lines(billed, changed, *spans_of(markup=1_000), None, START, END)
    assert [(line.kind, line.price, line.quantity, line.nanos) for line in found] == [
        (LineKind.RERATED, "v1", -100_000_000_000, -100 * USD),
        (LineKind.RERATED, "v2", 60_000_000_000, 60 * USD),
        (LineKind.MARKUP, "", 0, -4 * USD),
    ]
    assert [(line.quantity, line.nanos) for line in flip(found)][:2] == [
        (100_000_000_000, 100 * USD),
        (-60_000_000_000, -60 * USD),
    ]


def test_below_the_minimum_a_cheaper_price_gives_nothing_back() -> None:
    found = rerated_lines(lines_of(3 * USD), lines_of(-USD), *spans_of(minimum=5 * USD), None, START, END)
    assert sum(line.nanos for line in found) == 0
    assert [(line.kind, line.nanos) for line in found] == [(LineKind.RERATED, -USD), (LineKind.MINIMUM, USD)]


def test_a_part_of_a_month_is_marked_up_by_its_own_plan() -> None:
    middle = datetime(2026, 10, 11, tzinfo=UTC)
    contracts = [
        Contract(START, middle, Terms(markup=5_000), "Dear"),
        Contract(middle, None, Terms(markup=1_000), "Cheap"),
    ]
    stretches = find_stretches(contracts, START, END)
    used = [Usage("p", "Search", "small", "v1", 1, {}, {}, cost, {}) for cost in (100 * USD, -10 * USD)]
    billed = [*usage_lines(used[:1], START, middle), *usage_lines(used[:1], middle, END)]
    changed = [*usage_lines(used[1:], START, middle), *usage_lines(used[1:], middle, END)]
    found = rerated_lines(billed, changed, stretches, billed_spans(stretches), None, START, END)
    assert [line.nanos for line in found if line.kind is LineKind.MARKUP] == [-5 * USD, -USD]


def test_what_follows_of_a_project_says_whose_it_is() -> None:
    used = [Usage("p", "Search", "small", "v1", 1, {}, {}, cost, {}) for cost in (100 * USD, -10 * USD)]
    billed, changed = (usage_lines([each], START, END) for each in used)
    stretches = stretches_of(markup=1_000)
    # What was billed is known by ids alone.
    nameless = [replace(line, project_name="") for line in billed]
    found = rerated_lines(nameless, changed, stretches, billed_spans(stretches), None, START, END)
    assert [group.title for group in group_lines(found, Decimal(1))] == [
        "Search: small, re-rated",
        "Search: small: markup on usage",
    ]


nanos = st.integers(min_value=0, max_value=10**13)


@given(
    billed=st.lists(st.tuples(st.sampled_from(["small", "large"]), nanos), max_size=3),
    change=st.lists(st.tuples(st.sampled_from(["small", "large"]), nanos, nanos), min_size=1, max_size=3),
    terms=st.fixed_dictionaries(
        {"fee": nanos, "included": nanos, "minimum": nanos, "markup": st.integers(-5_000, 5_000)},
        optional={"tiers": st.just((Tier(0, 1_000), Tier(100 * USD, 500), Tier(1_000 * USD, -500)))},
    ),
    coupon=st.sampled_from([None, Coupon(share=2_500), Coupon(amount=7 * USD)]),
)
def test_invoice_and_note_are_what_the_month_would_have_cost(
    billed: list[tuple[str, int]],
    change: list[tuple[str, int, int]],
    terms: dict[str, Any],
    coupon: Coupon | None,
) -> None:
    before = [line for model, cost in billed for line in lines_of(cost, model)]
    changed = [line for model, old, new in change for line in [*lines_of(-old, model), *lines_of(new, model, "v2")]]
    stretches = stretches_of(**terms)
    note = rerated_lines(before, changed, stretches, billed_spans(stretches), coupon, START, END)
    was, would = whole(before, stretches, coupon), whole([*before, *changed], stretches, coupon)
    assert was + sum(line.nanos for line in note) == would
    assert sum(line.nanos for line in note if line.kind is LineKind.RERATED) == sum(line.nanos for line in changed)
