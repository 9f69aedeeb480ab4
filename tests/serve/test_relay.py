"""Requests that are handed on to the page server: what is asked and answered is what would have been, and who leaves is
noticed."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from costhub.serve.connection import Connection
from costhub.serve.exchange import App, Scope
from costhub.serve.relay import CALLER, Relay, RelayedCaller
from proxy.edges.shortcuts import Receive, Send
from tests.patience import PATIENCE_SECONDS
from tests.serve.server import ask, read_body, serve

pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def relayed(app: App, path: Path) -> AsyncIterator[int]:
    """The port of a server that relays to ``app`` at a Unix socket."""
    loop, tasks = asyncio.get_running_loop(), set[Any]()
    pages = await loop.create_unix_server(lambda: Connection(RelayedCaller(app), loop, set(), tasks), str(path))
    try:
        async with serve(Relay(str(path))) as server:
            yield server.port
    finally:
        pages.close()
        for task in tasks:
            task.cancel()


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Tell what was asked."""
    body = await read_body(receive)
    told = {
        "method": scope["method"],
        "path": scope["path"],
        "query": scope["query_string"].decode(),
        "headers": sorted([name.decode(), value.decode("latin-1")] for name, value in scope["headers"]),
        "client": scope["client"][0] if scope["client"] else None,
        "has_port": bool(scope["client"] and scope["client"][1]),
        "body": body.decode() if body is not None else None,
    }
    headers = [(b"content-type", b"application/json"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})


def split(answer: bytes) -> tuple[str, dict[str, Any]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    text = head.decode("latin-1")
    start, end = body.index(b"{"), body.rindex(b"}") + 1
    return text, json.loads(body[start:end])


async def test_a_request_arrives_as_it_was_sent(tmp_path: Path) -> None:
    async with relayed(echo, tmp_path / "s") as port:
        answer = await ask(
            port,
            b"POST /o/acme/%20x?a=1&b=%00 HTTP/1.1\r\nhost: x\r\ncookie: s=1\r\nx-thing: \xff\r\n"
            b"content-length: 5\r\nte: trailers\r\nconnection: close\r\n\r\nhello",
        )
    head, told = split(answer)
    assert head.startswith("HTTP/1.1 201 Created\r\n")
    assert head.count("set-cookie: ") == 2
    assert told == {
        "method": "POST",
        "path": "/o/acme/ x",
        "query": "a=1&b=%00",
        "headers": [
            ["connection", "close"],
            ["content-length", "5"],
            ["cookie", "s=1"],
            ["host", "x"],
            ["x-thing", "\xff"],
        ],
        "client": "127.0.0.1",
        "has_port": True,
        "body": "hello",
    }


async def test_a_caller_cannot_say_that_it_is_somebody_else(tmp_path: Path) -> None:
    async with relayed(echo, tmp_path / "s") as port:
        head = b"GET / HTTP/1.1\r\nhost: x\r\n%b: 10.0.0.1 5\r\nconnection: close\r\n\r\n" % CALLER
        _, told = split(await ask(port, head))
    assert told["client"] == "127.0.0.1"
    assert CALLER.decode() not in dict(told["headers"])


async def test_a_body_in_chunks_and_a_large_one_come_whole(tmp_path: Path) -> None:
    async def measure(scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive) or b""
        told = b"%d %d" % (len(body), body.count(b"x"))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": told})

    size = 3 * 1024 * 1024
    async with relayed(measure, tmp_path / "s") as port:
        chunks = await ask(
            port,
            b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
            b"3\r\nxxx\r\n2\r\nyy\r\n0\r\n\r\n",
        )
        whole = await ask(
            port,
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % size,
            b"x" * size,
        )
    assert b"5 3" in chunks
    assert b"%d %d" % (size, size) in whole


async def test_an_answer_comes_piece_by_piece(tmp_path: Path) -> None:
    """Server-sent events must not wait for the answer's end."""
    go_on = asyncio.Event()

    async def tick(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"second"})

    async with relayed(tick, tmp_path / "s") as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await asyncio.wait_for(reader.readuntil(b"first"), PATIENCE_SECONDS)
        go_on.set()
        await asyncio.wait_for(reader.readuntil(b"second\r\n0\r\n\r\n"), PATIENCE_SECONDS)
        # The caller's connection is kept, whatever the page server does with its own.
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await asyncio.wait_for(reader.readuntil(b"second\r\n0\r\n\r\n"), PATIENCE_SECONDS)
        writer.close()


async def test_a_caller_that_leaves_is_told_of(tmp_path: Path) -> None:
    has_left, is_asked = asyncio.Event(), asyncio.Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        is_asked.set()
        if (await receive())["type"] == "http.disconnect":
            has_left.set()

    async with relayed(wait, tmp_path / "s") as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await asyncio.wait_for(is_asked.wait(), PATIENCE_SECONDS)
        writer.close()
        await asyncio.wait_for(has_left.wait(), PATIENCE_SECONDS)


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body_end(tmp_path: Path, status: int) -> None:
    async def bare(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [] if scope["method"] == "GET" else [(b"content-length", b"7")]
        await send({"type": "http.response.start", "status": status if not headers else 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if not headers else b"unasked"})

    async with relayed(bare, tmp_path / "s") as port:
        got = await ask(port, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        head = await ask(port, b"HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 %d" % status)
    assert b"content-length: 7" in head
    assert head.endswith(b"\r\n\r\n")


async def test_without_a_page_server_one_is_told_to_come_again(tmp_path: Path) -> None:
    async with serve(Relay(str(tmp_path / "nobody"))) as server:
        answer = await ask(server.port, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    head, told = split(answer)
    assert head.startswith("HTTP/1.1 503")
    assert "retry-after: 1" in head
    assert told["code"] == "pages_unavailable"


async def test_what_breaks_off_is_no_whole_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Before its first byte it is a 503; after it, an answer whose end is missing. Neither is a fault of ours."""
    path = str(tmp_path / "s")

    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/late" in head:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
            await writer.drain()
        writer.close()

    pages = await asyncio.start_unix_server(rude, path)
    async with serve(Relay(path)) as server:
        early = await ask(server.port, b"GET /early HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        late = await ask(server.port, b"GET /late HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    pages.close()
    assert early.startswith(b"HTTP/1.1 503")
    assert late.startswith(b"HTTP/1.1 200")
    assert late.endswith(b"half")
    assert [(record.message, record.exc_info) for record in caplog.records if record.name.endswith("relay")] == [
        ("pages_broke_off", None),
        ("pages_broke_off", None),
    ]
    assert not [record for record in caplog.records if record.exc_info]
