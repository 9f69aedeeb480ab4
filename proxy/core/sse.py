"""Server-sent events (WHATWG HTML, section 9.2), split without understanding more than we must.

Events are handed on as the bytes that came, so that nothing is lost that a client may know and we do not. Only the
``data`` of each is read.
"""

import re
from collections.abc import Sequence
from typing import Final

#: an event longer than this is no event of a language model
MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
DONE: Final = b"[DONE]"
#: with the blanks that some servers write around it
LONGEST_DONE: Final = 64
_DATA: Final = b"data: "
_NAMED: Final = b"\ndata: "
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
#: what the first line of a stream of events begins with, else it is something else
_BEGINNINGS: Final = (b"data", b"event", b"id", b"retry", b":")

# Two line ends in a row, of whichever three kinds. After LF a CR ends the event only if no LF follows: until the next
# byte is there it may be half a CRLF.
_END_OF_EVENT: Final = re.compile(rb"\n\n|\n\r\n|\r\r|\n\r(?=[^\n])")
_LONGEST_END: Final = 3


class EventTooLong(Exception):
    """The upstream sends an endless event."""


class EventSplitter:
    """Bytes in, whole events out, however the bytes were cut."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        # Grows in place, and is searched only once: an event of megabytes comes in thousands of pieces.
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The events that are complete now, each with its closing blank line. Raises EventTooLong."""
        # The usual case: a read ends where an event ends, in the plain style.
        if not self._rest and b"\r" not in data and data.endswith(b"\n\n"):
            return [event + b"\n\n" for event in data[:-2].split(b"\n\n")]
        rest = self._rest
        unsearched = max(0, len(rest) - _LONGEST_END + 1)
        rest += data
        events, start = [], 0
        for end in _END_OF_EVENT.finditer(rest, unsearched):
            events.append(bytes(rest[start : end.end()]))
            start = end.end()
        del rest[:start]
        if len(rest) > MAX_EVENT_BYTES:
            raise EventTooLong
        return events

    def finish(self) -> bytes:
        """What is left when the upstream closes: an event without its blank line, or nothing."""
        rest = bytes(self._rest)
        self._rest.clear()
        return rest


def read_plain(events: Sequence[bytes]) -> list[bytes] | None:
    """The data of whole events that are each one line of it and a blank one, as nearly all are: looked through
    together, which costs a fraction of ``data_of`` for each. None where one is anything else."""
    whole = b"".join(events)
    # With two line ends for each event, none is left to stand anywhere else.
    if not whole.startswith(_DATA) or not whole.endswith(b"\n\n") or whole.count(b"\n") != 2 * len(events):
        return None
    datas = whole[6:-2].split(b"\n\ndata: ")
    return datas if len(datas) == len(events) and all(datas) and whole.find(b"\r") < 0 else None


def read_named(events: Sequence[bytes]) -> list[bytes] | None:
    """The data of whole events that each have a name, one line of data and a blank one, as OpenAI's responses and
    Anthropic's messages do; None where one is anything else."""
    whole = b"".join(events)
    if whole.count(b"\n") != 3 * len(events) or whole.find(b"\r") >= 0:
        return None
    datas = []
    for event in events:
        begins = event.find(_NAMED)
        # These have three line ends, so that no event has another one.
        if begins < 0 or event[:7] != b"event: " or event[-2:] != b"\n\n":
            return None
        datas.append(event[begins + 7 : -2])
    return datas if all(datas) else None


def is_stream(begin: bytes) -> bool:
    """Whether the first bytes of an answer can be those of a stream of events, whatever its content type says."""
    begin = begin.removeprefix(BYTE_ORDER_MARK).lstrip()
    return not begin or any(begin[: len(word)] == word[: len(begin)] for word in _BEGINNINGS)


def is_done(data: bytes) -> bool:
    """Whether an event's data says that the stream has ended; some servers write a blank behind it."""
    return len(data) < LONGEST_DONE and data.strip() == DONE


def close_event(rest: bytes) -> bytes:
    """What was left when the upstream closed, as a whole event: with the line ends that it lacks."""
    return rest.rstrip(b"\r\n") + b"\n\n"


def data_of(event: bytes) -> bytes | None:
    """An event's data, its lines joined by newlines; None for a comment, a keep-alive or empty data, which clients are
    not told of."""
    # The usual one: a line of data and a blank one. Every part of this is asked of every event.
    if event[:6] == _DATA and event.find(b"\n") == len(event) - 2 and event[-1:] == b"\n" and event.find(b"\r") < 0:
        return event[6:-2] or None
    lines = [
        line[6:] if line.startswith(b"data: ") else line[5:]
        for line in event.removeprefix(BYTE_ORDER_MARK).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        if line.startswith(b"data:")
    ]
    return b"\n".join(lines) or None
