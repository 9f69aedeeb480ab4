"""One request and its response: what an ASGI application is called with, and our shortcuts past it."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, Final, Protocol

from costhub.serve.heads import BROKEN
from proxy.edges.shortcuts import Receive, Send

_log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Message = MutableMapping[str, Any]

#: more of a body than this waits in the kernel until the application asks for it
HIGH_WATER_BYTES: Final = 64 * 1024

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
#: what no header may hold (RFC 9110, 5.5): every control character but the tab
_CONTROLS: Final = bytes({*range(0x20), 0x7F} - {0x09})
_TO_BLANKS: Final = dict.fromkeys(_CONTROLS, " ")
#: the header lines of an answer: one that holds anything else would end a line, or the head
_LINES: Final = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [^\x00-\x08\x0a-\x1f\x7f]*+\r\n)*+")


def _status_line(status: int) -> bytes:
    known = {each.value: each.phrase for each in HTTPStatus}
    return f"HTTP/1.1 {status} {known.get(status, '')}\r\n".encode("ascii")


_STATUS_LINES: Final = {status: _status_line(status) for status in range(200, 600)}


class Line(Protocol):
    """What an exchange needs of its connection."""

    is_write_paused: bool

    def write(self, data: bytes) -> None:
        """To the caller."""

    def close(self) -> None:
        """What was written goes out, nothing else comes."""

    def resume_reading(self) -> None:
        """The application wants more of the body."""

    def pause_reading(self) -> None:
        """The body comes faster than the application takes it."""

    def end_response(self, exchange: "Exchange") -> None:
        """The response is whole: it is the next one's turn."""

    def end_task(self, exchange: "Exchange") -> None:
        """Its application has returned: its task is over."""

    async def drain(self) -> None:
        """Wait until the caller has taken enough of what was written, or has left."""


