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


#: A clock for durations: nanoseconds from an arbitrary start, never set back. The function itself, because a call asks
#: some twenty times.
monotonic_ns = time.perf_counter_ns


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


def new_id_of(moment_ms: int) -> str:
    """A new UUIDv7 of a millisecond: for a call that belongs to the moment at which another one brought it."""
    return str(_uuid7(nanoseconds=moment_ms * 1_000_000))


class Stopwatch:
    """Nanoseconds within its ``with`` blocks, all of them together: time that was waited for somebody else."""

    __slots__ = ("_began", "total_ns")

    def __init__(self) -> None:
        self.total_ns = 0
        self._began = 0

    def __enter__(self) -> None:
        self._began = monotonic_ns()

    def __exit__(self, *_: object) -> None:
        self.total_ns += monotonic_ns() - self._began
