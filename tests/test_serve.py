"""The web server's own limits, and an answer in one write: on real sockets, against a real deployment."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.client import HTTPResponse
from typing import Any, cast

import psutil
import pytest
import uvicorn
from django.conf import settings
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker
from uvicorn.server import ServerState

from costhub.serve import MAX_HEAD_BYTES, BoundedHttp
from proxy.edges.shortcuts import SHORTCUTS, Receive, Send, Shortcuts
from tests.proxy.deployment import Deployment, deploy
from tests.proxy.raw_http import connect, exchange, make_request, read_answer


@pytest.fixture(scope="module")
def proxy(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Deployment]:
    with django_db_blocker.unblock(), deploy(tmp_path_factory.mktemp("serve")) as proxy:
        yield proxy


def test_a_head_without_end_is_refused(proxy: Deployment) -> None:
    with connect(proxy.port) as connection:
        connection.sendall(b"POST /v1/models HTTP/1.1\r\nhost: x\r\n")
        sent = 0
        try:
            while sent < 4 * MAX_HEAD_BYTES:
                connection.sendall(b"x-more: " + b"y" * 8_000 + b"\r\n")
                sent += 8_010
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sent <= 3 * MAX_HEAD_BYTES + 2**20, "the kernel's buffers, and no more"
        with contextlib.suppress(ConnectionResetError):
            assert b" 431 " in connection.recv(65_536).split(b"\r\n")[0]
    assert exchange(proxy.port, make_request("GET", "/healthz", []), "GET").status == 200


def _ports_to_the_database(proxy: Deployment) -> set[int]:
    """Our side of its connections to PostgreSQL, after a page that reads it."""
    assert exchange(proxy.port, make_request("GET", "/readyz", [("connection", "close")]), "GET").status == 200
    port = int(settings.DATABASES["default"]["PORT"])
    found = psutil.Process(proxy.worker_pids[0]).net_connections("tcp")
    return {one.laddr.port for one in found if one.raddr and one.raddr.port == port and one.status != psutil.CONN_CLOSE}


@pytest.mark.django_db
def test_a_page_leaves_its_connection_to_the_next_one(proxy: Deployment) -> None:
    """Each request of Django's has a thread of its own: connections that these kept would soon be all there are."""
    ports = _ports_to_the_database(proxy)
    assert ports
    assert [_ports_to_the_database(proxy) for _ in range(40)] == [ports] * 40
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE client_port = ANY(%s)", [[*ports]])
        assert {*cursor.fetchall()} == {(True,)}
    # what is broken is replaced at once, and no page hears of it
    assert len(_ports_to_the_database(proxy) - ports) == 1


def test_calls_on_one_connection_are_answered_in_order(proxy: Deployment) -> None:
    one = make_request("GET", "/v1/models", [])
    with connect(proxy.port) as connection:
        connection.sendall(one + make_request("GET", "/healthz", []) + make_request("GET", "/v1/nothing", []))
        statuses = [_next_status(connection) for _ in range(3)]
    assert statuses == [401, 200, 404]


def test_a_closing_caller_is_closed(proxy: Deployment) -> None:
    with connect(proxy.port) as connection:
        connection.sendall(make_request("GET", "/v1/models", [("connection", "close")]))
        answer = read_answer(connection, "GET")
        assert answer.status == 401
        assert connection.recv(1) == b""


def test_the_head_of_an_answer_has_no_body(proxy: Deployment) -> None:
    with connect(proxy.port) as connection:
        connection.sendall(make_request("HEAD", "/v1/models", []) + make_request("GET", "/healthz", []))
        response = HTTPResponse(connection, method="HEAD")
        response.begin()
        assert response.status == 405
        assert response.read() == b""
        response.close()
        assert _next_status(connection) == 200


async def test_a_slow_head_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("costhub.serve.HEAD_SECONDS", 0.05)
    async with serve(_nothing_is_served) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nhost:")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_a_connection_at_rest_is_closed() -> None:
    async with serve(_answer_all, keep_alive_seconds=0.05) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_a_rest_that_ended_long_ago_closes_nothing() -> None:
    """The timer of one rest serves the next ones too: it looks while a call is served, and while a rest is young."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        server.protocols[0]._close_rested()
        await answer(send)

    async with serve(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for _ in range(3):
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
            server.protocols[0]._close_rested()
        writer.close()


@pytest.mark.parametrize("path", ["/a%20b?q=%20", "/%E2%82%AC", "http://other/a%20b?q=%20"])
async def test_paths_are_decoded_once_and_queries_not(path: str) -> None:
    seen: list[tuple[str, bytes, bytes]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope["path"], scope["raw_path"], scope["query_string"]))
        await answer(send)

    async with serve(app) as server:
        await ask(server.port, f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert seen == [("/\u20ac", b"/%E2%82%AC", b"") if "%E2" in path else ("/a b", b"/a%20b", b"q=%20")]


async def test_a_caller_who_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Money is held for it: it may be slow, and not asleep."""
    monkeypatch.setattr("costhub.serve.SLOW_READER_SECONDS", 0.05)
    has_left = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        shortcuts_of(scope).watch(receive, has_left.set)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not has_left.is_set():
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})

    async with serve(app) as server:
        with connect(server.port) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await asyncio.wait_for(has_left.wait(), 20)


