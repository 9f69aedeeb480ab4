"""How pages write amounts: nothing that was spent looks like nothing."""

from datetime import timedelta

import pytest

from billing.spend.selectors import Change
from costhub.console.templatetags import amounts
from tests.billing.ledger import NOW


@pytest.mark.parametrize(
    ("nanos", "shown", "exact"),
    [
        (0, "$0.00", "$0.000000000"),
        (1, "&lt; $0.01", "$0.000000001"),
        (-1, "&gt; -$0.01", "-$0.000000001"),
        (1_234_567_890_123_456, "$1,234,567.89", "$1,234,567.890123456"),
    ],
)
def test_money_carries_its_exact_amount(nanos: int, shown: str, exact: str) -> None:
    assert amounts.money(nanos) == f'<span class="money" title="exactly {exact}">{shown}</span>'


@pytest.mark.parametrize(
    ("nanos", "strong", "pale"),
    [
        (0, "$0.00", "0000000"),
        (420, "$0.00000042", "0"),
        (1_500_000_001, "$1.500000001", ""),
        (10**10, "$10.00", "0000000"),
    ],
)
def test_a_calls_cost_shows_all_nine_places(nanos: int, strong: str, pale: str) -> None:
    assert amounts.exact_money(nanos) == f'<span class="money">{strong}<span class="pale">{pale}</span></span>'


def test_counts_shares_and_prices() -> None:
    assert [amounts.short_count(number) for number in (0, 9_999, 10_000, 123_456, 2_000_000, 7 * 10**9)] == [
        "0",
        "9,999",
        "10 k",
        "123 k",
        "2 M",
        "7 B",
    ]
    assert [amounts.ratio(*pair) for pair in ((0, 9), (1, 9_999), (1, 30), (1, 2), (3, 2), (1, 0))] == [
        "0 %",
        "< 0.1 %",
        "3.3 %",
        "50 %",
        "150 %",
        "–",
    ]
    assert [amounts.per_million(price) for price in (150_000, 2_500_000, 1_234_567_891)] == [
        "$0.15",
        "$2.50",
        "$1,234.567891",
    ]


@pytest.mark.parametrize(
    ("now", "before", "shown"),
    [(110, 100, "+10.0 %"), (2, 3, "−33.3 %"), (5, 5, "±0.0 %"), (0, 0, "–"), (1, 0, "new"), (99, 1, "> +1,000 %")],
)
def test_a_change_is_signed(now: int, before: int, shown: str) -> None:
    assert amounts.change(Change(now, before)) == shown


def test_lengths_are_whole_numbers_of_the_largest_unit() -> None:
    spans = [1, 90, 3_600, 5_400, 86_400, 604_800]
    assert [amounts.seconds(span) for span in spans] == [
        "1 second",
        "90 seconds",
        "1 hour",
        "90 minutes",
        "1 day",
        "7 days",
    ]
    assert [amounts.times(ratio) for ratio in (157, 200, 1_005)] == ["1.57 ×", "2.00 ×", "10.05 ×"]


def test_durations_and_what_is_left_of_a_period() -> None:
    assert [amounts.duration(value) for value in (None, 840, 9_900, 840_000, 3_250_000)] == [
        "–",
        "840 µs",
        "9.9 ms",
        "840 ms",
        "3.2 s",
    ]
    left = [timedelta(days=8, hours=1), timedelta(hours=1), timedelta(minutes=61), timedelta(0), timedelta(-1)]
    assert [amounts.until(NOW + span, NOW) for span in left] == [
        "9 days",
        "60 minutes",
        "2 hours",
        "0 minutes",
        "0 minutes",
    ]


@pytest.mark.parametrize(
    ("nanos", "shown"),
    [
        (1_200_000_000, "+$1.20"),
        (-1_200_000_000, "-$1.20"),
        (0, "$0.00"),
        (1, "< $0.01"),
        (-1, "> -$0.01"),
        (10_000_000, "+$0.01"),
    ],
)
def test_a_change_has_its_sign_once(nanos: int, shown: str) -> None:
    assert amounts.signed_money(nanos) == shown
