"""Listeners on loopback that tell whether anybody came: the kernel queues a connection before ``connect`` returns."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from ssl import SSLContext

from tests.listening import listen

Respond = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Canary:
    """One listening port that never answers. ``arrivals`` empties the queue of those who connected."""

    listener: socket.socket

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def arrivals(self) -> int:
        count = 0
        with suppress(BlockingIOError):
            while True:
                self.listener.accept()[0].close()
                count += 1
        return count


@contextmanager
def open_canary(host: str = "127.0.0.1", port: int = 0) -> Iterator[Canary]:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(64)
        listener.setblocking(False)
        yield Canary(listener)


@dataclass
class Seen:
    """What a little server was asked: the head of every request, one list entry each, and its connections."""

    port: int
    heads: list[str] = field(default_factory=list)
    connections: int = 0
    #: set when a client hung up before the answer was whole
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def serve(
    answer: bytes | Respond = OK, host: str = "127.0.0.1", tls: SSLContext | None = None
) -> AsyncIterator[Seen]:
    """An HTTP server that gives every request the same bytes, or lets ``answer`` write what it likes."""
    seen = Seen(0)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        try:
            while True:
                seen.heads.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
                if isinstance(answer, bytes):
                    writer.write(answer)
                    await writer.drain()
                else:
                    await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            seen.hung_up.set()
        finally:
            writer.close()

    async with listen(talk, host, tls=tls) as seen.port:
        yield seen
