"""A listener whose every connection ends with it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import cast

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

#: turns of the loop in which a connection that was accepted last becomes one that is known
TURNS = 5


async def close(listener: asyncio.AbstractServer) -> None:
    """Take no further connection. Those that were taken are known to their protocols when this returns.

    ``close`` alone loses a connection that is being taken: asyncio makes its transport, finds the server closed, and
    drops it unclosed.
    """
    loop = asyncio.get_running_loop()
    for listening in getattr(listener, "sockets", ()):
        loop.remove_reader(listening.fileno())
    for _ in range(TURNS):
        await asyncio.sleep(0)
    listener.close()


@asynccontextmanager
async def listen(talk: Talk, host: str, port: int = 0, tls: SSLContext | None = None) -> AsyncIterator[int]:
    """The port, until the block ends.

    ``asyncio.start_server`` leaves a connection open whose ``talk`` had no turn yet when the test ended: it is found
    by whichever test the garbage is collected in.
    """
    transports: list[asyncio.WriteTransport] = []

    class Kept(asyncio.StreamReaderProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            # no base class of asyncio's where uvloop made it
            self.own = cast("asyncio.WriteTransport", transport)
            transports.append(self.own)
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            # what is over cannot be aborted: asyncio's knows its loop no more
            transports.remove(self.own)
            super().connection_lost(exc)

    listener = await asyncio.get_running_loop().create_server(
        lambda: Kept(asyncio.StreamReader(), talk), host, port, ssl=tls
    )
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        await close(listener)
        for transport in transports:
            transport.abort()
