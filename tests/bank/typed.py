"""Answers whose streams have typed events: Anthropic's Messages and OpenAI's Responses, step by step, or whole."""

from typing import Any

import orjson

from tests.bank.answers import CREATED, Answer, Ask, Kind, Step, billed_input, read_ask
from tests.bank.behaviour import Behaviour
from tests.bank.http import BadRequest

Json = dict[str, Any]
_LOGPROBS = "message.output_text.logprobs"


def make_answer(ask: Ask, call: int, model: str, usage: Json) -> Answer:
    """The answer to a request, in the format of its kind. ``usage`` is what is billed so far."""
    match ask.kind:
        case "messages":
            return MessageAnswer(ask, call, model, usage)
        case "responses":
            return ResponseAnswer(ask, call, model)
        case _:
            return Answer(ask, call, model)


def read_typed(kind: Kind, body: Json) -> tuple[list[str], int, int | None, list[Json], bool]:
    """Of a request: its texts, how many messages they are in, its limit, its tools, and whether JSON is wanted.

    Raises BadRequest naming the field that is wrong.
    """
    return _read_message(body) if kind == "messages" else _read_response(body)


class MessageAnswer(Answer):
    """A message: one block, of text or of a tool that is used."""

    def __init__(self, ask: Ask, call: int, model: str, usage: Json) -> None:
        super().__init__(ask, call, model)
        self._usage_before = usage

    @property
    def _typed_message(self) -> Json:
        return {
            "id": f"msg_bank_{self.call}",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        }

    def events(self, step: Step, text: str | None = None) -> list[Json]:
        """The events of one step."""
        match step.kind:
            case "role":
                started = {**self._typed_message, "usage": self.wire_usage(self._usage_before)}
                return [
                    {"type": "message_start", "message": started},
                    {"type": "content_block_start", "index": 0, "content_block": self._block("", is_open=True)},
                    {"type": "ping"},
                ]
            case "token":
                said = self.piece(step) if text is None else text
                kind, name = ("input_json_delta", "partial_json") if self.is_tool else ("text_delta", "text")
                return [{"type": "content_block_delta", "index": 0, "delta": {"type": kind, name: said}}]
            case _:
                return [{"type": "content_block_stop", "index": 0}]

    def end_events(self, usage: Json | None, *, is_done: bool) -> list[Json]:
        """The events that end a stream: why, what it used, and its end."""
        ended: Json = {
            "type": "message_delta",
            "delta": {"stop_reason": self._stop_reason, "stop_sequence": None},
        }
        if usage is not None:
            ended["usage"] = self.wire_usage(usage)
        return [ended, *([{"type": "message_stop"}] if is_done else [])]

    def whole(self, padding: str = "") -> Json:
        """The whole message without its usage."""
        return {
            **self._typed_message,
            "content": [self._block(padding + self.text, is_open=False)],
            "stop_reason": self._stop_reason,
        }

    def wire_usage(self, usage: Json) -> Json:
        """What caches had a part in stands beside the input."""
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        return {
            "input_tokens": usage["prompt_tokens"] - cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": cached,
            "output_tokens": usage["completion_tokens"],
            "service_tier": "standard",
        }

    def error(self, message: str, kind: str, code: str | None = None) -> Json:
        """An error's event, or body."""
        return {"type": "error", "error": {"type": "overloaded_error" if code else kind, "message": message}}

    def _block(self, text: str, *, is_open: bool) -> Json:
        if not self.is_tool:
            return {"type": "text", "text": text}
        used = {"type": "tool_use", "id": "toolu_bank", "name": self.ask.tool_name}
        return {**used, "input": {} if is_open else _arguments(text)}

    @property
    def _stop_reason(self) -> str:
        return {"length": "max_tokens", "tool_calls": "tool_use"}.get(self.ask.finish_reason, "end_turn")