class Exchange:
    """ASGI's ``receive`` and ``send`` of one request. ``keeps_alive``: the connection outlives the response. What is so
    at first stands in the class: every request makes one."""

    #: in which the application runs, as long as it does
    task: asyncio.Task[None] | None = None
    _wake: asyncio.Event | None = None
    _when_left: Callable[[], None] | None = None
    # the application was given the last of the body
    _is_told = False
    _is_bodiless = False
    _is_chunked = False
    # how much of the announced length is still to come; -1: until the connection closes
    _left = 0
    body: bytes | bytearray = b""
    # the request's body has come to its end
    is_whole = False
    # the response
    has_begun = False
    is_done = False
    # the caller has closed the connection, or broken its request
    has_left = False

    def __init__(
        self, line: Line, *, is_modern: bool, is_head: bool, expects_continue: bool, keeps_alive: bool
    ) -> None:
        self._line = line
        self._expects_continue = expects_continue
        self.is_modern = is_modern
        self.is_head = is_head
        self.keeps_alive = keeps_alive

    # What the connection tells.

    def feed(self, data: bytes) -> None:
        """A part of the body has come. An answered request's is dropped."""
        if self.is_done or self.has_left:
            return
        if self.body:
            self._add(data)
        else:
            # As a small body comes: in one part.
            self.body = data
        if len(self.body) > HIGH_WATER_BYTES:
            self._line.pause_reading()
        if self._wake is not None:
            self._wake.set()

    def _add(self, data: bytes) -> None:
        if type(self.body) is bytes:
            self.body = bytearray(self.body)
        # grows in place
        self.body += data

    def finish_request(self) -> None:
        """The body is whole."""
        self.is_whole = True
        self._tell()

    def leave(self) -> None:
        """Nobody waits for the response any more."""
        if self.is_done or self.has_left:
            return
        self.has_left = True
        self._tell()
        if self._when_left is not None:
            self._when_left()

    def _tell(self) -> None:
        if self._wake is not None:
            self._wake.set()

    async def run(self, app: App, scope: Scope) -> None:
        """Let the application answer; what it leaves open is closed."""
        try:
            await app(scope, self.receive, self.send)
        except asyncio.CancelledError:
            pass  # the server stops
        except Exception:  # noqa: BLE001 - the last resort of an application that is not ours
            _log.exception("an application failed")
        else:
            if not (self.is_done or self.has_left):
                _log.error("an application returned before its response was whole")
        finally:
            # It holds the call, which holds us.
            self._when_left = None
            # No callback of the task, which would be a turn of the loop.
            self._line.end_task(self)
        if not self.is_done:
            self._close_unanswered()

    def _close_unanswered(self) -> None:
        if self.has_begun:
            # not whole, and the caller can tell by its missing end
            self._line.close()
        elif not self.has_left:
            self.keeps_alive = False
            self.has_begun = True
            self._line.write(BROKEN.answer(has_body=not self.is_head))
            self._end()

    # ASGI

    async def receive(self) -> dict[str, Any]:
        """A part of the body, or that the caller has left."""
        if self._expects_continue and not (self.body or self.is_whole or self.has_begun or self.has_left):
            self._line.write(_CONTINUE)
        self._expects_continue = False
        while not (self.has_left or self.is_done):
            if self.body or (self.is_whole and not self._is_told):
                body, self.body = bytes(self.body), b""
                self._is_told = self.is_whole
                self._line.resume_reading()
                return {"type": "http.request", "body": body, "more_body": not self.is_whole}
            self._line.resume_reading()
            if self._wake is None:
                self._wake = asyncio.Event()
            self._wake.clear()
            await self._wake.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """A part of the response. Raises RuntimeError for what is none."""
        if self._line.is_write_paused and not self.has_left:
            await self._line.drain()
        if self.has_left:
            return
        kind = message["type"]
        if not self.has_begun:
            if kind != "http.response.start":
                raise RuntimeError(f"a response begins with http.response.start, not with {kind}")
            self._begin(message["status"], message.get("headers", ()))
        elif self.is_done:
            raise RuntimeError(f"{kind} came after the end of a response")
        elif kind != "http.response.body":
            raise RuntimeError(f"http.response.body was due, not {kind}")
        else:
            self._send_body(message.get("body", b""), has_more=message.get("more_body", False))

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        lines, length = [], None
        for name, value in headers:
            lowered = name.lower()
            if lowered == b"content-length":
                length = int(value)
            elif lowered == b"connection":
                self.keeps_alive &= b"close" not in value.lower()
            elif lowered != b"transfer-encoding":
                lines.append(b"%b: %b\r\n" % (name, value))
        block = b"".join(lines)
        if block.count(b"\r\n") != len(lines) or not _LINES.fullmatch(block):
            raise RuntimeError("a header of the response holds what no header may hold")
        self._is_bodiless = self.is_head or status in {204, 304}
        if status == 204:
            pass
        elif length is not None:
            block += b"content-length: %d\r\n" % length
            self._left = length
        elif self._is_bodiless:
            pass
        elif self.is_modern:
            self._is_chunked = True
            block += b"transfer-encoding: chunked\r\n"
        else:
            # HTTP/1.0 knows no chunks: the end of the connection is the end of the body
            self._left = -1
            self.keeps_alive = False
        if not self.is_whole:
            # What is still to come of the request will not be waited for.
            self.keeps_alive = False
        if not self.keeps_alive:
            block += b"connection: close\r\n"
        self.has_begun = True
        self._line.write(b"%b%b\r\n" % (_STATUS_LINES[status], block))

    def _send_body(self, body: bytes, *, has_more: bool) -> None:
        if self._is_bodiless:
            pass
        elif self._is_chunked:
            if data := _write_chunk(body, has_more=has_more):
                self._line.write(data)
        elif self._left == -1:
            self._line.write(body)
        else:
            self._left -= len(body)
            if self._left < 0:
                raise RuntimeError("a response is longer than its Content-Length")
            self._line.write(body)
            if self._left and not has_more:
                raise RuntimeError("a response is shorter than its Content-Length")
        if not has_more:
            self._end()

    def _end(self) -> None:
        self.is_done = True
        self._tell()
        self._line.end_response(self)

    # The shortcuts. Whoever wrapped ``receive`` or ``send`` wants to see what goes through them.

    def take_body(self, receive: Receive, most_bytes: int | None = None) -> bytes | None:
        """The whole body, if it is there and no longer than that."""
        if receive != self.receive or not self.is_whole or self._is_told or self.has_left:
            return None
        if most_bytes is not None and len(self.body) > most_bytes:
            return None
        self._is_told = True
        body, self.body = bytes(self.body), b""
        self._line.resume_reading()
        return body

    def watch(self, receive: Receive, leave: Callable[[], None]) -> bool:
        """Call ``leave`` when the caller leaves."""
        if receive != self.receive:
            return False
        self._when_left = leave
        if self.has_left:
            leave()
        return True

    def send_whole(self, send: Send, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """A response in one write."""
        if not self._is_plain(send):
            return False
        lines = _write_lines({**headers, "content-length": str(len(body))})
        self.has_begun = True
        self._line.write(b"%b%b\r\n\r\n%b" % (_STATUS_LINES[status], lines, body))
        self._end()
        return True

    def send_head(self, send: Send, status: int, headers: Mapping[str, str], body: bytes, *, more: bool) -> bool:
        """The head of a response in chunks, with the first of them."""
        if not self.is_modern or not self._is_plain(send):
            return False
        lines, chunk = _write_lines(headers), _write_chunk(body, has_more=more)
        self.has_begun = self._is_chunked = True
        self._line.write(b"%b%b\r\ntransfer-encoding: chunked\r\n\r\n%b" % (_STATUS_LINES[status], lines, chunk))
        if not more:
            self._end()
        return True

    def _is_plain(self, send: Send) -> bool:
        """Whether a response can be written as it nearly always is."""
        return (
            send == self.send
            and not self.has_begun
            and not self.has_left
            and not self.is_head
            and self.keeps_alive
            and self.is_whole
            and not self._line.is_write_paused
        )


def _write_chunk(body: bytes, *, has_more: bool) -> bytes:
    """A part of a response in chunks, and the end where nothing follows."""
    data = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return data if has_more else data + b"0\r\n\r\n"


def _write_lines(headers: Mapping[str, str]) -> bytes:
    """The lines of a head, without the end of the last one. A control character of a value, which might end its line,
    becomes a blank: words of upstreams and callers get in here, and an answer is not refused for them."""
    lines = "\r\n".join(map(": ".join, headers.items())).encode("latin-1", "replace")
    # Taking them out and looking how many they were takes a fraction of the time of a pattern that finds none.
    if len(lines) - len(lines.translate(None, _CONTROLS)) == 2 * (len(headers) - 1):
        return lines
    clean = [f"{name}: {value.translate(_TO_BLANKS)}" for name, value in headers.items()]
    return "\r\n".join(clean).encode("latin-1", "replace")
