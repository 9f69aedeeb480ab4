"""A chat's answer and our errors, put into the form of Anthropic's Messages. Pure."""

import json
from collections.abc import Mapping, Sequence
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

_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_ERRORS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
#: a block before its first text
_NO_TEXT: Final = {"type": "text", "text": ""}
#: around a text that is added
_TEXT_BEGINS: Final = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"text_delta","text":'
)
_TEXT_ENDS: Final = b"}}\n\n"


def write_error(error: ApiError, request_id: str) -> Json:
    """An error as Anthropic's clients read it, with all that ours says."""
    told = error.body(request_id)["error"]
    kind = _ERRORS.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    if error.error_code in _ERRORS.values():
        kind = error.error_code  # an upstream of the same format has said it
    return {"type": "error", "error": {**told, "type": kind}, "request_id": request_id}


def write_error_event(error: ApiError, request_id: str) -> bytes:
    """The same within a stream."""
    return b"event: error\ndata: %b\n\n" % orjson.dumps(write_error(error, request_id))


def write_usage(used: Usage) -> Json:
    """A usage as Anthropic reports it: what caches had a part in stands beside the input."""
    written = {"ephemeral_5m_input_tokens": used.cache_write, "ephemeral_1h_input_tokens": used.cache_write_1h}
    cached = used.cached_input + used.cached_audio_input + used.cached_image_input
    return {
        "input_tokens": used.input_tokens - cached - used.cache_write - used.cache_write_1h,
        "cache_creation_input_tokens": used.cache_write + used.cache_write_1h,
        "cache_read_input_tokens": cached,
        "cache_creation": written,
        "output_tokens": used.output_tokens,
        **({"output_tokens_details": {"thinking_tokens": used.reasoning}} if used.reasoning else {}),
    }


