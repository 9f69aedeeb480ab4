"""Runs of chunks of a streamed chat that each add a text and nothing else, found without reading each as an object.
Pure.

A server writes all of these alike: what differs is one JSON string. So where one of them has been read, a run of others
is its beginning and its end around so many strings, which are cut out as they are.
"""

import re
from operator import itemgetter
from typing import Final

import orjson

from proxy.core.chat_stream import read_text
from proxy.values.text_run import TextRun

#: a chunk on one line whose delta is a text
_ONE: Final = re.compile(rb'^data: \{[^\n]*?"delta": ?\{"content": ?("(?:[^"\\\n]|\\.)*")\}[^\n]*\n\n', re.MULTILINE)
#: so many pieces of a stream are looked through for such a chunk, and so many bytes of each: what the expression takes
#: grows with the square of a line that is nearly one
_TRIES: Final = 8
_LOOKED_THROUGH: Final = 4096
#: bytes of a chunk's beginning that tell it
_MARK: Final = 16


class TextRuns:
    """Finds them in one stream."""

    __slots__ = ("_begin", "_between", "_cut", "_end", "_mark", "_tries")

    def __init__(self) -> None:
        self._begin = self._between = self._end = self._mark = b""
        #: what comes before it of such a piece is a text
        self._cut = itemgetter(slice(0))
        self._tries = _TRIES

    def find(self, events: bytes) -> TextRun | None:
        """The run in these whole events; None where they have none, or it is broken by something else."""
        if not self._begin and not self._learn(events):
            return None
        begins, ends = events.find(self._begin), events.rfind(self._end)
        if begins < 0 or ends < begins or (begins and events[begins - 2 : begins] != b"\n\n"):
            return None
        if not begins and ends == len(events) - len(self._end) and events.find(b"\n", 0, ends) < 0:
            return self._find_one(events, ends)
        run = events[begins : ends + len(self._end)]
        # What is looked for is the short end of each beginning: found in half the time of all that is between texts.
        _, *pieces, last = run.split(self._mark)
        raws = [*map(self._cut, pieces), last[: -len(self._end)]]
        if self._begin + self._between.join(raws) + self._end != run:
            return None
        joined = b",".join(raws)
        try:
            texts = orjson.loads(b"[%b]" % joined)
        except orjson.JSONDecodeError:
            return None
        # One string each: a quote within would have ended it, and been followed by something else.
        if len(texts) != len(raws) or set(map(type, texts)) != {str} or b"\n" in joined:
            return None
        if not all(texts):
            raws, texts = [raw for raw, text in zip(raws, texts, strict=True) if text], [text for text in texts if text]
        if not raws:
            return None
        first = self._begin + raws[0] + self._end
        return TextRun(events, begins, begins + len(run), first, texts, raws)

    def _find_one(self, event: bytes, ends: int) -> TextRun | None:
        """The run that is one event: as most come that are sent when their tokens are made."""
        raw = event[len(self._begin) : ends]
        try:
            text = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return None
        return TextRun(event, 0, len(event), event, [text], [raw]) if type(text) is str and text else None

    def _learn(self, events: bytes) -> bool:
        if not self._tries:
            return False
        self._tries -= 1
        found = _ONE.search(events, 0, _LOOKED_THROUGH)
        if found is None:
            return False
        begin, end = events[found.start() : found.start(1)], events[found.end(1) : found.end()]
        try:
            chunk = orjson.loads(b'%b"x"%b' % (begin[6:], end))
        except orjson.JSONDecodeError:
            return False
        if type(chunk) is not dict or read_text(chunk) != "x":
            return False
        self._begin, self._between, self._end = begin, end + begin, end
        self._mark = begin[-_MARK:]
        self._cut = itemgetter(slice(len(self._mark) - len(self._between)))
        return True
