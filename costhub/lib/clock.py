"""The only reader of the clock.

Everything that needs the time asks here, so that a test can move time for the whole program in one place and two
parts of a call can never disagree about which period it belongs to.
"""

import time
from datetime import UTC, datetime

from uuid_utils import uuid7 as _uuid7


def now() -> datetime:
    """The current time, aware, in UTC, with microseconds."""
    return datetime.now(UTC)


def now_ms() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def monotonic_ns() -> int:
    """A clock for durations: nanoseconds from an arbitrary start, never set back."""
    return time.perf_counter_ns()


def ends_in(seconds: float) -> int:
    """What ``monotonic_ns`` will say so many seconds from now."""
    return monotonic_ns() + int(seconds * 1_000_000_000)


def new_request_id() -> tuple[str, int]:
    """A UUIDv7 and the millisecond that it carries (RFC 9562, section 5.7).

    The id and its timestamp are made in one breath because the ledger is partitioned by that timestamp: the pair is
    what makes a row unique.
    """
    made_at_ms = now_ms()
    return str(_uuid7(nanoseconds=made_at_ms * 1_000_000)), made_at_ms
