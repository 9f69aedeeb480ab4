"""When a message is sent: digests, quiet hours, and the tries of one that does not arrive."""

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from billing.choices import Digest

#: after the first, second, ... failure; then it is given up. As Standard Webhooks advises, about three days in all
RETRY_SECONDS: Final = (5, 30, 120, 600, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
#: a daily digest comes at this hour of the organisation's day
DIGEST_HOUR: Final = 8
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


def first_due(
    now: datetime, zone: ZoneInfo, digest: Digest, quiet_from: int | None, quiet_until: int | None, *, is_urgent: bool
) -> datetime:
    """When to send what happens now. What is urgent is sent at once, whatever the hour.

    ``quiet_from`` and ``quiet_until`` are minutes of the local day; from the later to the earlier they span midnight.
    """
    if is_urgent:
        return now
    return _after_quiet(_digest_time(now, zone, digest), zone, quiet_from, quiet_until)


def next_try(now: datetime, tries: int) -> datetime | None:
    """When to try again after so many tries; None when it is given up."""
    return now + timedelta(seconds=RETRY_SECONDS[tries - 1]) if tries <= len(RETRY_SECONDS) else None


def _digest_time(now: datetime, zone: ZoneInfo, digest: Digest) -> datetime:
    if digest is Digest.NONE:
        return now
    local = now.astimezone(zone)
    if digest is Digest.HOURLY:
        # In absolute time: an hour that the clock repeats or leaves out changes nothing.
        past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        return now - past + _HOUR
    today = local.replace(hour=DIGEST_HOUR, minute=0, second=0, microsecond=0)
    return (today if local < today else today + _DAY).astimezone(now.tzinfo)


def _after_quiet(moment: datetime, zone: ZoneInfo, start: int | None, end: int | None) -> datetime:
    if start is None or end is None or start == end:
        return moment
    local = moment.astimezone(zone)
    minute = local.hour * 60 + local.minute
    if not (start <= minute < end if start < end else minute >= start or minute < end):
        return moment
    wakes = local.replace(hour=end // 60, minute=end % 60, second=0, microsecond=0)
    return (wakes if minute < end else wakes + _DAY).astimezone(moment.tzinfo)
