"""What goes out over a connection, before there is a server."""

import asyncio
from typing import Any

import pytest

from proxy.edges.valkey_line import ConfirmedLine, Line

GET = b"*2\r\n$3\r\nGET\r\n$1\r\nx\r\n"


class Wire:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.sent = b""

    def write(self, data: bytes) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("before", range(5))
async def test_nothing_comes_between_asking_and_its_command(before: int) -> None:
    """However many commands of the tick were there before, and where writes are confirmed by a command too."""
    wire: Any = Wire()
    loop = asyncio.get_running_loop()
    line: Line = ConfirmedLine(loop, 1.0, replicas=1)
    line.connection_made(wire)
    for _ in range(before):
        line.send((b"SET", b"a", b"b"))
    line.put_asking(GET, loop.create_future())
    await asyncio.sleep(0)
    line.connection_lost(None)
    assert b"ASKING\r\n" + GET in wire.sent
    assert wire.sent.count(b"WAIT") >= 1
