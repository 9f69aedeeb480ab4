"""A receiver of webhooks for tests: it keeps what it gets, and answers as it is told to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread


@dataclass(frozen=True)
class Received:
    """One call."""

    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """``answers`` are given first, one a call, as status and headers; then every call gets a 204; no call
    is answered before ``waits_for`` says so. A call that it does not take is ``refused`` with a 401."""

    def __init__(self, port: int) -> None:
        self.calls: list[Received] = []
        self.refused: list[Received] = []
        self.takes: Callable[[Received], bool] = lambda call: True
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.waits_for: Callable[[], bool] = lambda: True
        self.url = f"http://127.0.0.1:{port}/hook"


@contextmanager
def run_receiver() -> Iterator[Receiver]:
    """One that listens on loopback until the block ends."""

    is_over = Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            while not receiver.waits_for() and not is_over.wait(0.01):
                pass
            call = Received(self.path, headers, body)
            if receiver.takes(call):
                receiver.calls.append(call)
                status, more = receiver.answers.pop(0) if receiver.answers else (204, {})
            else:
                receiver.refused.append(call)
                status, more = 401, {}
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(server.server_port)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        is_over.set()
        server.shutdown()
        server.server_close()
        thread.join()