class TestShortcuts:
    async def test_a_body_that_came_with_its_head_is_there_at_once(self) -> None:
        bodies: list[bytes | None] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            bodies.append(shortcuts_of(scope).take_body(receive))
            await answer(send)

        async with serve(app) as server:
            await ask(server.port, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        assert bodies == [b"{}"]

    @pytest.mark.parametrize("has_begun", [True, False], ids=["a part of it came", "the caller waits to be asked"])
    async def test_a_body_that_is_not_whole_is_not_taken(self, has_begun: bool) -> None:
        seen: list[object] = []
        has_looked = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(shortcuts_of(scope).take_body(receive))
            has_looked.set()
            body = b""
            while len(body) < 2:
                body += (await receive())["body"]
            seen.append(body)
            await answer(send)

        async with serve(app) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            head = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n"
            writer.write(head + (b"\r\n{" if has_begun else b"expect: 100-continue\r\n\r\n"))
            await has_looked.wait()
            writer.write(b"}" if has_begun else b"{}")
            await asyncio.wait_for(reader.read(), 5)
            writer.close()
        assert seen == [None, b"{}"]

    async def test_who_watches_is_told_that_the_caller_has_left(self) -> None:
        has_left, is_watched = asyncio.Event(), asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            shortcuts_of(scope).watch(receive, has_left.set)
            is_watched.set()
            await has_left.wait()

        async with serve(app) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await is_watched.wait()
            assert not has_left.is_set()
            writer.close()
            await asyncio.wait_for(has_left.wait(), 5)

    @pytest.mark.parametrize("is_answered", [True, False], ids=["answered", "no longer watched"])
    async def test_who_leaves_afterwards_has_not_left(self, is_answered: bool) -> None:
        left: list[str] = []
        is_over = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            shortcuts = shortcuts_of(scope)
            shortcuts.watch(receive, lambda: left.append("left"))
            if is_answered:
                await answer(send)
            else:
                shortcuts.watch(receive, None)
            is_over.set()
            await server.has_lost_one.wait()

        async with serve(app) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await is_over.wait()
            writer.close()
            await server.has_lost_one.wait()
        assert left == []

    async def test_a_header_cannot_end_its_line(self) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            headers = {"x-model": "a\r\nx-evil: 1\0", "connection": "close"}
            assert shortcuts_of(scope).send_whole(send, 200, headers, b"ok")

        async with serve(app) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            writer.close()
        assert b"\r\nx-model: a  x-evil: 1 \r\n" in head


Scope = dict[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def shortcuts_of(scope: Scope) -> Shortcuts:
    shortcuts: Shortcuts = scope["extensions"][SHORTCUTS]
    return shortcuts


async def answer(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def ask(port: int, request: bytes) -> bytes:
    """What the server says until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answered = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answered


@dataclass
class Server:
    """Our protocol on a port of its own, and each of its connections."""

    port: int = 0
    protocols: list[BoundedHttp] = field(default_factory=list)
    has_lost_one: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def serve(app: App, keep_alive_seconds: float = 60) -> AsyncIterator[Server]:
    """Our protocol in front of an application of the test's."""
    config = uvicorn.Config(cast("Any", app), lifespan="off", log_level="critical")
    config.timeout_keep_alive = cast("Any", keep_alive_seconds)
    config.load()
    loop, served = asyncio.get_running_loop(), Server()

    class Protocol(BoundedHttp):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            served.has_lost_one.set()

    def make() -> BoundedHttp:
        served.protocols.append(Protocol(config=config, server_state=ServerState(), app_state={}, _loop=loop))
        return served.protocols[-1]

    server = await loop.create_server(make, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        await server.wait_closed()


async def _answer_all(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send)


async def _nothing_is_served(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("no request is whole")


def _next_status(connection: socket.socket) -> int:
    """Read exactly one response, so that what follows stays on the socket."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    lines = head.lower().split(b"\r\n")
    length = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
    received = 0
    while received < length:
        received += len(connection.recv(length - received))
    return int(lines[0].split()[1])