class MessageTranslation:
    """One answer. Blocks come one after the other: where the kind of what comes changes, one ends and the next
    begins."""

    def __init__(self, request_id: str, model: str, stops: Sequence[str] = ()) -> None:
        self._mark = request_id.replace("-", "")
        self._model = model
        self._has_begun = False
        #: the kind of the block that is open, and its place
        self._open = ""
        self._place = -1
        #: the number and the id of the call that came last, if there is one
        self._call: tuple[int, Any] | None = None
        self._runs = TextRuns()
        self._reason = "end_turn"
        #: what its caller has it end at, and at which of those it did, where its server says so
        self._stops = stops
        self._stop: str | None = None

    def whole(self, body: bytes, usage: Usage) -> bytes:
        """A message."""
        answer = read_whole(body)
        choice = read_first_choice(answer)
        message = read_object(choice.get("message"))
        blocks: list[Json] = []
        if thought := thought_of(message):
            blocks.append({"type": "thinking", "thinking": thought, "signature": ""})
        if text := text_of(message):
            blocks.append({"type": "text", "text": text})
        for call in list_dicts(message.get("tool_calls")):
            function = read_object(call.get("function"))
            given = _read_arguments(function.get("arguments"))
            name = self._name_call(call, len(blocks))
            blocks.append({"type": "tool_use", "id": name, "name": function.get("name"), "input": given})
        told = self._message(answer.get("model"))
        self._note_stop(choice)
        self._reason = "refusal" if message.get("refusal") else _reason_of(choice.get("finish_reason"))
        ended = self._end_of(calls=any(block["type"] == "tool_use" for block in blocks))
        told |= {"content": blocks, **ended, "usage": write_usage(usage)}
        return exact_json.dumps(told)

    def events(self, events: bytes, run: TextRun | None = None) -> bytes:
        """The events of a message that these chunks of a chat come to. ``run``: the texts that were found together in
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
        self._enter("text", _NO_TEXT, told)
        begins = _TEXT_BEGINS % self._place
        told += (begins, (_TEXT_ENDS + begins).join(run.raws), _TEXT_ENDS)
        if run.after:
            self._read(run.after, told)
        return b"".join(told)

    def _read(self, events: bytes, told: list[bytes]) -> None:
        for chunk in read_chunks(events):
            if self._open == "text" and (text := read_text(chunk)):
                self._add_text(text, told)
                continue
            if not self._has_begun:
                self._begin(chunk, told)
            for choice in list_dicts(chunk.get("choices")):
                delta = choice.get("delta")
                if isinstance(delta, dict):
                    self._read_delta(delta, told)
                if reason := choice.get("finish_reason"):
                    self._reason = _reason_of(reason)
                    self._note_stop(choice)

    def end(self, fields: Mapping[str, str], usage: Usage) -> bytes:
        """Why it ended, what it used and cost, and its end."""
        told: list[bytes] = []
        if not self._has_begun:
            self._begin({}, told)
        self._close(told)
        ended = self._end_of(calls=self._call is not None)
        told.append(write_comment(fields))
        told.append(
            _event(
                {
                    "type": "message_delta",
                    "delta": ended,
                    "usage": write_usage(usage),
                    "costhub": name_fields(fields),
                }
            )
        )
        told.append(_event({"type": "message_stop"}))
        return b"".join(told)

    def error_event(self, error: ApiError, request_id: str) -> bytes:
        """An error, which ends the stream."""
        return write_error_event(error, request_id)

    def _message(self, model: Any) -> Json:
        return {
            "id": f"msg_{self._mark}",
            "type": "message",
            "role": "assistant",
            "model": model if isinstance(model, str) and model else self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        }

    def _note_stop(self, choice: Json) -> None:
        """At what it ended, as vLLM and SGLang say."""
        for said in (choice.get("stop_reason"), choice.get("matched_stop")):
            if isinstance(said, str) and said in self._stops:
                self._stop = said

    def _end_of(self, *, calls: bool) -> Json:
        """Why it ended, seen beside whether it ``calls`` a tool: some servers say that they stopped as usual where they
        were told which one to call, and a client would not call it."""
        if self._reason != "end_turn":
            return {"stop_reason": self._reason, "stop_sequence": None}
        if calls:
            return {"stop_reason": "tool_use", "stop_sequence": None}
        reason = "end_turn" if self._stop is None else "stop_sequence"
        return {"stop_reason": reason, "stop_sequence": self._stop}

    def _begin(self, chunk: Json, told: list[bytes]) -> None:
        self._has_begun = True
        message = self._message(chunk.get("model")) | {"usage": write_usage(Usage())}
        told.append(_event({"type": "message_start", "message": message}))

    def _read_delta(self, delta: Json, told: list[bytes]) -> None:
        if thought := thought_of(delta):
            self._enter("thinking", {"type": "thinking", "thinking": "", "signature": ""}, told)
            self._add({"type": "thinking_delta", "thinking": thought}, told)
        if text := text_of(delta):
            self._enter("text", _NO_TEXT, told)
            self._add_text(text, told)
        if delta.get("refusal"):
            self._reason = "refusal"
        for call in list_dicts(delta.get("tool_calls")):
            self._read_call(call, told)

    def _add_text(self, text: str, told: list[bytes]) -> None:
        told += (_TEXT_BEGINS % self._place, orjson.dumps(text), _TEXT_ENDS)

    def _read_call(self, call: Json, told: list[bytes]) -> None:
        function, number = read_object(call.get("function")), call.get("index") or 0
        known = self._call if self._open == "tool_use" else None
        if known is None or number != known[0] or begins_another(call, known[1]):
            self._call = number, call.get("id")
            self._close(told)
            name = self._name_call(call, self._place + 1)
            block: Json = {"type": "tool_use", "id": name, "name": function.get("name"), "input": {}}
            self._enter("tool_use", block, told)
        if isinstance(given := function.get("arguments"), str) and given:
            self._add({"type": "input_json_delta", "partial_json": given}, told)

    def _name_call(self, call: Json, place: int) -> str:
        return name_call(call, f"toolu_{self._mark}_{place}")

    def _enter(self, kind: str, block: Json, told: list[bytes]) -> None:
        if self._open == kind:
            return
        self._close(told)
        self._open, self._place = kind, self._place + 1
        told.append(_event({"type": "content_block_start", "index": self._place, "content_block": block}))

    def _add(self, delta: Json, told: list[bytes]) -> None:
        told.append(_event({"type": "content_block_delta", "index": self._place, "delta": delta}))

    def _close(self, told: list[bytes]) -> None:
        if self._open:
            told.append(_event({"type": "content_block_stop", "index": self._place}))
            self._open = ""


def _event(told: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (told["type"].encode(), orjson.dumps(told))


def _reason_of(reason: Any) -> str:
    return _REASONS.get(reason, "end_turn") if isinstance(reason, str) else "end_turn"


def _read_arguments(given: Any) -> Json:
    """What a tool is called with; what is no JSON object stays, under the name that Anthropic has for that."""
    if isinstance(given, dict):
        return given
    try:
        read = json.loads(given) if given else {}
    except (ValueError, TypeError, RecursionError):
        read = None
    return read if isinstance(read, dict) and not exact_json.is_too_deep(read) else {"INVALID_JSON": given}
