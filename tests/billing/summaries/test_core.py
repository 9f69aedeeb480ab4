"""Which summaries are due, and what they say."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from billing.spend.selectors import Totals
from billing.summaries.core import Due, Part, describe, list_due

MONDAY = datetime(2026, 11, 23, 7, tzinfo=UTC)


def test_a_week_is_due_from_monday_at_seven_for_three_days() -> None:
    assert list_due(MONDAY - timedelta(seconds=1), "UTC") == []
    (due,) = list_due(MONDAY, "UTC")
    week = timedelta(days=7)
    end = MONDAY.replace(hour=0)
    assert due == Due("week", end - 2 * week, end - week, end)
    assert list_due(end + timedelta(days=3) - timedelta(seconds=1), "UTC") == [due]
    assert list_due(end + timedelta(days=3), "UTC") == []


def test_seven_is_the_organisation_s() -> None:
    # Kolkata's Monday has been there for five and a half hours when UTC's begins.
    assert list_due(datetime(2026, 11, 23, 1, 29, tzinfo=UTC), "Asia/Kolkata") == []
    (due,) = list_due(datetime(2026, 11, 23, 1, 30, tzinfo=UTC), "Asia/Kolkata")
    assert due.end == datetime(2026, 11, 22, 18, 30, tzinfo=UTC)


def test_a_month_and_a_week_may_end_together() -> None:
    found = list_due(datetime(2027, 2, 1, 12, tzinfo=UTC), "UTC")
    assert [(due.period, due.start) for due in found] == [
        ("week", datetime(2027, 1, 25, tzinfo=UTC)),
        ("month", datetime(2027, 1, 1, tzinfo=UTC)),
    ]


def test_the_words() -> None:
    (due,) = list_due(MONDAY, "UTC")
    now = Totals(requests=1_234, list_cost=12 * 10**9, effective_cost=11 * 10**9)
    models = [Part("small", 2 * 10**9, 10**9), Part("large", 9 * 10**9, 7 * 10**9), Part("gone", 0, 10**9)]
    text = describe(due, now, 10 * 10**9, models, [Part("", 5, 0), Part("mia", 3, 0)], ZoneInfo("UTC"))
    assert text.title == "Week from 16 November: $11.00, +10.0 %"
    assert text.figures == (
        ("Spend", "$11.00"),
        ("The week before", "$10.00"),
        ("Calls", "1,234"),
        ("Saved", "$1.00"),
        ("Model large", "$9.00 after $7.00"),
        ("Model small", "$2.00 after $1.00"),
        ("End user mia", "< $0.01 after $0.00"),
    )
    assert text.advice == "large moved most: $9.00 after $7.00."
    first = describe(due, now, 0, [], [], ZoneInfo("UTC"))
    assert (first.title, first.advice) == ("Week from 16 November: $11.00", "Nothing moved much.")
