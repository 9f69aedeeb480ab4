"""By when an answer is wanted, and what may be done until then."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any, Final, NamedTuple
from uuid import UUID

from costhub.lib.moments import to_ms
from proxy.errors import InvalidRequest, NotAllowed
from proxy.values.request import Endpoint, Request, Wire
from tenants.choices import Mode
from tenants.snapshots import OrgSnapshot

HEADER: Final = "x-costhub-deadline"
#: nothing is promised sooner: a call may need its retries
LEAST_MS: Final = 60_000
MOST_MS: Final = 24 * 3_600_000
#: an upstream's own batches are given at least so long: most are done within an hour or two
BATCH_NEEDS_MS: Final = 3 * 3_600_000
#: so long before a deadline what is not answered yet is asked online, and earlier where more calls wait than can be
#: asked within it
ONLINE_BEFORE_MS: Final = 30 * 60_000
#: so long an upstream's own batch that was cancelled may take to say what it has answered
END_WITHIN_MS: Final = 15 * 60_000
#: calls gather for so long before they are handed on together
GATHERED_MS: Final = 5 * 60_000
#: how long a call is taken to last at the least, and where nobody has seen any
ASSUMED_CALL_MS: Final = 10_000
_MOST_DIGITS: Final = 6
#: when there may be room again for calls that wait
_ROOM_MS: Final = 60_000
#: what may be answered by a deadline
ANSWERED_LATER: Final = (
    *(Endpoint.CHAT, Endpoint.COMPLETIONS, Endpoint.EMBEDDINGS, Endpoint.RESPONSES, Endpoint.MESSAGES),
)


def parse_deadline(text: str, at_ms: int) -> int:
    """The deadline in ms since the epoch: seconds from ``at_ms``, as ``3600``, or a moment with its zone, as
    ``2026-12-01T06:00:00Z``.

    Raises InvalidRequest for what is neither, and for one that is over, or too near or far to be promised.
    """
    text = text.strip()
    if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS:
        deadline_ms = at_ms + int(text) * 1000
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise _wrong("deadline_unreadable") from error
        if moment.tzinfo is None:
            raise _wrong("deadline_unreadable")
        deadline_ms = to_ms(moment)
    if deadline_ms <= at_ms:
        raise _wrong("deadline_passed", "The deadline is over already.")
    if deadline_ms < at_ms + LEAST_MS:
        raise _wrong(
            "deadline_too_near", f"An answer can be promised within {LEAST_MS // 1000} s and no sooner: call as usual."
        )
    if deadline_ms > at_ms + MOST_MS:
        raise _wrong("deadline_too_far", "A deadline is within 24 hours.")
    return deadline_ms


def find_wait(request: Request, endpoint: Endpoint, org: OrgSnapshot) -> int:
    """So many seconds a call's route has it wait at most; 0 where it does not, or the call cannot: a stream, the step
    of an agent."""
    route = org.routes.get(request.model)
    if route is None or not route.deadline_seconds or route.mode != Mode.ON:
        return 0
    cannot = request.is_stream or is_step(request) or endpoint not in ANSWERED_LATER
    return 0 if cannot else route.deadline_seconds


def check_step(request: Request) -> None:
    """Raise InvalidRequest for the step of an agent, which waits for each before it takes the next."""
    if is_step(request):
        raise InvalidRequest(
            f"The last turn has what a tool has given: an agent waits for its next step. Leave {HEADER} out.",
            param=HEADER,
            code="agent_step",
        )


def is_step(request: Request) -> bool:
    """Whether what is asked follows from what a tool has given since a model spoke last: behind that a user may have
    said something, too."""
    messages = request.body.get("messages")
    if not isinstance(messages, list):
        return False
    if _ends_in(messages, lambda message: message.get("role") in {"tool", "function"}):
        return True
    # Of Responses a chat has a word for results of functions only.
    original = request.original
    items = original.body.get("input") if original is not None and original.wire is Wire.RESPONSES else None
    return isinstance(items, list) and _ends_in(items, lambda item: str(item.get("type")).endswith("_call_output"))


def _ends_in(said: Sequence[Any], is_given: Callable[[Mapping[str, Any]], bool]) -> bool:
    """Whether one of what was said since an assistant's words is given by a tool."""
    for one in reversed(said):
        if not isinstance(one, dict) or one.get("role") == "assistant":
            return False
        if is_given(one):
            return True
    return False


