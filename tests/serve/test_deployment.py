"""The web server as it is deployed: real processes, real sockets, the whole application behind it."""

import contextlib
import json
import socket
from collections.abc import Iterator

import psutil
import pytest
from django.conf import settings
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from costhub.serve.heads import MAX_HEAD_BYTES
from tests.proxy.deployment import Deployment, deploy
from tests.proxy.raw_http import connect, exchange, make_request, read_answer


@pytest.fixture(scope="module")
def proxy(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Deployment]:
    with django_db_blocker.unblock(), deploy(tmp_path_factory.mktemp("serve"), COSTHUB_DRAIN_SECONDS="20") as proxy:
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
    # Beside them a worker may look up what changed, now and then, over connections of its own.
    looks = [_ports_to_the_database(proxy) for _ in range(40)]
    ports = set.intersection(*looks)
    assert ports
    assert len(set.union(*looks)) < len(ports) + len(looks) // 4
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE client_port = ANY(%s)", [[*ports]])
        assert {*cursor.fetchall()} == {(True,)}
    # what is broken is replaced at once, and no page hears of it
    assert _ports_to_the_database(proxy) - ports


def test_calls_on_one_connection_are_answered_in_order(proxy: Deployment) -> None:
    one = make_request("GET", "/v1/models", [])
    with connect(proxy.port) as connection:
        connection.sendall(one + make_request("GET", "/healthz", []) + make_request("GET", "/v1/nothing", []))
        statuses = [_next_status(connection) for _ in range(3)]
    assert statuses == [401, 200, 404]


@pytest.mark.parametrize("offer", ["h2c", "websocket", "TLS/1.2"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/v1/keys", "/login"])
def test_what_is_sent_with_an_offer_is_a_body_and_no_request(proxy: Deployment, path: str, offer: str) -> None:
    inner = make_request("GET", "/healthz", [])
    headers = [("connection", "Upgrade, HTTP2-Settings"), ("upgrade", offer), ("http2-settings", "AAEAAEAA")]
    outer = make_request("POST", path, [*headers, ("content-length", str(len(inner)))], inner)
    with connect(proxy.port) as connection:
        connection.sendall(outer + make_request("GET", "/v1/nothing", [("connection", "close")]))
        statuses = [_next_status(connection) for _ in range(2)]
        assert connection.recv(1) == b""
    assert statuses == [{"/login": 403}.get(path, 401), 404]


@pytest.mark.parametrize("query", ["", "?model=gpt-realtime"])
def test_the_handshake_of_a_websocket_is_told_that_there_is_no_realtime(proxy: Deployment, query: str) -> None:
    """As any WebSocket client begins, and OpenAI's: an answer that ends the connection, and no 101."""
    headers = [
        *(("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")),
        *(("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), ("authorization", "Bearer sk-any")),
        ("openai-beta", "realtime=v1"),
    ]
    with connect(proxy.port) as connection:
        connection.sendall(make_request("GET", f"/v1/realtime{query}", headers))
        answer = read_answer(connection)
    assert (answer.status, answer.headers["content-type"]) == (404, "application/json")
    error = json.loads(answer.body)["error"]
    assert error["code"] == "realtime_not_served"
    assert "calls over WebSockets cannot be held to a budget" in error["message"]


@pytest.mark.parametrize("path", ["/api/v1/keys", "/login", "/healthz"])
def test_a_body_that_nobody_asked_for_is_not_kept(proxy: Deployment, path: str) -> None:
    head = make_request("POST", path, [("content-length", "200000000")])
    with connect(proxy.port) as connection:
        connection.sendall(head)
        answer = read_answer(connection)
        assert answer.status == 413
        assert answer.headers["connection"] == "close"
        kind = "application/problem+json" if path.startswith("/api/") else "text/html; charset=utf-8"
        assert answer.headers["content-type"] == kind
        sent = 0
        with pytest.raises(ConnectionError):
            while True:
                connection.sendall(b"x" * 1_000_000)
                sent += 1_000_000
    assert sent < 60_000_000


def test_a_closing_caller_is_closed(proxy: Deployment) -> None:
    with connect(proxy.port) as connection:
        connection.sendall(make_request("GET", "/v1/models", [("connection", "close")]))
        answer = read_answer(connection, "GET")
        assert answer.status == 401
        assert connection.recv(1) == b""


def test_the_head_of_an_answer_has_no_body(proxy: Deployment) -> None:
    with connect(proxy.port) as connection:
        connection.sendall(make_request("HEAD", "/v1/models", []) + make_request("GET", "/healthz", []))
        assert _next_status(connection, has_body=False) == 405
        assert _next_status(connection) == 200


def _next_status(connection: socket.socket, *, has_body: bool = True) -> int:
    """Read exactly one response, so that what follows stays on the socket."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    lines = head.lower().split(b"\r\n")
    length = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
    received = 0
    while has_body and received < length:
        received += len(connection.recv(length - received))
    return int(lines[0].split()[1])
