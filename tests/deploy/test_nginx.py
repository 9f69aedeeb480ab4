"""Our configuration of nginx, in a real nginx before a server that says what reached it."""

import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from costhub.lib import clock
from costhub.stack.ports import HOST, find_free_port
from tests.valkeys import Certificates

ROOT = Path(__file__).resolve().parents[2]
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed: apt-get install nginx"),
]
#: seconds in the place of ten and thirty
HEAD_SECONDS, BODY_SECONDS = 1, 1
#: connections in the place of 256
CALLERS = 8


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
        self._context = ssl.create_default_context(cafile=certificates.ca)

    def connect(self) -> ssl.SSLSocket:
        raw = socket.create_connection((HOST, self.port), timeout=20)
        return self._context.wrap_socket(raw, server_hostname=HOST)

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
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    folder = tmp_path_factory.mktemp("nginx")
    behind = ThreadingHTTPServer((HOST, 0), Echo)
    serving = threading.Thread(target=behind.serve_forever, daemon=True)
    serving.start()
    certificates, port = Certificates(folder), find_free_port()
    text = (ROOT / "deploy/nginx/costhub.conf").read_text()
    for ours, here in (
        ("server proxy:8000 max_fails=0;", f"server {HOST}:{behind.server_port} max_fails=0;"),
        ("listen 443 ssl http2;", f"listen {HOST}:{port} ssl http2;"),
        ("/etc/nginx/tls/fullchain.pem", str(certificates.cert)),
        ("/etc/nginx/tls/privkey.pem", str(certificates.key)),
        ("/var/log/nginx/", f"{folder}/"),
        ("client_header_timeout 10s;", f"client_header_timeout {HEAD_SECONDS}s;"),
        ("limit_conn costhub_callers 256;", f"limit_conn costhub_callers {CALLERS};"),
        ("client_body_timeout 30s;", f"client_body_timeout {BODY_SECONDS}s;"),
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
    pause = threading.Event()
    for _ in range(200):
        try:
            socket.create_connection((HOST, port), timeout=1).close()
            break
        except OSError:
            pause.wait(0.02)
    yield Edge(port, certificates)
    process.terminate()
    process.wait(timeout=10)
    behind.shutdown()
    behind.server_close()
    serving.join()


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


def test_a_head_that_does_not_come_is_not_waited_for(edge: Edge) -> None:
    with edge.connect() as line:
        line.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n")
        began = clock.monotonic_ns()
        status, _ = read_answer(line)
    assert status in {0, 408}
    assert HEAD_SECONDS * 0.5 < (clock.monotonic_ns() - began) / 1e9 < HEAD_SECONDS + 10


def test_a_body_that_does_not_come_is_not_waited_for(edge: Edge) -> None:
    with edge.connect() as line:
        line.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        began = clock.monotonic_ns()
        status, _ = read_answer(line)
    assert status in {0, 408}
    assert BODY_SECONDS * 0.5 < (clock.monotonic_ns() - began) / 1e9 < BODY_SECONDS + 10


def test_one_address_has_so_many_connections(edge: Edge) -> None:
    opened = []
    try:
        # Requests whose body is under way: each has its connection.
        for _ in range(CALLERS):
            line = edge.connect()
            line.sendall(b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{")
            opened.append(line)
        statuses = {edge.ask("GET /v1/models HTTP/1.1", "Host: x")[0] for _ in range(5)}
        assert statuses == {429}
    finally:
        for line in opened:
            line.close()


def test_pages_of_one_address_are_counted_and_calls_are_not(edge: Edge) -> None:
    with edge.connect() as line:
        line.sendall(
            b"GET /login HTTP/1.1\r\nHost: x\r\n\r\n" * 100
            + b"GET /login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        said = b""
        while more := line.recv(65_536):
            said += more
    statuses = re.findall(rb"^HTTP/1\.1 (\d+)", said, re.MULTILINE)
    assert statuses.count(b"200") >= 60
    assert statuses.count(b"429") >= 20
    calls = {edge.ask("GET /v1/models HTTP/1.1", "Host: x")[0] for _ in range(30)}
    assert calls == {200}


def test_a_head_that_is_too_long_is_refused(edge: Edge) -> None:
    assert edge.ask("GET /v1/models HTTP/1.1", "Host: x", f"X-Long: {'a' * 70_000}")[0] in {400, 494}
