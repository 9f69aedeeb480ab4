"""The double behind a port of loopback, so that the real library and the real gate speak to it."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Protocol

from tests.stripe_double.state import Answer, Lost, headers_of


class Double(Protocol):
    """What answers."""

    def call(self, method: str, url: str, headers: dict[str, str], body: str) -> Answer:
        """Answer one request. Raises Lost."""


@contextmanager
def serve(double: Double, *, answers_after: float = 0.0) -> Iterator[str]:
    """The URL at which it answers, after so many seconds each, until the block ends. A lost answer is a connection that
    breaks."""

    class Handler(BaseHTTPRequestHandler):
        # As Stripe's: who asks again need not connect again.
        protocol_version = "HTTP/1.1"
        # Head and body are two writes, and the second waits for the first one's acknowledgement otherwise.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer("")

        def do_DELETE(self) -> None:
            self._answer("")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

        def _answer(self, body: str) -> None:
            try:
                status, answer = double.call(self.command, self.path, dict(self.headers), body)
            except Lost:
                self.close_connection = True
                return
            content = json.dumps(answer).encode()
            time.sleep(answers_after)
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers_of(answer)}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
