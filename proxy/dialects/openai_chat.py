"""OpenAI's chat, completions and embeddings, as callers speak them.

A body becomes a typed request, or an InvalidRequest that names the field. Only what we must understand is checked:
model, streaming, and everything that decides how much may be billed. All other fields pass through untouched. A key
that stands twice in an object counts once, the last one, and the upstream is sent the same single value that we read.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from proxy.core.body_fields import GOVERNING, MAX_TOKENS_LIMIT, read_flag, read_model, read_name, read_object
from proxy.core.cost_fields import add_cost, write_comment
from proxy.core.field_names import check_names, list_known
from proxy.core.kept_files import check_named
from proxy.errors import ApiError, InvalidRequest, ModelNotPriced
from proxy.values.dialect import Translation
from proxy.values.request import Endpoint, Operation, Request

OPERATIONS: Final[Mapping[Endpoint, Operation]] = {
    Endpoint.CHAT: Operation.CHAT,
    Endpoint.COMPLETIONS: Operation.COMPLETION,
    Endpoint.EMBEDDINGS: Operation.EMBEDDING,
}

MAX_CHOICES: Final = 128

_LIMITS: Final = ("max_completion_tokens", "max_tokens")
#: "no limit", as llama.cpp's and LM Studio's users write it
_NO_LIMIT: Final = -1
#: llama.cpp's own: where it stands, llama.cpp obeys it and neither of the others
_LLAMA_LIMIT: Final = "n_predict"
_LIMITING: Final = frozenset({*_LIMITS, _LLAMA_LIMIT})


_KNOWN: Final = list_known(GOVERNING)
#: what decides how a message and its parts are counted, and whether a stream reports its usage
_OF_MESSAGES: Final = frozenset({"role", "content", "name", "audio", "tool_calls", "tool_call_id", "refusal"})
_KNOWN_OF_MESSAGES: Final = list_known(_OF_MESSAGES)
_KNOWN_OF_PARTS: Final = list_known(("type", "text", "image_url", "input_audio", "file"))
_KNOWN_OF_OPTIONS: Final = list_known(("include_usage",))
#: what may go to another model than the one that was priced
UNPRICED_FIELDS: Final = ("models", "fallbacks")
_PRICED_APART: Final = frozenset({*UNPRICED_FIELDS, "service_tier"})
#: finding a member of an enumeration costs as much as a sum, and every call asks
_CHAT: Final = Operation.CHAT
_EMBEDDING: Final = Operation.EMBEDDING
_TIER: Final = re.compile(r"[a-z][a-z0-9_]{0,29}")


def parse_request(endpoint: Endpoint | None, raw: bytes) -> Request:
    """Read a JSON body; without an endpoint it is that of the one that it looks like. Raises InvalidRequest, with
    ``param`` set where one field is at fault."""
    body = _parse_object(raw)
    operation = OPERATIONS[endpoint or _endpoint_of(body)]
    model = read_model(body)
    if not _PRICED_APART.isdisjoint(body):
        _check_priced(body)
    is_embedding = operation is _EMBEDDING
    is_stream = "stream" in body and read_flag(body, "stream") and not is_embedding
    wants_usage = is_stream and _wants_usage(body)
    if operation is _CHAT:
        is_plain = _check_messages(body)
        choices = _count(body, "n") if "n" in body else 1
    else:
        choices = _embedding_choices(body) if is_embedding else _completion_choices(body)
        is_plain = not is_embedding or _is_plain_embedding(body)
    return Request(
        operation=operation,
        model=model,
        body=body,
        body_bytes=len(raw),
        is_stream=is_stream,
        wants_usage=wants_usage,
        choices=choices,
        max_output=0 if is_embedding else None if _LIMITING.isdisjoint(body) else _max_output(body),
        end_user=read_name(body, "user") if "user" in body else "",
        is_plain=is_plain and "audio" not in body,
    )


def make_translation(request: Request, request_id: str, at_ms: int) -> Translation | None:
    """None: what comes is a chat."""
    return None


def end_stream(fields: Mapping[str, str], closing: bytes) -> bytes:
    """The last bytes of a stream: what it cost, and its end.

    The cost stands in a comment, which clients ignore and people can read, and in the field ``costhub`` of the event
    that reports usage, which clients hand on. The comment is part of the last event, and no block of its own: clients
    that dispatch at every blank line would take it for an event without data.
    """
    return add_cost(closing, fields) + write_comment(fields) + b"data: [DONE]\n\n"


def render_error(error: ApiError, request_id: str) -> bytes:
    """An error before the first byte of an answer."""
    return orjson.dumps(error.body(request_id))


def render_error_event(error: ApiError, request_id: str) -> bytes:
    """An error in the middle of a stream, which ends it."""
    return b"data: " + render_error(error, request_id) + b"\n\n"


def _parse_object(raw: bytes) -> dict[str, Any]:
    body = read_object(raw)
    if not body.keys() <= GOVERNING:
        check_names(body.keys() - GOVERNING, _KNOWN)
    if not _LIMITING.isdisjoint(body):
        for name in _LIMITS:
            if body.get(name) == _NO_LIMIT and type(body[name]) is int:
                del body[name]  # every server knows what it means that there is none
    return body


def _endpoint_of(body: dict[str, Any]) -> Endpoint:
    if "messages" in body:
        return Endpoint.CHAT
    return Endpoint.EMBEDDINGS if "input" in body else Endpoint.COMPLETIONS


def _check_priced(body: dict[str, Any]) -> None:
    for name in UNPRICED_FIELDS:
        if body.get(name) is not None:
            raise ModelNotPriced(
                f"What {name} costs is not known here, so that the call cannot be held to a budget: leave it out.",
                code="feature_not_priced",
                param=name,
            )
    tier = body.get("service_tier")
    if tier is not None and (not isinstance(tier, str) or not _TIER.fullmatch(tier)):
        raise InvalidRequest("service_tier must be the name of a service tier, such as flex.", param="service_tier")


def _check_messages(body: dict[str, Any]) -> bool:
    """Whether each message is a plain text. Raises InvalidRequest for what is no message."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest("messages must be a list with at least one message.", param="messages")
    is_plain = True
    for place, message in enumerate(messages):
        if not isinstance(message, dict):
            raise InvalidRequest(f"messages[{place}] must be an object.", param=f"messages[{place}]")
        if not message.keys() <= _OF_MESSAGES:
            check_names(message, _KNOWN_OF_MESSAGES, f"messages[{place}].")
        if isinstance(parts := message.get("content"), list):
            _check_parts(parts, f"messages[{place}].content")
            is_plain = False
        elif "audio" in message:
            is_plain = False
    return is_plain


