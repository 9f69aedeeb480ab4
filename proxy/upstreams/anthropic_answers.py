"""What Anthropic answers: read for what it cost, and put into the form of OpenAI's chat for callers who speak no
Messages. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from proxy.core import exact_json, sse
from proxy.upstreams import lenient_json, refusals
from proxy.upstreams.reading import Reading, list_dicts, parse, read_events, shorten
from proxy.upstreams.usage import NO_OUTPUT, read_usage
from proxy.values.attempt import Usage
from proxy.values.vendor import NotAnAnswer, Report

Json = dict[str, Any]

#: why an answer ended, in the words of a chat
_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_USES: Final = frozenset({"tool_use"})


@dataclass
class MessageReader(Reading):
    """Reads a message, whole or event by event.

    ``is_native``: its caller speaks Messages, so that all of it passes untouched but for its last event, which is kept
    back until the cost is known. ``created``: seconds since the epoch, which a chat tells and a message does not.
    """

    is_native: bool = True
    created: int = 0
    _reported: Json = field(default_factory=dict)
    _id: str = ""
    #: of blocks that use tools, their place among the calls of a chat
    _calls: dict[int, int] = field(default_factory=dict)
    #: of those of which no piece has come, what the block has begun with
    _begun_with: dict[int, Any] = field(default_factory=dict)
    _chunks: list[Json] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def read_answer(self, raw: bytes) -> bytes:
        """A whole message. Raises NotAnAnswer."""
        try:
            answer = lenient_json.read(raw)
        except lenient_json.Unreadable as error:
            if sse.is_stream(raw[:16]):
                self.read_part(sse.EventSplitter().feed(raw + b"\n\n"), wants_usage=False)
            raise NotAnAnswer from error
        self.refusal = refusals.find_refusal(answer)
        if self.refusal is not None or not isinstance(answer, dict):
            raise NotAnAnswer
        self._open(answer)
        for block in list_dicts(answer.get("content")):
            self.produced.keep(block)
        self._end(answer.get("stop_reason"))
        self._report(answer.get("usage"), is_final=True)
        return raw if self.is_native else exact_json.dumps(self._as_chat(answer))

    def read_part(self, events: Sequence[bytes], *, wants_usage: bool) -> tuple[bytes, bool]:
        """Some events: what the caller gets of them now, and whether that was all."""
        outgoing: list[bytes] = []
        for event, data, told in read_events(events):
            if data is None:
                if self.is_native:
                    outgoing.append(event)
                continue
            if not isinstance(told, dict):
                self.produced.keep_unread(data)
                if self.is_native:
                    outgoing.append(event)
                continue
            kind = told.get("type")
            if kind == "error" or (kind is None and "error" in told):
                self.refusal = refusals.find_refusal(told)
                break
            self._read_event(kind, told)
            if kind == "message_stop":
                self.closing = event if self.is_native else self._usage_chunk() if wants_usage else b""
                return b"".join([*outgoing, self._take_chunks()]), True
            if self.is_native:
                outgoing.append(event)
        return b"".join([*outgoing, self._take_chunks()]), False

    def read_rest(self, rest: bytes, *, wants_usage: bool) -> tuple[bytes, bool]:
        """What was left without a blank line when the upstream closed."""
        event = sse.close_event(rest)
        data = sse.data_of(event)
        return (b"", False) if data is None or parse(data) is None else self.read_part([event], wants_usage=wants_usage)

    # Events

    def _read_event(self, kind: Any, told: Json) -> None:
        match kind:
            case "message_start":
                message = told.get("message")
                if isinstance(message, dict):
                    self._open(message)
                    self._report(message.get("usage"), is_final=False)
                self._add({"role": "assistant", "content": ""})
            case "content_block_start":
                self._begin_block(told)
            case "content_block_delta":
                self._read_delta(told)
            case "content_block_stop":
                self._end_block(told.get("index"))
            case "message_delta":
                delta = told.get("delta")
                self._report(told.get("usage"), is_final=True)
                self._end(delta.get("stop_reason") if isinstance(delta, dict) else None)
                if self.ended:
                    self._add({}, self.finish_reason)

    def _begin_block(self, told: Json) -> None:
        block, place = told.get("content_block"), told.get("index")
        if not isinstance(block, dict):
            return
        self.produced.keep(block)
        if block.get("type") in _USES and isinstance(place, int):
            number = self._calls.setdefault(place, len(self._calls))
            function = {"name": block.get("name", ""), "arguments": ""}
            call = {"index": number, "id": block.get("id", ""), "type": "function", "function": function}
            self._begun_with[place] = block.get("input") or {}
            self._add({"tool_calls": [call]})
        elif isinstance(text := block.get("text"), str) and text:
            self._add({"content": text})

    def _read_delta(self, told: Json) -> None:
        delta, place = told.get("delta"), told.get("index")
        if not isinstance(delta, dict):
            return
        if isinstance(text := delta.get("text"), str):
            self.produced.keep_text(text)
            self._add({"content": text})
        elif isinstance(text := delta.get("partial_json"), str):
            self.produced.keep_text(text)
            if text and isinstance(place, int) and place in self._calls:
                self._begun_with.pop(place, None)
                self._add({"tool_calls": [{"index": self._calls[place], "function": {"arguments": text}}]})
        elif isinstance(text := delta.get("thinking"), str):
            self.produced.keep_text(text)
            self._add({"reasoning_content": text})
        else:
            self.produced.keep(delta)

    def _end_block(self, place: Any) -> None:
        """A call of which no piece has come has no arguments, or has had them all from the beginning, as Kimi's: of a
        chat, too, they are an object."""
        if isinstance(place, int) and place in self._begun_with:
            given = json.dumps(self._begun_with.pop(place))
            self._add({"tool_calls": [{"index": self._calls[place], "function": {"arguments": given}}]})

    # What is remembered

    def _open(self, message: Json) -> None:
        self.begun.add(0)
        self.model = self.model or shorten(message.get("model"))
        self._id = self._id or shorten(message.get("id"))

    def _end(self, reason: Any) -> None:
        if isinstance(reason, str) and reason:
            self.begun.add(0)
            self.ended.add(0)
            self.finish_reason = _REASONS.get(reason, shorten(reason))

    def _report(self, reported: Any, *, is_final: bool) -> None:
        """What a message starts with is its input; how much it was in the end comes with its last events."""
        if not isinstance(reported, dict):
            return
        self._reported |= {name: value for name, value in reported.items() if value is not None}
        # Faster answers have a price of their own, as other tiers have.
        speed = self._reported.get("speed")
        if tier := speed if speed not in (None, "standard") else self._reported.get("service_tier"):
            self.service_tier = shorten(tier)
        report = read_usage(self._reported)
        if report is None:
            return
        if is_final:
            self.note_report(report)
        else:
            used = report.usage._replace(output=0, reasoning=0)
            self.report = Report(used, report.doubt or NO_OUTPUT, has_input=report.has_input, has_output=False)

    # As a chat

    def _base(self, kind: str) -> Json:
        return {"id": self._id, "object": kind, "created": self.created, "model": self.model}

    def _add(self, delta: Json, finish_reason: str | None = None) -> None:
        if not self.is_native:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
            self._chunks.append({**self._base("chat.completion.chunk"), "choices": [choice]})

    def _take_chunks(self) -> bytes:
        chunks, self._chunks = self._chunks, []
        return b"".join(b"data: %b\n\n" % exact_json.dumps(chunk) for chunk in chunks)

    def _usage_chunk(self) -> bytes:
        if self.report is None:
            return b""
        told = {**self._base("chat.completion.chunk"), "choices": [], "usage": write_usage(self.report.usage)}
        return b"data: %b\n\n" % exact_json.dumps(told)

    def _as_chat(self, answer: Json) -> Json:
        blocks = list_dicts(answer.get("content"))
        texts = [block["text"] for block in blocks if isinstance(block.get("text"), str)]
        thoughts = [block["thinking"] for block in blocks if isinstance(block.get("thinking"), str)]
        calls = [
            {
                "id": block.get("id", ""),
                "type": "function",
                "function": {"name": block.get("name", ""), "arguments": json.dumps(block.get("input") or {})},
            }
            for block in blocks
            if block.get("type") in _USES
        ]
        message: Json = {"role": "assistant", "content": "".join(texts) if texts or not calls else None}
        if thoughts:
            message["reasoning_content"] = "".join(thoughts)
        if calls:
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish_reason or None}
        whole = {**self._base("chat.completion"), "choices": [choice]}
        return whole if self.report is None else {**whole, "usage": write_usage(self.report.usage)}


def write_usage(used: Usage) -> Json:
    """A usage as OpenAI's chat reports it."""
    return {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": used.cached_input,
            "cache_write_tokens": used.cache_write + used.cache_write_1h,
        },
        "completion_tokens_details": {"reasoning_tokens": used.reasoning},
    }


