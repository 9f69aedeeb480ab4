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

from proxy.values.request import Operation, Request
from tenants.choices import Tokenizer
from tenants.snapshots import ModelSnapshot

#: what a server's template may add on its own: a default system prompt, the start of the answer
TEMPLATE_TOKENS: Final = 64
TOKENS_A_MESSAGE: Final = 8
TOKENS_A_TOOL: Final = 24
#: what Anthropic puts before a call that has tools (530 at most by its documents), and for each tool of its own
#: (computer use takes 735)
_CLAUDE: Final = "claude"
CLAUDE_TOOLS_TOKENS: Final = 1_024
TOKENS_A_CLAUDE_TOOL: Final = 1_024
#: the signs that a template writes around each key and each list item of a schema
TOKENS_A_SCHEMA_PLACE: Final = 3
TOKENS_AN_ANSWER_PRIMER: Final = 3
#: the dearest that one picture can be, in high detail; the default covers the patch-based vision models
IMAGE_TOKENS: Final = {"gpt-4o-mini": 48_169, "gpt-4o": 1_445, "gpt-4.1": 4_000, "gpt-5": 4_000}
IMAGE_TOKENS_OF_OTHERS: Final = 16_384

_PICTURES: Final = frozenset({"image_url", "input_image"})
#: parts that are made of texts, or of parts again
_TEXTS: Final = frozenset(
    {
        *("text", "input_text", "refusal", "output_text", "summary_text", "reasoning_text"),
        *("thinking", "redacted_thinking", "reasoning", "tool_use", "tool_call", "tool_result"),
    }
)
_MOST_NESTED: Final = 8
_SCHEMAS: Final = ("tools", "functions", "response_format")
#: everything outside the messages that a model reads; ``documents`` is what vLLM's templates take
_READ: Final = (*_SCHEMAS, "tool_choice", "prediction", "documents", "prompt", "input", "suffix")


def bound_by_bytes(request: Request, model: ModelSnapshot) -> int:
    """A number of input tokens that the request cannot exceed, without counting any."""
    bound = request.body_bytes + TEMPLATE_TOKENS
    if "tools" in request.body:
        bound += _tool_prompt_tokens(request, model)
    return bound if request.is_plain else bound + _media_tokens(request, model)


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
    return total + _tool_prompt_tokens(request, model) + _media_tokens(request, model)


def _tool_prompt_tokens(request: Request, model: ModelSnapshot) -> int:
    """What a provider writes before a prompt with tools, beside what stands in the body."""
    tools = request.body.get("tools")
    if not tools or _CLAUDE not in model.upstream_model or not isinstance(tools, list):
        return 0
    own: int = sum(isinstance(tool, dict) and tool.get("type") != "function" for tool in tools)
    return CLAUDE_TOOLS_TOKENS + TOKENS_A_CLAUDE_TOOL * own


def has_media(request: Request) -> bool:
    """Whether a model reads more than texts: pictures, sound, documents, whose tokens are bounded and not counted."""
    if request.is_plain:
        return False
    if request.form is not None:
        return True
    return any(message.get("audio") for message in messages_of(request)) or any(
        _kind(part) not in _TEXTS for part in parts_of(request)
    )


def load(tokenizer: str) -> None:
    """Have a vocabulary in memory before the first text is counted in it: reading one takes up to a second of a
    processor, and the library keeps the interpreter's lock meanwhile."""
    if tokenizer != Tokenizer.BYTES:
        quicktok.get_encoding(tokenizer)


def count_text(text: str, tokenizer: str) -> int:
    """Tokens of a text, or its UTF-8 bytes when the vocabulary is unknown."""
    if tokenizer == Tokenizer.BYTES:
        return len(text.encode("utf-8", "surrogatepass"))
    encoding = quicktok.get_encoding(tokenizer)
    try:
        return int(encoding.count(text))
    except TypeError:
        # Halves of characters that came one by one: put together, or what a half becomes on its way.
        return int(encoding.count(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")))


def messages_of(request: Request) -> list[dict[str, Any]]:
    """A chat's messages. Another endpoint has none, whatever stands in such a field of its body."""
    messages: list[dict[str, Any]] = request.body["messages"] if request.operation is Operation.CHAT else []
    return messages


def parts_of(request: Request) -> Iterator[dict[str, Any]]:
    """The parts of all messages that are made of parts, and those within a tool's result."""
    for message in messages_of(request):
        yield from _parts(message.get("content"))


def _parts(content: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    if isinstance(content, list):
        for part in content:
            if isinstance(part, dict):
                yield part
                if depth < _MOST_NESTED and part.get("type") == "tool_result":
                    yield from _parts(part.get("content"), depth + 1)


def _media_tokens(request: Request, model: ModelSnapshot) -> int:
    if request.is_plain:
        return 0
    if request.form is not None:
        return model.context_window  # sound or pictures, of which nobody can say how many tokens they are
    if request.operation is Operation.EMBEDDING:
        # Pictures, or messages: nobody can say before, but each input fits the window.
        inputs = request.body.get("input")
        return model.context_window * (len(inputs) if isinstance(inputs, list) else 1)
    pictures = 0
    if any(message.get("audio") for message in messages_of(request)):
        # An earlier answer in sound, named by its id: as long as it was.
        return model.context_window
    for part in parts_of(request):
        kind = _kind(part)
        if kind in _PICTURES:
            pictures += 1
        elif kind not in _TEXTS:
            # Sound, video, a document: nobody can say before it is processed, but the window holds all there can be.
            return model.context_window
    return pictures * _image_tokens(model.upstream_model) if pictures else 0


def _kind(part: dict[str, Any]) -> str:
    kind = part.get("type")
    return kind if isinstance(kind, str) else ""


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
            if name == "content" and isinstance(value, list):
                yield from _texts_of_parts(value)
            else:
                yield from _strings(value)


def _texts_of_parts(parts: list[Any], depth: int = 0) -> Iterator[str]:
    for part in parts:
        if not isinstance(part, dict):
            yield from _strings(part)
        elif _kind(part) == "tool_result" and isinstance(part.get("content"), list) and depth < _MOST_NESTED:
            yield from _strings({name: value for name, value in part.items() if name != "content"})
            yield from _texts_of_parts(part["content"], depth + 1)
        elif _kind(part) in _TEXTS:
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
