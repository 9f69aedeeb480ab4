"""The one seam to the network of the hot path: pinned connections to each upstream, and what a failure means for money.

A failure is sorted by one question: can the upstream have taken the request? Only a connection that was never made says
surely not; anything later may have been billed.
"""

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from costhub.lib import clock, failpoints, secrets
from costhub.lib.errors import AppError
from costhub.lib.net import PINNED_FOR_SECONDS, Gate, Pinned, Target, parse_origin
from proxy.errors import UpstreamError
from proxy.upstreams.http1 import Broken, ConnectFailed, Line, Pool, TimedOut
from tenants.snapshots import OrgSnapshot, UpstreamSnapshot

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
MAX_ERROR_BYTES: Final = 64 * 1024
_NANOS_PER_SECOND: Final = 1_000_000_000
_BEARER: Final = "authorization: Bearer "


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
    """An upstream as it was when its addresses were vetted."""

    snapshot: UpstreamSnapshot
    target: Target
    pinned: Pinned
    pool: Pool
    authorization: str
    pinned_at_ns: int
    heads: dict[str, bytes]
    # Which of the pinned addresses is in use; moves on when one does not answer.
    turn: int = 0


class Upstreams:
    """Connections to the upstreams that this process has called."""

    def __init__(self, gate: Gate, master_key: bytes) -> None:
        self._gate = gate
        self._master_key = master_key
        self._origins: dict[str, _Origin] = {}
        #: upstream id -> the look-up under way, and for which snapshot
        self._pinning: dict[str, tuple[UpstreamSnapshot, asyncio.Task[_Origin]]] = {}

    def close(self) -> None:
        """Close every connection that rests."""
        for origin in self._origins.values():
            origin.pool.close()
        self._origins.clear()
        for _, pinning in self._pinning.values():
            pinning.cancel()

    def post(self, upstream: UpstreamSnapshot, org: OrgSnapshot, path: str, body: bytes, request_id: str) -> "Exchange":
        """One call: enter it to send ``body`` and have the answer's head, read from it, leave it to be done.

        Entering and reading raise NotTaken or BrokenOff.
        """
        return Exchange(self, upstream, org, path, body, request_id)

    async def origin_of(self, upstream: UpstreamSnapshot, org: OrgSnapshot) -> _Origin:
        """The upstream's vetted origin. Raises NotTaken if it may not be called or has no address."""
        origin = self._origins.get(upstream.id)
        if (
            origin is not None
            and origin.snapshot is upstream
            and clock.monotonic_ns() - origin.pinned_at_ns < PINNED_FOR_SECONDS * _NANOS_PER_SECOND
        ):
            return origin
        under_way = self._pinning.get(upstream.id)
        if under_way is None or under_way[0] is not upstream:
            # One look-up for all who wait: a name that is slow to resolve must not be asked for by every call.
            under_way = upstream, asyncio.create_task(self._pin(upstream, org))
            self._pinning[upstream.id] = under_way
            under_way[1].add_done_callback(lambda task: self._end_pinning(upstream.id, task))
        return await asyncio.shield(under_way[1])

    def try_next_address(self, origin: _Origin, failed: Pool) -> None:
        """The address of this pool did not answer: others may have said so already."""
        if len(origin.pinned.addresses) > 1 and origin.pool is failed:
            origin.turn = (origin.turn + 1) % len(origin.pinned.addresses)
            origin.pool.close()
            origin.pool = self._pool(origin.snapshot, origin.target, origin.pinned.addresses[origin.turn])

    def _end_pinning(self, upstream_id: str, task: "asyncio.Task[_Origin]") -> None:
        if not task.cancelled():
            task.exception()  # whoever waited for it has left, perhaps
        under_way = self._pinning.get(upstream_id)
        if under_way is not None and under_way[1] is task:
            del self._pinning[upstream_id]

    async def _pin(self, upstream: UpstreamSnapshot, org: OrgSnapshot) -> _Origin:
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
        before = self._origins.get(upstream.id)
        if before is not None and before.snapshot == upstream and before.pinned.addresses == pinned.addresses:
            before.snapshot = upstream
            before.pinned_at_ns = now
            return before
        pool = self._pool(upstream, target, pinned.addresses[0])
        origin = _Origin(upstream, target, pinned, pool, authorization, now, {})
        if before is not None:
            before.pool.close()
        self._origins[upstream.id] = origin
        return origin

    def _pool(self, upstream: UpstreamSnapshot, target: Target, address: str) -> Pool:
        return Pool(
            address=address,
            port=target.port,
            host=target.host,
            tls=self._gate.tls if target.scheme == "https" else None,
            connect_timeout_seconds=upstream.connect_timeout_ms / 1000,
        )

    def _open_credential(self, upstream: UpstreamSnapshot, org: OrgSnapshot, target: Target) -> str:
        if upstream.credential is None:
            return ""
        credential = secrets.unseal(
            self._master_key, org.data_key, org_id=org.id, origin=target.origin, sealed=upstream.credential
        )
        return f"{_BEARER}{credential}\r\n"


