"""Days and hours as an organisation lives them: a day has 23, 24 or 25 hours, an hour keeps its own offset."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)
# Offsets move by half an hour at the finest, so no hour is stepped over.
_FINEST_STEP = timedelta(minutes=30)


def hour_of(moment: datetime, zone: ZoneInfo) -> datetime:
    """The start of the local hour that ``moment`` lies in. The hour that autumn repeats is two hours."""
    local = moment.astimezone(zone)
    return moment.astimezone(UTC) - timedelta(
        minutes=local.minute, seconds=local.second, microseconds=local.microsecond
    )


def list_days(start: datetime, end: datetime, zone: ZoneInfo) -> list[date]:
    """The local days that ``[start, end)`` touches, in order."""
    if end <= start:
        return []
    first, last = start.astimezone(zone).date(), (end - timedelta(microseconds=1)).astimezone(zone).date()
    return [first + _DAY * step for step in range((last - first).days + 1)]


def list_hours(start: datetime, end: datetime, zone: ZoneInfo) -> list[datetime]:
    """The starts of the local hours that ``[start, end)`` touches, in order, in UTC."""
    found = set()
    moment = hour_of(start, zone)
    while moment < end:
        found.add(hour_of(moment, zone))
        moment += _FINEST_STEP
    return sorted(found)
