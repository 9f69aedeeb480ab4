"""Lines: exact sums, one rounding a group, and what each term makes of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from billing.invoices.choices import LineKind
from billing.invoices.core.calendar import Contract, billed_spans, find_stretches
from billing.invoices.core.lines import (
    Line,
    Span,
    Usage,
    closing_lines,
    fee_lines,
    find_late,
    group_lines,
    mark_up,
    markup_lines,
    prepaid_lines,
    prorate,
    round_share,
    savings_lines,
    to_cents,
    usage_lines,
)
from billing.invoices.core.terms import Coupon, Terms, Tier

START, END = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
USD = 10**9


def usage(cost: int, tokens: dict[str, int] | None = None, **options: Any) -> Usage:
    values: dict[str, Any] = {
        "project": "p",
        "project_name": "Search",
        "model": "small",
        "price": "v1",
        "calls": 1,
        "tokens": tokens or {},
        "unit_prices": {"input": 150, "output": 600},
        "cost": cost,
        "saved": {},
    }
    return Usage(**(values | options))


def test_a_class_a_line_and_the_rest_one_of_its_own() -> None:
    # 1,001 tokens at 150 picos are 150.15 nanos; 10 at 600 are 6; the ledger rounded each call up.
    lines = usage_lines([usage(160, {"input": 1_001, "output": 10})], START, END)
    assert [(line.token_class, line.quantity, line.unit_price, line.nanos) for line in lines] == [
        ("input", 1_001, 150, 150),
        ("output", 10, 600, 6),
        ("other", 0, 0, 4),
    ]
    assert lines[0].text == "small: input tokens"


@given(
    st.integers(min_value=-(10**12), max_value=10**15),
    st.dictionaries(st.sampled_from(["input", "output"]), st.integers(min_value=-(10**9), max_value=10**12)),
)
def test_lines_of_usage_sum_to_the_ledger(cost: int, tokens: dict[str, int]) -> None:
    assert sum(line.nanos for line in usage_lines([usage(cost, tokens)], START, END)) == cost


def test_a_group_is_rounded_once() -> None:
    # Three lines of a third of a cent each: a cent together, and nothing if each were rounded.
    each = [usage(USD // 300, price=version) for version in ("v1", "v2", "v3")]
    groups = group_lines(usage_lines(each, START, END), Decimal(1))
    assert [(group.title, group.nanos, group.cents) for group in groups] == [("Search: small", 9_999_999, 1)]


def test_cents_are_rounded_half_to_even_at_any_rate() -> None:
    assert [to_cents(nanos, Decimal(1)) for nanos in (5_000_000, 15_000_000, 15_000_001, -5_000_000, 1)] == [
        0,
        2,
        2,
        0,
        0,
    ]
    assert to_cents(100 * USD, Decimal("0.92345678")) == 9_235


def test_markups_of_models_and_of_all_others() -> None:
    terms = Terms(markup=1_000, models={"large": -500})
    lines = usage_lines([usage(100), usage(7, price="v2"), usage(1_000, model="large")], START, END)
    found = [(line.text, line.nanos, line.share) for line in markup_lines(lines, terms)]
    assert found == [("small: markup on usage", 11, 1_000), ("large: discount on usage", -50, -500)]
    # A markup is rounded with the usage that it is on.
    groups = group_lines([*lines, *markup_lines(lines, terms)], Decimal(1))
    assert [group.nanos for group in groups] == [118, 950]


def test_tiers_are_of_all_usage_together() -> None:
    terms = Terms(tiers=(Tier(0, 1_000), Tier(100, 0), Tier(1_000, -2_000)))
    lines = usage_lines([usage(900), usage(600, model="large")], START, END)
    assert [line.nanos for line in markup_lines(lines, terms)] == [10, -100]
    assert markup_lines([], terms) == []


def test_with_tiers_a_model_may_have_its_own_markup_and_what_is_below_them_has_the_plans() -> None:
    terms = Terms(markup=1_000, models={"large": 5_000, "gift": 0}, tiers=(Tier(100, 2_000), Tier(1_000, -1_000)))
    lines = usage_lines([usage(1_500), usage(60, model="large"), usage(7, model="gift")], START, END)
    found = [(line.text, line.nanos, line.share) for line in markup_lines(lines, terms)]
    assert found == [
        ("large: markup on usage", 30, 5_000),
        ("Markup on usage, below tier 1", 10, 1_000),
        ("Markup on usage, tier 1", 180, 2_000),
        ("Discount on usage, tier 2", -50, -1_000),
    ]


def test_each_part_of_a_month_has_the_markup_of_its_plan() -> None:
    middle = datetime(2026, 10, 11, tzinfo=UTC)
    contracts = [
        Contract(START, middle, Terms(markup=5_000), "Dear"),
        Contract(middle, None, Terms(markup=1_000, models={"large": 0}), "Cheap"),
    ]
    spans = billed_spans(find_stretches(contracts, START, END))
    assert [(span.start, span.end) for span in spans] == [(START, middle), (middle, END)]
    lines = [
        *usage_lines([usage(1_000)], START, middle),
        *usage_lines([usage(1_000), usage(9, model="large")], middle, END),
    ]
    marked = mark_up(lines, spans)
    assert [(line.nanos, line.start, line.end) for line in marked] == [(500, START, middle), (100, middle, END)]
    groups = group_lines([*lines, *marked], Decimal(1))
    assert [(group.title, group.nanos) for group in groups] == [
        ("Search: small, from 1 October 2026", 1_500),
        ("Search: small, from 11 October 2026", 1_100),
        ("Search: large", 9),
    ]


def test_a_change_of_the_fee_alone_parts_no_usage() -> None:
    middle = datetime(2026, 10, 11, tzinfo=UTC)
    contracts = [
        Contract(START, middle, Terms(fee=1, markup=500, models={"large": 1}), "Small"),
        Contract(middle, None, Terms(fee=2, markup=500, models={"large": 1}), "Large"),
    ]
    (span,) = billed_spans(find_stretches(contracts, START, END))
    assert (span.start, span.end) == (START, END)


def test_plans_that_change_twice_in_a_day_are_groups_of_their_own() -> None:
    noon, evening = datetime(2026, 10, 11, 12, tzinfo=UTC), datetime(2026, 10, 11, 18, tzinfo=UTC)
    lines = [*usage_lines([usage(5)], noon, evening), *usage_lines([usage(7)], evening, END)]
    assert [group.nanos for group in group_lines(lines, Decimal(1))] == [5, 7]


def test_tiers_count_from_the_months_beginning_whatever_plan_held_then() -> None:
    """Nobody opens a cheap tier again by choosing a plan anew, and nobody loses the volume that was used before."""
    middle = datetime(2026, 10, 11, tzinfo=UTC)
    rising = Terms(tiers=(Tier(0, 0), Tier(100, 5_000)))
    for first in (Terms(), rising, Terms(markup=100)):
        spans = [Span(START, middle, first), Span(middle, END, rising)]
        lines = [*usage_lines([usage(80)], START, middle), *usage_lines([usage(80)], middle, END)]
        marked = [line.nanos for line in mark_up(lines, spans) if line.start == middle]
        assert marked == [30]
    # Chosen anew and anew it costs what it costs once.
    whole = mark_up(usage_lines([usage(160)], START, END), [Span(START, END, rising)])
    assert sum(line.nanos for line in whole) == 30


@given(
    st.lists(st.integers(min_value=-(10**12), max_value=10**13), min_size=1, max_size=6),
    st.lists(st.integers(min_value=-9_000, max_value=9_000), min_size=1, max_size=4),
)
def test_tiers_in_parts_are_the_tiers_of_the_whole(parts: list[int], shares: list[int]) -> None:
    """Each part is rounded for itself: at most half a nano-USD a part and tier."""
    terms = Terms(tiers=tuple(Tier(place * 10**12, share) for place, share in enumerate(shares)))
    earlier: list[Line] = []
    nanos = 0
    for place, cost in enumerate(parts):
        lines = usage_lines([usage(cost)], START + timedelta(days=place), START + timedelta(days=place + 1))
        nanos += sum(line.nanos for line in markup_lines(lines, terms, earlier))
        earlier += lines
    whole = sum(line.nanos for line in markup_lines(usage_lines([usage(sum(parts))], START, END), terms))
    assert abs(nanos - whole) <= (len(parts) + 1) * len(shares)


def test_included_usage_the_minimum_and_a_coupon() -> None:
    stretches = find_stretches([Contract(START, None, Terms(fee=10, included=30, minimum=50), "Pro")], START, END)
    lines = [*fee_lines(stretches, 0), *usage_lines([usage(45)], START, END)]
    closing = closing_lines(lines, stretches, Coupon(share=5_000), START, END)
    assert [(line.kind, line.nanos) for line in closing] == [
        (LineKind.INCLUDED, -30),
        (LineKind.MINIMUM, 25),
        (LineKind.COUPON, -25),
    ]
    assert sum(line.nanos for line in [*lines, *closing]) == 25


def test_a_minimum_that_is_reached_says_nothing_and_nothing_is_included_below_zero() -> None:
    stretches = find_stretches([Contract(START, None, Terms(included=30, minimum=50), "Pro")], START, END)
    assert [line.kind for line in closing_lines(usage_lines([usage(90)], START, END), stretches, None, START, END)] == [
        LineKind.INCLUDED
    ]
    negative = closing_lines(usage_lines([usage(-90)], START, END), stretches, None, START, END)
    assert [(line.kind, line.nanos) for line in negative] == [(LineKind.MINIMUM, 140)]
    late = usage_lines([usage(-90)], START, END, LineKind.LATE_USAGE)
    assert [line.nanos for line in closing_lines(late, stretches, None, START, END)] == [50]


def test_what_was_saved_is_told_and_not_billed() -> None:
    saved = savings_lines([usage(5, saved={"cache": 7}), usage(5, saved={"cache": 3, "routing": -1})], START, END)
    assert [(line.text, line.nanos, line.saved) for line in saved] == [
        ("small: saved by cache", 0, 10),
        ("small: saved by routing", 0, -1),
    ]
    assert group_lines(saved, Decimal(1)) == []


def test_prepaid_credits_go_as_far_as_they_go() -> None:
    lines = usage_lines([usage(100)], START, END)
    spans = [Span(START, END, Terms(prepaid=True))]
    assert [line.nanos for line in prepaid_lines(lines, spans, 60)] == [-60]
    assert [line.nanos for line in prepaid_lines(lines, spans, 600)] == [-100]
    assert prepaid_lines(lines, spans, -5) == []
    assert prepaid_lines(lines, [Span(START, END, Terms())], 600) == []


def test_credits_pay_for_the_days_of_a_prepaid_plan_alone() -> None:
    middle = datetime(2026, 10, 11, tzinfo=UTC)
    spans = [Span(START, middle, Terms()), Span(middle, END, Terms(prepaid=True, markup=1_000))]
    lines = [*usage_lines([usage(100)], START, middle), *usage_lines([usage(50)], middle, END)]
    lines += mark_up(lines, spans)
    assert [line.nanos for line in prepaid_lines(lines, spans, 600)] == [-55]
    # Of what the plans include nothing is paid for.
    lines.append(Line(LineKind.INCLUDED, "included", "Usage included in the plan", -120, START, END))
    assert [line.nanos for line in prepaid_lines(lines, spans, 600)] == [-35]


def test_credits_say_which_days_they_pay_for_and_go_to_the_oldest_first() -> None:
    first, second = datetime(2026, 10, 11, tzinfo=UTC), datetime(2026, 10, 21, tzinfo=UTC)
    late = Span(START - timedelta(days=30), START, Terms(prepaid=True))
    spans = [
        Span(START, first, Terms(prepaid=True)),
        Span(first, second, Terms()),
        Span(second, END, Terms(prepaid=True, markup=1_000)),
        late,
    ]
    lines = [
        *usage_lines([usage(40)], START, first),
        *usage_lines([usage(1_000)], first, second),
        *usage_lines([usage(50)], second, END),
        *usage_lines([usage(7)], late.start, late.end, LineKind.LATE_USAGE),
    ]
    lines += mark_up(lines, spans)

    def paid(balance: int) -> list[tuple[datetime, int]]:
        return [(line.start, line.nanos) for line in prepaid_lines(lines, spans, balance)]

    assert paid(600) == [(late.start, -7), (START, -40), (second, -55)]
    assert paid(50) == [(late.start, -7), (START, -40), (second, -3)]
    # What was corrected down pays for other days.
    lines[3] = replace(lines[3], nanos=-7)
    assert paid(600) == [(START, -40), (second, -48)]


def test_late_usage_is_named_by_its_month_where_the_tenant_lives() -> None:
    tokyo = ZoneInfo("Asia/Tokyo")
    start = datetime(2026, 10, 1, tzinfo=tokyo).astimezone(UTC)
    lines = usage_lines([usage(5)], start, datetime(2026, 11, 1, tzinfo=tokyo), LineKind.LATE_USAGE)
    assert [group.title for group in group_lines(lines, Decimal(1), tokyo)] == ["Search: small, of October 2026"]


def test_late_usage_is_what_is_there_now_less_what_was_billed() -> None:
    now = [usage(160, {"input": 1_000}), usage(5, model="new", tokens={"input": 2})]
    billed = {("p", "small", "v1"): ({"input": 900, "other": 0}, 200), ("p", "gone", "v1"): ({"output": 4}, 3)}
    late = find_late(now, billed)
    assert [(each.model, dict(each.tokens), each.cost) for each in late] == [
        ("small", {"input": 100}, -40),
        ("new", {"input": 2}, 5),
        ("gone", {"output": -4}, -3),
    ]
    assert find_late([usage(1, {"input": 5})], {("p", "small", "v1"): ({"input": 5, "other": 0}, 1)}) == []


def test_a_plan_that_changes_in_mid_month_is_prorated_to_the_microsecond() -> None:
    middle = datetime(2026, 10, 11, tzinfo=UTC)
    contracts = [
        Contract(datetime(2026, 1, 1, tzinfo=UTC), middle, Terms(fee=31 * USD), "Small"),
        Contract(
            middle,
            None,
            Terms(fee=310 * USD, pass_through=True),
            "Large",
            trial_until=datetime(2026, 10, 12, tzinfo=UTC),
        ),
    ]
    stretches = find_stretches(contracts, START, END)
    assert [(line.text, line.nanos) for line in fee_lines(stretches, 0)] == [
        ("Small: subscription, part of the month", 10 * USD),
        ("Large: subscription, part of the month", 200 * USD),
    ]
    assert [(span.start, span.end) for span in billed_spans(stretches)] == [(START, middle)]
    assert find_stretches(contracts, datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC)) == []


def test_seats_beyond_those_included_are_prorated_like_the_fee() -> None:
    middle = datetime(2026, 10, 11, tzinfo=UTC)
    contracts = [
        Contract(START, middle, Terms(fee=31 * USD, seat_fee=31 * USD, included_seats=3), "Small"),
        Contract(middle, None, Terms(seat_fee=62 * USD), "Large"),
    ]
    stretches = find_stretches(contracts, START, END)
    assert [(line.group, line.text, line.nanos) for line in fee_lines(stretches, 5)] == [
        ("fee:Small", "Small: subscription, part of the month", 10 * USD),
        ("seats:Small", "Small: 2 seats beyond 3, part of the month", 20 * USD),
        ("seats:Large", "Large: 5 seats, part of the month", 210 * USD),
    ]
    assert [line.text for line in fee_lines(stretches, 1)][1:] == ["Large: 1 seat, part of the month"]


@given(
    st.integers(min_value=0, max_value=10**15),
    st.integers(min_value=1, max_value=10**12),
    st.integers(min_value=0, max_value=10**12),
)
def test_two_parts_of_a_fee_are_the_fee_to_the_nano(fee: int, whole: int, cut: int) -> None:
    part = min(cut, whole)
    assert abs(prorate(fee, part, whole) + prorate(fee, whole - part, whole) - fee) <= 1


def test_shares_are_rounded_half_to_even() -> None:
    assert [round_share(nanos, 5_000) for nanos in (1, 3, 5, -1, -3)] == [0, 2, 2, 0, -2]
