"""Which try follows one that failed, and how long a call may go on: its tries, and the pauses between them."""

from enum import Enum
from typing import Final, NamedTuple

from proxy.core.endpoints import MOST_SERVERS
from proxy.values.plan import Plan
from tenants.choices import LEARNED_HABITS
from tenants.snapshots import UpstreamSnapshot

FIRST_PAUSE_SECONDS: Final = 0.1
#: an upstream that says «later than this» is believed, and its answer handed to the caller
MAX_RETRY_AFTER_SECONDS: Final = 5.0
_TIMED_OUT: Final = "upstream_timeout"
_NOT_REACHED: Final = frozenset({"upstream_unreachable", "upstream_unusable"})


class Next(Enum):
    """Who is asked after a try that failed."""

    #: the same upstream, after a pause
    AGAIN = 1
    #: another server of the same upstream, at once
    OTHER_SERVER = 2
    #: the plan's next candidate, if there is one whose money can be set aside
    OTHER_CANDIDATE = 3


class Tries(NamedTuple):
    """How often a candidate has been tried in vain: tries that count against its upstream's retries, and servers of it
    that could not be reached, which count as none."""

    failed: int = 0
    unreached: int = 0


#: made once: nearly every call's first try is its last
NO_TRIES: Final = Tries()


def is_unreached(upstream: UpstreamSnapshot, reason: str) -> bool:
    """Whether one of an upstream's several servers could not be reached, so that another one may well be."""
    return bool(upstream.endpoints) and reason in _NOT_REACHED


def next_try(
    tries: Tries, upstream: UpstreamSnapshot, reason: str, *, is_transient: bool, has_server: bool, has_others: bool
) -> tuple[Next, Tries]:
    """Who is asked after a try that failed for a reason, and the tries so far. ``is_transient``: the same may be tried
    again. ``has_server``: a server of the upstream is left that this call has not tried; ``has_others``: somebody else
    can be asked."""
    if has_server and tries.unreached < MOST_SERVERS and is_unreached(upstream, reason):
        return Next.OTHER_SERVER, tries._replace(unreached=tries.unreached + 1)
    tries = tries._replace(failed=tries.failed + 1)
    if tries.failed > upstream.max_retries:
        return Next.OTHER_CANDIDATE, tries
    if has_server:
        return Next.OTHER_SERVER, tries
    # What took a whole time-out is not waited for again where somebody else can be asked.
    if is_transient and not (has_others and reason == _TIMED_OUT):
        return Next.AGAIN, tries
    return Next.OTHER_CANDIDATE, tries


def longest_pause(tries: int) -> float:
    """Seconds before the next try at an upstream that has failed so often, where it does not say itself."""
    return FIRST_PAUSE_SECONDS * 2.0**tries


def longest_call_ms(plan: Plan) -> int:
    """The most that all tries of a plan take, with what an upstream may refuse of our own writing, each time once, and
    every pause at its longest."""
    total = plan.delay_ms
    for candidate in plan.candidates:
        upstream = candidate.upstream
        tries = upstream.max_retries + 1 + len(LEARNED_HABITS)
        total += tries * (upstream.connect_timeout_ms + upstream.timeout_ms) + _pauses_ms(upstream)
        # Endpoints that cannot be reached are no retries.
        total += MOST_SERVERS * upstream.connect_timeout_ms if upstream.endpoints else 0
    return total


def _pauses_ms(upstream: UpstreamSnapshot) -> int:
    pauses = (max(longest_pause(tries), MAX_RETRY_AFTER_SECONDS) for tries in range(1, upstream.max_retries + 1))
    return round(sum(pauses) * 1000)
