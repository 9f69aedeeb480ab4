"""What OpenAI answers to calls for moderations, images and speech, read for what it cost. Pure; all of it passes
untouched."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from proxy.upstreams import lenient_json, refusals
from proxy.upstreams.reading import Reading, list_dicts, shorten
from proxy.upstreams.usage import read_usage
from proxy.values.attempt import Usage
from proxy.values.request import DRAWING, LISTENING, Operation
from proxy.values.vendor import NotAnAnswer, Report

#: a day and a half: what is longer is no report
_LONGEST_SECONDS: Final = 130_000


@dataclass
class MediaReader(Reading):
    """Reads one whole answer. ``characters``: of speech so many were to be spoken."""

    operation: Operation = Operation.MODERATION
    characters: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def read_answer(self, raw: bytes) -> bytes:
        """An answer. Raises NotAnAnswer."""
        self.begun.add(0)
        if self.operation is Operation.SPEECH:
            self._read_sound(raw)
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
        """Nothing of these is asked for as a stream."""
        return b"", True

    def read_rest(self, rest: bytes, *, wants_usage: bool) -> tuple[bytes, bool]:
        """Nothing of these is asked for as a stream."""
        return b"", True

    def _read_sound(self, raw: bytes) -> None:
        if not raw:
            raise NotAnAnswer
        self.report = Report(Usage(characters=self.characters))
        self.ended.add(0)

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
