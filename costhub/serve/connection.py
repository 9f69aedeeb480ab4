"""HTTP/1.1 on one connection: bytes in, exchanges out, in order."""

import asyncio
import select
from collections import deque
from typing import Any, Final

import httptools

from costhub.serve.exchange import App, Exchange, Scope
from costhub.serve.heads import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_TRAILER_BYTES,
    NO_TUNNEL,
    NOT_HTTP,
    TOO_LARGE,
    TRAILERS,
    Headers,
    Refusal,
    Refused,
    check_head,
    read_target,
    without_upgrade,
)
from proxy.edges.shortcuts import SHORTCUTS, Shortcuts

#: a head that is not whole by then never will be
HEAD_SECONDS: Final = 20
#: a caller that takes nothing of its answer for so long is cut off
SLOW_READER_SECONDS: Final = 60
#: longer than the clients and load balancers in front keep theirs, so that it is they who close
KEEP_ALIVE_SECONDS: Final = 90
#: when the server stops, a request may be on its way on a connection at rest: for so long it is still answered
LAST_REQUEST_SECONDS: Final = 1.0
#: a caller that still sends when its answer is out may read that first; closing at once would take it away
LINGER_SECONDS: Final = 10
LINGER_BYTES: Final = 32 * 1024 * 1024
#: the same of one whose bytes are no request
REFUSED_LINGER_BYTES: Final = 256 * 1024
#: requests ahead of their turn: so much is read of them, and how often we then look whether their caller is still there
MAX_HELD_BYTES: Final = 64 * 1024
HANGUP_SECONDS: Final = 0.5
#: so much is parsed at once: hundreds of tiny requests may stand in it
_HEAD_PIECE: Final = 16 * 1024
_BODY_PIECE: Final = 64 * 1024
_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}


