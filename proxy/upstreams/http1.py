"""HTTP/1.1 to one vetted address, on the event loop itself: no threads, no queue between the socket and its reader.

Why not a library: a bare relay costs 122 to 175 us of CPU with pyreqwest and 77 to 89 with this (docs/benchmarks.md),
and only the owner of the socket knows what money wants to know: whether any byte of a request left the house. The
parser is llhttp, Node's own (httptools). Nothing is followed, decompressed, retried or remembered.
"""

import asyncio
import select
import ssl
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, cast

import httptools

#: of an answer so many bytes in a row may be no body: head, trailers, announcements before it
MAX_HEAD_BYTES: Final = 64 * 1024
#: a reader that is this far behind stops the socket
_HIGH_WATER_BYTES: Final = 256 * 1024
#: a connection that rested longer is not used again: its server may be closing it
IDLE_SECONDS: Final = 30.0


class ConnectFailed(Exception):
    """No connection was made: not a byte of the request was sent."""


#: of a connection that is not open yet, or that is over
_NO_PARSER: Final = httptools.HttpResponseParser(object())


class Broken(Exception):
    """The connection broke, or what came is not HTTP; the request may have been taken."""


class TimedOut(Broken):
    """The answer was not whole in time."""


class Pool:
    """Connections to one address. ``tls`` None: plain HTTP, for networks that the operator opened."""

    def __init__(
        self, *, address: str, port: int, host: str, tls: ssl.SSLContext | None, connect_timeout_seconds: float
    ) -> None:
        self._address = address
        self._port = port
        self._host = host
        self._tls = tls
        self._connect_timeout = connect_timeout_seconds
        #: longest at rest first
        self._idle: list[Line] = []
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False
        self._loop = asyncio.get_running_loop()

    def take(self) -> "Line | None":
        """A connection that rests, if one does."""
        now = self._loop.time()
        while self._idle:
            line = self._idle.pop()
            if now - line.idle_since < IDLE_SECONDS and line.is_quiet():
                return line
            line.abort()
        return None

    async def line(self) -> "Line":
        """A connection that nobody uses. Raises ConnectFailed."""
        loop = self._loop
        if (resting := self.take()) is not None:
            return resting
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, made = await loop.create_connection(
                    lambda: Line(loop, self),
                    self._address,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                )
        except (OSError, ssl.SSLError) as error:  # TimeoutError is an OSError
            raise ConnectFailed(str(error)) from error
        if not made.is_open:
            raise ConnectFailed("the connection was closed as soon as it was made")
        return made

    def rest(self, line: "Line") -> None:
        """Take a connection back for the next call."""
        if self._closed:
            line.abort()
        else:
            self._idle.append(line)
            if self._sweep is None:
                self._sweep = self._loop.call_later(IDLE_SECONDS, self._close_stale)

    def forget(self, line: "Line") -> None:
        """A resting connection was closed by its server."""
        if line in self._idle:
            self._idle.remove(line)

    def close(self) -> None:
        """Close what rests; calls under way go on and close behind themselves."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for line in self._idle:
            line.abort()
        self._idle.clear()

    def _close_stale(self) -> None:
        """After a rush most connections would rest for ever, since the latest is used first."""
        loop = self._loop
        while self._idle and loop.time() - self._idle[0].idle_since >= IDLE_SECONDS:
            self._idle.pop(0).abort()
        self._sweep = loop.call_later(IDLE_SECONDS, self._close_stale) if self._idle else None


class Line(asyncio.Protocol):
    """One connection, one call at a time: ``send``, ``head``, then ``read`` until None, then ``release``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: Pool) -> None:
        self._loop = loop
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._waiting = select.poll()
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._waiter: asyncio.Future[None] | None = None
        self.is_open = False
        self.idle_since = 0.0
        # Of every answer on this connection: making one costs as much as reading an answer.
        self._parser: httptools.HttpResponseParser = _NO_PARSER
        # Of headers with the same name the first one.
        self._headers: dict[bytes, bytes] = {}
        #: what the parser calls for each: no function of ours
        self.on_header = self._headers.setdefault
        self._parts: deque[bytes] = deque()
        self._is_paused = False
        self._is_in_use = False
        self._error: Callable[[], Broken] | None = None
        # Behind so many headers come trailers, which nobody asks for.
        self._headers_count = 0
        self._begin()

    def _begin(self) -> None:
        """A call begins. A connection that was kept is not paused and has not failed."""
        # What the call before left unread.
        self._parts.clear()
        self._buffered = 0
        self._is_complete = False
        self._has_head = False
        self._can_be_kept = False
        self._dry_bytes = 0
        self.status = 0
        self._headers.clear()

    # the caller's side

    def send(self, request: bytes, timeout_seconds: float) -> None:
        """Send a whole request. The answer must be whole ``timeout_seconds`` later."""
        assert self._transport is not None
        self._begin()
        self._is_in_use = True
        self._deadline = self._loop.time() + timeout_seconds
        if self._timer is not None and self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_later(timeout_seconds, self._look_at_the_clock)
        self._transport.write(request)

    async def head(self) -> int:
        """Wait for the status and the headers. Raises Broken, TimedOut."""
        while not self._has_head:
            if self._error:
                raise self._error()
            self._waiter = self._loop.create_future()
            await self._waiter
        return self.status

    async def read(self) -> bytes | None:
        """The next bytes of the body, or None after its last. Raises Broken, TimedOut."""
        while not self._parts:
            if self._is_complete:
                return None
            if self._error:
                raise self._error()
            self._waiter = self._loop.create_future()
            await self._waiter
        return self._take()

    def read_rest(self, most_bytes: int) -> bytes | None:
        """The rest of the body, where all of it is there already, and so many bytes at most; else None, and ``read``
        brings it."""
        return self._take() if self._is_complete and self._parts and self._buffered <= most_bytes else None

    def _take(self) -> bytes:
        part = b"".join(self._parts) if len(self._parts) > 1 else self._parts[0]
        self._parts.clear()
        self._buffered = 0
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        return part

    def header(self, name: bytes) -> str | None:
        """The first header of a name in lower case: of an answer hardly one is ever asked for."""
        names = [*map(bytes.lower, self._headers)][: self._headers_count]
        return [*self._headers.values()][names.index(name)].decode("latin-1") if name in names else None

    @property
    def is_read(self) -> bool:
        """Whether ``read`` would give None at once."""
        return self._is_complete and not self._parts

    def is_quiet(self) -> bool:
        """Whether a resting connection can be used: open, and with nothing to read that the loop has not come to yet.

        What lies there is the server's goodbye, or an answer that nobody asked for: the next call must not get it.
        """
        transport = self._transport
        return self.is_open and transport is not None and not transport.is_closing() and not self._waiting.poll(0)

    def release(self) -> None:
        """The call is over: keep the connection if its request and its answer are through, else close it."""
        self._is_in_use = False
        if self._can_be_kept and self.is_open and not self._is_paused and self._is_sent():
            self.idle_since = self._loop.time()
            self._pool.rest(self)
        else:
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        self.is_open = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport:
            self._transport.abort()

    # the socket's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)
        self._waiting.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        if not self._is_in_use or self._is_complete:
            # An answer that nobody asked for, or more than was announced: this connection is out of step.
            self.abort()
            return
        before = self._buffered
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            # What the parser took as whole before it choked is whole: some servers talk on after their answer.
            self._fail(partial(Broken, f"not HTTP: {error}"))
            return
        self._dry_bytes = self._dry_bytes + len(data) if self._buffered == before else 0
        if self._dry_bytes > MAX_HEAD_BYTES and not self._is_complete:
            self._fail(partial(Broken, "the answer's head or its trailers do not end"))
            return
        if self._buffered > _HIGH_WATER_BYTES and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        if self._has_head and not self._is_complete and self._ends_with_connection():
            self._is_complete = True
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        # It holds us as we hold it: in a circle the connection would stay until the garbage collector comes by.
        self._parser = _NO_PARSER
        if self._timer is not None and not self._is_in_use:
            self._timer.cancel()
        if self._is_in_use:
            if not self._is_complete:
                self._error = self._error or partial(Broken, "the connection was closed before the answer was whole")
            self._wake()
        else:
            self._pool.forget(self)

    # the parser's side

    def on_message_begin(self) -> None:
        if self._is_complete:
            # A second answer in the breath of the first: it is nobody's, and the connection is out of step.
            self._can_be_kept = False

    def on_headers_complete(self) -> None:
        if self._has_head:
            return
        status = self._parser.get_status_code()
        if status >= 200:
            self.status = status
            self._has_head = True
            self._headers_count = len(self._headers)
        else:
            # 100 Continue and the like announce the answer, and are none.
            self._headers.clear()

    def on_body(self, data: bytes) -> None:
        if self._is_complete:
            return
        self._parts.append(data)
        self._buffered += len(data)

    def on_message_complete(self) -> None:
        if self._has_head and not self._is_complete:
            self._is_complete = True
            # Only now: afterwards the parser has forgotten the message.
            self._can_be_kept = self._parser.should_keep_alive()

    def _ends_with_connection(self) -> bool:
        return self.header(b"content-length") is None and self.header(b"transfer-encoding") is None

    def _is_sent(self) -> bool:
        return self._transport is not None and self._transport.get_write_buffer_size() == 0

    def _look_at_the_clock(self) -> None:
        """One timer serves many calls: it looks again as long as the deadline is a later call's."""
        self._timer = None
        if not self._is_in_use:
            return
        left = self._deadline - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look_at_the_clock)
        else:
            self._fail(partial(TimedOut, "the answer was not whole in time"))

    def _fail(self, error: Callable[[], Broken]) -> None:
        # Made when it is raised: kept, it would hold the frames that it went through, and they hold this connection.
        self._error = self._error or error
        self.abort()
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
