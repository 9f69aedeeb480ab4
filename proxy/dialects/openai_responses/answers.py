"""A chat's answer and our errors, put into the form of OpenAI's Responses. Pure."""

from collections.abc import Mapping
from itertools import chain, repeat
from typing import Any, Final

import orjson

from proxy.core import exact_json
from proxy.core.chat_stream import (
    begins_another,
    list_dicts,
    name_call,
    read_chunks,
    read_first_choice,
    read_object,
    read_text,
    read_whole,
    text_of,
    thought_of,
)
from proxy.core.chat_texts import TextRuns
from proxy.core.cost_fields import name_fields, write_comment
from proxy.errors import ApiError
from proxy.values.attempt import Usage
from proxy.values.text_run import TextRun

Json = dict[str, Any]

_CUT_SHORT: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
#: what a response says again of what was asked, and what it says where nothing was
_ECHOED: Final[Mapping[str, Any]] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": False,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
#: around the text and the number of an event that adds a text
_TEXT_BEGINS: Final = (
    b"event: response.output_text.delta\n"
    b'data: {"type":"response.output_text.delta","item_id":"%b","output_index":%d,"content_index":0,"delta":'
)
_BEGUN: Final = b'event: %b\ndata: {"type":"%b","response":%b,"sequence_number":%d}\n\n'
_TEXT_DELTA: Final = b'%b%b,"logprobs":[],"sequence_number":%d}\n\n'
#: the ends of those of usual streams, written once: for more than four at a time that is quicker
_SEVERAL: Final = 4
_TEXT_ENDS: Final = tuple(_TEXT_DELTA % (b"", b"", number) for number in range(2048))


def write_usage(used: Usage) -> Json:
    """A usage as Responses report it."""
    return {
        "input_tokens": used.input_tokens,
        "input_tokens_details": {
            "cached_tokens": used.cached_input + used.cached_audio_input + used.cached_image_input,
            "cache_write_tokens": used.cache_write + used.cache_write_1h,
        },
        "output_tokens": used.output_tokens,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": used.input_tokens + used.output_tokens,
    }


def write_error_event(error: ApiError, request_id: str, number: int) -> bytes:
    """An error as an event: its words stand at its top, where the documents have them, and within, where clients look
    that raise them."""
    told = error.body(request_id)["error"]
    event = {
        "type": "error",
        "code": told["code"],
        "message": told["message"],
        "param": told["param"],
        "sequence_number": number,
        "error": told,
    }
    return b"event: error\ndata: %b\n\n" % orjson.dumps(event)


def describe(name: str, model: str, asked: Json, created_ms: int, status: str) -> Json:
    """A response that has said nothing yet, or never will."""
    return {**ResponseTranslation("", model, asked, created_ms).describe(status), "id": name}


