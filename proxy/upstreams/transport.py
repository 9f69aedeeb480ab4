"""The one seam to the network of the hot path: a pooled, pinned client an upstream, and what its failures mean for money.

A failure is sorted by one question: can the upstream have taken the request? Only a connection that was never made says
surely not; anything later may have been billed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from pyreqwest.client import Client
from pyreqwest.exceptions import ConnectError, ConnectTimeoutError, PyreqwestError, RequestTimeoutError
from pyreqwest.response import Response

from costhub.lib import clock, failpoints, secrets
from costhub.lib.errors import AppError
from costhub.lib.net import PINNED_FOR_SECONDS, Gate, Pinned, Target, parse_origin
from proxy.errors import UpstreamError
from tenants.snapshots import OrgSnapshot, UpstreamSnapshot

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
MAX_ERROR_BYTES: Final = 64 * 1024
_NANOS_PER_SECOND: Final = 1_000_000_000


class NotTaken(Exception):
    """The upstream cannot have taken the request: no connection was made."""

    def __init__(self, error: UpstreamError) -> None:
        super().__init__(error.message)
        self.error = error


class BrokenOff(Exception):
    """The upstream may have taken the request, and no whole answer came."""

    def __init__(self, error: UpstreamError) -> None:
        super().__init__(error.message)
        self.error = error


class AnswerTooLong(Exception):
    """More bytes than any answer has."""


@dataclass(slots=True)
class _Origin:
    """An upstream as it was when its client was made."""

    snapshot: UpstreamSnapshot
    target: Target
    pinned: Pinned
    client: Client
    authorization: str | None
    pinned_at_ns: int
    urls: dict[str, str]
    # Which of the pinned addresses is in use; moves on when one does not answer.
    turn: int = 0


class Upstreams:
    """Clients of the upstreams that this process has called."""

    def __init__(self, gate: Gate, master_key: bytes) -> None:
        self._gate = gate
        self._master_key = master_key
        self._origins: dict[str, _Origin] = {}

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(origin.client.close() for origin in self._origins.values()))
        self._origins.clear()

    @asynccontextmanager
    async def post(
        self, upstream: UpstreamSnapshot, org: OrgSnapshot, path: str, body: bytes, request_id: str
    ) -> AsyncIterator[Response]:
        """Send a body and give the response, its own body not yet read; leaving the block drops what was not read.

        Raises NotTaken or BrokenOff, in the block too.
        """
        origin = self._origins.get(upstream.id)
        if (
            origin is None
            or origin.snapshot != upstream
            or clock.monotonic_ns() - origin.pinned_at_ns > PINNED_FOR_SECONDS * _NANOS_PER_SECOND
        ):
            origin = await self._pin(upstream, org, origin)
        failpoints.reach("before_upstream")
        request = (
            origin.client.post(origin.urls.get(path) or _url(origin, path))
            .header("content-type", "application/json")
            .header("x-client-request-id", request_id)
            .body_bytes(body)
            # Without this the reader reads ahead, and the first event of a stream comes with the last.
            .streamed_read_buffer_limit(0)
        )
        if origin.authorization is not None:
            request = request.header("authorization", origin.authorization, is_sensitive=True)
        try:
            async with request.build_streamed() as response:
                failpoints.reach("upstream_connected")
                yield response
        except PyreqwestError as error:
            raise self._explain(error, origin) from error

    def _explain(self, error: PyreqwestError, origin: _Origin) -> NotTaken | BrokenOff:
        name = origin.snapshot.name
        if _never_connected(error):
            self._try_next_address(origin)
            return NotTaken(
                UpstreamError(f"The upstream {name} cannot be reached.", code="upstream_unreachable", status=502)
            )
        if isinstance(error, RequestTimeoutError):
            return BrokenOff(
                UpstreamError(f"The upstream {name} did not answer in time.", code="upstream_timeout", status=504)
            )
        return BrokenOff(
            UpstreamError(f"The upstream {name} broke off its answer.", code="upstream_broke_off", status=502)
        )

    async def _pin(self, upstream: UpstreamSnapshot, org: OrgSnapshot, before: _Origin | None) -> _Origin:
        try:
            target = parse_origin(upstream.base_url)
            pinned = await self._gate.pin(target)
            authorization = self._open_credential(upstream, org, target)
        except AppError as error:
            raise NotTaken(
                UpstreamError(
                    f"The upstream {upstream.name} cannot be used: {error.message}",
                    code="upstream_unusable",
                    status=502,
                )
            ) from error
        now = clock.monotonic_ns()
        if before is not None and before.snapshot == upstream and before.pinned.addresses == pinned.addresses:
            before.pinned_at_ns = now
            return before
        origin = _Origin(upstream, target, pinned, self._client(upstream, pinned, 0), authorization, now, {})
        # The old client is not closed: calls are under way on it. It goes with the last of them.
        self._origins[upstream.id] = origin
        return origin

    def _client(self, upstream: UpstreamSnapshot, pinned: Pinned, turn: int) -> Client:
        return self._gate.pyreqwest_client(
            pinned,
            connect_timeout=timedelta(milliseconds=upstream.connect_timeout_ms),
            total_timeout=timedelta(milliseconds=upstream.timeout_ms),
            address=pinned.addresses[turn],
        )

    def _try_next_address(self, origin: _Origin) -> None:
        if len(origin.pinned.addresses) > 1:
            origin.turn = (origin.turn + 1) % len(origin.pinned.addresses)
            origin.client = self._client(origin.snapshot, origin.pinned, origin.turn)

    def _open_credential(self, upstream: UpstreamSnapshot, org: OrgSnapshot, target: Target) -> str | None:
        if upstream.credential is None:
            return None
        credential = secrets.unseal(
            self._master_key, org.data_key, org_id=org.id, origin=target.origin, sealed=upstream.credential
        )
        return f"Bearer {credential}"


async def read_whole(response: Response, limit: int = MAX_ANSWER_BYTES) -> bytes:
    """A response's body, at most ``limit`` bytes. Raises AnswerTooLong beyond."""
    length = response.get_header("content-length")
    if length is not None and length.isdigit() and int(length) <= limit:
        return bytes(await response.bytes())
    parts, size = [], 0
    while (part := await response.body_reader.read_chunk()) is not None:
        parts.append(bytes(part))
        size += len(part)
        if size > limit:
            raise AnswerTooLong
    return b"".join(parts)


def _url(origin: _Origin, path: str) -> str:
    return origin.urls.setdefault(path, origin.target.url(f"/{path}"))


def _never_connected(error: PyreqwestError) -> bool:
    """Whether the failure came before a connection was made.

    The classes alone do not say so: ConnectError and ConnectTimeoutError are raised also when a request went out and
    its answer's head never came. Only the chain of causes tells.
    """
    if not isinstance(error, ConnectError | ConnectTimeoutError):
        return False
    details: Any = error.details
    causes = (details or {}).get("causes") or ()
    return any("(Connect)" in str(cause.get("message", "")) for cause in causes if isinstance(cause, dict))
