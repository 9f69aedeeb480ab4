"""The one seam to the network of the hot path: pinned connections to each upstream, and what a failure means for money.

A failure is sorted by one question: can the upstream have taken the request? Only a connection that was never made says
surely not; anything later may have been billed.
"""

import asyncio
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from costhub.lib import clock, failpoints, secrets
from costhub.lib.clock import Stopwatch
from costhub.lib.errors import AppError
from costhub.lib.net import PINNED_FOR_SECONDS, Gate, Pinned, Target, parse_origin
from proxy.core.betas import HEADER
from proxy.core.redaction import RedactedStream, Redaction
from proxy.core.weight import SMALL_BYTES
from proxy.errors import Carrier, TooLate, UpstreamError
from proxy.upstreams.http1 import Broken, ConnectFailed, Line, Pool, TimedOut
from proxy.upstreams.refused_habits import RefusedHabits
from proxy.values.vendor import Refusal
from tenants.snapshots import OrgSnapshot, UpstreamSnapshot
from tenants.upstream_headers import credential_headers

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
MAX_ERROR_BYTES: Final = 64 * 1024
_NANOS_PER_SECOND: Final = 1_000_000_000
_OK: Final = 200
JSON: Final = "application/json"
_MOST_ORIGINS: Final = 10_000
_NOTHING_TO_HIDE: Final = Redaction("")


class NotTaken(Carrier[UpstreamError]):
    """The upstream cannot have taken the request: nothing of it was sent."""


class BrokenOff(Carrier[UpstreamError]):
    """The upstream may have taken the request, and no whole answer came."""


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
    redaction: Redaction
    pinned_at_ns: int
    heads: dict[str, bytes]
    # Which of the pinned addresses is in use; moves on when one does not answer.
    turn: int = 0


class Upstreams:
    """Connections to the upstreams that this process has called."""

    def __init__(self, gate: Gate, master_keys: secrets.MasterKeys) -> None:
        self._gate = gate
        self._master_keys = master_keys
        self._origins: dict[str, _Origin] = {}
        # By the upstream's id: the look-up under way, and for which snapshot.
        self._pinning: dict[str, tuple[UpstreamSnapshot, asyncio.Task[_Origin]]] = {}
        #: what they refused of our own writing
        self.refused_habits = RefusedHabits()

    def close(self) -> None:
        """Close every connection that rests."""
        for origin in self._origins.values():
            origin.pool.close()
        self._origins.clear()
        for _, pinning in self._pinning.values():
            pinning.cancel()

    def post(
        self,
        upstream: UpstreamSnapshot,
        org: OrgSnapshot,
        path: str,
        body: bytes,
        request_id: str,
        waited: Stopwatch | None = None,
        content_type: str = JSON,
        until_ns: int = 0,
        betas: Sequence[str] = (),
    ) -> "Exchange":
        """One call: enter it to send ``body`` and have the answer's head, read from it, leave it to be done. ``waited``
        runs while the upstream is waited for; past ``until_ns``, on the clock of durations, nobody wants its answer,
        where that is given. ``betas`` are features of Anthropic's API that a header names.

        Entering and reading raise NotTaken or BrokenOff.
        """
        exchange = Exchange(self, upstream, org, path, body, request_id, waited or Stopwatch())
        if betas or until_ns or content_type != JSON:
            exchange.say_more(content_type, until_ns, betas)
        return exchange

    def known_origin(self, upstream: UpstreamSnapshot) -> _Origin | None:
        """The upstream's vetted origin, if that was done lately."""
        origin = self._origins.get(upstream.id)
        if origin is None or origin.snapshot is not upstream:
            return None
        is_fresh = clock.monotonic_ns() - origin.pinned_at_ns < PINNED_FOR_SECONDS * _NANOS_PER_SECOND
        return origin if is_fresh else None

    async def origin_of(self, upstream: UpstreamSnapshot, org: OrgSnapshot) -> _Origin:
        """The upstream's vetted origin. Raises NotTaken if it may not be called or has no address."""
        if (known := self.known_origin(upstream)) is not None:
            return known
        under_way = self._pinning.get(upstream.id)
        if under_way is None or under_way[0] is not upstream:
            # One look-up for all who wait: a name that is slow to resolve must not be asked for by every call.
            under_way = upstream, asyncio.create_task(self._pin(upstream, org))
            self._pinning[upstream.id] = under_way
            under_way[1].add_done_callback(lambda task: self._end_pinning(upstream.id, task))
        try:
            return await asyncio.shield(under_way[1])
        except NotTaken as failure:
            # All who wait are told by one error, and each hands its own over.
            raise NotTaken(copy(failure.error)) from failure.__cause__

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
            credential = self._open_credential(upstream, org, target)
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
            self._origins[upstream.id] = self._origins.pop(upstream.id)
            return before
        pool = self._pool(upstream, target, pinned.addresses[0])
        headers = credential_headers(upstream.kind, credential, upstream.base_url)
        authorization = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        origin = _Origin(upstream, target, pinned, pool, authorization, Redaction(credential or ""), now, {})
        if before is not None:
            before.pool.close()
            del self._origins[upstream.id]
        self._origins[upstream.id] = origin
        if len(self._origins) > _MOST_ORIGINS:
            # Workers come and go: the one whose address was looked up longest ago.
            self._origins.pop(next(iter(self._origins))).pool.close()
        return origin

    def _pool(self, upstream: UpstreamSnapshot, target: Target, address: str) -> Pool:
        return Pool(
            address=address,
            port=target.port,
            host=target.host,
            tls=self._gate.tls if target.scheme == "https" else None,
            connect_timeout_seconds=upstream.connect_timeout_ms / 1000,
        )

    def _open_credential(self, upstream: UpstreamSnapshot, org: OrgSnapshot, target: Target) -> str | None:
        if upstream.credential is None:
            return None
        return secrets.unseal(
            self._master_keys, org.data_key, org_id=org.id, origin=target.origin, sealed=upstream.credential
        )


