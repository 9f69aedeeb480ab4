"""The web server: uvicorn on uvloop, with the limits on a request's head that uvicorn leaves to a proxy in front.

Why uvicorn: with the hot path's own HTTP client the whole process runs on one thread, and granian's threads must take
turns with it; a bare relay is cheaper under uvicorn (docs/benchmarks.md has the figures).
"""

import argparse
import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast
from urllib.parse import unquote

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.supervisors import Multiprocess

from proxy.edges.shortcuts import SHORTCUTS, Shortcuts

MAX_HEAD_BYTES: Final = 64 * 1024
#: a head that is not whole by then never will be
HEAD_SECONDS: Final = 20
#: a caller that takes nothing of its answer for so long is cut off
SLOW_READER_SECONDS: Final = 60
#: longer than the clients and load balancers in front keep theirs, so that it is they who close
KEEP_ALIVE_SECONDS: Final = 90
DRAIN_SECONDS: Final = 20
BACKLOG: Final = 2048
_LINE_BREAKS: Final = re.compile("[\r\n\0]")
_HEAD: Final = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
_ERROR: Final = b'{"error":{"message":"%b","type":"invalid_request_error","param":null,"code":"%b"}}'
_TOO_LARGE: Final = _HEAD % b"431 Request Header Fields Too Large" + _ERROR % (
    b"The headers of the request are too large: 65536 bytes at most.",
    b"headers_too_large",
)
_NOT_HTTP: Final = _HEAD % b"400 Bad Request" + _ERROR % (
    b"What came is not HTTP/1.1: check the client or what stands between it and CostHub.",
    b"invalid_http",
)


class Cycle(RequestResponseCycle):
    """One request and its response; ``when_left`` is called if the caller closes before the response is whole."""

    when_left: Callable[[], None] | None = None


class BoundedHttp(HttpToolsProtocol):
    """HTTP/1.1 with a bound on the size of a request's head and on the time that it may take.

    A timer a call costs more than parsing its head, so a connection at rest has one that looks again when it ends.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_bytes = 0
        self._is_in_head = True
        self._head_timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None
        self._rest_timer: asyncio.TimerHandle | None = None
        self._rests_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up_head)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
        if self._head_timer is not None:
            self._head_timer.cancel()
        if self._rest_timer is not None:
            self._rest_timer.cancel()
        cycle = cast("Cycle | None", self.cycle)
        super().connection_lost(exc)
        if cycle is not None and cycle.disconnected and cycle.when_left is not None:
            cycle.when_left()

    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            if self._head_bytes == 0 and self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up_head)
            # What arrives with the end of the head may be body: only heads that do not end are counted too far.
            if self._head_bytes > MAX_HEAD_BYTES:
                self.transport.write(_TOO_LARGE)
                self.transport.close()
                return
            self._head_bytes += len(data)
        super().data_received(data)

    def pause_writing(self) -> None:
        """The caller does not read. Money is held for it, so it may not sleep for ever."""
        super().pause_writing()
        if self._reader_timer is None:
            self._reader_timer = self.loop.call_later(SLOW_READER_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    def send_400_response(self, msg: str) -> None:
        """In the shape of the API's own errors; a call whose body breaks here learns that its caller has left."""
        self.transport.write(_NOT_HTTP)
        self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = True
        self.scope["extensions"] = _EXTENSIONS

    def on_headers_complete(self) -> None:
        """As uvicorn's own, without what is never switched on here, and with our cycle."""
        self._is_in_head = False
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        version = self.parser.get_http_version()
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope = self.scope
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""
        before = self.cycle
        self.cycle = Cycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            # A caller that does not wait for its answers gets them in order.
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_in_head = True

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._rests_since = self.loop.time()
        if self._rest_timer is None:
            self._rest_timer = self.loop.call_later(self.timeout_keep_alive, self._close_rested)

    def _close_rested(self) -> None:
        """Close a connection on which nothing was asked for so long."""
        self._rest_timer = None
        if self.transport.is_closing() or not self.cycle.response_complete or self._head_timer is not None:
            return
        left = self._rests_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._rest_timer = self.loop.call_later(left, self._close_rested)
        else:
            self.transport.close()

    def _give_up_head(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()


class _Direct(Shortcuts):
    """The shortcuts, by way of the cycle whose methods ASGI's ``receive`` and ``send`` are."""

    def take_body(self, receive: Any) -> bytes | None:
        cycle = receive.__self__
        if cycle.more_body or cycle.disconnected or cycle.waiting_for_100_continue:
            return None
        body = bytes(cycle.body)
        cycle.body = bytearray()
        cycle.flow.resume_reading()
        return body

    def watch(self, receive: Any, leave: Callable[[], None] | None) -> None:
        receive.__self__.when_left = leave

    def send_whole(self, send: Any, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        cycle = send.__self__
        if (
            cycle.response_started
            or cycle.disconnected
            or not cycle.keep_alive
            or cycle.flow.write_paused
            or cycle.scope["method"] == "HEAD"
        ):
            return False
        if _LINE_BREAKS.search("".join(headers.values())):
            headers = {name: _LINE_BREAKS.sub(" ", value) for name, value in headers.items()}
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        cycle.transport.write(
            b"%b%bcontent-length: %d\r\n\r\n%b"
            % (STATUS_LINE[status], lines.encode("latin-1", "replace"), len(body), body)
        )
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        cycle.on_response()
        return True


_EXTENSIONS: Final[Any] = {SHORTCUTS: _Direct()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM, with so many worker processes; one that dies is replaced."""
    parser = argparse.ArgumentParser(prog="costhub.serve")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--app", default="costhub.asgi:application")
    options = parser.parse_args(arguments)
    config = uvicorn.Config(
        options.app,
        host=options.host,
        port=options.port,
        workers=options.workers,
        http=BoundedHttp,
        loop="uvloop",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    # One worker too: a supervisor above it replaces it when it is killed, and keeps the port open meanwhile.
    Multiprocess(config, sockets=[config.bind_socket()]).run()


if __name__ == "__main__":
    main()
