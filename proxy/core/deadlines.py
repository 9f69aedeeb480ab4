"""By when an answer is wanted, and what may be done until then."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

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
#: so long before a deadline what is not answered yet is asked online
ONLINE_BEFORE_MS: Final = 30 * 60_000
#: calls gather for so long before they are handed on together
GATHERED_MS: Final = 5 * 60_000
#: how long a call is taken to last where nobody knows better
ASSUMED_CALL_MS: Final = 10_000
_MOST_DIGITS: Final = 6
#: what may be answered later
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


def check_capacity(waiting: int, concurrency: int, left_ms: int) -> None:
    """Raise NotAllowed where so many calls wait before this one that its deadline could not be promised."""
    if (waiting // concurrency + 1) * ASSUMED_CALL_MS > left_ms:
        raise NotAllowed(
            f"{waiting} calls wait for this upstream, {concurrency} of which run at a time: the deadline cannot be"
            " promised. Give a later one, or call as usual.",
            code="deadline_cannot_be_kept",
            status=409,
        )


def has_time_for_a_batch(left_ms: int) -> bool:
    """Whether a call may go through an upstream's own batches."""
    return left_ms >= BATCH_NEEDS_MS


def _wrong(code: str, message: str = "") -> InvalidRequest:
    return InvalidRequest(
        message or f"{HEADER} must be seconds from now, or a moment such as 2026-12-01T06:00:00Z.",
        param=HEADER,
        code=code,
    )
