"""The web server's own limits, and an answer in one write: on real sockets, against a real deployment."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from http.client import HTTPResponse

import pytest
from pytest_django.plugin import DjangoDbBlocker

from costhub.serve import MAX_HEAD_BYTES, BoundedHttp, send_whole
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


def test_another_servers_send_is_left_alone() -> None:
    async def send(message: object) -> None:
        raise AssertionError(message)

    assert send_whole(send, 200, {}, b"") is False


async def test_a_slow_head_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("costhub.serve.HEAD_SECONDS", 0.05)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_protocol(loop), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nhost:")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


def _protocol(loop: asyncio.AbstractEventLoop) -> Callable[[], BoundedHttp]:
    import uvicorn
    from uvicorn.server import ServerState

    async def app(scope: object, receive: object, send: object) -> None:
        raise AssertionError("no request is whole")

    config = uvicorn.Config(app, lifespan="off", log_level="critical")
    config.load()
    return lambda: BoundedHttp(config=config, server_state=ServerState(), app_state={}, _loop=loop)


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
