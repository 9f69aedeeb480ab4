"""When an upstream that fails again and again is left alone, and when it is tried anew."""

from typing import Final, NamedTuple

NANOS_PER_SECOND: Final = 1_000_000_000
#: so many tries in a row must have failed
FAILURES: Final = 3
FIRST_NANOS: Final = 5 * NANOS_PER_SECOND
LONGEST_NANOS: Final = 60 * NANOS_PER_SECOND


class Health(NamedTuple):
    """How an upstream has answered last. ``until_ns`` is on the clock for durations; 0 while it is asked as ever."""

    failures: int = 0
    until_ns: int = 0
    length_ns: int = 0
    # The cool-down is over, and one call finds out whether it answers again.
    is_probed: bool = False


def after_failure(health: Health, now_ns: int, pause_ns: int = 0, most: int = FAILURES) -> Health:
    """One more try has failed. ``pause_ns``: for so long the upstream itself says that it is not to be asked.
    ``most``: so many failures in a row begin a cool-down.

    Each cool-down that ends with another failure is followed by one of twice its length.
    """
    failures = health.failures + 1
    if pause_ns:
        length = min(pause_ns, LONGEST_NANOS)
    elif failures >= most:
        length = min(health.length_ns * 2 or FIRST_NANOS, LONGEST_NANOS)
    else:
        return health._replace(failures=failures)
    if now_ns < health.until_ns and not health.is_probed:
        # Of a try that began before: the cool-down is known already.
        return health._replace(failures=failures)
    return Health(failures, now_ns + length, length)


def take_probe(health: Health, now_ns: int) -> Health | None:
    """Take the probe of an upstream whose cool-down is over: whoever asks now tries it, and everybody else waits for
    the outcome, at most for as long as the cool-down was. None while the cool-down lasts."""
    if now_ns < health.until_ns:
        return None
    return health._replace(until_ns=now_ns + health.length_ns, is_probed=True)