class Exchange:
    """One request and its answer. What is so at first stands in the class: every call makes one."""

    status = 0
    #: whether a byte of the request may have left
    was_sent = False
    _content_type = JSON
    _until_ns = 0
    _betas: Sequence[str] = ()
    _line: Line | None = None
    _redaction = _NOTHING_TO_HIDE
    _redacted: RedactedStream | None = None

    def __init__(
        self,
        upstreams: Upstreams,
        upstream: UpstreamSnapshot,
        org: OrgSnapshot,
        path: str,
        body: bytes,
        request_id: str,
        waited: Stopwatch,
    ) -> None:
        self._upstreams = upstreams
        self._upstream = upstream
        self._org = org
        self._path = path
        self._body = body
        self._request_id = request_id
        self._waited = waited

    def say_more(self, content_type: str, until_ns: int, betas: Sequence[str]) -> None:
        """What ``Upstreams.post`` is told of a request that is not the usual one."""
        self._content_type, self._until_ns, self._betas = content_type, until_ns, betas

    async def __aenter__(self) -> "Exchange":
        await self.begin()
        return self

    async def begin(self) -> None:
        """Send the request and read the answer's head. ``release`` must follow, whatever becomes of it.

        Raises NotTaken where no connection was made or no time is left, and BrokenOff for what fails once the request
        may have left, and may have been billed.
        """
        with self._waited:
            origin = self._upstreams.known_origin(self._upstream)
            if origin is None:
                origin = await self._upstreams.origin_of(self._upstream, self._org)
            if failpoints.ARMED:
                failpoints.reach("before_upstream")
            line = self._line = origin.pool.take() or await self._connect(origin)
            if self._until_ns and clock.monotonic_ns() >= self._until_ns:
                self.release()
                raise NotTaken(TooLate(f"The upstream {self._upstream.name} did not answer within the latency cap."))
            try:
                self.was_sent = True
                self._redaction = origin.redaction
                line.send(self._request(origin), self._seconds_left())
                if failpoints.ARMED:
                    failpoints.reach("upstream_connected")
                self.status = await line.head()
            except BaseException as error:
                self.release()
                if isinstance(error, Broken):
                    raise self._explain(error) from error
                raise

    def _seconds_left(self) -> float:
        """How long the answer may take: as long as the upstream's time-out says, or less."""
        seconds = self._upstream.timeout_ms / 1000
        if not self._until_ns:
            return seconds
        left = (self._until_ns - clock.monotonic_ns()) / _NANOS_PER_SECOND
        if left < seconds:
            return max(left, 0.0)
        self._until_ns = 0
        return seconds

    async def _connect(self, origin: _Origin) -> Line:
        pool = origin.pool
        try:
            return await pool.line()
        except ConnectFailed as error:
            self._upstreams.try_next_address(origin, pool)
            name = self._upstream.name
            raise NotTaken(
                UpstreamError(f"The upstream {name} cannot be reached.", code="upstream_unreachable", status=502)
            ) from error

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Nothing more is read of the answer. Only once: afterwards the connection may be another call's."""
        line, self._line = self._line, None
        if line is not None:
            line.release()

    def header(self, name: str) -> str | None:
        """A header of the answer, by its lower-case name."""
        assert self._line is not None
        return self._line.header(name.encode())

    async def read(self) -> bytes | None:
        """The next bytes of the answer, or None after the last. Without the stored credential, as ``read_whole``; of
        what may be the beginning of one, nothing yet. Raises BrokenOff."""
        redacted = self._redacted
        if redacted is None:
            redacted = self._redacted = RedactedStream(self._redaction)
        while (part := await self._receive()) is not None:
            if ready := redacted.feed(part):
                return ready
        return redacted.finish() or None

    def read_at_once(self) -> bytes | None:
        """A whole answer of status 200 that is there already, and no longer than SMALL_BYTES: as small ones are, which
        come with their head. Else None, and ``read_whole`` brings it."""
        assert self._line is not None
        whole = self._line.read_rest(SMALL_BYTES) if self.status == _OK else None
        return None if whole is None else self._redaction.hide(whole)

    async def read_whole(self, limit: int = MAX_ANSWER_BYTES) -> bytes:
        """The whole answer, at most ``limit`` bytes. Raises AnswerTooLong beyond, and BrokenOff."""
        whole = await self._gather(limit)
        if self.status != _OK:
            return self._redaction.hide_error(whole)
        if len(whole) > SMALL_BYTES:
            return await asyncio.to_thread(self._redaction.hide_long, whole)
        return self._redaction.hide(whole)

    async def _gather(self, limit: int) -> bytes:
        assert self._line is not None
        parts, size = [], 0
        try:
            with self._waited:
                while not self._line.is_read and (part := await self._line.read()) is not None:
                    parts.append(part)
                    size += len(part)
                    if size > limit:
                        raise AnswerTooLong
        except Broken as error:
            raise self._explain(error) from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def hide_words(self, refusal: Refusal) -> Refusal:
        """A refusal that came with status 200, without large parts of the stored credential either: what came was not
        known to be one."""
        hide = self._redaction.hide_words
        param = None if refusal.param is None else hide(refusal.param)
        return refusal._replace(message=hide(refusal.message), code=hide(refusal.code), param=param)

    async def _receive(self) -> bytes | None:
        assert self._line is not None
        try:
            with self._waited:
                return await self._line.read()
        except Broken as error:
            raise self._explain(error) from error

    def _request(self, origin: _Origin) -> bytes:
        head = origin.heads.get(self._path) if self._content_type == JSON else None
        if head is None:
            target = origin.target
            host = f"[{target.host}]" if ":" in target.host else target.host
            is_default = target.port == {"http": 80, "https": 443}[target.scheme]
            head = (
                f"POST {target.path}/{self._path}{f'?{target.query}' if target.query else ''} HTTP/1.1\r\n"
                f"host: {host if is_default else f'{host}:{target.port}'}\r\n"
                f"user-agent: CostHub\r\naccept: */*\r\naccept-encoding: identity\r\n"
                f"content-type: {self._content_type}\r\n{origin.authorization}"
            ).encode("latin-1")
            if self._content_type == JSON:
                origin.heads[self._path] = head
        if self._betas:
            head += f"{HEADER}: {','.join(self._betas)}\r\n".encode("latin-1")
        return b"%bx-client-request-id: %b\r\ncontent-length: %d\r\n\r\n%b" % (
            head,
            self._request_id.encode(),
            len(self._body),
            self._body,
        )

    def _explain(self, error: Broken) -> BrokenOff:
        name = self._upstream.name
        if isinstance(error, TimedOut) and self._until_ns:
            return BrokenOff(TooLate(f"The upstream {name} did not answer before the latency cap."))
        if isinstance(error, TimedOut):
            return BrokenOff(
                UpstreamError(f"The upstream {name} did not answer in time.", code="upstream_timeout", status=504)
            )
        return BrokenOff(
            UpstreamError(f"The upstream {name} broke off its answer.", code="upstream_broke_off", status=502)
        )
