"""A way to PostgreSQL on which the answer to one COMMIT is lost: what was written stands, and nobody was told so."""

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Event, Thread
from typing import Final, cast
from unittest.mock import patch

from django.db import connections

_PIECE: Final = 65_536
_COMMIT: Final = b"COMMIT\0"


@contextmanager
def losing_a_commit(after: bytes, *, and_all_else: bool = False) -> Iterator[Event]:
    """Connections that are made in the block go this way. The first transaction that has sent ``after`` is committed,
    and its connection breaks before the answer; ``and_all_else``: the others break with it, and none is made any more.
    Gives what says that it has happened."""
    settings, is_lost = connections.settings["default"], Event()
    behind_it = (cast("str", settings["HOST"]), int(cast("str", settings["PORT"])))

    class Way(BaseRequestHandler):
        def handle(self) -> None:
            if is_lost.is_set() and and_all_else:
                return
            caller: socket.socket = self.request
            with socket.create_connection(behind_it) as server:
                has_sent = is_committing = False
                while True:
                    ready, _, _ = select.select([caller, server], [], [])
                    if is_lost.is_set() and and_all_else:
                        return
                    for one in ready:
                        data = one.recv(_PIECE)
                        if one is server and is_committing and _COMMIT in data:
                            is_lost.set()
                            return
                        if not data:
                            return
                        if one is caller:
                            has_sent = has_sent or after in data
                            is_committing = has_sent and _COMMIT in data and not is_lost.is_set()
                        (server if one is caller else caller).sendall(data)

    class Ways(ThreadingTCPServer):
        daemon_threads = True

    with Ways(("127.0.0.1", 0), Way) as ways:
        taking = Thread(target=ways.serve_forever, kwargs={"poll_interval": 0.01})
        taking.start()
        try:
            with patch.dict(settings, {"HOST": "127.0.0.1", "PORT": str(ways.server_address[1])}):
                yield is_lost
        finally:
            ways.shutdown()
            taking.join()
