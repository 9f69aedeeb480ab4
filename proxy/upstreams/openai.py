"""OpenAI as an upstream: what it is sent, and what its answers say of themselves. Pure; the servers that imitate OpenAI
are written to and read here too."""

import json
from collections.abc import Sequence, Set
from typing import Any, Final

from proxy.core import alternatives, sse
from proxy.core.chat_texts import TextRuns
from proxy.upstreams import lenient_json, refusals, vectors
from proxy.upstreams.habits import choose_wire, find_habits, learn
from proxy.upstreams.openai_media import MediaReader
from proxy.upstreams.openai_requests import PATHS, encode_request, find_path, find_unsaid, is_at_home
from proxy.upstreams.openai_responses import ResponsesReader
from proxy.upstreams.reading import Reading, list_dicts, parse, parse_all, shorten
from proxy.upstreams.refusals import read_pause, read_refusal
from proxy.upstreams.usage import TOTAL_DISAGREES, read_counts, read_usage, worse
from proxy.values.attempt import Usage
from proxy.values.request import LISTENING, MEDIA, WORDS, Operation, Request, Wire
from proxy.values.text_run import TextRun
from proxy.values.vendor import AnswerReader as Reader
from proxy.values.vendor import NotAnAnswer, Refusal, Report
from tenants.price_snapshots import OUTPUT_CLASSES

__all__ = [
    "PATHS",
    "AnswerReader",
    "as_stream",
    "choose_wire",
    "encode_request",
    "find_habits",
    "find_path",
    "find_refusal",
    "find_unsaid",
    "is_at_home",
    "learn",
    "make_reader",
    "normalise_usage",
    "read_pause",
    "read_refusal",
]


#: what a message of text has, of which nothing else is output; and what makes a choice another one
_OF_TEXT: Final = frozenset({"role", "content", "refusal", "annotations"})
_BESIDE_TEXT: Final = frozenset({"usage", "text"})
#: of a part of a stream that has fewer events each is read by itself
_FEWEST_ALIKE: Final = 3
#: an answer with choices is a refusal only where it has one of these
_REFUSALS: Final = frozenset({"error", "base_resp"})


def make_reader(request: Request, wire: Wire, at_ms: int) -> Reader:
    """A reader for the answer to a request."""
    if request.operation in MEDIA:
        given = request.body.get("input")
        return MediaReader(
            operation=request.operation,
            characters=len(given) if isinstance(given, str) else 0,
            is_words=request.operation in LISTENING and request.body.get("response_format") in WORDS,
        )
    if request.operation is Operation.EMBEDDING:
        return EmbeddingsReader()
    return ResponsesReader() if wire is Wire.RESPONSES else AnswerReader()


