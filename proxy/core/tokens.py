"""How many tokens a request has: exactly where the vocabulary is known, never too few where it is not.

Two ways, because the exact one costs 12 ns a byte and the other nothing:

- ``bound_by_bytes``: a byte-level BPE token covers at least one byte, and JSON never spells a text shorter than its
  UTF-8, so the length of the body itself is a bound; the JSON around a message is longer than the few tokens that a
  chat template adds to it.
- ``count_exactly``: the texts through the model's own vocabulary, plus the template's tokens. Used when a budget is
  nearly spent, to price an estimate, and to charge an answer whose upstream did not say what it used.

The overheads are OpenAI's published rules of counting (its cookbook's "How to count tokens with tiktoken"), rounded up.
"""

from collections.abc import Iterator
from typing import Any, Final

import quicktok

from proxy.types import Endpoint, Request
from tenants.choices import Tokenizer
from tenants.snapshots import ModelSnapshot

#: what a server's template may add on its own: a default system prompt, the start of the answer
TEMPLATE_TOKENS: Final = 64
TOKENS_A_MESSAGE: Final = 8
TOKENS_A_TOOL: Final = 24
#: the signs that a template writes around each key and each list item of a schema
TOKENS_A_SCHEMA_PLACE: Final = 3
TOKENS_AN_ANSWER_PRIMER: Final = 3
#: the dearest that one picture can be, in high detail; the default covers the patch-based vision models
IMAGE_TOKENS: Final = {"gpt-4o-mini": 48_169, "gpt-4o": 1_445, "gpt-4.1": 4_000, "gpt-5": 4_000}
IMAGE_TOKENS_OF_OTHERS: Final = 16_384

_PICTURES: Final = frozenset({"image_url", "input_image"})
_TEXTS: Final = frozenset({"text", "input_text", "refusal", "output_text"})
_SCHEMAS: Final = ("tools", "functions", "response_format")
#: everything outside the messages that a model reads; ``documents`` is what vLLM's templates take
_READ: Final = (*_SCHEMAS, "tool_choice", "prediction", "documents", "prompt", "input", "suffix")


def bound_by_bytes(request: Request, model: ModelSnapshot) -> int:
    """A number of input tokens that the request cannot exceed, without counting any."""
    return request.body_bytes + TEMPLATE_TOKENS + _media_tokens(request, model)


def count_exactly(request: Request, model: ModelSnapshot) -> int:
    """The request's input tokens in the model's vocabulary; its UTF-8 bytes where the vocabulary is unknown."""
    total = sum(count_text(text, model.tokenizer) for text in _texts(request)) + TOKENS_AN_ANSWER_PRIMER
    total += TOKENS_A_MESSAGE * len(messages_of(request))
    total += TOKENS_A_SCHEMA_PLACE * sum(_places(request.body.get(name)) for name in _SCHEMAS)
    tools = request.body.get("tools") or request.body.get("functions")
    if isinstance(tools, list):
        total += TOKENS_A_TOOL * len(tools)
    if model.tokenizer == Tokenizer.BYTES:
        total += TEMPLATE_TOKENS
    return total + _media_tokens(request, model)


def count_text(text: str, tokenizer: str) -> int:
    """Tokens of a text, or its UTF-8 bytes when the vocabulary is unknown."""
    if tokenizer == Tokenizer.BYTES:
        return len(text.encode("utf-8", "surrogatepass"))
    return int(quicktok.get_encoding(tokenizer).count(text))


def messages_of(request: Request) -> list[dict[str, Any]]:
    """A chat's messages. Another endpoint has none, whatever stands in such a field of its body."""
    messages: list[dict[str, Any]] = request.body["messages"] if request.endpoint is Endpoint.CHAT else []
    return messages


def parts_of(request: Request) -> Iterator[dict[str, Any]]:
    """The parts of all messages that are made of parts."""
    for message in messages_of(request):
        content = message.get("content")
        if isinstance(content, list):
            for part in content:
                if isinstance(part, dict):
                    yield part


def _media_tokens(request: Request, model: ModelSnapshot) -> int:
    if request.is_plain:
        return 0
    pictures = 0
    if any(message.get("audio") for message in messages_of(request)):
        # An earlier answer in sound, named by its id: as long as it was.
        return model.context_window
    for part in parts_of(request):
        kind = part.get("type")
        if kind in _PICTURES:
            pictures += 1
        elif kind not in _TEXTS:
            # Sound, video, a document: nobody can say before it is processed, but the window holds all there can be.
            return model.context_window
    return pictures * _image_tokens(model.upstream_model) if pictures else 0


def _image_tokens(model: str) -> int:
    for prefix, tokens in IMAGE_TOKENS.items():
        if model.startswith(prefix):
            return tokens
    return IMAGE_TOKENS_OF_OTHERS


def _texts(request: Request) -> Iterator[str]:
    """Every text of the body that a model reads; of a picture only its place, not its data."""
    for name in _READ:
        if name in request.body:
            yield from _strings(request.body[name])
    for message in messages_of(request):
        for name, value in message.items():
            if name != "content" or not isinstance(value, list):
                yield from _strings(value)
                continue
            for part in value:
                if not isinstance(part, dict) or part.get("type") in _TEXTS:
                    yield from _strings(part)


def _strings(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif item is not None:
            # A number in a schema, or a token id, which as a text is at least the one token that it stands for.
            yield str(item)


def _places(value: Any) -> int:
    """How many keys and list items a schema has, on all its levels."""
    waiting, places = [value], 0
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict | list):
            places += len(item)
            waiting.extend(item.values() if isinstance(item, dict) else item)
    return places
