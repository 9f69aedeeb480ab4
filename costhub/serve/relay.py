"""Requests outside ``/v1`` handed on to the processes that answer pages, over a Unix socket, as they come and go.

A worker that takes calls never runs a page: whatever a page does with the interpreter, the database or memory, a call
beside it waits for nothing. Outside there is one address all the same.

One connection a request: connecting costs 50 microseconds here, and a connection that is never kept is never found
closed. The socket is the operating-system user's own (mode 0600), so what comes over it is trusted to say who called.
"""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import httptools

from costhub.serve.exchange import App, Scope
from proxy.edges.shortcuts import Receive, Send

_log = logging.getLogger(__name__)

#: says who called, as ``address port``: from a caller it is dropped
CALLER: Final = b"x-costhub-caller"
#: about one connection only (RFC 9110, 7.6.1)
_HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect"}
)
CONNECT_SECONDS: Final = 5
_PIECE: Final = 64 * 1024
_AWAY: Final = (
    b'{"type":"about:blank","title":"Service Unavailable","status":503,"code":"pages_unavailable",'
    b'"detail":"Pages and the management API are starting, or away for a moment: try again."}'
)


class RelayFailed(Exception):
    """The page server ended an answer before it was whole."""


class Relay:
    """An ASGI application that has another process answer, which listens at ``path``."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, and its answer back, piece by piece."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._path, limit=_PIECE)
        except (OSError, TimeoutError) as error:
            _log.warning("pages_unavailable", extra={"why": str(error)})
            await _answer_away(send)
            return
        answer = _Answer(is_to_head=scope["method"] == "HEAD")
        asking = asyncio.ensure_future(_ask(scope, receive, writer))
        try:
            await _pass_on(reader, answer, send, asking)
        except (OSError, RelayFailed, httptools.HttpParserError) as error:
            _log.warning("pages_broke_off", extra={"why": str(error)})
            # What was sent cannot be taken back: the connection's end tells that it is not whole.
            if not answer.has_begun:
                await _answer_away(send)
        finally:
            asking.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await asking
            writer.close()


class RelayedCaller:
    """An ASGI application before ``app``, on the page server's side: the caller is whoever called the relay."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read who called, and answer."""
        if scope["type"] == "http":
            told = [value for name, value in scope["headers"] if name == CALLER]
            scope["headers"] = [(name, value) for name, value in scope["headers"] if name != CALLER]
            address, _, port = (told[-1] if told else b"").decode("ascii").partition(" ")
            scope["client"] = (address, int(port or 0)) if address else None
        await self._app(scope, receive, send)


class _Answer:
    """What the parser has read of the answer and nobody has sent yet."""

    def __init__(self, *, is_to_head: bool) -> None:
        self._is_to_head = is_to_head
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.is_head_whole = self.is_whole = self.has_begun = False
        self.parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; what stands behind the body is none."""
        if not self.is_head_whole:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole: of an answer to HEAD that is all."""
        self.is_head_whole = True
        self.is_whole |= self._is_to_head

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self.body += body

    def on_message_complete(self) -> None:
        """All is there."""
        self.is_whole = True


async def _ask(scope: Scope, receive: Receive, writer: asyncio.StreamWriter) -> None:
    """Send the request, and end when its caller has left."""
    length = next((value for name, value in scope["headers"] if name == b"content-length"), None)
    is_chunked = any(name == b"transfer-encoding" for name, _ in scope["headers"])
    writer.write(write_head(scope, is_chunked=is_chunked))
    has_more = is_chunked or (length is not None and length != b"0")
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        if not has_more:
            continue
        body, has_more = message.get("body", b""), message.get("more_body", False)
        if is_chunked:
            if body:
                writer.write(b"%x\r\n%b\r\n" % (len(body), body))
            if not has_more:
                writer.write(b"0\r\n\r\n")
        else:
            writer.write(body)
        await writer.drain()


def write_head(scope: Scope, *, is_chunked: bool) -> bytes:
    """The request's head: its own target and headers, but for those of the connection, and who called."""
    query = scope["query_string"]
    target = scope["raw_path"] + (b"?" + query if query else b"")
    client = scope.get("client") or ("", 0)
    lines = [(name, value) for name, value in scope["headers"] if name not in _HOP_BY_HOP and name != CALLER]
    lines += [(b"connection", b"close"), (CALLER, f"{client[0]} {client[1]}".encode("ascii"))]
    if is_chunked:
        lines = [(name, value) for name, value in lines if name != b"content-length"]
        lines.append((b"transfer-encoding", b"chunked"))
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (scope["method"].encode("ascii"), target, _write_lines(lines))


def _write_lines(lines: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%b: %b\r\n" % line for line in lines)


async def _pass_on(
    reader: asyncio.StreamReader, answer: _Answer, send: Send, asking: asyncio.Task[None] | asyncio.Future[None]
) -> None:
    """Send the answer on as it comes. Gives up when the caller has left. Raises RelayFailed."""
    while not answer.is_whole:
        reading = asyncio.ensure_future(reader.read(_PIECE))
        both: list[asyncio.Future[Any]] = [reading, asking]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if asking.done() and not asking.cancelled() and asking.exception() is None and not reading.done():
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
            return  # the caller has left
        piece = await reading
        if not piece:
            if answer.is_head_whole and _ends_with_connection(answer):
                break
            raise RelayFailed("the page server closed the connection")
        answer.parser.feed_data(piece)
        await _send_what_is_there(answer, send)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_what_is_there(answer: _Answer, send: Send) -> None:
    if not answer.is_head_whole:
        return
    if not answer.has_begun:
        answer.has_begun = True
        headers = [(name, value) for name, value in answer.headers if name.lower() not in _HOP_BY_HOP]
        await send({"type": "http.response.start", "status": answer.parser.get_status_code(), "headers": headers})
    if answer.body:
        body = bytes(answer.body)
        answer.body.clear()
        await send({"type": "http.response.body", "body": body, "more_body": True})


def _ends_with_connection(answer: _Answer) -> bool:
    return not any(name.lower() in {b"content-length", b"transfer-encoding"} for name, _ in answer.headers)


async def _answer_away(send: Send) -> None:
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(_AWAY)).encode("ascii")),
        (b"retry-after", b"1"),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": _AWAY})