class AnswerReader(Reading):
    """Reads an answer, whole or event by event, and remembers what must be paid for."""

    _refused_at: int = 0
    # What is alike in the events of this stream that add a text says that there is nothing beside it.
    _are_texts_usual = False
    _runs: TextRuns | None = None
    _found: TextRun | None = None
    # Of servers that report usage within each choice: the last report of each, and their outputs' sums by class.
    _of_choices: dict[int, Report] | None = None
    _outputs: dict[str, int]

    def read_answer(self, raw: bytes) -> bytes:
        """A whole answer, as it came. Raises NotAnAnswer, also for a stream of events, which is read first: it was
        billed."""
        try:
            answer = lenient_json.read(alternatives.thin(raw))
        except lenient_json.Unreadable as error:
            if sse.is_stream(raw[:16]):
                self.read_part(sse.EventSplitter().feed(raw + b"\n\n"), wants_usage=False)
            raise NotAnAnswer from error
        if not isinstance(answer, dict) or not answer.get("choices") or not _REFUSALS.isdisjoint(answer):
            self.refusal = refusals.find_refusal(answer)
            if self.refusal is not None or not isinstance(answer, dict):
                raise NotAnAnswer
        self._read_common(answer)
        if self._read_usual(answer):
            return raw
        choices = answer.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            self._read_place(choice)
            self.produced.keep_text(choice.get("text"))
            message = choice.get("message")
            if isinstance(message, dict):
                self.produced.keep_delta(message)
        self._add_up_choices()
        return raw

    def _read_usual(self, answer: dict[str, Any]) -> bool:
        """One choice that is text and nothing else: nearly all are, and are read in half the time. False, and nothing
        read, for any other."""
        try:
            [choice] = answer["choices"]
            reason, message = choice["finish_reason"], choice["message"]
            text = message["content"]
        except (KeyError, TypeError, ValueError):
            return False
        if (
            type(text) is not str
            or type(reason) is not str
            or message.get("refusal")
            or (not message.keys() <= _OF_TEXT and any(message[name] for name in message.keys() - _OF_TEXT))
            or type(choice.get("index")) is not int
            or not _BESIDE_TEXT.isdisjoint(choice)
        ):
            return False
        self.finish_reason, place = shorten(reason), choice["index"]
        self.begun.add(place)
        if reason:
            self.ended.add(place)
        if text:
            self.produced.texts.append(text)
        return True

    def read_part(self, events: Sequence[bytes], *, wants_usage: bool) -> tuple[bytes, bool]:
        """What of these events of a stream the caller gets now, and whether the stream is done.

        OpenAI's closing report of usage goes to those who asked for it, and is the ``closing`` event until another one
        comes.
        """
        outgoing, is_done = self._read_part(events, wants_usage=wants_usage)
        found, self._found = self._found, None
        # It was found in all that came: the caller does not get the report of usage now.
        self.run = None if found is None else found.within(outgoing)
        return outgoing, is_done

    def _read_part(self, events: Sequence[bytes], *, wants_usage: bool) -> tuple[bytes, bool]:
        events, datas, places, is_done = _take_apart(events)
        if not datas:
            return b"".join(events), is_done
        reports = {places[place] for place in self.read_events(datas)}
        if self.refusal is not None:
            return b"".join(events[: places[self._refused_at]]), is_done
        if not reports and not self.closing:
            return b"".join(events), is_done
        if not self.closing and min(reports) == len(events) - 1:
            # As OpenAI has it: the report comes last.
            self.closing = events[-1] if wants_usage else b""
            return b"".join(events[:-1]), is_done
        outgoing = []
        for place, event in enumerate(events):
            if self.closing and place in places:
                outgoing.append(self.closing)
                self.closing = b""
            if place not in reports:
                outgoing.append(event)
            elif wants_usage:
                self.closing = event
        return b"".join(outgoing), is_done

    def read_rest(self, rest: bytes, *, wants_usage: bool) -> tuple[bytes, bool]:
        """What was left without a blank line when the upstream closed: an event, or half of one, which nobody gets."""
        event = sse.close_event(rest)
        data = sse.data_of(event)
        if data is None or (not sse.is_done(data) and parse(data) is None):
            return b"", False
        return self.read_part([event], wants_usage=wants_usage)

    def read_events(self, datas: Sequence[bytes]) -> set[int]:
        """Events of a stream, in order. Gives the places of those that only report usage, as OpenAI's closing one does.

        Nearly all add a text and nothing else, and are written alike but for that: these are found together.
        """
        found = self._find_texts(datas) if len(datas) >= _FEWEST_ALIKE else None
        if found is None:
            return self._read_each(datas)
        texts, begins = found.texts, found.before.count(b"\n") // 2
        ends = len(datas) - found.after.count(b"\n") // 2
        if len(texts) != ends - begins:
            # Of empty ones none is told.
            return self._read_each(datas)
        self._found = found
        reports, read = set[int](), 0
        if begins or not self._are_texts_usual:
            # The first of them as well: it says what the others are.
            read = begins + 1
            reports = self._read_each(datas[:read])
            if self.refusal is not None:
                return reports
            self._are_texts_usual = bool(self.model) and _usual_text(parse(datas[begins]), self.begun) is not None
            if not self._are_texts_usual:
                return reports | self._read_each(datas[read:], read)
            texts = texts[1:]
        self.produced.texts += texts
        return reports | self._read_each(datas[ends:], ends) if ends < len(datas) else reports

    def _find_texts(self, datas: Sequence[bytes]) -> TextRun | None:
        """Those of the events that are alike but for their texts."""
        whole = b"data: %b\n\n" % b"\n\ndata: ".join(datas)
        if whole.count(b"\n") != 2 * len(datas):
            return None
        if self._runs is None:
            self._runs = TextRuns()
        return self._runs.find(whole)

    def _read_each(self, datas: Sequence[bytes], first: int = 0) -> set[int]:
        """Each by itself, from a ``first`` place on; parsed as one array, which costs a third of one by one."""
        reports, texts, begun = set(), self.produced.texts, self.begun
        for place, event in enumerate(parse_all(datas), first):
            if (text := _usual_text(event, begun)) is not None and self.model:
                texts.append(text)
                continue
            if type(event) is not dict:
                if self._refuse(event, place):
                    break
                if data := datas[place - first].strip():
                    self.produced.keep_unread(data)
                continue
            choices = event.get("choices")
            if ("error" in event or not choices) and self._refuse(event, place):
                break
            if event.get("usage") or not self.model or "x_groq" in event:
                self._read_common(event)
            if not choices:
                if choices == [] and isinstance(event.get("usage"), dict):
                    reports.add(place)
                continue
            for choice in list_dicts(choices):
                self._read_place(choice)
                delta = choice.get("delta")
                if isinstance(delta, dict):
                    text = delta.get("content")
                    if len(delta) == 1 and type(text) is str:
                        self.produced.texts.append(text)
                    else:
                        self.produced.keep_delta(delta)
                else:
                    self.produced.keep_text(choice.get("text"))
        self._add_up_choices()
        return reports

    def _refuse(self, event: Any, place: int) -> bool:
        self.refusal = refusals.find_refusal(event)
        self._refused_at = place
        return self.refusal is not None

    def _read_common(self, answer: dict[str, Any]) -> None:
        if not self.model:
            self.model = shorten(answer.get("model"))
        if tier := answer.get("service_tier"):
            self.service_tier = shorten(tier)
        reported = answer.get("usage")
        if not reported and "x_groq" in answer and isinstance(answer["x_groq"], dict):
            reported = answer["x_groq"].get("usage")
        if isinstance(reported, dict) and (report := self._read_usage(reported)) is not None:
            self.note_report(report)

    def _read_usage(self, reported: dict[str, Any]) -> Report | None:
        return read_counts(reported) or read_usage(reported, thinks_in_total="gemini" in self.model.lower())

    def _read_place(self, choice: dict[str, Any]) -> None:
        place = choice.get("index")
        index = place if isinstance(place, int) else 0
        self.begun.add(index)
        if reason := choice.get("finish_reason"):
            self.finish_reason = shorten(reason)
            self.ended.add(index)
        reported = choice.get("usage")
        if isinstance(reported, dict) and (report := self._read_usage(reported)) is not None:
            self._note_choice(index, report)

    def _note_choice(self, index: int, report: Report) -> None:
        """Moonshot's habit: usage within a choice. Added up as it comes, since there may be any number of choices."""
        if self._of_choices is None:
            self._of_choices, self._outputs = {}, dict.fromkeys(OUTPUT_CLASSES, 0)
        before = self._of_choices.get(index)
        for name in OUTPUT_CLASSES:
            self._outputs[name] += getattr(report.usage, name) - (getattr(before.usage, name) if before else 0)
        self._of_choices[index] = report

    def _add_up_choices(self) -> None:
        """What the choices report together. Of several nobody knows what each one counts."""
        if self._of_choices is None:
            return
        first = next(iter(self._of_choices.values()))
        if len(self._of_choices) > 1:
            usage = first.usage._replace(**self._outputs)
            first = first._replace(usage=usage, doubt=first.doubt or TOTAL_DISAGREES)
        if self.report is None or not worse(self.report, first):
            self.report = first