class ResponseAnswer(Answer):
    """A response: one item, a message or a call of a function."""

    def __init__(self, ask: Ask, call: int, model: str) -> None:
        super().__init__(ask, call, model)
        self._sequence = 0

    def events(self, step: Step, text: str | None = None) -> list[Json]:
        """The events of one step."""
        place = {"item_id": self._item("")["id"], "output_index": 0}
        part = {**place, "content_index": 0}
        told: list[Json]
        match step.kind:
            case "role":
                told = [
                    {"type": "response.created", "response": self._response("in_progress")},
                    {"type": "response.in_progress", "response": self._response("in_progress")},
                    {"type": "response.output_item.added", "output_index": 0, "item": self._item(None)},
                ]
                if not self.is_tool:
                    told.append({"type": "response.content_part.added", **part, "part": _part("")})
            case "token":
                said = self.piece(step) if text is None else text
                if self.is_tool:
                    told = [{"type": "response.function_call_arguments.delta", **place, "delta": said}]
                else:
                    likely = self._likely([said])
                    told = [{"type": "response.output_text.delta", **part, "delta": said, "logprobs": likely}]
            case _:
                told = [self._said(place, part)]
                if not self.is_tool:
                    told.append({"type": "response.content_part.done", **part, "part": self._part()})
                told.append({"type": "response.output_item.done", "output_index": 0, "item": self._item(self.text)})
        return [self._numbered(event) for event in told]

    def end_events(self, usage: Json | None, *, is_done: bool) -> list[Json]:
        """The event that ends a stream."""
        response = self.whole()
        if usage is not None:
            response["usage"] = self.wire_usage(usage)
        return [self._numbered({"type": f"response.{response['status']}", "response": response})] if is_done else []

    def whole(self, padding: str = "") -> Json:
        """The whole response without its usage."""
        is_short = self.ask.finish_reason == "length"
        return {
            **self._response("incomplete" if is_short else "completed"),
            "incomplete_details": {"reason": "max_output_tokens"} if is_short else None,
            "output": [self._item(padding + self.text)],
        }

    def wire_usage(self, usage: Json) -> Json:
        """As Responses report it."""
        return {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": {"cached_tokens": usage["prompt_tokens_details"]["cached_tokens"]},
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": usage["completion_tokens_details"]["reasoning_tokens"]},
            "total_tokens": usage["total_tokens"],
        }

    def error(self, message: str, kind: str, code: str | None = None) -> Json:
        """An error's event, or body."""
        told = {"type": kind, "code": code or kind, "message": message, "param": None}
        return self._numbered({"type": "error", **told, "error": told} | {"type": "error"})

    def _numbered(self, event: Json) -> Json:
        self._sequence += 1
        return {**event, "sequence_number": self._sequence - 1}

    def _said(self, place: Json, part: Json) -> Json:
        if self.is_tool:
            return {"type": "response.function_call_arguments.done", **place, "arguments": self.text}
        return {"type": "response.output_text.done", **part, "text": self.text, "logprobs": self._likely()}

    def _item(self, text: str | None) -> Json:
        """The item with its text; without one it is under way."""
        status = "in_progress" if text is None else "completed"
        if self.is_tool:
            named = {"id": "fc_bank", "type": "function_call", "status": status, "call_id": "call_bank"}
            return {**named, "name": self.ask.tool_name, "arguments": text or ""}
        content = [] if text is None else [{**_part(text), "logprobs": self._likely()}]
        return {"id": "msg_bank", "type": "message", "status": status, "role": "assistant", "content": content}

    def _part(self) -> Json:
        return {**_part(self.text), "logprobs": self._likely()}

    def _likely(self, pieces: list[str] | None = None) -> list[Json]:
        """The probabilities of these tokens, or of all, where they are asked for."""
        found = self._logprobs(self._pieces[0] if pieces is None else pieces)
        return found["content"] if found else []

    def _response(self, status: str) -> Json:
        return {
            "id": f"resp_bank_{self.call}",
            "object": "response",
            "created_at": CREATED,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": self.model,
            "output": [],
            "parallel_tool_calls": True,
            "store": False,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "usage": None,
        }


def _part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _arguments(text: str) -> Json:
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return given if isinstance(given, dict) else {}


def _read_message(body: Json) -> tuple[list[str], int, int | None, list[Json], bool]:
    messages, limit = body.get("messages"), body.get("max_tokens")
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        raise BadRequest("messages is missing or empty.", param="messages")
    if type(limit) is not int or limit < 1:
        raise BadRequest("max_tokens is missing or too small.", param="max_tokens")
    texts = [*_texts(body.get("system")), *(text for one in messages for text in _texts(one.get("content")))]
    tools = [{"name": tool.get("name")} for tool in body.get("tools") or ()]
    output = body.get("output_config") or {}
    return texts, len(messages), limit, tools, "format" in output


def _read_response(body: Json) -> tuple[list[str], int, int | None, list[Json], bool]:
    given, limit = body.get("input"), body.get("max_output_tokens")
    if body.get("store") is not False:
        raise BadRequest("The bank keeps nothing.", param="store")
    if isinstance(given, str):
        items: list[Json] = [{"content": given}]
    elif isinstance(given, list) and given and all(isinstance(one, dict) for one in given):
        items = given
    else:
        raise BadRequest("input is missing or empty.", param="input")
    texts = [*_texts(body.get("instructions"))]
    for item in items:
        texts += [*_texts(item.get("content")), *_texts(item.get("output")), *_texts(item.get("arguments"))]
    tools = [{"name": tool.get("name")} for tool in body.get("tools") or ()]
    shape = (body.get("text") or {}).get("format") or {}
    return texts, len(items), limit, tools, shape.get("type") in {"json_schema", "json_object"}


def _texts(content: Any) -> list[str]:
    """The texts of what is a text, or a list of parts that may hold parts."""
    if isinstance(content, str):
        return [content]
    found: list[str] = []
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict):
            if isinstance(text := part.get("text"), str):
                found.append(text)
            found += _texts(part.get("content"))
    return found


def read_any_ask(kind: Kind, body: Any, behaviour: Behaviour) -> Ask:
    """Read a request's body, of whichever kind. Raises BadRequest naming the field that is wrong."""
    if kind not in ("messages", "responses"):
        return read_ask(kind, body, behaviour)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("You must provide a model parameter.", param="model")
    texts, messages, limit, tools, wants_json = read_typed(kind, body)
    counted = 3 + 3 * messages + sum(len(text.encode().split()) for text in texts)
    if behaviour.tool_call and not tools:
        raise BadRequest("A tool call needs tools.", param="bank.tool_call")
    tells_logprobs = kind == "responses" and _LOGPROBS in (body.get("include") or ())
    if tells_logprobs and behaviour.refuses_logprobs:
        raise BadRequest("Unsupported value: 'message.output_text.logprobs' is not supported.", param="include")
    wanted = behaviour.output_tokens
    reasoning = behaviour.reasoning_tokens
    visible = wanted
    if limit is not None:
        reasoning = min(reasoning, limit)
        visible = min(wanted, limit - reasoning)
    return Ask(
        kind=kind,
        model=model,
        input_tokens=billed_input(counted, behaviour),
        stream=body.get("stream") is True,
        include_usage=True,
        visible_tokens=visible,
        reasoning_tokens=reasoning,
        wanted_tokens=wanted,
        top_logprobs=0 if tells_logprobs else None,
        logprob=behaviour.logprob,
        style="tool" if behaviour.tool_call else "json" if wants_json else "words",
        wide=behaviour.wide or "split_utf8" in behaviour.fault,
        tool_name=tools[0]["name"] if behaviour.tool_call else "",
    )
