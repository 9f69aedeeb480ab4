"""Servers that say exactly what a test tells them to, byte by byte, and see who hangs up on them."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

from tests.listening import listen

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    head: str
    body: bytes

    def header(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        lines = (line.partition(": ") for line in self.head.split("\r\n")[1:])
        return [value for key, _, value in lines if key.lower() == name]


@dataclass
class Caller:
    """One connection, from the server's side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    asked: list[Asked] = field(default_factory=list)
    #: a request has arrived whole
    has_asked: asyncio.Event = field(default_factory=asyncio.Event)
    #: the other side has closed the connection
    has_gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self) -> Asked:
        """The next request, whole."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        asked = Asked(head, b"")
        length = int(asked.header("content-length")[0])
        asked = Asked(head, await self.reader.readexactly(length))
        self.asked.append(asked)
        self.has_asked.set()
        return asked

    async def say(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def wait_gone(self) -> None:
        """Return when the other side has closed the connection."""
        with suppress(ConnectionError):
            while await self.reader.read(65_536):
                pass
        self.has_gone.set()


Script = Callable[[Caller], Awaitable[None]]


@dataclass
class Server:
    """A listening server and the connections that came."""

    port: int
    callers: list[Caller] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def asked(self) -> list[Asked]:
        """Every request of every connection."""
        return [asked for caller in self.callers for asked in caller.asked]


def answer(*answers: bytes) -> Script:
    """Give each request of a connection the next of these answers, the last one for ever."""

    async def talk(caller: Caller) -> None:
        waiting = list(answers)
        while True:
            await caller.ask()
            await caller.say(waiting.pop(0) if len(waiting) > 1 else waiting[0])

    return talk


def answer_and_close(data: bytes) -> Script:
    """Give the first request this answer, then close the connection."""

    async def talk(caller: Caller) -> None:
        await caller.ask()
        await caller.say(data)

    return talk


def answer_and_stay(data: bytes) -> Script:
    """Give the first request this answer, then nothing more, until the other side closes the connection."""

    async def talk(caller: Caller) -> None:
        await caller.ask()
        await caller.say(data)
        await caller.wait_gone()

    return talk


@asynccontextmanager
async def serve(
    script: Script, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    """Let ``script`` talk to every connection; it is closed when the script returns."""
    server = Server(0)
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        caller = Caller(reader, writer)
        server.callers.append(caller)
        server.arrived.set()
        try:
            await script(caller)
        except (asyncio.IncompleteReadError, ConnectionError):
            caller.has_gone.set()
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async with listen(talk, host, port, tls) as server.port:
        try:
            yield server
        finally:
            for task in talks:
                task.cancel()
            await asyncio.gather(*talks, return_exceptions=True)


@contextmanager
def dead_port() -> Iterator[int]:
    """A port of 127.0.0.1 that is taken, so that nobody else's server is found there, and refuses connections."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)
