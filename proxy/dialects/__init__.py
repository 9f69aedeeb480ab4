"""One module a wire format that callers speak, all of one shape (``proxy.values.dialect``). Pure."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from proxy.dialects import anthropic_messages, openai_chat, openai_media, openai_responses
from proxy.errors import InvalidRequest
from proxy.values.dialect import Dialect
from proxy.values.request import Endpoint, Request, Wire

_OF_ENDPOINT: Final[Mapping[Endpoint, Dialect]] = {
    endpoint: dialect
    for dialect in (openai_chat, openai_responses, anthropic_messages, openai_media)
    for endpoint in dialect.OPERATIONS
}
#: what may be planned and priced without being sent
_PLANNED: Final = (
    Endpoint.CHAT,
    Endpoint.RESPONSES,
    Endpoint.MESSAGES,
    Endpoint.COMPLETIONS,
    Endpoint.EMBEDDINGS,
)
#: fields by which a body is one of Responses and no embedding, or one of Messages and no chat
_OF_RESPONSES: Final = frozenset({"instructions", "max_output_tokens", "previous_response_id", "reasoning", "text"})
_OF_MESSAGES: Final = frozenset({"system", "stop_sequences", "thinking"})


def dialect_of(endpoint: Endpoint | None) -> Dialect:
    """The wire format of an endpoint; OpenAI's chat for paths that are none."""
    return openai_chat if endpoint is None else _OF_ENDPOINT[endpoint]


def read_unsent(raw: bytes, path: str = "") -> Request:
    """A body that is planned or priced and not sent: of the endpoint at a path below /v1, or else of the one that it
    looks like. Raises InvalidRequest, as its own endpoint does, and for what only sending it would tell."""
    if path and path not in _PLANNED:
        raise InvalidRequest(f"Give one of {', '.join(_PLANNED)}.", param="endpoint")
    endpoint = Endpoint(path) if path else _guess_endpoint(raw)
    request = dialect_of(endpoint).parse_request(endpoint, raw)
    original = request.original
    if request.wire is Wire.RESPONSES and original is not None and original.body.get("previous_response_id"):
        raise InvalidRequest(
            "What an earlier response holds is looked up when the call is made: give its turns as input.",
            param="previous_response_id",
        )
    return request


def _guess_endpoint(raw: bytes) -> Endpoint | None:
    """None where OpenAI's chat dialect says which of its own it is, or what is wrong with it."""
    try:
        body: Any = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(body, dict):
        return None
    if "messages" in body:
        return None if _OF_MESSAGES.isdisjoint(body) else Endpoint.MESSAGES
    asked = body.get("input")
    has_items = isinstance(asked, list) and any(isinstance(item, dict) for item in asked)
    return Endpoint.RESPONSES if has_items or not _OF_RESPONSES.isdisjoint(body) else None