class EmbeddingsReader(AnswerReader):
    """Reads vectors for all that stands beside them."""

    def read_answer(self, raw: bytes) -> bytes:
        """A whole answer, as it came. Raises NotAnAnswer."""
        try:
            thinned, _ = vectors.thin(raw)
        except lenient_json.Unreadable as error:
            raise NotAnAnswer from error
        super().read_answer(thinned)
        return raw


def find_refusal(raw: bytes) -> Refusal | None:
    """The refusal in an answer of status 200, or None if it is none."""
    return refusals.find_refusal(parse(raw))


def as_stream(raw: bytes) -> bytes:
    """A whole answer as the events of a stream, for a caller who asked for one of a server that does not stream.

    Raises NotAnAnswer.
    """
    answer = parse(raw)
    if not isinstance(answer, dict) or not list_dicts(answer.get("choices")):
        raise NotAnAnswer
    usage = answer.get("usage")
    shape = {name: value for name, value in answer.items() if name not in {"choices", "usage"}}
    if shape.get("object") == "chat.completion":
        shape["object"] = "chat.completion.chunk"
    events = [{**shape, "choices": [_delta(choice) for choice in list_dicts(answer["choices"])]}]
    if isinstance(usage, dict):
        events.append({**shape, "choices": [], "usage": usage})
    return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events) + b"data: [DONE]\n\n"


