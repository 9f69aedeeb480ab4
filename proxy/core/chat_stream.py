"""The chunks of a chat that is streamed, read from whole events. Pure."""

import json
from typing import Any, NamedTuple

import orjson

from proxy.core import sse

Json = dict[str, Any]


def read_text(chunk: Json) -> str:
    """What a chunk adds where it adds a text and nothing else; empty for any other."""
    choices = chunk.get("choices")
    if type(choices) is not list or len(choices) != 1:
        return ""
    choice = choices[0]
    if type(choice) is not dict or choice.get("finish_reason"):
        return ""
    delta = choice.get("delta")
    if type(delta) is not dict or len(delta) != 1:
        return ""
    text = delta.get("content")
    return text if type(text) is str else ""


def read_chunks(events: bytes) -> list[Json]:
    """The objects that these events carry. What is no object, or cannot be read, is left out."""
    if events.startswith(b"data: {") and events.endswith(b"}\n\n"):
        joined = events[6:-2].replace(b"\n\ndata: {", b",{")
        if b"\n" not in joined:
            # Nearly always whole events of one line each: read in a third of the time.
            try:
                return list_dicts(orjson.loads(b"[%b]" % joined))
            except orjson.JSONDecodeError:
                pass
    datas = [
        data
        for event in sse.EventSplitter().feed(events)
        if (data := sse.data_of(event)) is not None and not sse.is_done(data)
    ]
    if not datas:
        return []
    chunks = [_read(data) for data in datas]
    return [chunk for chunk in chunks if isinstance(chunk, dict)]


def assemble(chunks: list[Json]) -> Json | None:
    """A streamed chat as the whole that it would have been; None where there is nothing."""
    if not chunks:
        return None
    choices: dict[Any, _Choice] = {}
    for chunk in chunks:
        for choice in list_dicts(chunk.get("choices")):
            index = choice.get("index", 0)
            if index not in choices:
                choices[index] = _Choice(index)
            choices[index].add(choice)
    first = {name: value for name, value in chunks[0].items() if name not in {"choices", "usage", "costhub"}}
    usage = next((chunk["usage"] for chunk in reversed(chunks) if chunk.get("usage")), None)
    whole = {**first, "object": "chat.completion", "choices": [choice.put_together() for choice in choices.values()]}
    return whole if usage is None else {**whole, "usage": usage}


class _Call(NamedTuple):
    """A call of a tool, and the pieces of its arguments."""

    call: Json
    pieces: list[str]


class _Choice:
    """A choice of a streamed chat, as far as it has come. Texts are joined at its end, and a call is found by its
    number: of either there may be as many as an answer has room for."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self._reason: Any = None
        self._message: Json = {"role": "assistant"}
        self._texts: dict[str, list[str]] = {}
        self._calls: list[_Call] = []
        #: the last of each number
        self._numbered: dict[Any, _Call] = {}

    def add(self, choice: Json) -> None:
        """What a chunk says of it."""
        self._reason = choice.get("finish_reason") or self._reason
        for name, value in read_object(choice.get("delta")).items():
            if name == "tool_calls":
                self._message.setdefault(name, [])
                for call in list_dicts(value):
                    self._add_call(call)
            elif isinstance(value, str) and name != "role":
                self._message.setdefault(name, "")
                self._texts.setdefault(name, []).append(value)
            elif value is not None or name not in self._message:
                self._message[name] = value

    def put_together(self) -> Json:
        """All of it."""
        for name, texts in self._texts.items():
            self._message[name] = "".join(texts)
        for call, pieces in self._calls:
            if len(pieces) > 1:
                call["function"]["arguments"] = "".join(pieces)
        return {"index": self._index, "message": self._message, "finish_reason": self._reason}

    def _add_call(self, call: Json) -> None:
        number, function = call.get("index", 0), read_object(call.get("function"))
        given = function.get("arguments")
        known = self._numbered.get(number)
        if known is None or begins_another(call, known.call.get("id")):
            begun = {"index": number, **call, "function": {**function}}
            self._message["tool_calls"].append(begun)
            known = self._numbered[number] = _Call(begun, [given if isinstance(given, str) else ""])
            self._calls.append(known)
        elif isinstance(given, str):
            known.pieces.append(given)


def begins_another(call: Json, known_id: Any) -> bool:
    """Whether a piece of a call of a tool begins another one than that of this id, although its number is the same:
    some servers number none of them, or all alike. A name must come with it, since others make up an id a piece."""
    return bool(call.get("id")) and call["id"] != known_id and bool(read_object(call.get("function")).get("name"))


def name_call(call: Json, otherwise: str) -> str:
    """The id of a call of a tool, by which its result is given; ``otherwise`` where its server gave it none: a client
    could not answer it."""
    given = call.get("id")
    return given if isinstance(given, str) and given else otherwise


def read_whole(body: bytes) -> Json:
    """A whole answer, and an empty one where there is none."""
    return read_object(_read(body))


def list_dicts(value: Any) -> list[Json]:
    """The objects of a list, and of anything else none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def read_first_choice(answer: Any) -> Json:
    """The first choice of an answer, empty where there is none."""
    choices = list_dicts(answer.get("choices")) if isinstance(answer, dict) else []
    return choices[0] if choices else {}


def read_object(value: Any) -> Json:
    """An object, and of anything else an empty one."""
    return value if isinstance(value, dict) else {}


def text_of(message: Json) -> str:
    """What a message, or what is added to one, says."""
    text = message.get("content") or message.get("refusal")
    if isinstance(text, list):
        return "".join(said for part in list_dicts(text) if isinstance(said := part.get("text"), str))
    return text if isinstance(text, str) else ""


def thought_of(message: Json) -> str:
    """What it thinks first, by either of its names."""
    thought = message.get("reasoning_content") or message.get("reasoning")
    return thought if isinstance(thought, str) else ""


def _read(data: bytes) -> Any:
    """A value; None for what cannot be read. Halves of characters and what is no number, which some servers write,
    become what they can be in an answer of ours."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        value = json.loads(data, strict=False, parse_constant=lambda _: None)
        return orjson.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