def as_stream(raw: bytes) -> bytes:
    """A whole message as the events of a stream. Raises NotAnAnswer."""
    answer = parse(raw)
    if not isinstance(answer, dict) or not isinstance(answer.get("content"), list):
        raise NotAnAnswer
    events: list[Json] = [
        {"type": "message_start", "message": {**answer, "content": [], "stop_reason": None, "stop_sequence": None}}
    ]
    for place, block in enumerate(list_dicts(answer["content"])):
        begun, deltas = _take_apart(block)
        events.append({"type": "content_block_start", "index": place, "content_block": begun})
        events += [{"type": "content_block_delta", "index": place, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": place})
    ended = {"stop_reason": answer.get("stop_reason"), "stop_sequence": answer.get("stop_sequence")}
    events.append({"type": "message_delta", "delta": ended, "usage": answer.get("usage") or {}})
    events.append({"type": "message_stop"})
    return b"".join(b"event: %b\ndata: %b\n\n" % (event["type"].encode(), exact_json.dumps(event)) for event in events)


def _take_apart(block: Json) -> tuple[Json, list[Json]]:
    """A block as it begins, and what is added to it."""
    match block.get("type"):
        case "text":
            return {**block, "text": ""}, [{"type": "text_delta", "text": block.get("text", "")}]
        case "thinking":
            thought = {"type": "thinking_delta", "thinking": block.get("thinking", "")}
            signed = {"type": "signature_delta", "signature": block.get("signature", "")}
            return {**block, "thinking": "", "signature": ""}, [thought, signed]
        case "tool_use" | "server_tool_use":
            given = json.dumps(block.get("input") or {})
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": given}]
        case _:
            return block, []
