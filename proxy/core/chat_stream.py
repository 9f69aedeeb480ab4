"""The chunks of a chat that is streamed, read from whole events. Pure."""

import json
from typing import Any

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
    """The objects that these events carry; what cannot be read, or is none, is left out."""
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
    choices: dict[Any, Json] = {}
    for chunk in chunks:
        for choice in list_dicts(chunk.get("choices")):
            whole = choices.setdefault(
                choice.get("index", 0), {"index": choice.get("index", 0), "message": {"role": "assistant"}}
            )
            _add_delta(whole["message"], read_object(choice.get("delta")))
            whole["finish_reason"] = choice.get("finish_reason") or whole.get("finish_reason")
    first = {name: value for name, value in chunks[0].items() if name not in {"choices", "usage", "costhub"}}
    usage = next((chunk["usage"] for chunk in reversed(chunks) if chunk.get("usage")), None)
    whole = {**first, "object": "chat.completion", "choices": list(choices.values())}
    return whole if usage is None else {**whole, "usage": usage}


def _add_delta(message: Json, delta: Json) -> None:
    for name, value in delta.items():
        if name == "tool_calls":
            calls = message.setdefault("tool_calls", [])
            for call in list_dicts(value):
                number = call.get("index", 0)
                known = next((one for one in reversed(calls) if one["index"] == number), None)
                if known is None or begins_another(call, known.get("id")):
                    calls.append({"index": number, **call, "function": {**read_object(call.get("function"))}})
                    continue
                given = read_object(call.get("function")).get("arguments")
                if isinstance(given, str):
                    known["function"]["arguments"] = (known["function"].get("arguments") or "") + given
        elif isinstance(value, str) and name != "role":
            message[name] = (message.get(name) or "") + value
        elif value is not None or name not in message:
            message[name] = value


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
