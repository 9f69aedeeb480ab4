"""Our configuration of nginx, in a real nginx before a server that says what reached it."""

import asyncio
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest

from costhub.lib import clock
from costhub.serve.connection import LAST_REQUEST_SECONDS
from costhub.stack.ports import HOST, find_free_port
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS, wait_for_server
from tests.proxy.conftest import _reach_loopback, bank
from tests.proxy.deployment import deploy
from tests.proxy.load import Outcome, call_once, make_bodies
from tests.proxy.scene import CALLS, CLIENTS, Scene, acme
from tests.valkeys import Certificates
from tests.world import Tenant

__all__ = ["_reach_loopback", "acme", "bank"]

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = (ROOT / "deploy/nginx/costhub.conf").read_text()
APP = "tests.deploy.lingering:application"
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed: apt-get install nginx"),
]
#: seconds in the place of ten and thirty
HEAD_SECONDS, BODY_SECONDS = 1, 1
#: connections in the place of 256 and 2,048
VISITORS, CALLERS = 4, 8


class Echo(BaseHTTPRequestHandler):
    """Answers with the head of the request, as it came."""

    protocol_version = "HTTP/1.1"
    # an answer is one write
    wbufsize = -1

    def do_GET(self) -> None:
        said = f"{self.command} {self.path}\n{self.headers}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        if len(self.rfile.read(length)) == length:
            self.do_GET()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


class Edge:
    """nginx, and how to speak to it."""

    def __init__(self, port: int, certificates: Certificates) -> None:
        self.port = port
        self.tls = ssl.create_default_context(cafile=certificates.ca)

    def connect(self) -> ssl.SSLSocket:
        raw = socket.create_connection((HOST, self.port), timeout=PATIENCE_SECONDS)
        return self.tls.wrap_socket(raw, server_hostname=HOST)

    def ask(self, *lines: str, body: bytes = b"") -> tuple[int, str]:
        """(status, body) of a request with these lines; the connection closes after it."""
        with self.connect() as line:
            head = "\r\n".join([*lines, "Connection: close", "", ""])
            line.sendall(head.encode() + body)
            return read_answer(line)


def read_answer(line: ssl.SSLSocket) -> tuple[int, str]:
    """All until the other side closes; status 0 where it closes without a word."""
    said = b""
    while True:
        try:
            more = line.recv(65_536)
        except OSError:
            break
        if not more:
            break
        said += more
    head, _, body = said.decode().partition("\r\n\r\n")
    return (int(head.split(" ")[1]) if head else 0), body


@pytest.fixture(scope="module")
def port_behind() -> Iterator[int]:
    behind = ThreadingHTTPServer((HOST, 0), Echo)
    serving = threading.Thread(target=behind.serve_forever, daemon=True)
    serving.start()
    yield behind.server_port
    behind.shutdown()
    behind.server_close()
    serving.join()


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory, port_behind: int) -> Iterator[Edge]:
    few = (
        ("limit_conn costhub_visitors 256;", f"limit_conn costhub_visitors {VISITORS};"),
        ("limit_conn costhub_callers 2048;", f"limit_conn costhub_callers {CALLERS};"),
        ("client_max_body_size 201m;", "client_max_body_size 1k;"),
    )
    with nginx(tmp_path_factory.mktemp("nginx"), [port_behind], few) as edge:
        yield edge


@pytest.fixture(scope="module")
def hasty_edge(tmp_path_factory: pytest.TempPathFactory, port_behind: int) -> Iterator[Edge]:
    hasty = (
        ("client_header_timeout 10s;", f"client_header_timeout {HEAD_SECONDS}s;"),
        ("client_body_timeout 30s;", f"client_body_timeout {BODY_SECONDS}s;"),
    )
    with nginx(tmp_path_factory.mktemp("hasty"), [port_behind], hasty) as edge:
        yield edge


@contextmanager
def nginx(folder: Path, ports: list[int], changes: tuple[tuple[str, str], ...] = ()) -> Iterator[Edge]:
    """Our file in a real nginx, before servers at these ports of loopback."""
    certificates, port = Certificates(folder), find_free_port()
    text = CONFIGURATION
    for ours, here in (
        ("server proxy:8000 max_fails=0;", " ".join(f"server {HOST}:{port} max_fails=0;" for port in ports)),
        ("listen 443 ssl http2;", f"listen {HOST}:{port} ssl http2;"),
        ("/etc/nginx/tls/fullchain.pem", str(certificates.cert)),
        ("/etc/nginx/tls/privkey.pem", str(certificates.key)),
        ("/var/log/nginx/", f"{folder}/"),
        *changes,
    ):
        assert ours in text, ours
        text = text.replace(ours, here)
    temporary = "".join(
        f"{what}_temp_path {folder}/{what};\n" for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"pid {folder}/nginx.pid;\nerror_log {folder}/error.log;\ndaemon off;\nmaster_process off;\n"
        f"events {{ worker_connections 1024; }}\nhttp {{\n{temporary}{text}}}\n"
    )
    assert NGINX is not None
    command = [NGINX, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    subprocess.run([*command, "-t"], check=True, capture_output=True)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_server(port, lambda: process.poll() is None, (folder / "error.log").read_text)
        yield Edge(port, certificates)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_SECONDS)


