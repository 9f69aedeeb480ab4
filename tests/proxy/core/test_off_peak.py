"""When an upstream has time for batches."""

from datetime import UTC, datetime

import pytest

from proxy.core.off_peak import ANY_MINUTE, is_off_peak
from tenants.selectors import read_hours


@pytest.mark.parametrize(
    ("hours", "moment", "expected"),
    [
        ("", "12:00", True),
        ("22:00-06:00", "21:59", False),
        ("22:00-06:00", "22:00", True),
        ("22:00-06:00", "05:59", True),
        ("22:00-06:00", "06:00", False),
        ("09:30-17:00", "09:29", False),
        ("09:30-17:00", "16:59", True),
        ("09:30-17:00", "17:00", False),
        ("08:00-08:00", "12:00", True),
    ],
)
def test_a_daily_window_may_go_over_midnight(hours: str, moment: str, expected: bool) -> None:
    begins, ends = read_hours(hours)
    hour, minute = map(int, moment.split(":"))
    assert is_off_peak(datetime(2026, 3, 2, hour, minute, tzinfo=UTC), "UTC", begins, ends) is expected


def test_it_is_in_the_organisations_own_time() -> None:
    noon = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)  # 17:30 in Kolkata, 08:00 in New York
    assert is_off_peak(noon, "Asia/Kolkata", *read_hours("17:30-17:31"))
    assert is_off_peak(noon, "America/New_York", *read_hours("08:00-08:01"))
    assert not is_off_peak(noon, "UTC", *read_hours("08:00-08:01"))
    assert read_hours("") == (ANY_MINUTE, ANY_MINUTE)
