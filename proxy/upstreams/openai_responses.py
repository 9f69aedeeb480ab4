"""What OpenAI answers to Responses in their own form, read for what it cost. Pure; all of it passes untouched, but for
the last event of a stream, which is kept back until the cost is known."""

from collections.abc import Sequence
from typing import Any, Final

from proxy.core import alternatives, sse
from proxy.upstreams import lenient_json, refusals
from proxy.upstreams.reading import Reading, list_dicts, parse, read_events, shorten
from proxy.upstreams.usage import read_usage
from proxy.values.attempt import Usage
from proxy.values.vendor import NotAnAnswer

Json = dict[str, Any]

_TEXT: Final = "response.output_text.delta"
_LAST: Final = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
#: why an answer was cut short, in the words of a chat
_REASONS: Final = {"max_output_tokens": "length", "content_filter": "content_filter"}
#: items that are billed by the piece, and the class of each
_PIECES: Final = {
    "web_search_call": "web_searches",
    "file_search_call": "file_searches",
    "image_generation_call": "images",
}
#: what a search may do that is no search, and free
_FREE_ACTIONS: Final = ("open_page", "find_in_page", "find")
#: what a message has, and a part of one that is a text
_MESSAGE: Final = frozenset({"id", "type", "role", "status", "content"})
_OF_TEXT: Final = frozenset({"type", "text", "annotations", "logprobs"})
_CALLS: Final = frozenset({"function_call", "custom_tool_call", "computer_call", "local_shell_call", "shell_call"})


class ResponsesReader(Reading):
    """Reads a response, whole or event by event."""

    _has_calls: bool = False

    def __init__(self) -> None:
        super().__init__()
        self._pieces: dict[str, int] = {}
        self._sessions: set[str] = set()
        # Items of which something came piece by piece: of the others what they are when they are done.
        self._told: set[int] = set()

    def read_answer(self, raw: bytes) -> bytes:
        """A whole response. Raises NotAnAnswer."""
        try:
            answer = lenient_json.read(alternatives.thin(raw))
        except lenient_json.Unreadable as error:
            if sse.is_stream(raw[:16]):
                self.read_part(sse.EventSplitter().feed(raw + b"\n\n"), wants_usage=False)
            raise NotAnAnswer from error
        self.refusal = refusals.find_refusal(answer)
        if not isinstance(answer, dict):
            raise NotAnAnswer
        for item in list_dicts(answer.get("output")):
            if (text := _usual_text(item)) is not None:
                self.produced.keep_text(text)
                continue
            self._read_item(item)
            self.produced.keep(item)
        self._read_response(answer)
        if self.refusal is not None:
            raise NotAnAnswer
        return raw

    def read_part(self, events: Sequence[bytes], *, wants_usage: bool) -> tuple[bytes, bool]:
        """Some events: what the caller gets of them now, and whether that was all."""
        outgoing: list[bytes] = []
        texts = self.produced.texts
        for event, data, told in read_events(events):
            if data is None:
                outgoing.append(event)
                continue
            if told is None and sse.is_done(data):
                return b"".join(outgoing), True
            if not isinstance(told, dict):
                self.produced.keep_unread(data)
                outgoing.append(event)
                continue
            kind = told.get("type")
            if kind == _TEXT and type(text := told.get("delta")) is str and "response" not in told:
                # Nearly all do nothing else.
                if text:
                    texts.append(text)
                if type(place := told.get("output_index")) is int:
                    self._told.add(place)
                outgoing.append(event)
                continue
            if kind == "error" or (kind is None and "error" in told):
                # Its words stand beside its type, or within an error of its own.
                self.refusal = refusals.find_refusal(told if told.get("error") else {"error": told})
                break
            self._read_event(kind, told)
            if self.refusal is not None:
                break
            if kind in _LAST:
                self.closing = event
                return b"".join(outgoing), True
            outgoing.append(event)
        return b"".join(outgoing), False

    def read_rest(self, rest: bytes, *, wants_usage: bool) -> tuple[bytes, bool]:
        """What was left without a blank line when the upstream closed."""
        event = sse.close_event(rest)
        data = sse.data_of(event)
        if data is None or (not sse.is_done(data) and parse(data) is None):
            return b"", False
        return self.read_part([event], wants_usage=wants_usage)

    def _read_event(self, kind: Any, told: Json) -> None:
        if isinstance(response := told.get("response"), dict):
            self._read_response(response)
            return
        place = told.get("output_index")
        if isinstance(delta := told.get("delta"), str) and isinstance(kind, str):
            if isinstance(place, int):
                self._told.add(place)
            if "audio" in kind and "transcript" not in kind:
                self.produced.hides = True
            else:
                self.produced.keep_text(delta)
        elif kind == "response.output_item.done" and isinstance(item := told.get("item"), dict):
            self._read_item(item)
            if place not in self._told:
                self.produced.keep(item)

    def _read_item(self, item: Json) -> None:
        kind = item.get("type")
        if name := _PIECES.get(kind) if isinstance(kind, str) else None:
            action = item.get("action")
            if isinstance(action, dict) and action.get("type") in _FREE_ACTIONS:
                return
            self._pieces[name] = self._pieces.get(name, 0) + 1
        elif kind == "code_interpreter_call":
            self._sessions.add(shorten(item.get("container_id")))
        elif kind in _CALLS:
            self._has_calls = True

    def _read_response(self, response: Json) -> None:
        self.begun.add(0)
        self.model = self.model or shorten(response.get("model"))
        if tier := response.get("service_tier"):
            self.service_tier = shorten(tier)
        reported = response.get("usage")
        if isinstance(reported, dict) and (report := read_usage(reported)) is not None:
            self.note_report(report._replace(usage=self._with_pieces(report.usage)))
        status = response.get("status")
        if status == "failed":
            self.refusal = refusals.find_refusal({"error": response.get("error") or "The response failed."})
        elif status == "completed":
            self._end("tool_calls" if self._has_calls else "stop")
        elif status in {"incomplete", "cancelled"}:
            details = response.get("incomplete_details")
            reason = shorten(details.get("reason")) if isinstance(details, dict) else ""
            self._end(_REASONS.get(reason, reason or shorten(status)))

    def _with_pieces(self, used: Usage) -> Usage:
        if not self._pieces and not self._sessions:
            return used
        return used._replace(**self._pieces, code_sessions=len(self._sessions))

    def _end(self, reason: str) -> None:
        self.ended.add(0)
        self.finish_reason = reason


def _usual_text(item: Json) -> str | None:
    """The text of a message that is one text and nothing else: nearly all are, and are read in a tenth of the time.
    None for any other."""
    if item.get("type") != "message" or not item.keys() <= _MESSAGE:
        return None
    try:
        [part] = item["content"]
        text = part["text"]
    except (KeyError, TypeError, ValueError):
        return None
    # Beside its text a part has what describes it.
    return text if type(text) is str and part.keys() <= _OF_TEXT else None
