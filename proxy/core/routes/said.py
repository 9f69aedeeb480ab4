"""What an answer says, as it is judged, in whichever form it came: its text, its tool calls, its tokens'
probabilities."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import orjson

from proxy.core import alternatives, exact_json, sse

_LOGPROBS: Final = b"logprobs"
#: where a call stands that is no choice's of a chat: it is there as a whole, an item of Responses' events, a block of
#: Messages', or in the field that chats had before they had several
_AT_ONCE: Final = -1
_ITEM: Final = -2
_BLOCK: Final = -3
_ONLY: Final = -4


class Said(NamedTuple):
    """An answer. ``tool_arguments``: those of its tool calls, as the model wrote them; ``logprobs``: of its tokens;
    ``tool_names``: which tools it calls, one for each of the arguments, empty where it does not say."""

    text: str
    tool_arguments: tuple[str, ...] = ()
    logprobs: tuple[float | None, ...] = ()
    tool_names: tuple[str, ...] = ()


class _Calls:
    """An answer's calls of tools, as far as they are read: parts of their arguments and their names, by place."""

    def __init__(self) -> None:
        self._parts: dict[tuple[int, int], list[str]] = {}
        self._names: dict[tuple[int, int], str] = {}

    def add(self, place: tuple[int, int], name: Any, arguments: Any) -> None:
        """What an answer or an event says of one."""
        self._parts.setdefault(place, []).append(arguments if isinstance(arguments, str) else "")
        if isinstance(name, str) and name:
            self._names.setdefault(place, name)

    def __len__(self) -> int:
        return len(self._parts)

    def read(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The arguments of each, and the names."""
        # Messages streams nothing for a tool that is told nothing, where others write an empty object.
        arguments = ("".join(parts) or ("{}" if place[1] == _BLOCK else "") for place, parts in self._parts.items())
        return tuple(arguments), tuple(self._names.get(place, "") for place in self._parts)


def read_answer(body: bytes, *, is_stream: bool) -> Said:
    """Read an answer, whole or as events. What cannot be read is left out."""
    texts: list[str] = []
    calls = _Calls()
    logprobs: list[float | None] = []
    for answer in _events(body) if is_stream else _objects([alternatives.thin(body)]):
        _read_other_forms(answer, texts, calls, logprobs)
        for choice in _dicts(answer.get("choices")):
            message = choice.get("delta") if is_stream else choice.get("message")
            said = message if isinstance(message, dict) else {"content": choice.get("text")}
            if isinstance(content := said.get("content"), str):
                texts.append(content)
            for place, call in enumerate(_dicts(said.get("tool_calls"))):
                function = call.get("function")
                arguments = function.get("arguments") if isinstance(function, dict) else None
                name = function.get("name") if isinstance(function, dict) else None
                calls.add((_whole(choice.get("index")), _whole(call.get("index"), place)), name, arguments)
            if isinstance(only := said.get("function_call"), dict):
                calls.add((_whole(choice.get("index")), _ONLY), only.get("name"), only.get("arguments"))
            logprobs += _logprobs(choice.get("logprobs"))
    arguments, names = calls.read()
    return Said("".join(texts), arguments, tuple(logprobs), names)


def _read_other_forms(
    answer: dict[str, Any],
    texts: list[str],
    calls: _Calls,
    logprobs: list[float | None],
) -> None:
    """Anthropic's Messages and OpenAI's Responses, whole or an event of a stream: blocks of text and calls of tools."""
    blocks = _dicts(answer.get("content")) if answer.get("type") == "message" else []
    for item in _dicts(answer.get("output")):
        blocks += _dicts(item.get("content")) if item.get("type") == "message" else [item]
    for block in blocks:
        if isinstance(text := block.get("text"), str):
            texts.append(text)
            logprobs += _logprobs_of(block)
        elif block.get("type") in {"tool_use", "function_call"}:
            given = block.get("arguments", block.get("input"))
            whole = given if isinstance(given, str) else orjson.dumps(given).decode()
            calls.add((len(calls), _AT_ONCE), block.get("name"), whole)
    delta, place = answer.get("delta"), _whole(answer.get("index"), _whole(answer.get("output_index")))
    if answer.get("type") == "response.output_text.delta" and isinstance(delta, str):
        texts.append(delta)
        logprobs += _logprobs_of(answer)
    elif answer.get("type") == "response.function_call_arguments.delta" and isinstance(delta, str):
        calls.add((place, _ITEM), None, delta)
    elif answer.get("type") == "response.output_item.added" and isinstance(added := answer.get("item"), dict):
        if added.get("type") == "function_call":
            calls.add((place, _ITEM), added.get("name"), None)
    elif answer.get("type") == "content_block_start" and isinstance(begun := answer.get("content_block"), dict):
        if begun.get("type") == "tool_use":
            calls.add((place, _BLOCK), begun.get("name"), None)
    elif answer.get("type") == "content_block_delta" and isinstance(delta, dict):
        if isinstance(text := delta.get("text"), str):
            texts.append(text)
        elif isinstance(part := delta.get("partial_json"), str):
            calls.add((place, _BLOCK), None, part)


def drop_logprobs(parts: Sequence[bytes], *, is_stream: bool) -> tuple[bytes, ...]:
    """The answer without the probabilities that only we asked for. What cannot be read stays as it is."""
    if not any(_LOGPROBS in part for part in parts):
        return tuple(parts)
    if not is_stream:
        return (_rewrite(b"".join(parts)),)
    splitter = sse.EventSplitter()
    events = splitter.feed(b"".join(parts))
    return (*map(_rewrite_event, events), splitter.finish())


def _rewrite_event(event: bytes) -> bytes:
    data = sse.data_of(event)
    if data is None or sse.is_done(data) or _LOGPROBS not in data:
        return event
    changed = _rewrite(data)
    if changed is data:
        return event
    # Events of Responses have names.
    name = b"".join(line + b"\n" for line in event.splitlines() if line.startswith(b"event:"))
    return name + b"data: " + changed + b"\n\n"


def _rewrite(raw: bytes) -> bytes:
    try:
        answer = exact_json.loads_rounded(alternatives.thin(raw))
        for choice in _dicts(answer.get("choices")):
            if choice.get("logprobs") is not None:
                choice["logprobs"] = None
        for part in _parts_of_responses(answer):
            if part.get("logprobs"):
                part["logprobs"] = []
        return exact_json.dumps(answer)
    except (orjson.JSONDecodeError, AttributeError, TypeError, RecursionError):
        return raw


def _parts_of_responses(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Whatever of a response, or an event of one, may have probabilities beside a text."""
    yield from (answer, *_dicts([answer.get("part")]))
    response = answer.get("response")
    whole = response if isinstance(response, dict) else answer
    for item in _dicts([answer.get("item"), *_dicts(whole.get("output"))]):
        yield from _dicts(item.get("content"))


def _logprobs(found: Any) -> Iterator[float | None]:
    if not isinstance(found, dict):
        return
    # A completion has a list of numbers, a chat a list of tokens with one each.
    for value in found.get("token_logprobs") or () if isinstance(found.get("token_logprobs"), list) else ():
        yield _number(value)
    for token in _dicts(found.get("content")):
        yield _number(token.get("logprob"))


def _logprobs_of(part: dict[str, Any]) -> Iterator[float | None]:
    """The probabilities of a text of Responses, or of its next words."""
    for token in _dicts(part.get("logprobs")):
        yield _number(token.get("logprob"))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _events(body: bytes) -> Iterator[dict[str, Any]]:
    splitter = sse.EventSplitter()
    datas = (sse.data_of(event) for event in [*splitter.feed(body), splitter.finish()])
    yield from _objects([data for data in datas if data is not None and not sse.is_done(data)])


def _objects(raws: Sequence[bytes], loads: Callable[[bytes], Any] = orjson.loads) -> Iterator[dict[str, Any]]:
    for raw in raws:
        try:
            value = loads(raw)
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, dict):
            yield value


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _whole(value: Any, default: int = 0) -> int:
    return value if isinstance(value, int) else default
