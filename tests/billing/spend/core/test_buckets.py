"""Days and hours tile the line, whatever the clock does."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.spend.core.buckets import hour_of, list_days, list_hours

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Asia/Kathmandu"]
MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


@given(start=MOMENTS, minutes=st.integers(1, 4_000), zone=st.sampled_from(ZONES))
def test_every_moment_of_a_range_lies_in_a_listed_hour_and_day(start: datetime, minutes: int, zone: str) -> None:
    zone_info = ZoneInfo(zone)
    end = start + timedelta(minutes=minutes)
    hours, days = list_hours(start, end, zone_info), list_days(start, end, zone_info)
    assert hours == sorted(set(hours))
    for step in range(0, minutes, 7):
        moment = start + timedelta(minutes=step)
        assert hour_of(moment, zone_info) in hours
        assert moment.astimezone(zone_info).date() in days


@pytest.mark.parametrize(("month", "day", "hours"), [(3, 29, 23), (10, 25, 25), (6, 1, 24)])
def test_a_day_in_berlin_has_as_many_hours_as_it_has(month: int, day: int, hours: int) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime(2026, month, day, tzinfo=berlin).astimezone(UTC)
    end = datetime(2026, month, day + 1, tzinfo=berlin).astimezone(UTC)
    assert len(list_hours(start, end, berlin)) == hours
    assert list_days(start, end, berlin) == [date(2026, month, day)]


def test_an_empty_range_has_neither() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert (list_days(moment, moment, ZoneInfo("UTC")), list_hours(moment, moment, ZoneInfo("UTC"))) == ([], [])
