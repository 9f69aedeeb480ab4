"""What every reader of answers remembers: what was reported, what was produced, and which choices have ended. Pure."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, cast

import orjson

from proxy.core import alternatives, sse
from proxy.upstreams import lenient_json
from proxy.upstreams.produced import Produced
from proxy.upstreams.usage import FELL, NO_OUTPUT, NO_REPORT, worse
from proxy.values.attempt import Certainty
from proxy.values.text_run import TextRun
from proxy.values.vendor import Refusal, Report, clean

_MAX_TEXT: Final = 200


class Reading:
    """One answer as far as it has come.

    What was produced is kept until the upstream says what it used, in case it never does. Every call makes one, so that
    what is nothing at first stands in the class.
    """

    report: Report | None = None
    model: str = ""
    service_tier: str = ""
    finish_reason: str = ""
    refusal: Refusal | None = None
    closing: bytes = b""
    run: TextRun | None = None

    def __init__(self) -> None:
        self.begun: set[int] = set()
        self.ended: set[int] = set()
        self.produced = Produced()

    @property
    def texts(self) -> list[str]:
        """What was produced, as far as it is text."""
        return self.produced.texts

    @property
    def is_countable(self) -> bool:
        """Whether its tokens are those that were produced."""
        return self.produced.is_countable

    @property
    def hides(self) -> bool:
        """Whether something came that no text tells."""
        return self.produced.hides

    @property
    def is_finished(self) -> bool:
        """Whether every choice that began has said why it ended."""
        return bool(self.begun) and self.begun == self.ended

    @property
    def doubt(self) -> str:
        """Why the report is no exact account of this answer; empty where it is one."""
        if self.report is None:
            return NO_REPORT
        if self.report.usage.output_tokens == 0 and not self.produced.is_empty:
            return self.report.doubt or NO_OUTPUT
        return self.report.doubt

    @property
    def certainty(self) -> Certainty:
        """EXACT where the upstream reported what it used, COUNTED where we must count."""
        return Certainty.COUNTED if self.doubt else Certainty.EXACT

    def note_report(self, report: Report) -> None:
        """Note a report of usage. The last one counts, unless it says less than one before."""
        if self.report is not None and worse(self.report, report):
            report = self.report._replace(doubt=self.report.doubt or FELL)
        self.report = report


def parse(raw: bytes) -> Any:
    """A value; None for what cannot be read."""
    try:
        return lenient_json.read(raw)
    except lenient_json.Unreadable:
        return None


def parse_all(datas: Sequence[bytes]) -> list[Any]:
    """The values of several events, read as one array, which costs a third of one by one; one that cannot be read is
    None."""
    if len(datas) > 1:
        try:
            events = orjson.loads(b"[%b]" % b",".join(datas))
        except orjson.JSONDecodeError:
            events = []
        # A comma in the wrong place must not make two events of one.
        if len(events) == len(datas) and set(map(type, events)) == {dict}:
            return cast("list[Any]", events)
    return [parse(data) for data in datas]


def read_events(events: Sequence[bytes]) -> Iterable[tuple[bytes, bytes | None, Any]]:
    """Of each event of a stream itself, its data and the value of that: None where there is none, or it cannot be
    read."""
    datas = sse.read_named(events)
    if datas is not None:
        # Of Responses the last event has the whole answer once more.
        return zip(events, datas, parse_all(list(map(alternatives.thin, datas))), strict=True)
    return (
        (event, data, None if data is None else parse(alternatives.thin(data)))
        for event, data in zip(events, map(sse.data_of, events), strict=True)
    )


def list_dicts(value: Any) -> list[dict[str, Any]]:
    """The objects of a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def shorten(value: Any) -> str:
    """A word of an upstream's, no longer than it is kept."""
    return _clean(value[:_MAX_TEXT]) if isinstance(value, str) else ""


#: models and reasons to end are few, and every answer names both
_clean: Final = lru_cache(maxsize=1_024)(clean)
