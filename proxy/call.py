"""One HTTP request to the LLM API, read from ASGI as far as it is needed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import chain
from operator import itemgetter
from typing import Any, Final

from costhub.lib import clock
from proxy.core.encodings import decode, find_encoding
from proxy.core.weight import SMALL_BYTES, weigh
from proxy.edges.auth import find_bearer
from proxy.edges.shortcuts import Receive, Shortcuts
from proxy.errors import InvalidRequest
from proxy.values.request import FORM_ENDPOINTS, Endpoint

BODY_TIMEOUT_SECONDS: Final = 30
MAX_HEADER_BYTES: Final = 32 * 1024
_JSON: Final = "application/json"
#: what grows with a body gives way after that
TURN_NS: Final = 2_000_000


class Call:
    """A call as it arrives. Its id and its moment are made together: they are the ledger's key."""

    #: whether the upstream is read to its end although the caller has left
    keeps_going = False
    # What is nothing at first stands here: every call makes one.
    _leave: Callable[[], None] | None = None
    _looking: asyncio.Task[None] | None = None
    _whole: bytes | None = None
    _sent: bytes | None = None
    #: what its messages named of /v1/files stands in its body by now
    has_files = False

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
        self._scope = scope
        lines: list[tuple[bytes, bytes]] = scope["headers"]
        # Of a header that has several lines the last one, and in ``repeated`` every one.
        self.headers, self.repeated = _read_headers(lines)
        self._header_bytes = sum(map(len, chain.from_iterable(lines)))
        self._receive = receive
        self.max_body_bytes = max_body_bytes
        self._shortcuts = shortcuts

    @property
    def path(self) -> str:
        """Of its URL."""
        path: str = self._scope.get("path", "")
        return path

    @property
    def peer(self) -> str:
        """Whoever opened the connection: the caller, or a proxy of the operator's."""
        peer: str = (self._scope.get("client") or ("", 0))[0]
        return peer

    def keep_going(self) -> None:
        """Have the answer read to its end even if this caller leaves: others wait for it, or it is billed whole
        anyway."""
        self.keeps_going = True

    def bearer(self) -> str:
        """The API key that the request carries. Raises Unauthorized, and InvalidRequest if the headers are too long."""
        if self._header_bytes > MAX_HEADER_BYTES:
            raise InvalidRequest(
                f"The request's headers have {self._header_bytes} bytes: {MAX_HEADER_BYTES} at most.",
                code="headers_too_large",
            )
        return find_bearer(self.headers, self.repeated)

    def body_at_once(self) -> bytes | None:
        """The whole body, if it is there already, and is short and plain JSON: as most are. None for any other."""
        if self._whole is not None:
            return self._whole
        headers, shortcuts = self.headers, self._shortcuts
        if (
            shortcuts is None
            or headers.get("content-type") != _JSON
            or "content-encoding" in headers
            or self.endpoint in FORM_ENDPOINTS
        ):
            return None
        body = shortcuts.take_body(self._receive, min(SMALL_BYTES, self.max_body_bytes))
        if body is not None:
            self._begin_to_watch()
            self._whole = body
        return body

    async def body(self) -> bytes:
        """The whole body, unpacked; the same again where it was read before. Raises InvalidRequest if it is too long,
        too slow, not called JSON, broken off, or holds so many values that reading it would keep everybody waiting."""
        if self._whole is not None:
            return self._whole
        content_type = self.headers.get("content-type", _JSON)
        is_form = self.endpoint in FORM_ENDPOINTS
        if is_form and not content_type.lower().startswith("multipart/form-data"):
            raise InvalidRequest(
                f"The content type is {content_type[:100]!r}: send a form, with `Content-Type: multipart/form-data`.",
                param="Content-Type",
                code="unsupported_content_type",
            )
        if not is_form and content_type != _JSON and "json" not in content_type.lower():
            raise InvalidRequest(
                f"The content type is {content_type[:100]!r}: send JSON, with `Content-Type: application/json`.",
                param="Content-Type",
                code="unsupported_content_type",
            )
        encoding = find_encoding(self.headers) if "content-encoding" in self.headers else ""
        length = self.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self.max_body_bytes:
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
        elif len(body) > self.max_body_bytes:
            raise self._too_long()
        self._begin_to_watch()
        if encoding:
            body = await asyncio.to_thread(decode, encoding, body, self.max_body_bytes)
        if len(body) > SMALL_BYTES and not is_form:
            await _weigh(body)
        self._whole = body
        return body

    def put_files(self, body: bytes) -> None:
        """Have a body read in the place of its own, with what the files hold that its messages name."""
        if self._sent is None:
            self._sent = self._whole
        self._whole, self.has_files = body, True

    @property
    def as_sent(self) -> bytes:
        """The body, which was read, as its caller has sent it: with the names of files, and not what they hold."""
        body = self._whole if self._sent is None else self._sent
        assert body is not None, "body() comes first"
        return body

    async def parts(self, most_bytes: int) -> AsyncIterator[bytes]:
        """A body that is too long to be held, as it comes. Raises InvalidRequest if it is longer than that, too slow,
        or broken off."""
        length, size = self.headers.get("content-length", ""), 0
        if length.isdecimal() and int(length) > most_bytes:
            raise too_long(most_bytes)
        while True:
            try:
                async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
                    message = await self._receive()
            except TimeoutError as error:
                raise InvalidRequest(
                    f"No byte of the body came for {BODY_TIMEOUT_SECONDS} s.", code="body_timeout", status=408
                ) from error
            if message["type"] == "http.disconnect":
                raise InvalidRequest("The body broke off before its end.", code="incomplete_body")
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > most_bytes:
                raise too_long(most_bytes)
            if part:
                yield part
            if not message.get("more_body"):
                return

    def watch(self, leave: Callable[[], None]) -> None:
        """Call ``leave`` when the caller closes the connection, from the end of the body on: before that, whoever reads
        the body learns of it."""
        self._leave = leave

    def stop_watching(self) -> None:
        """Stop watching: the call has ended."""
        self._leave = None
        if self._looking is not None:
            self._looking.cancel()

    def _begin_to_watch(self) -> None:
        if self._leave is None:
            return
        if self._shortcuts is None or not self._shortcuts.watch(self._receive, self._leave):
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
            if size > self.max_body_bytes:
                raise self._too_long()
            if not message.get("more_body"):
                return b"".join(parts)

    def _too_long(self) -> InvalidRequest:
        return too_long(self.max_body_bytes)


