"""How long a call may go on: its tries, and the pauses between them."""

from typing import Final

from proxy.core.endpoints import MOST_SERVERS
from proxy.values.plan import Plan
from tenants.choices import LEARNED_HABITS
from tenants.snapshots import UpstreamSnapshot

FIRST_PAUSE_SECONDS: Final = 0.1
#: an upstream that says «later than this» is believed, and its answer handed to the caller
MAX_RETRY_AFTER_SECONDS: Final = 5.0


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
