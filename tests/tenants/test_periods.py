"""Periods tile the line: every zone, every period, no gap and no overlap, days of 23, 24 and 25 hours."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.periods import END_OF_TIME, EPOCH, add_months, period_bounds, previous_bounds

TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
LAST = FIRST + timedelta(days=400)

moments = st.datetimes(datetime(1971, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the bounds must be naive
zones = st.sampled_from(sorted(available_timezones()))


def walk(period: str, zone: str, first: datetime, last: datetime) -> list[datetime]:
    """The starts of all periods from the one that holds ``first``, each proved to begin where the one before it
    ends."""
    start, end = period_bounds(period, first, zone)
    starts = [start]
    while end < last:
        assert period_bounds(period, end - TICK, zone) == (start, end)
        start, following = period_bounds(period, end, zone)
        assert start == end < following
        starts.append(start)
        end = following
    return starts


@pytest.mark.parametrize("period", ["day", "week", "month"])
def test_the_periods_of_every_zone_tile_400_days(period: str) -> None:
    for zone in available_timezones():
        starts = walk(period, zone, FIRST, LAST)
        local = [start.astimezone(ZoneInfo(zone)) for start in starts]
        # Each is the first moment of a local day, which is not midnight where the clock skips that.
        before = [(start - TICK).astimezone(ZoneInfo(zone)) for start in starts]
        assert all(eve.date() < moment.date() for eve, moment in zip(before, local, strict=True))
        if period == "day":
            change = 2 * HOUR if zone == "Antarctica/Troll" else HOUR
            assert all(abs(after - one - 24 * HOUR) <= change for one, after in pairwise(starts))
        elif period == "week":
            assert {moment.weekday() for moment in local} == {0}
        else:
            assert {moment.day for moment in local} == {1}


@given(moments, zones, st.sampled_from(["minute", "hour", "day", "week", "month", "total"]))
def test_a_period_holds_its_moment_and_is_the_same_at_both_its_ends(moment: datetime, zone: str, period: str) -> None:
    start, end = period_bounds(period, moment, zone)
    assert start <= moment < end
    assert period_bounds(period, start, zone) == period_bounds(period, end - TICK, zone) == (start, end)
    assert (start.tzinfo, end.tzinfo) == (UTC, UTC)


@given(moments, zones, st.sampled_from(["minute", "hour", "day", "week", "month"]))
def test_the_previous_period_ends_where_this_one_begins(moment: datetime, zone: str, period: str) -> None:
    start, _ = period_bounds(period, moment, zone)
    before, end = previous_bounds(period, start, zone)
    assert before < end == start


@pytest.mark.parametrize(("period", "length"), [("minute", timedelta(minutes=1)), ("hour", HOUR)])
def test_minutes_and_hours_are_utcs_whatever_the_zone(period: str, length: timedelta) -> None:
    # 00:30 local in Kathmandu is 18:45 UTC
    moment = datetime(2026, 3, 2, 18, 45, 30, 5, tzinfo=UTC)
    start, end = period_bounds(period, moment, "Asia/Kathmandu")
    assert start == moment.replace(minute=45 if period == "minute" else 0, second=0, microsecond=0)
    assert end == start + length


@given(moments, st.sampled_from(["minute", "hour"]))
def test_minutes_and_hours_tile_the_line(moment: datetime, period: str) -> None:
    start, end = period_bounds(period, moment, "UTC")
    assert period_bounds(period, end, "UTC") == (end, end + (end - start))


def test_total_is_all_of_time() -> None:
    assert period_bounds("total", FIRST, "Asia/Tokyo") == (EPOCH, END_OF_TIME)


@pytest.mark.parametrize(
    ("zone", "day", "hours", "begins"),
    [
        ("Europe/Berlin", "2026-03-29", 23, "00:00"),
        ("Europe/Berlin", "2026-10-25", 25, "00:00"),
        ("America/New_York", "2026-03-08", 23, "00:00"),
        ("Australia/Lord_Howe", "2026-04-05", 24.5, "00:00"),
        # midnight is skipped: the day begins at one
        ("America/Sao_Paulo", "2018-11-04", 23, "01:00"),
        ("Asia/Beirut", "2026-03-29", 23, "01:00"),
        # midnight comes twice: the first one counts, and the day before keeps its 24 hours
        ("America/Havana", "2026-11-01", 25, "00:00"),
        ("America/Sao_Paulo", "2019-02-16", 25, "00:00"),
        ("Asia/Kathmandu", "2026-03-02", 24, "00:00"),
    ],
)
def test_days_that_are_not_24_hours(zone: str, day: str, hours: float, begins: str) -> None:
    noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=ZoneInfo(zone))
    start, end = period_bounds("day", noon.astimezone(UTC), zone)
    assert end - start == timedelta(hours=hours)
    assert start.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M") == f"{day} {begins}"


def test_a_day_that_never_was_has_no_period() -> None:
    # Samoa went from the end of 2011-12-29 to the start of 2011-12-31.
    change = datetime(2011, 12, 30, 10, tzinfo=UTC)
    assert period_bounds("day", change, "Pacific/Apia") == (change, change + 24 * HOUR)
    assert previous_bounds("day", change, "Pacific/Apia") == (change - 24 * HOUR, change)
    month = period_bounds("month", change, "Pacific/Apia")
    assert month[1] - month[0] == timedelta(days=30)


@pytest.mark.parametrize(
    ("period", "moment", "start", "end"),
    [
        ("month", "2024-02-29T23:59:59", "2024-02-01", "2024-03-01"),
        ("month", "2025-02-28T23:59:59", "2025-02-01", "2025-03-01"),
        ("month", "2026-12-31T23:59:59", "2026-12-01", "2027-01-01"),
        ("month", "2026-01-31T00:00:00", "2026-01-01", "2026-02-01"),
        ("week", "2026-03-01T23:59:59", "2026-02-23", "2026-03-02"),
        ("week", "2026-03-02T00:00:00", "2026-03-02", "2026-03-09"),
        ("week", "2027-01-01T00:00:00", "2026-12-28", "2027-01-04"),
        ("day", "2024-02-29T12:00:00", "2024-02-29", "2024-03-01"),
    ],
)
def test_ends_of_months_weeks_and_leap_days(period: str, moment: str, start: str, end: str) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    wanted = tuple(datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (start, end))
    assert period_bounds(period, at, "UTC") == wanted


def test_what_does_not_exist_is_told() -> None:
    with pytest.raises(ValueError, match="'fortnight' is no period"):
        period_bounds("fortnight", FIRST, "UTC")
    with pytest.raises(ZoneInfoNotFoundError):
        period_bounds("day", FIRST, "Mars/Olympus")


@pytest.mark.parametrize(
    ("day", "months", "first"),
    [
        (date(2026, 11, 25), 0, date(2026, 11, 1)),
        (date(2026, 11, 30), 1, date(2026, 12, 1)),
        (date(2026, 12, 31), 1, date(2027, 1, 1)),
        (date(2026, 1, 31), -1, date(2025, 12, 1)),
        (date(2026, 11, 1), -24, date(2024, 11, 1)),
    ],
)
def test_months_are_counted_over_years(day: date, months: int, first: date) -> None:
    assert add_months(day, months) == first
