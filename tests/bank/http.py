"""HTTP/1.1 by hand: the bank must control every byte that it sends and see every peer that leaves."""

import asyncio
import fcntl
import socket
import struct
import termios
from dataclasses import dataclass, field
from http import HTTPStatus

import orjson

HEAD_LIMIT_BYTES = 64 * 1024
BODY_LIMIT_BYTES = 64 * 1024 * 1024
#: Between the two halves of a character that is split, so that they are two reads for a peer that keeps up.
SPLIT_PAUSE_SECONDS = 0.001
RESET_PATIENCE_TURNS = 1000

Headers = tuple[tuple[str, str], ...]


class BadRequest(Exception):
    """What came is no request that the bank can read; ``status`` is the answer."""

    def __init__(self, message: str, *, param: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.status = status


class PeerGone(Exception):
    """The peer closed its side, in part or in whole, or the connection broke."""


class Cut(Exception):
    """The answer has reached the byte at which it is to break."""


@dataclass(slots=True)
class Request:
    """One request as received: header names in lower case, in the order of the wire."""

    method: str
    target: str
    version: str
    headers: Headers
    connection: int
    body: bytes = b""
    first: dict[str, str] = field(default_factory=dict)

    def header(self, name: str) -> str | None:
        """The first header of that (lower-case) name."""
        return self.first.get(name)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def keep_alive(self) -> bool:
        return self.version == "HTTP/1.1" and "close" not in (self.header("connection") or "").lower()


class WatchedReader(asyncio.StreamReader):
    """A reader that tells at once that the peer is gone, also while nobody reads."""

    def __init__(self) -> None:
        super().__init__(limit=HEAD_LIMIT_BYTES)
        self.gone = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.gone.set()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self.gone.set()


class Connection:
    """One accepted connection."""

    def __init__(
        self, serial: int, reader: WatchedReader, writer: asyncio.StreamWriter, goes_on: asyncio.Event
    ) -> None:
        self.serial = serial
        self.busy = False
        self._reader = reader
        self._writer = writer
        self._goes_on = goes_on
        # What drain() has let pass is in the kernel, not in a buffer of ours that a reset would throw away.
        writer.transport.set_write_buffer_limits(high=0)

    @property
    def is_gone(self) -> bool:
        return self._reader.gone.is_set()

    async def read_head(self) -> Request | None:
        """The next request without its body; None when the peer has left between two requests."""
        try:
            raw = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise BadRequest("The request ended before its headers did.") from error
            return None
        except asyncio.LimitOverrunError as error:
            raise BadRequest(f"The headers are larger than {HEAD_LIMIT_BYTES} bytes.", status=431) from error
        except ConnectionError:
            return None
        return _parse_head(raw, self.serial)

    async def read_body(self, request: Request) -> None:
        """Fill in the body, sent with a content-length or in chunks."""
        lengths = {value for name, value in request.headers if name == "content-length"}
        encodings = [value.lower() for name, value in request.headers if name == "transfer-encoding"]
        if encodings and (encodings != ["chunked"] or lengths):
            raise BadRequest("Send a body either with one content-length or with transfer-encoding: chunked.")
        if not encodings and not lengths:
            return
        if (request.header("expect") or "").lower() == "100-continue":
            await self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            if encodings:
                request.body = await self._read_chunks()
                return
            length = lengths.pop()
            if lengths or not length.isascii() or not length.isdigit():
                raise BadRequest("The content-length is not one whole number.")
            if int(length) > BODY_LIMIT_BYTES:
                raise BadRequest(f"The body is larger than {BODY_LIMIT_BYTES} bytes.", status=413)
            request.body = await self._reader.readexactly(int(length))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise PeerGone from error
        except asyncio.LimitOverrunError as error:
            raise BadRequest("A chunk's size line is too long.") from error

    async def _read_chunks(self) -> bytes:
        chunks: list[bytes] = []
        total = 0
        while True:
            size_text = (await self._reader.readuntil(b"\r\n"))[:-2].partition(b";")[0].strip()
            if not size_text or len(size_text) > 8 or size_text.strip(b"0123456789abcdefABCDEF"):
                raise BadRequest("A chunk's size is not a hexadecimal number.")
            size = int(size_text, 16)
            if not size:
                break
            total += size
            if total > BODY_LIMIT_BYTES:
                raise BadRequest(f"The body is larger than {BODY_LIMIT_BYTES} bytes.", status=413)
            chunks.append(await self._reader.readexactly(size))
            if await self._reader.readexactly(2) != b"\r\n":
                raise BadRequest("A chunk is longer than its size says.")
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return b"".join(chunks)

    async def write(self, data: bytes) -> None:
        """Give bytes to the kernel. Raises PeerGone when nobody is there to read them."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError as error:
            raise PeerGone from error

    async def pause(self, seconds: float | None) -> None:
        """Wait, or for ever with None. Raises PeerGone as soon as the peer leaves."""
        if seconds != 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._reader.gone.wait()
            except TimeoutError:
                return
        if self.is_gone:
            raise PeerGone

    async def hold(self, seconds: float) -> None:
        """Wait, or until the bank is told that nobody waits any more. Raises PeerGone as soon as the peer leaves."""
        waiting = [asyncio.ensure_future(event.wait()) for event in (self._reader.gone, self._goes_on)]
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
        if self.is_gone:
            raise PeerGone

    async def reset(self) -> None:
        """End the connection with RST, once what was written has reached the peer's kernel."""
        connected = self._writer.get_extra_info("socket")
        for _ in range(RESET_PATIENCE_TURNS):
            if self.is_gone or not _unacknowledged_bytes(connected):
                break
            await asyncio.sleep(SPLIT_PAUSE_SECONDS)
        if not self._writer.transport.is_closing():
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        """End the connection with FIN, after what was written."""
        self._writer.close()


def _unacknowledged_bytes(connected: socket.socket) -> int:
    return int(struct.unpack("i", fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0])


def _parse_head(raw: bytes, connection: int) -> Request:
    lines = raw[:-4].decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[0].isascii() or not words[0].isalpha() or not words[1].startswith("/"):
        raise BadRequest("The first line is not METHOD /path HTTP/1.1.")
    if words[2] not in {"HTTP/1.1", "HTTP/1.0"}:
        raise BadRequest("Only HTTP/1.1 and HTTP/1.0 are spoken here.", status=505)
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or " " in name or any(bad in line for bad in "\r\n\0"):
            raise BadRequest("A header line is malformed.")
        headers.append((name.lower(), value.strip(" \t")))
    return Request(words[0], words[1], words[2], tuple(headers), connection, first=dict(reversed(headers)))


class Reply:
    """The answer to one request: whole, or started and then written piece by piece.

    ``cut_at`` is the number of body bytes after which ``Cut`` is raised in place of more; an answer that is shorter
    is cut at its end. ``split_wide`` breaks every write inside its first multi-byte character.
    """

    def __init__(self, connection: Connection, request: Request) -> None:
        self.keep_alive = request.keep_alive
        self.cut_at: int | None = None
        self.split_wide = False
        self.started = False
        self._connection = connection
        self._chunked = request.version == "HTTP/1.1"
        self._head_only = request.method == "HEAD"
        self._sent = 0

    async def send(
        self,
        status: int,
        body: bytes,
        content_type: str = "application/json",
        headers: Headers = (),
        claimed_length: int | None = None,
    ) -> None:
        """A whole answer. ``claimed_length`` puts a lie into content-length, and then the connection closes."""
        if claimed_length is not None:
            self.keep_alive = False
        length = ("content-length", str(len(body) if claimed_length is None else claimed_length))
        head = self._head(status, content_type, (*headers, length))
        self._chunked = False
        if self.cut_at is None and not self.split_wide:
            await self._connection.write(head if self._head_only else head + body)
            return
        await self._connection.write(head)
        await self._write_body(body)
        self._check_end()

    async def send_json(self, status: int, body: object, headers: Headers = ()) -> None:
        await self.send(status, orjson.dumps(body), headers=headers)

    async def start(self, status: int, content_type: str, headers: Headers = ()) -> None:
        """The head of an answer that comes in pieces: chunked, or up to the close for an HTTP/1.0 peer."""
        if self._chunked:
            headers = (*headers, ("transfer-encoding", "chunked"))
        else:
            self.keep_alive = False
        await self._connection.write(self._head(status, content_type, headers))

    async def write(self, data: bytes) -> None:
        """One piece of a started answer."""
        if data:
            await self._write_body(data)

    async def finish(self) -> None:
        """The end of a started answer."""
        self._check_end()
        await self.terminate()

    async def terminate(self) -> None:
        """The last chunk: as far as HTTP goes, the answer is complete."""
        if self._chunked:
            await self._connection.write(b"0\r\n\r\n")

    def _check_end(self) -> None:
        if self.cut_at is not None:
            raise Cut

    async def _write_body(self, data: bytes) -> None:
        is_cut = self.cut_at is not None and self._sent + len(data) >= self.cut_at
        if is_cut and self.cut_at is not None:
            data = data[: self.cut_at - self._sent]
        self._sent += len(data)
        if self.split_wide and (wide := next((i for i, byte in enumerate(data) if byte >= 0xC0), None)) is not None:
            await self._connection.write(self._framed(data[: wide + 1]))
            await self._connection.pause(SPLIT_PAUSE_SECONDS)
            data = data[wide + 1 :]
        await self._connection.write(self._framed(data))
        if is_cut:
            raise Cut

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked and data else data

    def _head(self, status: int, content_type: str, headers: Headers) -> bytes:
        self.started = True
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"content-type: {content_type}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if not self.keep_alive:
            lines.append("connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
