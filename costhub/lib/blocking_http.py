"""HTTP/1.1 over one connection without an event loop, each call within a time of its own.

For jobs that make many calls to one place after each other: an event loop's call costs several times as much. Where a
connection leads is ``net``'s to say: an address comes here vetted.
"""

import io
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from select import POLLIN, poll
from typing import Any, Final, NamedTuple

from costhub.lib import clock

#: what may come of a call beside its answer; TimeoutError is an OSError, and a header that cannot be sent a ValueError
FAILURES: Final = (OSError, HTTPException, ValueError)
_NANOS_PER_SECOND: Final = 1_000_000_000
#: heads, and what stands between the pieces of a body
_MOST_AROUND: Final = 1024 * 1024


class Answer(NamedTuple):
    """What came. ``body`` is as it was sent, and has at most as many bytes as were asked for; names of headers are in
    small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_whole: bool


class Connection:
    """One connection to an address. For one thread.

    ``ends_ns`` is on ``clock.monotonic_ns``: by then it must be open, with TLS's handshake behind it where ``tls`` says
    so, for whose certificate ``host`` is what is expected. Raises OSError.
    """

    def __init__(self, address: str, port: int, *, tls: ssl.SSLContext | None, host: str, ends_ns: int) -> None:
        opened = socket.create_connection((address, port), _left(ends_ns))
        try:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            opened.settimeout(_left(ends_ns))
            if tls is not None:
                # An end that nobody signed is none: what came before it may be half of an answer.
                opened = tls.wrap_socket(opened, server_hostname=host, suppress_ragged_eofs=False)
        except BaseException:
            opened.close()
            raise
        self._socket = opened
        self._timed = _Timed(opened)
        self._http = HTTPConnection(host, port)
        self._http.auto_open = 0
        self._http.sock = self._timed

    @property
    def is_open(self) -> bool:
        """Whether another call may go over it: none that was cut short, nor an end that has come since."""
        if self._http.sock is None:
            return False
        waiting = poll()
        waiting.register(self._socket, POLLIN)
        return not waiting.poll(0)

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        content: bytes | None,
        *,
        ends_ns: int,
        most_bytes: int,
    ) -> Answer:
        """One call and its answer, whole or cut off behind ``most_bytes``. Raises one of ``FAILURES``; then, as after
        an answer that was cut off, this connection is closed."""
        self._timed.ends_ns, self._timed.most_bytes = ends_ns, most_bytes + _MOST_AROUND
        try:
            self._http.request(method, path, content, dict(headers))
            answer = self._http.getresponse()
            body, is_whole = _read(answer, most_bytes)
        except BaseException:
            self.close()
            raise
        if not is_whole or answer.will_close:
            self.close()
        said: dict[str, str] = {}
        for name, value in answer.headers.items():
            small = name.lower()
            said[small] = f"{said[small]}, {value}" if small in said else value
        return Answer(answer.status, said, body, is_whole)

    def close(self) -> None:
        """End it."""
        self._http.close()
        with suppress(OSError):
            self._socket.close()


class _Timed:
    """A socket as ``http.client`` wants one, each of whose waits is as long as what is left of the call's time, and
    from which no more is read than a call may bring. A request's head and body go out together, when its answer is
    asked for: as two writes they would be two packets, and wake the other end twice."""

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._unsent = bytearray()
        self.ends_ns = 0
        self.most_bytes = 0

    def read(self, buffer: Any) -> int:
        """What there is; 0 at the end."""
        self._socket.settimeout(_left(self.ends_ns))
        count = self._socket.recv_into(buffer)
        self.most_bytes -= count
        if self.most_bytes < 0:
            raise HTTPException("the answer has more around it than in it")
        return count

    def sendall(self, content: bytes) -> None:
        """To be sent with what follows."""
        self._unsent += content

    def makefile(self, mode: str) -> io.BufferedReader:
        """What an answer is read from."""
        unsent, self._unsent = bytes(self._unsent), bytearray()
        rest = memoryview(unsent)
        while rest:
            self._socket.settimeout(_left(self.ends_ns))
            rest = rest[self._socket.send(rest) :]
        return io.BufferedReader(_Reading(self))

    def close(self) -> None:
        """Nothing: an answer that closes its connection is read after that."""


class _Reading(io.RawIOBase):
    """One answer's view: closing it closes nothing."""

    def __init__(self, timed: _Timed) -> None:
        self._timed = timed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._timed.read(buffer)


def _read(answer: HTTPResponse, most_bytes: int) -> tuple[bytes, bool]:
    """The body, and whether it is all of it. Raises HTTPException where it ends too early."""
    body = answer.read(most_bytes + 1)
    if len(body) > most_bytes:
        return body[:most_bytes], False
    if answer.length:
        raise HTTPException("the answer broke off")
    return body, True


def _left(ends_ns: int) -> float:
    left = ends_ns - clock.monotonic_ns()
    if left <= 0:
        raise TimeoutError("the call's time is over")
    return left / _NANOS_PER_SECOND
