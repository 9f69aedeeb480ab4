"""What OpenAI answers to calls for moderations, images and speech, read for what it cost. Pure; all of it passes
untouched."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import add
from typing import Any, Final

from proxy.core import sse
from proxy.upstreams import lenient_json, refusals
from proxy.upstreams.reading import Reading, list_dicts, parse, read_events, shorten
from proxy.upstreams.usage import read_usage
from proxy.values.attempt import Usage
from proxy.values.request import DRAWING, LISTENING, Operation
from proxy.values.vendor import NotAnAnswer, Report

#: a day and a half: what is longer is no report
_LONGEST_SECONDS: Final = 130_000


#: what ends a picture, what was said or what was heard, and tells what it took
_LAST: Final = (".completed", "audio.done", "text.done")


@dataclass
class MediaReader(Reading):
    """Reads an answer, whole or event by event. ``characters``: of speech so many were to be spoken. ``is_words``: what
    was heard comes as no JSON."""

    operation: Operation = Operation.MODERATION
    characters: int = 0
    is_words: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def read_answer(self, raw: bytes) -> bytes:
        """An answer. Raises NotAnAnswer."""
        if self.operation is Operation.SPEECH or self.is_words:
            # What is no JSON begins with neither.
            if raw[:64].lstrip()[:1] in {b"{", b"["}:
                self.refusal = refusals.find_refusal(parse(raw))
            if self.refusal is not None or not raw:
                raise NotAnAnswer
        self.begun.add(0)
        if self.operation is Operation.SPEECH:
            self.report = Report(Usage(characters=self.characters))
            self.ended.add(0)
            return raw
        if self.is_words:
            # How long it was is known by its file alone.
            self.produced.hides = True
            self.ended.add(0)
            return raw
        try:
            answer = lenient_json.read(raw)
        except lenient_json.Unreadable as error:
            raise NotAnAnswer from error
        self.refusal = refusals.find_refusal(answer)
        if self.refusal is not None or not isinstance(answer, dict):
            raise NotAnAnswer
        self.model = shorten(answer.get("model"))
        if self.operation in DRAWING:
            self._read_images(answer)
        elif self.operation in LISTENING:
            self._read_words(answer)
        self.ended.add(0)
        return raw

    def read_part(self, events: Sequence[bytes], *, wants_usage: bool) -> tuple[bytes, bool]:
        """Some events: what the caller gets of them now, and whether that was all. The last that tells what it took is
        kept back until the cost is known."""
        outgoing: list[bytes] = []
        for event, data, told in read_events(events):
            if data is not None and sse.is_done(data):
                return b"".join(outgoing), True
            if isinstance(told, dict):
                self.refusal = refusals.find_refusal(told)
                if self.refusal is not None:
                    break
                self.begun.add(len(self.ended))
                # What of a picture or of sound came so far no text tells, until its end does.
                self.produced.hides = not str(told.get("type")).endswith(_LAST)
                if not self.produced.hides:
                    self._read_last(told)
                    outgoing.append(self.closing)
                    self.closing = event
                    continue
            outgoing.append(event)
        return b"".join(outgoing), False

    def read_rest(self, rest: bytes, *, wants_usage: bool) -> tuple[bytes, bool]:
        """What was left without a blank line when the upstream closed."""
        event = sse.close_event(rest)
        data = sse.data_of(event)
        if data is None or (not sse.is_done(data) and parse(data) is None):
            return b"", False
        return self.read_part([event], wants_usage=wants_usage)

    def _read_last(self, told: dict[str, Any]) -> None:
        self.ended.add(len(self.ended))
        if self.operation is Operation.SPEECH:
            self.report = Report(Usage(characters=self.characters))
        elif self.operation in LISTENING:
            self._read_words(told)
        else:
            # Each of several pictures has its own.
            before = self.report
            self._read_images({**told, "data": [told]})
            if before is not None and self.report is not None:
                self.report = self.report._replace(usage=Usage(*map(add, before.usage, self.report.usage)))

    def _read_words(self, answer: dict[str, Any]) -> None:
        """What was heard, by its tokens or by how long it was: where neither is told nobody knows what it cost."""
        reported = answer.get("usage")
        if not isinstance(reported, dict):
            reported = {}
        seconds = reported.get("seconds") or answer.get("duration")
        report = read_usage(reported)
        if report is not None:
            self.report = report
        elif isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < _LONGEST_SECONDS:
            self.report = Report(Usage(seconds=math.ceil(seconds)))
        else:
            self.produced.hides = True

    def _read_images(self, answer: dict[str, Any]) -> None:
        """Pictures by the piece, and the tokens that they took where it tells them: all output is pictures."""
        images = len(list_dicts(answer.get("data")))
        if not images:
            raise NotAnAnswer
        reported = answer.get("usage")
        report = read_usage(reported) if isinstance(reported, dict) else None
        if report is None:
            self.report = Report(Usage(images=images))
            return
        drawn = report.usage.output + report.usage.image_output
        self.report = report._replace(usage=report.usage._replace(output=0, image_output=drawn, images=images))
