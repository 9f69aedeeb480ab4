"""A server that stops, and callers whom the kernel has let in by then."""

import asyncio
import socket
from typing import Any

import pytest
import uvicorn
import uvloop

from costhub.serve import runner
from costhub.serve.runner import Leaving, make_connection
from tests.patience import PATIENCE_SECONDS

#: of callers who never cease, who may wait meanwhile
MOST = 3
REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


async def answer(_: dict[str, Any], __: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def stop_beside_callers() -> list[bytes]:
    """What callers are told who have come and sent when the server stops, before anybody has taken them."""
    protocol: Any = make_connection
    config = uvicorn.Config(answer, http=protocol, ws="none", lifespan="off", log_level="warning")
    config.load()
    server = Leaving(config)
    server.lifespan = config.lifespan_class(config)
    listener = socket.create_server(("127.0.0.1", 0))
    await server.startup(sockets=[listener])
    # Nothing is awaited between their coming and the stop.
    callers = [socket.create_connection(listener.getsockname()) for _ in range(3)]
    for caller in callers:
        caller.sendall(REQUEST)
    await server.shutdown(sockets=[listener])

    def read(caller: socket.socket) -> bytes:
        said = b""
        with caller:
            caller.settimeout(PATIENCE_SECONDS)
            while part := caller.recv(1_000):
                said += part
        return said

    return [await asyncio.to_thread(read, caller) for caller in callers]


def test_who_waits_at_the_port_is_answered_before_it_is_left() -> None:
    for said in uvloop.run(stop_beside_callers()):
        assert said.startswith(b"HTTP/1.1 200 OK\r\n")
        assert said.endswith(b"\r\n\r\nok")


class Crowd:
    """A port at which there is always one caller more than are taken, and who leaves at once."""

    def __init__(self) -> None:
        self.came = 0

    def setblocking(self, _: bool) -> None: ...

    def accept(self) -> tuple[socket.socket, str]:
        if self.came > MOST:
            raise BlockingIOError
        ours, theirs = socket.socketpair()
        theirs.close()
        self.came += 1
        return ours, ""

    def close(self) -> None: ...


async def stop_beside_a_crowd() -> int:
    """How many are taken."""
    protocol: Any = make_connection
    config = uvicorn.Config(answer, http=protocol, ws="none", lifespan="off", log_level="warning")
    config.load()
    server, crowd = Leaving(config), Crowd()
    server.lifespan, server.servers = config.lifespan_class(config), []
    listeners: Any = [crowd]
    await server.shutdown(sockets=listeners)
    return crowd.came


def test_callers_who_never_cease_do_not_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a busy port could not be left before everything under way is killed."""
    monkeypatch.setattr(runner, "MOST_TAKEN", MOST)
    assert uvloop.run(stop_beside_a_crowd()) == MOST
