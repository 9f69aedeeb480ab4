"""The web server: uvicorn on uvloop, with the limits on a request's head that uvicorn leaves to a proxy in front.

Why uvicorn: with the hot path's own HTTP client the whole process runs on one thread, and granian's threads must take
turns with it; a bare relay is cheaper under uvicorn (docs/benchmarks.md has the figures).
"""

import argparse
import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.supervisors import Multiprocess

from proxy.edges.reply import SEND_WHOLE

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


class BoundedHttp(HttpToolsProtocol):
    """HTTP/1.1 with a bound on the size of a request's head and on the time that it may take."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_bytes = 0
        self._is_in_head = True
        self._head_timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up_head)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().connection_lost(exc)

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
        self.scope["extensions"] = {SEND_WHOLE: send_whole}  # type: ignore[dict-item]

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_in_head = True

    def _give_up_head(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()


def send_whole(send: Any, status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Send headers and body in one write: ASGI wants two messages, and uvicorn makes two packets of them.

    False, and nothing sent, where the connection is not in its plainest state; ASGI's way then does it right.
    """
    cycle = getattr(send, "__self__", None)
    if (
        not isinstance(cycle, RequestResponseCycle)
        or cycle.response_started
        or cycle.disconnected
        or not cycle.keep_alive
        or cycle.flow.write_paused
        or cycle.scope["method"] == "HEAD"
    ):
        return False
    lines = "".join([f"{name}: {_LINE_BREAKS.sub(' ', value)}\r\n" for name, value in headers.items()])
    cycle.transport.write(
        b"%b%bcontent-length: %d\r\n\r\n%b" % (STATUS_LINE[status], lines.encode("latin-1", "replace"), len(body), body)
    )
    cycle.response_started = cycle.response_complete = True
    cycle.message_event.set()
    cycle.on_response()
    return True


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
