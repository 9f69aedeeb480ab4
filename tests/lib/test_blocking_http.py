"""Calls over a line of the gate's, which has no event loop: whatever the peer does, a call has an end."""

import asyncio
import gzip
import ipaddress
from pathlib import Path
from typing import Final

import pytest

from costhub.lib.errors import AppError
from costhub.lib.net import AllowedNetwork, Fetched, Gate, Unreachable
from tests.lib.certificates import Authority
from tests.lib.net_canary import Seen, open_canary, serve
from tests.lib.resolving import Answers
from tests.patience import PATIENCE_SECONDS

LOOPBACK: Final[AllowedNetwork] = (ipaddress.ip_network("127.0.0.1/32"), None)
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#: no test waits for it
LONG: Final = 20.0


async def talk(
    hook: Seen, *paths: str, gate: Gate | None = None, most: int = 1_000, seconds: float = LONG, origin: str = ""
) -> list[Fetched | AppError]:
    """What becomes of calls to one server after each other, over one line."""

    def ask_all() -> list[Fetched | AppError]:
        found: list[Fetched | AppError] = []
        with (gate or Gate([LOOPBACK])).keep_open() as line:
            for path in paths:
                url = f"{origin or 'http://127.0.0.1'}:{hook.port}{path}"
                try:
                    found.append(line.fetch_now("GET", url, timeout_seconds=seconds, max_bytes=most))
                except AppError as error:
                    found.append(error)
        return found

    return await asyncio.to_thread(ask_all)


async def test_a_request_is_what_an_event_loops_is() -> None:
    async with serve(b"HTTP/1.1 201 Created\r\nX-Id: 7\r\nX-Id: 8\r\nContent-Length: 4\r\n\r\ndone") as hook:
        gate = Gate([LOOPBACK], Answers(("127.0.0.1",)))
        url = f"http://hook.test:{hook.port}/a?b=c"
        headers = {"X-Signature": "s", "User-Agent": "ours"}

        def ask() -> Fetched:
            with gate.keep_open() as line:
                return line.fetch_now("POST", url, headers=headers, content=b"{}")

        ours = await asyncio.to_thread(ask)
        theirs = await gate.fetch("POST", url, headers=headers, content=b"{}")
    assert ours == theirs
    assert (ours.status, ours.headers["x-id"], ours.body, ours.truncated) == (201, "7, 8", b"done", False)
    sent, other = ([line.lower() for line in head.strip().split("\r\n")] for head in hook.heads)
    assert sent[0] == "post /a?b=c http/1.1"
    assert {*sent} | {"connection: close", "accept: */*", "connection: keep-alive"} >= {*other}
    assert f"host: hook.test:{hook.port}" in sent


async def test_pieces_are_one_body_and_the_line_goes_on() -> None:
    pieces = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n3;x=y\r\nyes\r\n0\r\nX-End: 1\r\n\r\n"
    async with serve(pieces) as hook:
        found = await talk(hook, "/", "/", "")
    assert [answer.body for answer in found if isinstance(answer, Fetched)] == [b"okyes"] * 3
    assert hook.connections == 1


async def test_a_line_that_the_peer_has_closed_is_opened_anew() -> None:
    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        writer.close()
        await writer.wait_closed()
        raise ConnectionResetError

    async with serve(answer_once) as hook:

        def ask() -> list[int]:
            statuses = []
            with Gate([LOOPBACK]).keep_open() as line:
                for _ in range(3):
                    statuses.append(line.fetch_now("GET", f"http://127.0.0.1:{hook.port}/").status)
                    # Until the end of it has come.
                    while line._connection is not None and line._connection.is_open:
                        pass
            return statuses

        assert await asyncio.to_thread(ask) == [200] * 3
    assert hook.connections == 3


async def test_an_answer_that_ends_its_connection_is_whole() -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    async with serve(closing) as hook:
        found = await talk(hook, "/", "/")
    assert [answer.body for answer in found if isinstance(answer, Fetched)] == [b"ok"] * 2
    assert hook.connections == 2


