"""Requests that no HTTP client would send: written to a socket byte by byte, and the answer read back."""

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any

from tests.patience import PATIENCE_SECONDS

Header = tuple[str, str | bytes]


@dataclass(frozen=True)
class Answer:
    """A response, whole. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error object of OpenAI's shape."""
        error: dict[str, Any] = self.json["error"]
        return error


def connect(port: int) -> socket.socket:
    """A connection to a server on loopback that gives up after a while."""
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)


def make_request(method: str, target: str, headers: Sequence[Header], body: bytes = b"") -> bytes:
    """A request's bytes, as they are given: nothing is added but the host."""
    lines = [f"{method} {target} HTTP/1.1".encode(), b"host: 127.0.0.1"]
    lines += [
        name.encode() + b": " + (value if isinstance(value, bytes) else value.encode()) for name, value in headers
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def make_chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; an empty one is the last."""
    return f"{len(data):x}".encode() + b"\r\n" + data + b"\r\n"


def read_answer(connection: socket.socket, method: str = "POST") -> Answer:
    """The response that a connection brings."""
    response = HTTPResponse(connection, method=method)
    try:
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())
    finally:
        response.close()


def exchange(port: int, request: bytes, method: str = "POST") -> Answer:
    """Send a request on a connection of its own and read the answer."""
    with connect(port) as connection:
        connection.sendall(request)
        return read_answer(connection, method)