def test_upgrade_and_what_a_caller_says_of_himself_are_not_passed_on(edge: Edge) -> None:
    status, said = edge.ask(
        "GET /v1/models HTTP/1.1",
        "Host: costhub.example",
        "Upgrade: websocket",
        "Connection: upgrade",
        "X-Forwarded-For: 10.0.0.1",
        "X-Forwarded-Proto: http",
        "Authorization: Bearer x",
    )
    assert status == 200
    lines = said.lower().splitlines()
    assert not [line for line in lines if line.startswith(("upgrade", "connection"))]
    assert [line for line in lines if line.startswith("x-forwarded")] == [
        f"x-forwarded-for: {HOST}",
        "x-forwarded-proto: https",
    ]
    assert "authorization: bearer x" in lines


def test_figures_are_for_the_inside(edge: Edge) -> None:
    assert edge.ask("GET /metrics HTTP/1.1", "Host: x")[0] == 404


def test_a_head_that_does_not_come_is_not_waited_for(hasty_edge: Edge) -> None:
    with hasty_edge.connect() as line:
        began = clock.monotonic_ns()
        line.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n")
        status, _ = read_answer(line)
    assert status in {0, 408}
    assert HEAD_SECONDS * 0.5 < (clock.monotonic_ns() - began) / 1e9 < PATIENCE_SECONDS


def test_a_body_that_does_not_come_is_not_waited_for(hasty_edge: Edge) -> None:
    with hasty_edge.connect() as line:
        began = clock.monotonic_ns()
        line.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        status, _ = read_answer(line)
    assert status in {0, 408}
    assert BODY_SECONDS * 0.5 < (clock.monotonic_ns() - began) / 1e9 < PATIENCE_SECONDS


