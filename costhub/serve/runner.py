"""uvicorn as what starts our worker processes, replaces one that dies, and ends them in order."""

import argparse
import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import uvicorn
from uvicorn.server import ServerState
from uvicorn.supervisors import Multiprocess, multiprocess

from costhub.lib.giving_way import give_way
from costhub.serve.connection import KEEP_ALIVE_SECONDS, Connection

BACKLOG: Final = 2048
#: a worker that gives no sign of life for so long hangs; on a busy machine one that works may be silent for seconds
HANGS_SECONDS: Final = 30
#: whom who leaves takes: all that can wait at once, and as many who come meanwhile. At a port that is busier than its
#: workers further ones never cease
MOST_TAKEN: Final = 2 * BACKLOG


class Leaving(uvicorn.Server):
    """uvicorn's server, which takes what waits at its port before it leaves it. The kernel has let these callers in,
    and would break their connections: a call that was sent on one is lost, since nobody may send it again by himself.
    """

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what is under way, those calls too."""
        left = MOST_TAKEN
        while left and (taken := await self._take_waiting(sockets or [], left)):
            left -= taken
        await super().shutdown(sockets)

    async def _wait_tasks_to_complete(self) -> None:
        """By now whoever was let in at the very end is known, and told too."""
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await super()._wait_tasks_to_complete()

    async def _take_waiting(self, listeners: Sequence[socket.socket], most: int) -> int:
        """Gives how many there were. Where there was none nothing was awaited: nobody has come since."""
        loop, taken = asyncio.get_running_loop(), 0
        for listener in listeners:
            listener.setblocking(False)
            with suppress(OSError):
                while taken < most:
                    connected, _ = listener.accept()
                    connected.setblocking(False)
                    await loop.connect_accepted_socket(self._make_protocol, connected)
                    taken += 1
        return taken

    def _make_protocol(self) -> Connection:
        return make_connection(self.config, self.server_state, self.lifespan.state)


class Worker(multiprocess.Process):
    """A worker process."""

    @property
    def server(self) -> uvicorn.Server:
        if self._server is None:
            self._server = Leaving(config=self.config)
        return self._server


# It has no other place for the class of its processes.
multiprocess.Process = Worker  # type: ignore[misc]


class Workers(Multiprocess):
    """uvicorn's supervisor, which leaves its port before it tells its workers to: as long as somebody has it open, the
    kernel takes connections that nobody will answer, and whoever balances over several servers does not go to another.
    """

    def terminate_all(self) -> None:
        """Tell the workers to end what they have."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


def make_connection(
    config: uvicorn.Config,
    server_state: ServerState,
    app_state: dict[str, Any],
    _loop: asyncio.AbstractEventLoop | None = None,
) -> Connection:
    """Our protocol, called as uvicorn calls one."""
    loop = _loop or asyncio.get_running_loop()
    return Connection(config.loaded_app, loop, server_state.connections, server_state.tasks)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM, with so many worker processes."""
    parser = argparse.ArgumentParser(prog="costhub.serve")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--app", default="costhub.asgi:application")
    parser.add_argument("--socket", default="", help="a Unix socket to listen at, in place of host and port")
    parser.add_argument(
        "--nice", type=int, default=0, help="how much it gives way to others on the same cores: 0 to 19"
    )
    options = parser.parse_args(arguments)
    if options.nice:
        give_way(options.nice)
    # Not above: a worker imports this module, too, and says what it serves before it reads the settings.
    from costhub.settings import DRAIN_SECONDS  # noqa: PLC0415

    protocol: Any = make_connection
    config = uvicorn.Config(
        options.app,
        host=options.host,
        port=options.port,
        workers=options.workers,
        http=protocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        timeout_worker_healthcheck=HANGS_SECONDS,
    )
    # One worker too: a supervisor above it replaces it when it is killed, and keeps the port open meanwhile.
    listener = listen_at(options.socket) if options.socket else config.bind_socket()
    Workers(config, sockets=[listener]).run()


def listen_at(path: str) -> socket.socket:
    """A Unix socket that only this operating-system user may connect to. What an earlier run left is replaced."""
    Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(before)
    listener.set_inheritable(True)
    return listener