class Exchange:
    """One request and its answer."""

    __slots__ = (
        "_body",
        "_credential",
        "_line",
        "_org",
        "_path",
        "_request_id",
        "_upstream",
        "_upstreams",
        "status",
        "was_sent",
    )

    def __init__(
        self,
        upstreams: Upstreams,
        upstream: UpstreamSnapshot,
        org: OrgSnapshot,
        path: str,
        body: bytes,
        request_id: str,
    ) -> None:
        self._upstreams = upstreams
        self._upstream = upstream
        self._org = org
        self._path = path
        self._body = body
        self._request_id = request_id
        self._line: Line | None = None
        self.status = 0
        # Whether a byte of the request may have left.
        self.was_sent = False
        self._credential = ""

    async def __aenter__(self) -> "Exchange":
        origin = await self._upstreams.origin_of(self._upstream, self._org)
        failpoints.reach("before_upstream")
        pool = origin.pool
        try:
            line = await pool.line()
        except ConnectFailed as error:
            self._upstreams.try_next_address(origin, pool)
            name = self._upstream.name
            raise NotTaken(
                UpstreamError(f"The upstream {name} cannot be reached.", code="upstream_unreachable", status=502)
            ) from error
        self._line = line
        try:
            self.was_sent = True
            self._credential = origin.authorization.removeprefix(_BEARER).strip()
            line.send(self._request(origin), self._upstream.timeout_ms / 1000)
            failpoints.reach("upstream_connected")
            self.status = await line.head()
        except BaseException as error:
            line.release()
            if isinstance(error, Broken):
                raise self._explain(error) from error
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._line is not None:
            self._line.release()

    def hide_credential(self, text: str) -> str:
        """The text without the stored credential, which some servers quote in their errors."""
        return text.replace(self._credential, "[credential]") if self._credential else text

    def header(self, name: str) -> str | None:
        """A header of the answer, by its lower-case name."""
        assert self._line is not None
        return self._line.headers.get(name)

    async def read(self) -> bytes | None:
        """The next bytes of the answer, or None after the last. Raises BrokenOff."""
        assert self._line is not None
        try:
            return await self._line.read()
        except Broken as error:
            raise self._explain(error) from error

    async def read_whole(self, limit: int = MAX_ANSWER_BYTES) -> bytes:
        """The whole answer, at most ``limit`` bytes. Raises AnswerTooLong beyond, and BrokenOff."""
        parts, size = [], 0
        while (part := await self.read()) is not None:
            parts.append(part)
            size += len(part)
            if size > limit:
                raise AnswerTooLong
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _request(self, origin: _Origin) -> bytes:
        head = origin.heads.get(self._path)
        if head is None:
            target = origin.target
            host = f"[{target.host}]" if ":" in target.host else target.host
            is_default = target.port == {"http": 80, "https": 443}[target.scheme]
            head = (
                f"POST {target.path}/{self._path} HTTP/1.1\r\n"
                f"host: {host if is_default else f'{host}:{target.port}'}\r\n"
                f"user-agent: CostHub\r\naccept: */*\r\naccept-encoding: identity\r\n"
                f"content-type: application/json\r\n{origin.authorization}"
            ).encode("latin-1")
            origin.heads[self._path] = head
        return b"%bx-client-request-id: %b\r\ncontent-length: %d\r\n\r\n%b" % (
            head,
            self._request_id.encode(),
            len(self._body),
            self._body,
        )

    def _explain(self, error: Broken) -> BrokenOff:
        name = self._upstream.name
        if isinstance(error, TimedOut):
            return BrokenOff(
                UpstreamError(f"The upstream {name} did not answer in time.", code="upstream_timeout", status=504)
            )
        return BrokenOff(
            UpstreamError(f"The upstream {name} broke off its answer.", code="upstream_broke_off", status=502)
        )