async def test_a_long_answer_is_cut_and_never_read_on() -> None:
    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    async with serve(pour) as hook:
        [answer] = await talk(hook, "/", most=100_000)
        await asyncio.wait_for(hook.hung_up.wait(), PATIENCE_SECONDS)
    assert isinstance(answer, Fetched)
    assert (answer.body, answer.truncated) == (b"x" * 100_000, True)
    async with serve(OK) as hook:
        whole = await talk(hook, "/", most=2)
        cut = await talk(hook, "/", "/", most=1)
    found = [(answer.body, answer.truncated) for answer in (*whole, *cut) if isinstance(answer, Fetched)]
    assert found == [(b"ok", False), (b"o", True), (b"o", True)]
    assert hook.connections == 3, "what was cut off is not taken for the next answer"


async def test_a_gzip_bomb_stays_folded() -> None:
    bomb = gzip.compress(bytes(1024 * 1024))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    async with serve(head + bomb) as hook:
        [answer] = await talk(hook, "/", most=len(bomb))
    assert isinstance(answer, Fetched)
    assert (answer.body, "content-encoding" in answer.headers) == (bomb, False)


@pytest.mark.parametrize("begins", [b"HTTP/1.1 200 OK\r\nX-Drip: ", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"])
async def test_a_peer_that_drips_is_given_up_after_the_whole_time(begins: bytes) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begins)
        while True:  # a byte whenever the loop comes by: no single read ever waits
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with serve(drip) as hook:
        [error] = await talk(hook, "/", seconds=0.2)
    assert isinstance(error, Unreachable)
    assert error.message == "127.0.0.1 gave no whole answer within 0.2 s."


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Many: 1\r\n" * 200 + b"\r\n",
    ],
)
async def test_a_peer_that_speaks_no_http_is_a_failed_call(answer: bytes) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()
        await writer.wait_closed()
        raise ConnectionResetError

    async with serve(hang_up) as hook:
        [error] = await talk(hook, "/")
    assert isinstance(error, Unreachable)
    assert error.message == "The call to 127.0.0.1 failed: check that it serves HTTP there."


@pytest.mark.parametrize("size", [b"-1\r\n", b"1\r\n"])
async def test_what_stands_around_an_answer_has_a_bound(size: bytes) -> None:
    """A piece of a size below zero is read until the end; and pieces of one byte are mostly sizes."""

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = size + b"x\r\n" if size.startswith(b"1") else b"x" * 6
        writer.write(size if size.startswith(b"-") else b"")
        while True:
            writer.write(piece * 10_000)
            await writer.drain()

    async with serve(pour) as hook:
        [error] = await talk(hook, "/", most=1_000_000)
        await asyncio.wait_for(hook.hung_up.wait(), PATIENCE_SECONDS)
    assert isinstance(error, Unreachable)


async def test_a_redirect_is_an_answer_like_any_other() -> None:
    with open_canary() as canary:
        redirect = f"HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:{canary.port}/\r\nContent-Length: 0\r\n\r\n"
        async with serve(redirect.encode()) as hook:
            [answer] = await talk(hook, "/")
        assert isinstance(answer, Fetched)
        assert (answer.status, canary.arrivals()) == (302, 0)


async def test_a_header_that_would_be_two_is_not_sent() -> None:
    async with serve(OK) as hook:

        def ask() -> None:
            with Gate([LOOPBACK]).keep_open() as line:
                line.fetch_now("GET", f"http://127.0.0.1:{hook.port}/", headers={"x-a": "b\r\nx-c: d"})

        with pytest.raises(Unreachable):
            await asyncio.to_thread(ask)
    assert hook.heads == []


async def test_the_certificate_is_of_the_name_and_not_of_the_address(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with serve(tls=authority.serve_as("api.acme.example")) as hook:
        gate = Gate([LOOPBACK], Answers(("127.0.0.1",)), trusted_ca_pem=authority.pem)
        found = await talk(hook, "/", "/", gate=gate, origin="https://api.acme.example")
        assert [answer.body for answer in found if isinstance(answer, Fetched)] == [b"ok", b"ok"]
        [other] = await talk(hook, "/", gate=gate, origin="https://api.mallcorp.example")
        unknown = Gate([LOOPBACK], Answers(("127.0.0.1",)))
        [untrusted] = await talk(hook, "/", gate=unknown, origin="https://api.acme.example")
    assert isinstance(other, Unreachable)
    assert isinstance(untrusted, Unreachable)
    assert len(hook.heads) == 2