def read_error(body: str) -> tuple[str, str]:
    """Type and code of an error in OpenAI's shape."""
    error = json.loads(body)["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return error["type"], error["code"]


def test_one_address_has_so_many_calls_and_its_pages_go_on(edge: Edge) -> None:
    opened = []
    try:
        # Requests whose body is under way: each has its connection.
        for _ in range(CALLERS):
            line = edge.connect()
            line.sendall(b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{")
            opened.append(line)
        answers = [edge.ask("GET /v1/models HTTP/1.1", "Host: x") for _ in range(5)]
        assert {status for status, _ in answers} == {429}
        assert {read_error(body) for _, body in answers} == {("rate_limit_error", "too_many_connections")}
        with edge.connect() as line:
            line.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            head = line.recv(65_536).lower()
        assert b"\r\nretry-after: 1\r\n" in head
        assert b"\r\ncontent-type: application/json\r\n" in head
        # Pages are counted by themselves: whoever's server is busy still reads what it costs.
        assert edge.ask("GET /login HTTP/1.1", "Host: x")[0] == 200
    finally:
        for line in opened:
            line.close()


@pytest.mark.parametrize(
    ("busy", "found"),
    [
        (
            "2001:db8:a0a:a:{}::a",
            {"2001:db8:a0a:a:ffff::a": 429, "2001:db8:a0a:b::a": 200, "192.0.2.10": 200, "192.0.2.11": 200},
        ),
        ("::ffff:192.0.2.10", {"::ffff:192.0.2.10": 429, "::ffff:192.0.2.11": 200}),
    ],
    ids=["a network", "IPv4 by a socket for both kinds"],
)
def test_a_network_of_ipv6_is_one_caller(tmp_path: Path, port_behind: int, busy: str, found: dict[str, int]) -> None:
    """Whoever has one has all of its addresses. Bytes that are a line's end are bytes as any other."""
    few = (
        ("limit_conn costhub_callers 2048;", f"limit_conn costhub_callers {CALLERS};"),
        ("server_name _;", f"server_name _; set_real_ip_from {HOST}; real_ip_header X-From;"),
    )
    opened = []
    with nginx(tmp_path, [port_behind], few) as edge:
        try:
            for number in range(CALLERS):
                line = edge.connect()
                whose = f"X-From: {busy.format(number)}"
                line.sendall(f"POST /v1/x HTTP/1.1\r\nHost: x\r\n{whose}\r\nContent-Length: 2\r\n\r\n{{".encode())
                opened.append(line)
            assert found == {
                caller: edge.ask("GET /v1/models HTTP/1.1", "Host: x", f"X-From: {caller}")[0] for caller in found
            }
        finally:
            for line in opened:
                line.close()


def test_one_address_has_so_many_pages(edge: Edge) -> None:
    opened = []
    try:
        for _ in range(VISITORS):
            line = edge.connect()
            line.sendall(b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{")
            opened.append(line)
        assert edge.ask("GET /login HTTP/1.1", "Host: x")[0] == 429
        assert edge.ask("GET /v1/models HTTP/1.1", "Host: x")[0] == 200
    finally:
        for line in opened:
            line.close()


def test_a_body_that_is_too_long_is_refused_as_openai_would(edge: Edge) -> None:
    status, body = edge.ask("POST /v1/files HTTP/1.1", "Host: x", "Content-Length: 2000", body=b"x" * 2_000)
    assert (status, read_error(body)) == (413, ("invalid_request_error", "request_too_large"))


def test_where_no_proxy_is_the_error_says_so(tmp_path: Path) -> None:
    with nginx(tmp_path, [find_free_port(), find_free_port()]) as edge:
        for method in ("GET", "POST"):
            status, body = edge.ask(f"{method} /v1/models HTTP/1.1", "Host: x", "Content-Length: 0")
            assert (status, read_error(body)) == (502, ("api_error", "proxy_unavailable"))


def test_what_was_sent_is_not_sent_to_another(tmp_path: Path) -> None:
    """A call may have been billed by then. One that could not be sent, because nobody listened, goes to the other."""
    came: list[bytes] = []

    def break_off(listener: socket.socket) -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                came.append(peer.recv(65_536))

    listeners = [socket.create_server((HOST, 0)) for _ in range(2)]
    threads = [threading.Thread(target=break_off, args=(listener,), daemon=True) for listener in listeners]
    for thread in threads:
        thread.start()
    ports = [listener.getsockname()[1] for listener in listeners]
    with nginx(tmp_path, [*ports, find_free_port()]) as edge:
        for sent in range(1, 13):
            status, body = edge.ask("POST /v1/x HTTP/1.1", "Host: x", "Content-Length: 2", body=b"{}")
            assert (status, read_error(body)[1], len(came)) == (502, "proxy_unavailable", sent)
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join()


def test_a_proxy_that_stops_costs_no_call(acme: Tenant, bank: Bank, tmp_path: Path) -> None:
    """Two real proxies behind our file, callers on kept connections, streams among their calls: one ends what it has
    and goes, and from then on nobody listens at its port."""
    kept_ms = int(re.findall(r"keepalive_timeout (\d+)ms;", CONFIGURATION)[0])
    assert kept_ms * 2 <= LAST_REQUEST_SECONDS * 1000, "nginx closes first"
    ended: list[int] = []

    async def call_all(edge: Edge, on_end: Callable[[int], None]) -> list[Outcome]:
        bodies, outcomes = make_bodies(CALLS, "small"), []

        async def work(http: httpx2.AsyncClient) -> None:
            for body in bodies:
                outcomes.append(await call_once(http, body))
                on_end(len(outcomes))

        async with httpx2.AsyncClient(
            base_url=f"https://{HOST}:{edge.port}/v1",
            headers={"authorization": f"Bearer {acme.api_key}"},
            trust_env=False,
            verify=edge.tls,
            timeout=PATIENCE_SECONDS,
        ) as http:
            await asyncio.gather(*(work(http) for _ in range(CLIENTS)))
        return outcomes

    with deploy(tmp_path, workers=2, app=APP) as first, deploy(tmp_path, workers=2) as second:
        stopping = threading.Thread(target=lambda: ended.append(first.terminate()))

        def stop_one(calls: int) -> None:
            if calls == CALLS // 3:
                stopping.start()

        with nginx(tmp_path, [first.port, second.port]) as edge:
            outcomes = asyncio.run(call_all(edge, stop_one))
            stopping.join()
            assert {(each.status, each.error_code, each.is_whole) for each in outcomes} == {(200, "", True)}
            after = [edge.ask("GET /v1/models HTTP/1.1", f"Host: {HOST}")[0] for _ in range(6)]
            assert after == [401] * 6, "answered by the one that is there"
        assert ended == [0]
        assert len(Scene(acme, bank, second).balance().rows) == CALLS


def test_pages_of_one_address_are_counted_and_calls_are_not(edge: Edge) -> None:
    with edge.connect() as line:
        line.sendall(
            b"GET /login HTTP/1.1\r\nHost: x\r\n\r\n" * 400
            + b"GET /login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        said = b""
        while more := line.recv(65_536):
            said += more
    statuses = re.findall(rb"^HTTP/1\.1 (\d+)", said, re.MULTILINE)
    # Sixty at once, less what another test has asked for in the second before.
    assert statuses.count(b"200") >= 50
    assert statuses.count(b"429") >= 20
    calls = {edge.ask("GET /v1/models HTTP/1.1", "Host: x")[0] for _ in range(30)}
    assert calls == {200}


def test_a_head_that_is_too_long_is_refused(edge: Edge) -> None:
    assert edge.ask("GET /v1/models HTTP/1.1", "Host: x", f"X-Long: {'a' * 70_000}")[0] in {400, 494}
