"""Ranges as addresses spell them, in the organisation's time zone."""

from datetime import UTC, date, datetime, timedelta

import pytest

from billing.spend.core.ranges import choose_usual, read_range
from costhub.lib.errors import InvalidField
from tests.billing.ledger import NOW

END = NOW + timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("params", "start", "end", "unit"),
    [
        ({}, datetime(2026, 10, 31, 23, tzinfo=UTC), END, "day"),
        ({"range": "mtd"}, datetime(2026, 10, 31, 23, tzinfo=UTC), END, "day"),
        ({"range": "24h"}, datetime(2026, 11, 21, 12, tzinfo=UTC), END, "hour"),
        ({"range": "7d"}, datetime(2026, 11, 15, 23, tzinfo=UTC), END, "day"),
        ({"range": "30d"}, datetime(2026, 10, 23, 22, tzinfo=UTC), END, "day"),
        (
            {"from": "2026-10-25", "to": "2026-10-25"},
            datetime(2026, 10, 24, 22, tzinfo=UTC),
            datetime(2026, 10, 25, 23, tzinfo=UTC),
            "hour",
        ),
        (
            {"range": "custom", "from": "2026-03-01", "to": "2026-03-31"},
            datetime(2026, 2, 28, 23, tzinfo=UTC),
            datetime(2026, 3, 31, 22, tzinfo=UTC),
            "day",
        ),
    ],
)
def test_a_range_in_berlin(params: dict[str, str], start: datetime, end: datetime, unit: str) -> None:
    span = read_range(params, NOW, "Europe/Berlin")
    assert (span.start, span.end, span.unit) == (start, end, unit)


@pytest.mark.parametrize(
    ("moment", "usual"),
    [
        (datetime(2026, 11, 30, 22, 59, tzinfo=UTC), "mtd"),
        (datetime(2026, 11, 30, 23, 0, tzinfo=UTC), "30d"),
        (datetime(2026, 12, 7, 22, 59, tzinfo=UTC), "30d"),
        (datetime(2026, 12, 7, 23, 0, tzinfo=UTC), "mtd"),
    ],
)
def test_in_a_month_s_first_week_in_berlin_a_page_shows_thirty_days(moment: datetime, usual: str) -> None:
    assert choose_usual(moment, "Europe/Berlin") == usual


def test_a_custom_range_without_days_is_today() -> None:
    span = read_range({"range": "custom"}, NOW, "UTC")
    assert (span.first, span.last, span.end - span.start) == (date(2026, 11, 22), date(2026, 11, 22), timedelta(days=1))


def test_four_hundred_days_are_shown_and_a_day_more_is_refused_in_words() -> None:
    span = read_range({"from": "2025-10-19", "to": "2026-11-22"}, NOW, "UTC")
    assert ((span.last - span.first).days + 1, span.unit) == (400, "day")
    with pytest.raises(InvalidField) as caught:
        read_range({"from": "2025-10-18", "to": "2026-11-22"}, NOW, "UTC")
    assert caught.value.message == "from: give a range of at most 400 days."


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"range": "1y"}, "range"),
        ({"from": "yesterday"}, "from"),
        ({"from": "0001-01-01"}, "from"),
        ({"to": "9999-12-31"}, "to"),
        ({"from": "2026-11-02", "to": "2026-11-01"}, "to"),
        ({"from": "2024-01-01", "to": "2026-11-01"}, "from"),
    ],
)
def test_what_cannot_be_read_is_named(params: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        read_range(params, NOW, "UTC")
    assert caught.value.field == field