def _read_headers(lines: Sequence[tuple[bytes, bytes]]) -> tuple[dict[str, str], dict[str, list[str]]]:
    try:
        headers = dict(zip(map(_decode_name, map(_name, lines)), map(bytes.decode, map(_value, lines)), strict=True))
    except UnicodeDecodeError:
        headers = {name.decode("latin-1"): _decode(value) for name, value in lines}
    repeated: dict[str, list[str]] = {}
    if len(headers) < len(lines):
        for raw_name, value in lines:
            repeated.setdefault(raw_name.decode("latin-1"), []).append(_decode(value))
        repeated = {name: values for name, values in repeated.items() if len(values) > 1}
    return headers, repeated


_name: Final = itemgetter(0)
_value: Final = itemgetter(1)
#: clients send few names, the same ones with every call
_decode_name: Final = lru_cache(maxsize=1_024)(partial(str, encoding="latin-1"))


def _decode(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def too_long(most_bytes: int) -> InvalidRequest:
    """The error of a body of more than so many bytes."""
    return InvalidRequest(
        f"The body is longer than {most_bytes} bytes, the most that is taken here.", code="request_too_large"
    )


async def _weigh(body: bytes) -> None:
    """Count its values, and let others have a turn every few milliseconds."""
    began = clock.monotonic_ns()
    for _ in weigh(body):
        if clock.monotonic_ns() - began > TURN_NS:
            await asyncio.sleep(0)
            began = clock.monotonic_ns()
