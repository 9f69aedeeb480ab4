"""OpenAI's Responses: ``bodies`` are read, ``answers`` and errors written. Pure."""

from collections.abc import Mapping

import orjson

from proxy.core.cost_fields import add_cost, write_comment
from proxy.dialects.openai_responses.answers import ResponseTranslation, describe, write_error_event
from proxy.dialects.openai_responses.bodies import (
    OPERATIONS,
    continue_request,
    list_input,
    list_items,
    parse_request,
    show_input,
    store_as,
    summarise,
)
from proxy.dialects.openai_responses.compaction import CompactionTranslation
from proxy.dialects.openai_responses.replay import ENDINGS, OPENING, OPENING_EVENTS, tell_end, tell_opening, tell_rest
from proxy.errors import ApiError
from proxy.values.dialect import Translation
from proxy.values.request import Request

__all__ = [
    "ENDINGS",
    "OPENING",
    "OPENING_EVENTS",
    "OPERATIONS",
    "continue_request",
    "describe",
    "end_stream",
    "list_input",
    "list_items",
    "make_translation",
    "parse_request",
    "render_error",
    "render_error_event",
    "show_input",
    "store_as",
    "summarise",
    "tell_end",
    "tell_opening",
    "tell_rest",
]


def make_translation(request: Request, request_id: str, at_ms: int) -> Translation | None:
    """What puts a chat's answer into the form of a response."""
    assert request.original is not None, "a request of this format"
    asked = request.original.body
    if request.is_compacting:
        # The last item is our own.
        return CompactionTranslation(request_id, request.model, asked, show_input(list_input(request)[:-1]), at_ms)
    return ResponseTranslation(request_id, request.model, asked, at_ms)


def end_stream(fields: Mapping[str, str], closing: bytes) -> bytes:
    """The last event of a response, with what it cost."""
    return write_comment(fields) + add_cost(closing, fields)


def render_error(error: ApiError, request_id: str) -> bytes:
    """An error before the first byte of an answer."""
    return orjson.dumps(error.body(request_id))


def render_error_event(error: ApiError, request_id: str) -> bytes:
    """An error in the middle of a stream, which ends it."""
    return write_error_event(error, request_id, 0)
