"""One HTTP request to the LLM API, read from ASGI as far as it is needed."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from costhub.lib import clock
from proxy.edges.auth import find_bearer
from proxy.edges.shortcuts import Receive, Shortcuts
from proxy.errors import InvalidRequest
from proxy.types import Endpoint

BODY_TIMEOUT_SECONDS: Final = 30
MAX_HEADER_BYTES: Final = 32 * 1024


class Call:
    """A call as it arrives. Its id and its moment are made together: they are the ledger's key."""

    __slots__ = (
        "_header_bytes",
        "_leave",
        "_looking",
        "_max_body_bytes",
        "_receive",
        "_repeated",
        "_shortcuts",
        "endpoint",
        "headers",
        "id",
        "keeps_going",
        "started_ms",
        "started_ns",
    )

    def __init__(
        self,
        scope: Mapping[str, Any],
        receive: Receive,
        endpoint: Endpoint,
        max_body_bytes: int,
        shortcuts: Shortcuts | None = None,
    ) -> None:
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
        self._shortcuts = shortcuts
        self._leave: Callable[[], None] | None = None
        self._looking: asyncio.Task[None] | None = None

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
        body = self._shortcuts.take_body(self._receive) if self._shortcuts is not None else None
        if body is None:
            try:
                async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
                    body = await self._read_all()
            except TimeoutError as error:
                raise InvalidRequest(
                    f"The body did not arrive within {BODY_TIMEOUT_SECONDS} s.", code="body_timeout", status=408
                ) from error
        elif len(body) > self._max_body_bytes:
            raise self._too_long()
        self._begin_to_watch()
        return body

    def watch(self, leave: Callable[[], None]) -> None:
        """Call ``leave`` when the caller closes the connection, from the end of the body on: before it, reading
        tells."""
        self._leave = leave

    def stop_watching(self) -> None:
        """The call has ended: nobody need know any more."""
        self._leave = None
        if self._looking is not None:
            self._looking.cancel()
        elif self._shortcuts is not None:
            self._shortcuts.watch(self._receive, None)

    def _begin_to_watch(self) -> None:
        if self._leave is None:
            return
        if self._shortcuts is not None:
            self._shortcuts.watch(self._receive, self._leave)
        else:
            self._looking = asyncio.create_task(self._look(self._leave))

    async def _look(self, leave: Callable[[], None]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        leave()

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
                return b"".join(parts)

    def _too_long(self) -> InvalidRequest:
        return InvalidRequest(
            f"The body is longer than {self._max_body_bytes} bytes, the most that is taken here.",
            code="request_too_large",
        )