class Connection(asyncio.Protocol):
    """One caller's connection. ``connections`` and ``tasks`` are the server's lists of what is open.

    A timer a call costs more than parsing its head, so a connection at rest has one that looks again when it ends.
    """

    def __init__(
        self,
        app: App,
        loop: asyncio.AbstractEventLoop,
        connections: set[Any],
        tasks: set[asyncio.Task[None]],
        keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
    ) -> None:
        self._app = app
        self._loop = loop
        self._connections = connections
        self._tasks = tasks
        self._keep_alive_seconds = keep_alive_seconds
        self._transport: asyncio.Transport
        # of every request on this connection
        self._scope: Scope = {}

        # what is parsed
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: Headers = []
        self._is_in_head = True
        self._head_bytes = 0
        self._is_upgrade_offered = False
        self._silent_bytes = self._trailer_bytes = 0
        self._has_body_come = False
        # nothing more is parsed: the last request has come, or one that cannot be trusted
        self._is_deaf = False
        # the server stops: the next request is the last one
        self._is_stopping = False
        self._refusal: Refusal | None = None
        self._is_lingering = False
        self._lingers_for = 0

        # whose body comes, who is answered, who waits for its turn, and bytes that nobody has looked at
        self._reading: Exchange | None = None
        self._current: Exchange | None = None
        self._queue: deque[tuple[Exchange, Scope]] = deque()
        self._held = bytearray()

        self._is_read_paused = False
        self.is_write_paused = False
        self._drained: asyncio.Event | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None
        self._rest_timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._rests_since = 0.0

    # The transport.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A caller has come: its first head has a time to be whole in."""
        self._transport = transport
        self._connections.add(self)
        self._scope = {
            "type": "http",
            "asgi": _ASGI,
            "scheme": "http",
            "root_path": "",
            "client": _address(transport.get_extra_info("peername")),
            "server": _address(transport.get_extra_info("sockname")),
        }
        self._head_timer = self._loop.call_later(HEAD_SECONDS, self._give_up_head)

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller has left, or we have closed."""
        self._connections.discard(self)
        for timer in (self._head_timer, self._reader_timer, self._rest_timer, self._end_timer):
            if timer is not None:
                timer.cancel()
        self._is_deaf = True
        # It holds us as we hold it: in a circle the connection would stay until the garbage collector comes by.
        del self._parser
        self._queue.clear()
        self._held.clear()
        self.is_write_paused = False
        if self._drained is not None:
            self._drained.set()
        current, self._current, self._reading = self._current, None, None
        if current is not None:
            current.leave()

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless a request that is already here waits for its turn."""
        if self._is_deaf:
            self._drop(len(data))
        elif self._queue or self._held:
            self._hold(data)
        else:
            self._take(data)

    def eof_received(self) -> None:
        """Who closes its side has left."""

    def pause_writing(self) -> None:
        """The caller does not read. Money is held for it, so it may not sleep for ever."""
        self.is_write_paused = True
        if self._drained is not None:
            self._drained.clear()
        if self._reader_timer is None:
            self._reader_timer = self._loop.call_later(SLOW_READER_SECONDS, self._transport.abort)

    def resume_writing(self) -> None:
        """The caller reads again."""
        self.is_write_paused = False
        if self._drained is not None:
            self._drained.set()
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    def shutdown(self) -> None:
        """The server stops: what is being answered is answered, and so is a request that is on its way: also behind an
        answer whose head has said that the connection stays."""
        if self._is_stopping:
            return
        self._is_stopping = True
        if self._current is None:
            self._loop.call_later(LAST_REQUEST_SECONDS, self._close_unasked)
        elif not (self._current.has_begun and self._current.keeps_alive):
            # of one that is being answered the rest of its body is still wanted
            self._is_deaf = self._reading is not self._current
            self._current.keeps_alive = False
            self._queue.clear()
            self._held.clear()
        # Else who waits for his turn keeps it: answers come in the order of requests, and those behind one that was
        # left out would be taken for its.

    # Bytes.

    def _take(self, data: bytes | memoryview) -> None:
        if len(data) <= _HEAD_PIECE:
            taken = self._parse(data)
            if taken == len(data):
                return
            data = memoryview(data)[taken:]
        rest = memoryview(data)
        while rest and not self._is_deaf:
            if self._queue:
                self._hold(rest)
                return
            rest = rest[self._parse(rest[: _HEAD_PIECE if self._reading is None else _BODY_PIECE]) :]

    def _parse(self, piece: bytes | memoryview) -> int:
        """Gives how many bytes were parsed: all, or those before the body of a request that offers an upgrade."""
        self._has_body_come = False
        taken = len(piece)
        try:
            try:
                self._parser.feed_data(piece)
            except httptools.HttpParserUpgrade as offer:
                taken = int(offer.args[0])
            if self._is_upgrade_offered:
                self._stay_with_http()
        except httptools.HttpParserError as error:
            if not self._is_deaf:
                cause = error.__context__
                self._refuse(cause.refusal if isinstance(cause, Refused) else NOT_HTTP)
            return len(piece)
        if self._is_in_head:
            # Where it began within the piece is not known: bytes count from the next one on.
            self._head_bytes += len(piece) if self._head_bytes else 1
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(TOO_LARGE)
            elif self._head_timer is None:
                self._head_timer = self._loop.call_later(HEAD_SECONDS, self._give_up_head)
        elif self._reading is not None:
            # Bytes that bring no body are a chunk's extensions, or trailers.
            self._silent_bytes = 0 if self._has_body_come else self._silent_bytes + taken
            if self._silent_bytes > MAX_TRAILER_BYTES:
                self._refuse(TRAILERS)
        return taken

    def _stay_with_http(self) -> None:
        """llhttp has left HTTP behind where another protocol was offered. A parser that has not heard of the offer goes
        on with the body."""
        parser = self._parser
        head = without_upgrade(parser.get_method(), self._url, parser.get_http_version(), self._headers)
        self._is_upgrade_offered = False
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(head)

    def _hold(self, data: bytes | memoryview) -> None:
        """Keep what comes ahead of its turn. The connection is still read then, which tells when the caller leaves."""
        self._held += data
        if len(self._held) > MAX_HELD_BYTES:
            self.pause_reading()

    def _look_for_hangup(self) -> None:
        """A caller that has sent more than we hold and then left: without reading, only the kernel knows of it."""
        self._end_timer = None
        if not self._is_read_paused or self._transport.is_closing():
            return
        looking = select.poll()
        looking.register(self._transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
        if looking.poll(0):
            self._transport.abort()
        else:
            self._end_timer = self._loop.call_later(HANGUP_SECONDS, self._look_for_hangup)

    def _drop(self, size: int) -> None:
        if self._is_lingering:
            self._lingers_for -= size
            if self._lingers_for < 0:
                self._transport.abort()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url = b""
        self._headers = []
        self._is_in_head = True
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """The request's target, or a part of it."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header. What stands behind a body is none, whatever its name: it is counted and dropped. Raises
        Refused where there is too much of it."""
        if self._reading is not None:
            self._trailer_bytes += len(name) + len(value) + 4
            if self._trailer_bytes > MAX_TRAILER_BYTES:
                raise Refused(TRAILERS)
            return
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole: the application is called, or waits for its turn. Raises Refused for too many headers, a
        tunnel, and a head or target that may not be."""
        parser, headers = self._parser, self._headers
        if len(headers) > MAX_HEADERS:
            raise Refused(TOO_LARGE)
        if parser.should_upgrade():
            if parser.get_method() == b"CONNECT":
                raise Refused(NO_TUNNEL)
            self._is_upgrade_offered = True
            return
        self._is_in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        version = parser.get_http_version()
        expects_continue = check_head(version, headers)
        path, raw_path, query = read_target(self._url)
        method = parser.get_method().decode("ascii")
        is_modern = version == "1.1"
        exchange = Exchange(
            self,
            is_modern=is_modern,
            is_head=method == "HEAD",
            expects_continue=expects_continue,
            keeps_alive=is_modern and parser.should_keep_alive() and not self._is_stopping,
        )
        shortcuts: Shortcuts = exchange
        scope: Scope = {
            **self._scope,
            "http_version": version,
            "method": method,
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": headers,
            "extensions": {SHORTCUTS: shortcuts},
        }
        self._reading = exchange
        self._silent_bytes = self._trailer_bytes = 0
        if self._current is None:
            self._start(exchange, scope)
        else:
            # A caller that does not wait for its answers gets them in order.
            self._queue.append((exchange, scope))

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._has_body_come = True
        if self._reading is not None:
            self._reading.feed(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        exchange = self._reading
        if self._is_upgrade_offered or exchange is None:
            return
        self._reading = None
        if not exchange.keeps_alive:
            # It said that it is the last one, or its answer has said so.
            self._is_deaf = True
        exchange.finish_request()

    # Turns.

    def _start(self, exchange: Exchange, scope: Scope) -> None:
        self._current = exchange
        task = exchange.task = self._loop.create_task(exchange.run(self._app, scope))
        self._tasks.add(task)

    def end_response(self, exchange: Exchange) -> None:
        """The response is whole: the next request's turn, or rest."""
        self._current = None
        if self._transport.is_closing():
            return
        if not exchange.keeps_alive:
            self._is_deaf = True
            self._queue.clear()
            if exchange.is_whole:
                self._transport.close()
            else:
                self._linger(LINGER_BYTES)
            return
        if self._queue:
            self._start(*self._queue.popleft())
        self._go_on()

    def _go_on(self) -> None:
        if self._held and not self._queue and not self._is_deaf:
            held, self._held = self._held, bytearray()
            self._take(bytes(held))
        if self._is_read_paused:
            self.resume_reading()
        if self._current is not None:
            return
        if self._refusal is not None:
            self._write_refusal(self._refusal)
            return
        if self._is_stopping:
            self._loop.call_later(LAST_REQUEST_SECONDS, self._close_unasked)
            return
        self._rests_since = self._loop.time()
        if self._rest_timer is None:
            self._rest_timer = self._loop.call_later(self._keep_alive_seconds, self._close_rested)

    def _refuse(self, refusal: Refusal) -> None:
        """Nothing more is read of this connection. Those who came before are answered first."""
        self._is_deaf = True
        self._held.clear()
        broken, self._reading = self._reading, None
        if broken is not None and self._queue and self._queue[-1][0] is broken:
            self._queue.pop()
        if broken is not None and broken is self._current:
            has_begun, self._current = broken.has_begun, None
            broken.leave()
            if has_begun:
                self._transport.close()
            else:
                self._write_refusal(refusal, has_body=not broken.is_head)
        elif self._current is None:
            self._write_refusal(refusal)
        else:
            self._refusal = refusal

    def _write_refusal(self, refusal: Refusal, *, has_body: bool = True) -> None:
        self._transport.write(refusal.answer(has_body=has_body))
        self._linger(REFUSED_LINGER_BYTES)

    def _linger(self, most_bytes: int) -> None:
        """Our last words are written; what still comes is dropped for a while, so that they are read."""
        self._is_lingering, self._lingers_for = True, most_bytes
        self.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        if self._head_timer is not None:
            self._head_timer.cancel()
        if self._end_timer is not None:
            self._end_timer.cancel()
        self._end_timer = self._loop.call_later(LINGER_SECONDS, self._transport.close)

    # Time.

    def _give_up_head(self) -> None:
        self._head_timer = None
        if not self._transport.is_closing():
            self._transport.close()

    def _close_unasked(self) -> None:
        if self._current is None and not self._transport.is_closing():
            self._transport.close()

    def _close_rested(self) -> None:
        """Close a connection on which nothing was asked for so long."""
        self._rest_timer = None
        if self._transport.is_closing() or self._current is not None or self._head_timer is not None:
            return
        left = self._rests_since + self._keep_alive_seconds - self._loop.time()
        if left > 0:
            self._rest_timer = self._loop.call_later(left, self._close_rested)
        else:
            self._transport.close()

    # What an exchange asks for.

    def write(self, data: bytes) -> None:
        """To the caller."""
        self._transport.write(data)

    def end_task(self, exchange: Exchange) -> None:
        """Its application has returned."""
        if exchange.task is not None:
            self._tasks.discard(exchange.task)
            exchange.task = None

    def close(self) -> None:
        """What was written goes out, nothing else comes."""
        self._transport.close()

    def pause_reading(self) -> None:
        """What comes stays in the kernel."""
        if not self._is_read_paused and not self._transport.is_closing():
            self._is_read_paused = True
            self._transport.pause_reading()
            if self._end_timer is None:
                self._end_timer = self._loop.call_later(HANGUP_SECONDS, self._look_for_hangup)

    def resume_reading(self) -> None:
        """What was paused goes on, unless too much waits for its turn."""
        if self._is_read_paused and len(self._held) <= MAX_HELD_BYTES and not self._transport.is_closing():
            self._is_read_paused = False
            self._transport.resume_reading()

    async def drain(self) -> None:
        """Wait until the caller has taken enough, or has left."""
        if self.is_write_paused:
            if self._drained is None:
                self._drained = asyncio.Event()
            await self._drained.wait()


def _address(name: Any) -> tuple[str, int] | None:
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) and len(name) >= 2 else None