class Due(NamedTuple):
    """Calls of a pool that have no answer: how many, how many of them may be asked by now, and by when, in ms, the
    first and the last are due."""

    calls: int
    ready: int
    first_ms: int
    last_ms: int


class Pace(NamedTuple):
    """How an upstream's calls get on: so many run at a time, and each takes so many ms."""

    concurrency: int
    call_ms: int = ASSUMED_CALL_MS

    def needed_ms(self, calls: int) -> int:
        """How long so many calls take: the last of them has its answer no sooner than it takes itself."""
        return -(-calls // self.concurrency) * self.call_ms


def find_online_before(calls: int, pace: Pace) -> int:
    """So many ms before their deadline calls are asked online that have no answer then: half an hour, or as long as all
    of them take once an upstream's own batch has been ended."""
    return max(ONLINE_BEFORE_MS, END_WITHIN_MS + pace.needed_ms(calls))


def find_online_from(pools: Mapping[UUID, Due], pace: Pace) -> dict[UUID, int]:
    """From which moment on, in ms, the calls of each pool of an upstream are asked online: those count with them that
    may come before the last of them."""
    by_first = sorted(pools.values(), key=lambda due: due.first_ms)
    firsts = [due.first_ms for due in by_first]
    ahead = list(accumulate((due.calls for due in by_first), initial=0))
    return {
        name: due.first_ms - find_online_before(ahead[bisect_right(firsts, due.last_ms)], pace)
        for name, due in pools.items()
    }


class DeadlineCannotBeKept(NotAllowed):
    """So many calls wait for an upstream that another one cannot be promised: the last of them would be answered
    ``late_ms`` behind its deadline."""

    code = "deadline_cannot_be_kept"
    http_status = 409

    def __init__(self, why: str, late_ms: int) -> None:
        super().__init__(why)
        self.late_ms = late_ms


class NoRoomToWait(DeadlineCannotBeKept):
    """What an organisation's calls ask that wait is so long that there is no room for another one: perhaps when some of
    them are out, in ``late_ms``."""


def check_capacity(waiting: Mapping[int, int], pace: Pace, now_ms: int, deadline_ms: int) -> None:
    """Raise DeadlineCannotBeKept where another call could not be answered by its deadline, or another one that was
    promised not by its own, because so many wait for the same upstream: ``waiting`` has their numbers by deadline, in
    ms. Those with the nearest deadline come first, but for what is under way already."""
    later = sum(calls for due_ms, calls in waiting.items() if due_ms > deadline_ms)
    ahead = 1 + sum(waiting.values()) - later
    # One that has begun, and one that is claimed, for each that runs at a time.
    _check_time(ahead + min(later, 2 * pace.concurrency), pace, deadline_ms - now_ms)
    for due_ms in sorted(due_ms for due_ms in waiting if due_ms > deadline_ms):
        ahead += waiting[due_ms]
        _check_time(ahead, pace, due_ms - now_ms)


def _check_time(calls: int, pace: Pace, left_ms: int) -> None:
    if (needed_ms := pace.needed_ms(calls)) > left_ms:
        raise DeadlineCannotBeKept(
            f"{calls - 1} calls wait for this upstream, {pace.concurrency} of which run at a time, for up to"
            f" {-(-pace.call_ms // 1000)} s each: the deadline cannot be promised. Give a later one, or call as usual.",
            needed_ms - left_ms,
        )


def check_room(kept_bytes: int, more_bytes: int, most_bytes: int) -> None:
    """Raise NoRoomToWait where an organisation's calls that wait would have more than ``most_bytes`` with another one:
    a few bytes may name a file of megabytes, which is kept for each call."""
    if kept_bytes + more_bytes > most_bytes:
        raise NoRoomToWait(
            f"The calls of this organisation that wait have {kept_bytes} bytes, and {most_bytes} are taken: call as usual,"
            " or again when some of them are out.",
            _ROOM_MS,
        )


def has_time_for_a_batch(calls: int, pace: Pace, left_ms: int) -> bool:
    """Whether a call may go through an upstream's own batches, with so many that would have to be asked online with it
    if these brought nothing."""
    return left_ms - find_online_before(calls, pace) >= BATCH_NEEDS_MS - ONLINE_BEFORE_MS


def _wrong(code: str, message: str = "") -> InvalidRequest:
    return InvalidRequest(
        message or f"{HEADER} must be seconds from now, or a moment such as 2026-12-01T06:00:00Z.",
        param=HEADER,
        code=code,
    )
