"""When a message is sent: in winter, in summer and in the night between."""

from datetime import UTC, datetime, timedelta
from itertools import accumulate
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.alerts.core.delivery_times import RETRY_SECONDS, first_due, next_try
from billing.choices import Digest

BERLIN = ZoneInfo("Europe/Berlin")
KATHMANDU = ZoneInfo("Asia/Kathmandu")
TEN_PM, SEVEN_AM = 22 * 60, 7 * 60


def at(day: int, hour: int, minute: int = 0, *, month: int = 11, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=zone).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (at(24, 12), at(24, 12)),
        (at(24, 21, 59), at(24, 21, 59)),
        (at(24, 22), at(25, 7)),
        (at(24, 23, 30), at(25, 7)),
        (at(25, 0, 0), at(25, 7)),
        (at(25, 6, 59), at(25, 7)),
        (at(25, 7), at(25, 7)),
    ],
)
def test_quiet_hours_span_midnight(now: datetime, due: datetime) -> None:
    assert first_due(now, BERLIN, Digest.NONE, TEN_PM, SEVEN_AM, is_urgent=False) == due


def test_quiet_hours_within_a_day() -> None:
    assert first_due(at(24, 13), BERLIN, Digest.NONE, 12 * 60, 14 * 60, is_urgent=False) == at(24, 14)
    assert first_due(at(24, 14), BERLIN, Digest.NONE, 12 * 60, 14 * 60, is_urgent=False) == at(24, 14)


def test_what_is_urgent_waits_for_nothing() -> None:
    now = at(24, 23)
    assert first_due(now, BERLIN, Digest.DAILY, TEN_PM, SEVEN_AM, is_urgent=True) == now


def test_a_daily_digest_comes_at_eight() -> None:
    assert first_due(at(24, 7, 59), BERLIN, Digest.DAILY, None, None, is_urgent=False) == at(24, 8)
    assert first_due(at(24, 8), BERLIN, Digest.DAILY, None, None, is_urgent=False) == at(25, 8)


def test_an_hourly_digest_comes_at_the_local_hour() -> None:
    now = at(24, 10, 20, zone=KATHMANDU)
    assert first_due(now, KATHMANDU, Digest.HOURLY, None, None, is_urgent=False) == at(24, 11, zone=KATHMANDU)


def test_a_digest_that_falls_into_the_night_comes_after_it() -> None:
    assert first_due(at(24, 22, 30), BERLIN, Digest.HOURLY, TEN_PM, SEVEN_AM, is_urgent=False) == at(25, 7)


def test_the_night_in_which_the_clocks_go_back_is_an_hour_longer() -> None:
    now = at(24, 23, month=10)
    due = first_due(now, BERLIN, Digest.NONE, TEN_PM, SEVEN_AM, is_urgent=False)
    assert due == datetime(2026, 10, 25, 6, tzinfo=UTC)
    assert due - now == timedelta(hours=9)


@given(
    moment=st.integers(0, 730 * 86_400).map(
        lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    ),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe"]),
    digest=st.sampled_from(list(Digest)),
    quiet=st.tuples(st.integers(0, 1439), st.integers(0, 1439)),
)
def test_nothing_is_sent_early_in_quiet_hours_or_much_too_late(
    moment: datetime, zone: str, digest: Digest, quiet: tuple[int, int]
) -> None:
    start, end = quiet
    due = first_due(moment, ZoneInfo(zone), digest, start, end, is_urgent=False)
    local = due.astimezone(ZoneInfo(zone))
    minute = local.hour * 60 + local.minute
    is_quiet = start <= minute < end if start < end else (minute >= start or minute < end) if start > end else False
    assert moment <= due <= moment + timedelta(hours=50)
    # In a night in which the clocks change the end may be a minute that does not exist, or that comes twice.
    assert not is_quiet or local.utcoffset() != (local - timedelta(hours=3)).utcoffset()


def test_a_message_is_tried_for_about_three_days() -> None:
    now = at(24, 12)
    assert next_try(now, 1) == now + timedelta(seconds=5)
    assert next_try(now, len(RETRY_SECONDS)) == now + timedelta(days=1)
    assert next_try(now, len(RETRY_SECONDS) + 1) is None
    assert list(accumulate(RETRY_SECONDS))[-1] == pytest.approx(timedelta(days=3.25).total_seconds(), rel=0.05)
