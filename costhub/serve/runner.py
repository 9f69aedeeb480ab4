"""uvicorn as what starts our worker processes, replaces one that dies, and ends them in order."""

import argparse
import asyncio
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import uvicorn
from uvicorn.server import ServerState
from uvicorn.supervisors import Multiprocess

from costhub.serve.connection import KEEP_ALIVE_SECONDS, Connection

BACKLOG: Final = 2048
#: a worker that gives no sign of life for so long hangs; on a busy machine one that works may be silent for seconds
HANGS_SECONDS: Final = 30


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
        os.nice(options.nice)
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
