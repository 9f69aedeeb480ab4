"""Anthropic's Messages: ``bodies`` are read, ``answers`` and errors written. Pure."""

from collections.abc import Mapping

import orjson

from proxy.core.cost_fields import add_cost, write_comment
from proxy.dialects.anthropic_messages.answers import MessageTranslation, write_error, write_error_event
from proxy.dialects.anthropic_messages.bodies import OPERATIONS, parse_request, read_prompt
from proxy.errors import ApiError
from proxy.values.dialect import Translation
from proxy.values.request import Request

__all__ = [
    "OPERATIONS",
    "end_stream",
    "make_translation",
    "parse_request",
    "read_prompt",
    "render_error",
    "render_error_event",
]


def make_translation(request: Request, request_id: str, at_ms: int) -> Translation | None:
    """What puts a chat's answer into the form of a message."""
    stops = request.body.get("stop") or ()
    return MessageTranslation(request_id, request.model, stops)


def end_stream(fields: Mapping[str, str], closing: bytes) -> bytes:
    """The last event of a message, with what it cost."""
    return write_comment(fields) + add_cost(closing, fields)


def render_error(error: ApiError, request_id: str) -> bytes:
    """An error before the first byte of an answer."""
    return orjson.dumps(write_error(error, request_id))


def render_error_event(error: ApiError, request_id: str) -> bytes:
    """An error in the middle of a stream, which ends it."""
    return write_error_event(error, request_id)
