"""Server-sent events (WHATWG HTML, section 9.2), split without understanding more than we must.

Events are handed on as the bytes that came, so that nothing is lost that a client may know and we do not. Only the
``data`` of each is read.
"""

import re
from typing import Final

#: an event longer than this is no event of a language model
MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
DONE: Final = b"[DONE]"

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


def data_of(event: bytes) -> bytes | None:
    """An event's data, its lines joined by newlines; None for a comment or a keep-alive."""
    if (
        event.startswith(b"data: ")
        and event.endswith(b"\n\n")
        and event.find(b"\n") == len(event) - 2
        and b"\r" not in event
    ):
        return event[6:-2]
    lines = [
        line[6:] if line.startswith(b"data: ") else line[5:]
        for line in event.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        if line.startswith(b"data:")
    ]
    return b"\n".join(lines) if lines else None
