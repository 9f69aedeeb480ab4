"""OpenAI's wire format: what an answer says of itself. Pure; the servers that imitate OpenAI are read here too."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import orjson

from proxy.types import Certainty, Usage

_MAX_TEXT: Final = 200
#: no call has more: what claims so is no report
_TOKENS_LIMIT: Final = 50_000_000


class NotAnAnswer(Exception):
    """What came is not what the API promises: not JSON, not an object, or an error in a 200's clothes."""


@dataclass(slots=True)
class AnswerReader:
    """Reads an answer, whole or event by event, and remembers what must be paid for.

    ``texts`` is what was produced, kept until the upstream says what it used, in case it never does.
    """

    usage: Usage | None = None
    model: str = ""
    finish_reason: str = ""
    begun: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)
    texts: list[str] = field(default_factory=list)
    error: dict[str, Any] | None = None

    @property
    def is_finished(self) -> bool:
        """Whether every choice that began has said why it ended."""
        return bool(self.begun) and self.begun == self.ended

    def read_answer(self, raw: bytes) -> None:
        """A whole answer. Raises NotAnAnswer."""
        answer = _parse(raw)
        self._read_common(answer)
        for choice in _dicts(answer.get("choices")):
            self._read_place(choice)
            message = choice.get("message")
            self._keep(choice.get("text"))
            if isinstance(message, dict):
                self._keep_delta(message)

    def read_event(self, data: bytes) -> bool:
        """One event of a stream. True if it is OpenAI's closing report of usage, which carries no choice."""
        return bool(self.read_events([data]))

    def read_events(self, datas: Sequence[bytes]) -> set[int]:
        """Events of a stream, in order. Gives the places of those that only report usage, as OpenAI's closing one does.

        Parsed as one array, which costs a third of one by one. Raises NotAnAnswer.
        """
        reports = set()
        for place, event in enumerate(_parse_all(datas)):
            if "error" in event or event.get("usage") or not self.model:
                self._read_common(event)
            choices = event.get("choices")
            if not choices:
                if choices == [] and isinstance(event.get("usage"), dict):
                    reports.add(place)
                continue
            for choice in _dicts(choices):
                self._read_place(choice)
                delta = choice.get("delta")
                if isinstance(delta, dict):
                    text = delta.get("content")
                    if len(delta) == 1 and type(text) is str:
                        self.texts.append(text)
                    else:
                        self._keep_delta(delta)
                else:
                    self._keep(choice.get("text"))
        return reports

    def _read_common(self, answer: dict[str, Any]) -> None:
        if answer.get("error"):
            error = answer["error"]
            self.error = error if isinstance(error, dict) else {"message": str(error)}
            raise NotAnAnswer
        if not self.model:
            self.model = _short(answer.get("model"))
        reported = answer.get("usage")
        if isinstance(reported, dict) and (usage := normalise_usage(reported)) is not None:
            self.usage = usage

    def _read_place(self, choice: dict[str, Any]) -> None:
        place = choice.get("index")
        index = place if isinstance(place, int) else 0
        self.begun.add(index)
        if reason := choice.get("finish_reason"):
            self.finish_reason = _short(reason)
            self.ended.add(index)

    def _keep_delta(self, delta: dict[str, Any]) -> None:
        for name in ("content", "reasoning_content", "reasoning", "refusal"):
            if name in delta:
                self._keep(delta[name])
        # function_call is what tool calls were before 2023, and some servers still send it
        functions = [delta.get("function_call"), *(call.get("function") for call in _dicts(delta.get("tool_calls")))]
        for function in functions:
            if isinstance(function, dict):
                self._keep(function.get("name"))
                self._keep(function.get("arguments"))

    def _keep(self, text: Any) -> None:
        if isinstance(text, str) and text:
            self.texts.append(text)


def normalise_usage(reported: dict[str, Any]) -> Usage | None:
    """A provider's ``usage`` in disjoint classes; None where it says nothing that can be true.

    Absent is not zero: a report without input tokens is no report, since every call has some.
    """
    inputs = _tokens(reported.get("prompt_tokens"))
    # An embedding's report has no output; one that has a senseless one is no report.
    outputs = 0 if reported.get("completion_tokens") is None else _tokens(reported["completion_tokens"])
    if not inputs or outputs is None:
        return None
    of_input = reported.get("prompt_tokens_details")
    of_output = reported.get("completion_tokens_details")
    cached = written = heard = reasoned = spoken = 0
    if isinstance(of_input, dict):
        cached = _tokens(of_input.get("cached_tokens")) or 0
        written = _tokens(of_input.get("cache_write_tokens")) or 0
        heard = _tokens(of_input.get("audio_tokens")) or 0
    if isinstance(of_output, dict):
        reasoned = _tokens(of_output.get("reasoning_tokens")) or 0
        spoken = _tokens(of_output.get("audio_tokens")) or 0
    if reasoned and _tokens(reported.get("total_tokens")) == inputs + outputs + reasoned:
        # xAI's habit: reasoning stands beside completion_tokens and not in them, as the sum tells.
        outputs += reasoned
    if cached + written + heard > inputs or spoken > outputs:
        return None
    return Usage(
        input=inputs - cached - written - heard,
        cached_input=cached,
        cache_write=written,
        output=outputs - spoken,
        reasoning=min(reasoned, outputs),
        audio_input=heard,
        audio_output=spoken,
    )


def is_plausible(usage: Usage, *, has_output: bool) -> bool:
    """Whether a report can be true of an answer that did (or did not) bring text."""
    return not has_output or usage.output + usage.audio_output > 0


def error_message(raw: bytes) -> tuple[str, str, str | None]:
    """(message, code, param) of an upstream's error body, as far as it has any."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return "", "", None
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, str):
        return error[:2000], "", None
    if not isinstance(error, dict):
        return "", "", None
    param = error.get("param")
    code = error.get("code") or error.get("type")
    return str(error.get("message") or "")[:2000], _short(code), param[:_MAX_TEXT] if isinstance(param, str) else None


def certainty_of(reader: AnswerReader) -> Certainty:
    """EXACT where the upstream reported what it used, COUNTED where we must count."""
    if reader.usage is not None and is_plausible(reader.usage, has_output=bool(reader.texts)):
        return Certainty.EXACT
    return Certainty.COUNTED


def _parse_all(datas: Sequence[bytes]) -> list[dict[str, Any]]:
    if len(datas) == 1:
        return [_parse(datas[0])]
    try:
        events = orjson.loads(b"[%b]" % b",".join(datas))
    except orjson.JSONDecodeError as error:
        raise NotAnAnswer from error
    # A comma in the wrong place must not make two events of one.
    if len(events) != len(datas) or not all(type(event) is dict for event in events):
        raise NotAnAnswer
    return cast("list[dict[str, Any]]", events)


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise NotAnAnswer from error
    if not isinstance(value, dict):
        raise NotAnAnswer
    return value


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _tokens(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _TOKENS_LIMIT:
        return value
    return None


def _short(value: Any) -> str:
    return value[:_MAX_TEXT].replace("\0", "") if isinstance(value, str) else ""