def _delta(choice: dict[str, Any]) -> dict[str, Any]:
    message = choice.get("message")
    if not isinstance(message, dict):
        return choice
    if calls := list_dicts(message.get("tool_calls")):
        message = message | {"tool_calls": [{"index": place, **call} for place, call in enumerate(calls)]}
    return {name: value for name, value in choice.items() if name != "message"} | {"delta": message}


def normalise_usage(reported: dict[str, Any]) -> Usage | None:
    """A provider's ``usage`` in disjoint classes; None where it is no exact account."""
    report = read_usage(reported)
    return None if report is None or report.doubt or not report.has_input else report.usage


def _take_apart(events: Sequence[bytes]) -> tuple[Sequence[bytes], list[bytes], Sequence[int], bool]:
    """The events before the end of a stream, the data of those that have some and their places, and whether that end is
    among them."""
    plain, is_done = sse.read_plain(events), False
    if plain is not None and sse.is_done(plain[-1]):
        events, plain, is_done = events[:-1], plain[:-1], True
    if plain is not None and min(map(len, plain), default=sse.LONGEST_DONE) >= sse.LONGEST_DONE:
        return events, plain, range(len(plain)), is_done
    datas: list[bytes] = []
    places: list[int] = []
    for place, data in enumerate(map(sse.data_of, events)):
        if data is None:
            continue
        if sse.is_done(data):
            return events[:place], datas, places, True
        datas.append(data)
        places.append(place)
    return events, datas, places, is_done


def _usual_text(event: Any, begun: Set[int]) -> str | None:
    """The text of an event that adds it to a choice that has begun, and says nothing else: nearly all do, so that they
    are read in a third of the time. None for any other."""
    try:
        [choice] = event["choices"]
        delta = choice["delta"]
        text = delta["content"]
    except (KeyError, TypeError, ValueError):
        return None
    place = choice.get("index")
    if type(text) is not str or len(delta) != 1 or type(place) is not int or place not in begun:
        return None
    if choice.get("finish_reason") or choice.get("usage") or event.get("usage"):
        return None
    return None if "error" in event or "x_groq" in event else text
