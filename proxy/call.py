"""One HTTP request to the LLM API, read from ASGI as far as it is needed."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from costhub.lib import clock
from proxy.edges.auth import find_bearer
from proxy.errors import InvalidRequest
from proxy.types import Endpoint

Receive = Callable[[], Awaitable[dict[str, Any]]]

BODY_TIMEOUT_SECONDS: Final = 30
MAX_HEADER_BYTES: Final = 32 * 1024


class Call:
    """A call as it arrives. Its id and its moment are made together: they are the ledger's key."""

    __slots__ = (
        "_header_bytes",
        "_max_body_bytes",
        "_receive",
        "_repeated",
        "endpoint",
        "headers",
        "id",
        "keeps_going",
        "started_ms",
        "started_ns",
        "when_read",
    )

    def __init__(self, scope: Mapping[str, Any], receive: Receive, endpoint: Endpoint, max_body_bytes: int) -> None:
        self.started_ns = clock.monotonic_ns()
        self.id, self.started_ms = clock.new_request_id()
        self.endpoint = endpoint
        self.headers: dict[str, str] = {}
        repeated = set()
        size = 0
        for raw_name, raw_value in scope["headers"]:
            name = raw_name.decode("latin-1")
            size += len(raw_name) + len(raw_value)
            if name in self.headers:
                repeated.add(name)
            try:
                self.headers[name] = raw_value.decode()
            except UnicodeDecodeError:
                self.headers[name] = raw_value.decode("latin-1")
        self._header_bytes = size
        self._repeated = frozenset(repeated)
        self._receive = receive
        self._max_body_bytes = max_body_bytes
        # Whether the upstream is read to its end although the caller has left.
        self.keeps_going = False
        # Set when the body is there: from then on ASGI's next message is the caller's leaving.
        self.when_read = asyncio.Event()

    def bearer(self) -> str:
        """The API key that the request carries. Raises Unauthorized, and InvalidRequest if the headers are too long."""
        if self._header_bytes > MAX_HEADER_BYTES:
            raise InvalidRequest(
                f"The request's headers have {self._header_bytes} bytes: {MAX_HEADER_BYTES} at most.",
                code="headers_too_large",
            )
        return find_bearer(self.headers, self._repeated)

    async def body(self) -> bytes:
        """The whole body. Raises InvalidRequest if it is too long, too slow, not called JSON or broken off."""
        content_type = self.headers.get("content-type", "application/json")
        if "json" not in content_type.lower():
            raise InvalidRequest(
                f"The content type is {content_type[:100]!r}: send JSON, with `Content-Type: application/json`.",
                param="Content-Type",
                code="unsupported_content_type",
            )
        length = self.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._max_body_bytes:
            raise self._too_long()
        try:
            async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
                return await self._read_all()
        except TimeoutError as error:
            raise InvalidRequest(
                f"The body did not arrive within {BODY_TIMEOUT_SECONDS} s.", code="body_timeout", status=408
            ) from error

    async def wait_for_disconnect(self) -> None:
        """Return when the caller has closed the connection."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _read_all(self) -> bytes:
        parts, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise InvalidRequest("The body broke off before its end.", code="incomplete_body")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._max_body_bytes:
                raise self._too_long()
            if not message.get("more_body"):
                self.when_read.set()
                return b"".join(parts)

    def _too_long(self) -> InvalidRequest:
        return InvalidRequest(
            f"The body is longer than {self._max_body_bytes} bytes, the most that is taken here.",
            code="request_too_large",
        )
