"""When an upstream has time for batches."""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

#: in the place of a minute that nobody set
ANY_MINUTE: Final = -1


def is_off_peak(now: datetime, time_zone: str, from_minute: int, until_minute: int) -> bool:
    """Whether a moment lies in a daily window of minutes since local midnight, which may go over midnight; without one,
    or where both ends are the same, any moment does."""
    if ANY_MINUTE in (from_minute, until_minute) or from_minute == until_minute:
        return True
    local = now.astimezone(ZoneInfo(time_zone))
    minute = local.hour * 60 + local.minute
    if from_minute < until_minute:
        return from_minute <= minute < until_minute
    return minute >= from_minute or minute < until_minute