def _is_plain_embedding(body: dict[str, Any]) -> bool:
    given, messages = body.get("input"), body.get("messages")
    if isinstance(messages, list) and not all(
        not isinstance(each, dict) or _is_plain_message(each) for each in messages
    ):
        return False
    # Where numbers or lists of them come first nothing else follows.
    has_objects = isinstance(given, list) and not isinstance(given[0], int | list) and dict in map(type, given)
    return given is not None and not has_objects


def _is_plain_message(message: dict[str, Any]) -> bool:
    return not isinstance(message.get("content"), list) and "audio" not in message


def _check_parts(parts: list[Any], where: str) -> None:
    for place, part in enumerate(parts):
        if not isinstance(part, dict):
            continue
        check_names(part, _KNOWN_OF_PARTS, f"{where}[{place}].")
        if not isinstance(part.get("type", ""), str):
            raise InvalidRequest(
                f"{where}[{place}].type must be a text such as `text` or `image_url`.", param=f"{where}[{place}].type"
            )
        if isinstance(held := part.get("file"), dict):
            check_named(held, f"{where}[{place}].file")


def _completion_choices(body: dict[str, Any]) -> int:
    return max(_count(body, "n"), _count(body, "best_of")) * _how_many(body, "prompt")


def _embedding_choices(body: dict[str, Any]) -> int:
    """Beside texts and tokens some servers take messages, and pictures and texts as objects."""
    if body.get("input") is None and body.get("messages") is not None:
        _check_messages(body)
        if "n" in body:
            _count(body, "n")
    else:
        value = body.get("input")
        is_mixed = isinstance(value, list) and {dict, str}.issuperset(map(type, value)) and all(value)
        if not (is_mixed and value):
            _how_many(body, "input")
    return 1


def _how_many(body: dict[str, Any], name: str) -> int:
    """How many texts a ``prompt`` or ``input`` holds: a text, texts, token ids, or lists of token ids."""
    value = body.get(name)
    if isinstance(value, str):
        return 1
    if isinstance(value, list) and value:
        kinds = set(map(type, value))
        if kinds == {int}:
            return 1
        if kinds <= {str, list}:
            return len(value)
    raise InvalidRequest(f"{name} must be a text, a list of texts, or token ids.", param=name)


def _count(body: dict[str, Any], name: str) -> int:
    value = body.get(name)
    if value is None:
        return 1
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_CHOICES:
        raise InvalidRequest(f"{name} must be a whole number from 1 to {MAX_CHOICES}.", param=name)
    return value


def _max_output(body: dict[str, Any]) -> int | None:
    limits = []
    for name in _LIMITS:
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_TOKENS_LIMIT:
            raise InvalidRequest(
                f"{name} must be a whole number from 1 to {MAX_TOKENS_LIMIT}, or -1 for no limit.", param=name
            )
        limits.append(value)
    value = body.get(_LLAMA_LIMIT)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_TOKENS_LIMIT:
        limits.append(value)
    return min(limits, default=None)


def _wants_usage(body: dict[str, Any]) -> bool:
    options = body.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise InvalidRequest("stream_options must be an object.", param="stream_options")
    check_names(options, _KNOWN_OF_OPTIONS, "stream_options.")
    return options.get("include_usage") is True
