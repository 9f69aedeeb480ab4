"""One module a wire format that callers speak, all of one shape (``proxy.values.dialect``). Pure."""

from collections.abc import Mapping
from typing import Final

from proxy.dialects import anthropic_messages, openai_chat, openai_media, openai_responses
from proxy.values.dialect import Dialect
from proxy.values.request import Endpoint

_OF_ENDPOINT: Final[Mapping[Endpoint, Dialect]] = {
    endpoint: dialect
    for dialect in (openai_chat, openai_responses, anthropic_messages, openai_media)
    for endpoint in dialect.OPERATIONS
}


def dialect_of(endpoint: Endpoint | None) -> Dialect:
    """The wire format of an endpoint; OpenAI's chat for paths that are none."""
    return openai_chat if endpoint is None else _OF_ENDPOINT[endpoint]