class ResponseTranslation:
    """One answer. Items come one after the other: thoughts, a message, calls; where the kind of what comes changes, one
    is done and the next is added."""

    def __init__(self, request_id: str, model: str, asked: Json, at_ms: int) -> None:
        self._mark = request_id.replace("-", "")
        self._model = model
        said = {name: value for name, value in asked.items() if name in _ECHOED and value is not None}
        self._echoed = {**_ECHOED, **said}
        self._created = at_ms // 1000
        self._sequence = 0
        self._has_begun = False
        self._output: list[Json] = []
        #: the item that is under way, the word for what it is made of, and the pieces that have come
        self._kind = ""
        self._item: Json = {}
        self._text_begins = b""
        self._runs = TextRuns()
        self._pieces: list[str] = []
        #: the number and the id of the call that came last, as its server gave them
        self._call: tuple[int, Any] = (-1, None)
        self._reason = "stop"

    def whole(self, body: bytes, usage: Usage) -> bytes:
        """A response."""
        answer = read_whole(body)
        choice = read_first_choice(answer)
        message = read_object(choice.get("message"))
        self._note_model(answer)
        if thought := thought_of(message):
            self._item, self._pieces = self._new_item("reasoning"), [thought]
            self._output.append(self._finished("reasoning"))
        if text := text_of(message):
            kind = "refusal" if message.get("refusal") and not message.get("content") else "message"
            self._item, self._pieces = self._new_item(kind), [text]
            self._output.append(self._finished(kind))
        for call in list_dicts(message.get("tool_calls")):
            function = read_object(call.get("function"))
            self._item = self._new_item("call") | {"call_id": self._name_call(call), "name": function.get("name")}
            given = function.get("arguments")
            self._pieces = [given if isinstance(given, str) else orjson.dumps(given or {}).decode()]
            self._output.append(self._finished("call"))
        self._note_reason(choice)
        return exact_json.dumps(self._response(self._status, usage))

    def events(self, events: bytes, run: TextRun | None = None) -> bytes:
        """The events of a response that these chunks of a chat come to. ``run``: the texts that were found together in
        them, if somebody has looked."""
        told: list[bytes] = []
        run = run or self._runs.find(events)
        if run is None:
            self._read(events, told)
            return b"".join(told)
        if run.before:
            self._read(run.before, told)
        if not self._has_begun:
            self._begin(read_chunks(run.first)[0], told)
        self._enter("message", told)
        self._pieces += run.texts
        raws, begins, number = run.raws, self._text_begins, self._sequence
        self._sequence += len(raws)
        if len(raws) > _SEVERAL and self._sequence <= len(_TEXT_ENDS):
            told += chain.from_iterable(zip(repeat(begins), raws, _TEXT_ENDS[number : self._sequence], strict=False))
        else:
            told += [_TEXT_DELTA % (begins, raw, place) for place, raw in enumerate(raws, number)]
        if run.after:
            self._read(run.after, told)
        return b"".join(told)

    def _read(self, events: bytes, told: list[bytes]) -> None:
        for chunk in read_chunks(events):
            if self._kind == "message" and (text := read_text(chunk)):
                self._add_text(text, told)
                continue
            if not self._has_begun:
                self._begin(chunk, told)
            for choice in list_dicts(chunk.get("choices")):
                delta = choice.get("delta")
                if isinstance(delta, dict):
                    self._read_delta(delta, told)
                self._note_reason(choice)

    def end(self, fields: Mapping[str, str], usage: Usage) -> bytes:
        """The whole response once more, with what it used and cost."""
        told: list[bytes] = []
        if not self._has_begun:
            self._begin({}, told)
        self._finish(told)
        told.append(write_comment(fields))
        self._tell(
            told,
            f"response.{self._status}",
            response=self._response(self._status, usage),
            costhub=name_fields(fields),
        )
        return b"".join(told)

    def error_event(self, error: ApiError, request_id: str) -> bytes:
        """An error, which ends the stream."""
        return write_error_event(error, request_id, self._sequence)

    # The response

    def describe(self, status: str) -> Json:
        """The response as it is so far."""
        return self._response(status)

    @property
    def _status(self) -> str:
        return "incomplete" if self._reason in _CUT_SHORT else "completed"

    def _response(self, status: str, usage: Usage | None = None) -> Json:
        cut = {"reason": _CUT_SHORT[self._reason]} if status == "incomplete" else None
        return {
            "id": f"resp_{self._mark}",
            "object": "response",
            "created_at": self._created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": cut,
            "model": self._model,
            "output": self._output,
            **self._echoed,
            "usage": None if usage is None else write_usage(usage),
        }

    def _note_model(self, answer: Json) -> None:
        """Who has answered, and by which tier, which may be another one than was asked for."""
        model, tier = answer.get("model"), answer.get("service_tier")
        if isinstance(model, str) and model:
            self._model = model
        if isinstance(tier, str) and tier:
            self._echoed["service_tier"] = tier

    def _note_reason(self, choice: Json) -> None:
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            self._reason = reason

    # Events

    def _tell(self, told: list[bytes], kind: str, **fields: Any) -> None:
        event = {"type": kind, **fields, "sequence_number": self._sequence}
        self._sequence += 1
        told.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), exact_json.dumps(event)))

    def _begin(self, chunk: Json, told: list[bytes]) -> None:
        self._has_begun = True
        self._note_model(chunk)
        response = exact_json.dumps(self._response("in_progress"))
        for kind in (b"response.created", b"response.in_progress"):
            told.append(_BEGUN % (kind, kind, response, self._sequence))
            self._sequence += 1

    def _read_delta(self, delta: Json, told: list[bytes]) -> None:
        if thought := thought_of(delta):
            self._enter("reasoning", told)
            self._add("response.reasoning_text.delta", thought, told)
        if text := text_of(delta):
            if delta.get("refusal") and not delta.get("content"):
                self._enter("refusal", told)
                self._add("response.refusal.delta", text, told)
            else:
                self._enter("message", told)
                self._add_text(text, told)
        for call in list_dicts(delta.get("tool_calls")):
            self._read_call(call, told)

    def _add_text(self, text: str, told: list[bytes]) -> None:
        self._pieces.append(text)
        told.append(_TEXT_DELTA % (self._text_begins, orjson.dumps(text), self._sequence))
        self._sequence += 1

    def _read_call(self, call: Json, told: list[bytes]) -> None:
        function, number = read_object(call.get("function")), call.get("index") or 0
        is_open = self._kind == "call" and number == self._call[0]
        if not is_open or begins_another(call, self._call[1]):
            self._call = number, call.get("id")
            self._finish(told)
            self._enter("call", told, call_id=self._name_call(call), name=function.get("name"))
        if isinstance(given := function.get("arguments"), str) and given:
            self._pieces.append(given)
            self._tell(
                told,
                "response.function_call_arguments.delta",
                item_id=self._item["id"],
                output_index=len(self._output),
                delta=given,
            )

    def _name_call(self, call: Json) -> str:
        return name_call(call, f"call_{self._mark}_{len(self._output)}")

    def _add(self, kind: str, text: str, told: list[bytes]) -> None:
        self._pieces.append(text)
        place = {"item_id": self._item["id"], "output_index": len(self._output), "content_index": 0}
        self._tell(told, kind, **place, delta=text)

    def _enter(self, kind: str, told: list[bytes], **more: Any) -> None:
        if self._kind == kind:
            return
        self._finish(told)
        self._kind, self._item = kind, self._new_item(kind) | more
        self._text_begins = _TEXT_BEGINS % (self._item["id"].encode(), len(self._output))
        self._tell(told, "response.output_item.added", output_index=len(self._output), item=self._item)
        if kind != "call":
            self._tell(told, "response.content_part.added", **self._place(), part=_part_of(kind, ""))

    def _finish(self, told: list[bytes]) -> None:
        """The item that is under way is done."""
        if not self._kind:
            return
        kind, text, item = self._kind, "".join(self._pieces), self._finished(self._kind)
        place = self._place()
        match kind:
            case "call":
                del place["content_index"]
                self._tell(told, "response.function_call_arguments.done", **place, name=item["name"], arguments=text)
            case "message":
                self._tell(told, "response.output_text.done", **place, text=text, logprobs=[])
            case "refusal":
                self._tell(told, "response.refusal.done", **place, refusal=text)
            case _:
                self._tell(told, "response.reasoning_text.done", **place, text=text)
        if kind != "call":
            self._tell(told, "response.content_part.done", **place, part=_part_of(kind, text))
        self._tell(told, "response.output_item.done", output_index=len(self._output), item=item)
        self._output.append(item)
        self._kind, self._pieces = "", []

    def _place(self) -> Json:
        return {"item_id": self._item["id"], "output_index": len(self._output), "content_index": 0}

    # Items

    def _new_item(self, kind: str) -> Json:
        number = len(self._output)
        match kind:
            case "reasoning":
                return {"id": f"rs_{self._mark}_{number}", "type": "reasoning", "summary": [], "content": []}
            case "call":
                named = {"id": f"fc_{self._mark}_{number}", "type": "function_call", "status": "in_progress"}
                return {**named, "call_id": "", "name": "", "arguments": ""}
            case _:
                named = {"id": f"msg_{self._mark}_{number}", "type": "message", "status": "in_progress"}
                return {**named, "role": "assistant", "content": []}

    def _finished(self, kind: str) -> Json:
        text = "".join(self._pieces)
        if kind == "call":
            return {**self._item, "status": "completed", "arguments": text}
        item = {**self._item, "content": [_part_of(kind, text)]}
        return item if kind == "reasoning" else {**item, "status": "completed"}


def _part_of(kind: str, text: str) -> Json:
    match kind:
        case "reasoning":
            return {"type": "reasoning_text", "text": text}
        case "refusal":
            return {"type": "refusal", "refusal": text}
        case _:
            return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
