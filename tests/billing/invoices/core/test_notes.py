"""What of an invoice each line asks for: what is taken off is off the lines that it is of, to the nano."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from billing.invoices.choices import LineKind
from billing.invoices.core.lines import Line
from billing.invoices.core.notes import spread_reductions

START, END = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
EARLIER = START - timedelta(days=30)


def line(kind: LineKind, nanos: int, group: str = "", start: datetime = START, end: datetime = END) -> Line:
    return Line(kind, group or kind.value, "", nanos, start, end)


def spread(*lines: Line) -> list[int]:
    return list(spread_reductions(dict(enumerate(lines, start=1))).values())


def test_included_usage_is_off_usage_and_a_coupon_off_all_that_is_under_it() -> None:
    asked = spread(
        line(LineKind.FEE, 100),
        line(LineKind.USAGE, 60),
        line(LineKind.USAGE, 20),
        line(LineKind.MARKUP, 20),
        line(LineKind.LATE_USAGE, 30, start=EARLIER),
        line(LineKind.INCLUDED, -50),
        line(LineKind.COUPON, -30),
    )
    # Half of the usage is included; the coupon is a fifth of what is left of this month.
    assert asked == [80, 24, 8, 8, 30]


def test_a_discount_is_off_its_own_usage_and_credits_off_all_usage() -> None:
    asked = spread(
        line(LineKind.USAGE, 100, "a"),
        line(LineKind.USAGE, 100, "b"),
        line(LineKind.FEE, 7),
        line(LineKind.MARKUP, -40, "a"),
        line(LineKind.MARKUP, -32, "tier:1:0"),
        line(LineKind.CREDIT, -64, "prepaid"),
    )
    # 60 and 100; a fifth off both by the tier; half of the rest was paid by credits.
    assert asked == [24, 40, 7]


def test_credits_are_off_the_usage_of_their_days_before_included_usage_and_coupons_are() -> None:
    middle = START + timedelta(days=10)
    asked = spread(
        line(LineKind.FEE, 100),
        line(LineKind.USAGE, 60, "by invoice", end=middle),
        line(LineKind.USAGE, 50, "prepaid", middle),
        line(LineKind.MARKUP, 5, "prepaid", middle),
        line(LineKind.INCLUDED, -20),
        line(LineKind.COUPON, -28),
        line(LineKind.CREDIT, -55, "prepaid", middle),
    )
    # What credits have paid for is owed to nobody in money; the coupon is a fifth of the fee and of what is left.
    assert asked == [80, 32, 0, 0]


def test_what_comes_to_nothing_asks_for_nothing() -> None:
    assert spread(line(LineKind.FEE, 5), line(LineKind.LATE_USAGE, -9, start=EARLIER)) == [0]
    assert spread(line(LineKind.LATE_USAGE, -9)) == []


@given(
    st.lists(
        st.builds(
            line,
            st.sampled_from([kind for kind in LineKind if kind is not LineKind.SAVINGS]),
            st.integers(-(10**6), 10**12),
            st.sampled_from(["a", "b", "tier:1:0"]),
            st.sampled_from([START, EARLIER]),
        ),
        max_size=12,
    )
)
def test_lines_ask_for_the_invoice_s_sum_and_none_for_more_than_its_own(lines: list[Line]) -> None:
    asked = spread_reductions(dict(enumerate(lines)))
    assert sum(asked.values()) == max(sum(line.nanos for line in lines), 0)
    assert all(0 <= nanos <= lines[place].nanos for place, nanos in asked.items())
