"""Server-sent events (WHATWG HTML, section 9.2), split without understanding more than we must.

Events are handed on as the bytes that came, so that nothing is lost that a client may know and we do not. Only the
``data`` of each is read.
"""

from typing import Final

#: an event longer than this is no event of a language model
MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
DONE: Final = b"[DONE]"

_SEPARATORS: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")


class EventTooLong(Exception):
    """The upstream sends an endless event."""


class EventSplitter:
    """Bytes in, whole events out, however the bytes were cut."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The events that are complete now, each with its closing blank line. Raises EventTooLong."""
        # The usual case: a read ends where an event ends, in the plain style.
        if not self._rest and b"\r" not in data and data.endswith(b"\n\n"):
            return [event + b"\n\n" for event in data[:-2].split(b"\n\n")]
        self._rest += data
        events = []
        while (end := _end_of_event(self._rest)) is not None:
            events.append(self._rest[:end])
            self._rest = self._rest[end:]
        if len(self._rest) > MAX_EVENT_BYTES:
            raise EventTooLong
        return events

    def finish(self) -> bytes:
        """What is left when the upstream closes: an event without its blank line, or nothing."""
        rest, self._rest = self._rest, b""
        return rest


def data_of(event: bytes) -> bytes | None:
    """An event's data, its lines joined by newlines; None for a comment or a keep-alive."""
    if event.startswith(b"data: ") and event.endswith(b"\n\n") and event.find(b"\n") == len(event) - 2:
        return event[6:-2]
    lines = [
        line[6:] if line.startswith(b"data: ") else line[5:]
        for line in event.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        if line.startswith(b"data:")
    ]
    return b"\n".join(lines) if lines else None


def _end_of_event(buffer: bytes) -> int | None:
    ends = [at + len(separator) for separator in _SEPARATORS if (at := buffer.find(separator)) >= 0]
    return min(ends, default=None)
