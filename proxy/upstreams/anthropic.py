"""Anthropic as an upstream: what it is sent, and what its answers say of themselves. Pure."""

from collections.abc import Set
from typing import Any, Final

from proxy.upstreams import refusals
from proxy.upstreams.anthropic_answers import MessageReader, as_stream
from proxy.upstreams.anthropic_requests import choose_wire, encode_request, find_path, find_unsaid, is_at_home
from proxy.upstreams.reading import parse
from proxy.upstreams.refusals import read_pause, read_refusal
from proxy.upstreams.usage import read_usage
from proxy.values.attempt import Usage
from proxy.values.request import Request, Wire
from proxy.values.vendor import AnswerReader, Habits, Refusal
from tenants.choices import Habit
from tenants.snapshots import UpstreamSnapshot

__all__ = [
    "as_stream",
    "choose_wire",
    "encode_request",
    "find_habits",
    "find_path",
    "find_refusal",
    "find_unsaid",
    "is_at_home",
    "learn",
    "make_reader",
    "normalise_usage",
    "read_pause",
    "read_refusal",
]

_LIMIT: Final = "max_tokens"


def find_habits(upstream: UpstreamSnapshot, model: str, learned: Set[Habit] = frozenset()) -> Habits:
    """There is one way to write a message; the tenant decides about what it cannot say."""
    return Habits(
        _LIMIT,
        keeps_place=True,
        stream_options=False,
        stream_false=False,
        needs_limit=True,
        drop_unknown=bool(upstream.habits.get(Habit.DROP_UNKNOWN)),
    )


def learn(
    refusal: Refusal, status: int, request: Request, upstream: UpstreamSnapshot, habits: Habits, *, is_capped: bool
) -> Habit | None:
    """Nothing: what is written here is of Anthropic's own documents."""
    return None


def make_reader(request: Request, wire: Wire, at_ms: int) -> AnswerReader:
    """A reader for the answer to a request that came at a moment."""
    return MessageReader(is_native=wire is Wire.MESSAGES, created=at_ms // 1000)


def find_refusal(raw: bytes) -> Refusal | None:
    """The refusal in an answer of status 200, or None if it is none."""
    return refusals.find_refusal(parse(raw))


def normalise_usage(reported: dict[str, Any]) -> Usage | None:
    """A ``usage`` in disjoint classes; None where it is no exact account."""
    report = read_usage(reported)
    return None if report is None or report.doubt or not report.has_input else report.usage
