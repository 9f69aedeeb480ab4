"""A response that is there, told as the events of a stream: the same each time, so that each has its number. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from proxy.core import exact_json

Json = dict[str, Any]

_ENDINGS: Final = frozenset({"completed", "incomplete", "failed"})
#: the kinds of events that a response begins and ends with
OPENING_EVENTS: Final = frozenset({"response.created", "response.queued", "response.in_progress"})
ENDINGS: Final = frozenset({*(f"response.{status}" for status in _ENDINGS), "response.cancelled"})
#: of a part, the field that holds its words and the kind of event that tells them
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "output_text": ("text", "output_text"),
    "refusal": ("refusal", "refusal"),
    "reasoning_text": ("text", "reasoning_text"),
}
#: with which numbers a response begins, whatever comes of it
OPENING: Final = 2


def tell_opening(response: Json) -> list[bytes]:
    """The events of a response that has not said anything yet."""
    told: Json = {**response, "output": [], "usage": None, "error": None, "incomplete_details": None}
    return [
        _write(0, {"type": "response.created", "response": told | {"status": "queued"}}),
        _write(1, {"type": "response.in_progress", "response": told | {"status": "in_progress"}}),
    ]


def tell_rest(response: Json) -> list[bytes]:
    """The events of what it said, and of its end."""
    return [_write(number, event) for number, event in enumerate(_list_events(response), OPENING)]


def tell_end(response: Json, number: int) -> bytes:
    """The event of its end, with a number of its own."""
    return _write(number, _end_of(response))


def _list_events(response: Json) -> Iterator[Json]:
    output = response.get("output")
    for number, item in enumerate(output if isinstance(output, list) else []):
        place = {"item_id": item.get("id"), "output_index": number}
        match item.get("type"):
            case "message" | "reasoning":
                yield _added(number, {**item, "content": []})
                for place_of_part, part in enumerate(item.get("content") or []):
                    yield from _tell_part(part, {**place, "content_index": place_of_part})
            case "function_call":
                yield _added(number, {**item, "arguments": ""})
                kind, given = "response.function_call_arguments", item.get("arguments")
                yield {"type": f"{kind}.delta", **place, "delta": given}
                yield {"type": f"{kind}.done", **place, "name": item.get("name"), "arguments": given}
            case _:
                yield _added(number, item)
        yield {"type": "response.output_item.done", "output_index": number, "item": item}
    yield _end_of(response)


def _end_of(response: Json) -> Json:
    # There is no event of one that was cancelled: for who listens it has failed.
    status = response.get("status")
    return {"type": f"response.{status if status in _ENDINGS else 'failed'}", "response": response}


def _added(number: int, item: Json) -> Json:
    shown = item | {"status": "in_progress"} if "status" in item else item
    return {"type": "response.output_item.added", "output_index": number, "item": shown}


def _tell_part(part: Json, place: Json) -> Iterator[Json]:
    field, kind = _WORDS.get(str(part.get("type")), ("", ""))
    yield {"type": "response.content_part.added", **place, "part": part | {field: ""} if field else part}
    if field:
        more: Json = {"logprobs": []} if kind == "output_text" else {}
        yield {"type": f"response.{kind}.delta", **place, "delta": part.get(field), **more}
        yield {"type": f"response.{kind}.done", **place, field: part.get(field), **more}
    yield {"type": "response.content_part.done", **place, "part": part}


def _write(number: int, event: Json) -> bytes:
    raw = exact_json.dumps({**event, "sequence_number": number})
    return b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), raw)
