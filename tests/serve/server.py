"""Our protocol on a port of its own, in front of an application of the test's; and an application that tells what it
read."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from costhub.serve.connection import Connection
from costhub.serve.exchange import App, Scope
from proxy.edges.shortcuts import SHORTCUTS, Receive, Send, Shortcuts
from tests.listening import close
from tests.patience import PATIENCE_SECONDS

HOST = b"host: x\r\n"


@dataclass
class Server:
    """Our protocol on a port, each of its connections, and whether one was lost."""

    port: int = 0
    connections: list[Connection] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    has_lost_one: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def serve(app: App, keep_alive_seconds: float = 60) -> AsyncIterator[Server]:
    """Serve ``app`` until the block ends."""
    loop, served = asyncio.get_running_loop(), Server()

    class Told(Connection):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            served.has_lost_one.set()

    def make() -> Connection:
        served.connections.append(Told(app, loop, set(), served.tasks, keep_alive_seconds))
        return served.connections[-1]

    server = await loop.create_server(make, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        await close(server)
        for connection in served.connections:
            connection._transport.abort()
        await server.wait_closed()
        for task in served.tasks:
            task.cancel()


def shortcuts_of(scope: Scope) -> Shortcuts:
    """What the server offers beside ASGI for this request."""
    shortcuts: Shortcuts = scope["extensions"][SHORTCUTS]
    return shortcuts


async def read_body(receive: Receive) -> bytes | None:
    """The request's body by ASGI's way; None if its caller leaves before it is whole."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"]:
            return bytes(body)


async def answer(send: Send, body: bytes = b"") -> None:
    """200, with this body."""
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def ask(port: int, *parts: bytes, seconds: float = PATIENCE_SECONDS) -> bytes:
    """What the server says until it closes. Each part is sent when the server has had the one before."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        # the loop's turns, so that parts arrive apart
        for _ in range(3):
            await asyncio.sleep(0)
    try:
        return await asyncio.wait_for(reader.read(), seconds)
    finally:
        writer.close()


class Recorder:
    """An application that answers each request with its method and path, and keeps what it read of it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, bytes | None]] = []
        self.headers: list[dict[bytes, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read all, then answer."""
        body = await read_body(receive)
        self.seen.append((scope["method"], scope["path"], body))
        self.headers.append(dict(scope["headers"]))
        await answer(send, f"{scope['method']} {scope['path']}".encode())


def statuses(answers: bytes) -> list[int]:
    """The status of each response in a stream of them."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]
