"""An upstream that answers with bytes that a test has written down: what a vendor really sends, to the letter."""

import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

Json = dict[str, Any]
#: the pieces of an answer, head included, for the body of a request
Script = Callable[[Json], Iterable[bytes]]

DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}


class ScriptedUpstream:
    """Answers each request by ``script`` and closes. ``heads`` and ``bodies`` are those that came."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.heads: list[bytes] = []
        self.bodies: list[Json] = []
        self.raw_bodies: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening: whoever waits for a caller is woken, which a close alone does not."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def read_json(self, raw: bytes) -> Json:
        """What came, read."""
        return cast("Json", json.loads(raw))

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        # Whoever asks may leave at any moment.
        with peer, suppress(OSError):
            data = b""
            while b"\r\n\r\n" not in data:
                data += peer.recv(65_536) or b"\r\n\r\n"
            head, _, body = data.partition(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: ")]
            if not lengths:
                return
            while len(body) < int(lengths[0][16:]):
                if not (part := peer.recv(1 << 20)):
                    return
                body += part
            self.heads.append(head + b"\r\n")
            self.raw_bodies.append(body)
            self.bodies.append(self.read_json(body))
            for part in self.script(self.bodies[-1]):
                peer.sendall(part)


@contextmanager
def scripted(script: Script) -> Iterator[ScriptedUpstream]:
    """One for the length of the block."""
    upstream = ScriptedUpstream(script)
    try:
        yield upstream
    finally:
        upstream.close()


def whole(body: Any, status: int = 200, content_type: str = "application/json", *lines: str) -> list[bytes]:
    """A whole answer; what is no bytes is written as JSON. ``lines`` are further headers."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status} X", f"content-type: {content_type}", f"content-length: {len(raw)}", "connection: close"]
    return ["\r\n".join([*head, *lines, "", ""]).encode() + raw]


def stream(*events: Any, is_broken: bool = False) -> list[bytes]:
    """A stream: objects are ``data:`` events, bytes go as they stand. ``is_broken``: it has no end."""
    parts = [
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    ]
    for event in events:
        raw = event if isinstance(event, bytes) else b"data: %b\n\n" % json.dumps(event).encode()
        parts.append(b"%x\r\n%b\r\n" % (len(raw), raw))
    return parts if is_broken else [*parts, b"0\r\n\r\n"]


def chunk(delta: Json | None = None, finish_reason: str | None = None, **more: Any) -> Json:
    """An event of a stream; without a delta it has no choice."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "small", "choices": choices, **more}


def answer(text: str = "Hello", usage: Json | None = None, **message: Any) -> Json:
    """A whole chat completion."""
    said = {"role": "assistant", "content": text, **message}
    choice = {"index": 0, "message": said, "finish_reason": "stop"}
    shape = {"id": "c1", "object": "chat.completion", "created": 1, "model": "small", "choices": [choice]}
    return shape if usage is None else shape | {"usage": usage}
