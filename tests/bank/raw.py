"""A client of plain sockets, for looking at the bank's very bytes."""

import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import orjson

from tests.patience import PATIENCE_SECONDS


@dataclass(frozen=True, slots=True)
class RawReply:
    """One answer: the status, the headers by lower-case name, and the body without its chunk framing."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The JSON of each event of a well-formed stream, and the text of one that is not JSON."""
        data = [event.removeprefix("data: ") for event in self.body.decode().split("\n\n")[:-1]]
        return [text if text == "[DONE]" else orjson.loads(text) for text in data]

    @property
    def text(self) -> str:
        """What the chunks of a chat's stream say in the first choice."""
        chunks = [event["choices"][0] for event in self.events if event != "[DONE]" and event["choices"]]
        return "".join(chunk["delta"].get("content") or "" for chunk in chunks if chunk["index"] == 0)


class RawConnection:
    """A connection on which a test writes and reads what it likes."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self._left = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def post(self, body: Any, request_id: str, path: str = "/v1/chat/completions") -> None:
        """Send a call without waiting for its answer."""
        self.send(post_bytes(body, request_id, path))

    def read_until(self, mark: bytes) -> bytes:
        """Everything up to and with a mark. Raises EOFError when the peer ends before it."""
        while mark not in self._left:
            self._left += self._receive()
        found, _, self._left = self._left.partition(mark)
        return found + mark

    def read_exactly(self, length: int) -> bytes:
        while len(self._left) < length:
            self._left += self._receive()
        found, self._left = self._left[:length], self._left[length:]
        return found

    def read_to_end(self) -> bytes:
        """Everything up to a clean close. Raises ConnectionResetError for one that is not."""
        pieces = [self._left]
        self._left = b""
        while piece := self.socket.recv(1 << 20):
            pieces.append(piece)
        return b"".join(pieces)

    def read_head(self) -> tuple[int, dict[str, str]]:
        lines = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")[:-2]
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        return int(lines[0].split(" ")[1]), headers

    def read_chunk(self) -> bytes:
        """One chunk of a chunked body; empty at its end."""
        data = self.read_exactly(int(self.read_until(b"\r\n"), 16))
        self.read_exactly(2)
        return data

    def read_reply(self) -> RawReply:
        status, headers = self.read_head()
        if headers.get("transfer-encoding") != "chunked":
            return RawReply(status, headers, self.read_exactly(int(headers["content-length"])))
        return RawReply(status, headers, b"".join(iter(self.read_chunk, b"")))

    def _receive(self) -> bytes:
        data = self.socket.recv(1 << 20)
        if not data:
            raise EOFError("the bank closed the connection")
        return data


def post_bytes(body: Any, request_id: str, path: str = "/v1/chat/completions") -> bytes:
    """A POST as its bytes."""
    payload = body if isinstance(body, bytes) else orjson.dumps(body)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bank\r\nAuthorization: Bearer ada\r\nContent-Type: application/json\r\n"
        f"X-Client-Request-Id: {request_id}\r\nContent-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


def call(port: int, body: Any, request_id: str, path: str = "/v1/chat/completions") -> RawReply:
    """One call on a connection of its own, answered in full."""
    with RawConnection(port) as connection:
        connection.post(body, request_id, path)
        return connection.read_reply()


def chat(
    text: str = "Say something", *, stream: bool = False, bank: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A chat's body. A streamed one asks for its usage."""
    body: dict[str, Any] = {"model": "bank-small", "messages": [{"role": "user", "content": text}], **more}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body if bank is None else {**body, "bank": bank}
