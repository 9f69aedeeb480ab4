"""The one way out: every outbound call of the product passes this gate.

A URL is read strictly (``origins``), its host resolved once, **every** address of the answer vetted (``addresses``),
and the connection pinned to a vetted address, so that a second answer of a hostile DNS server is never asked for.
Nothing follows redirects, reads proxy variables or decompresses.

- The hot path: ``gate.pin(parse_origin(base_url))`` every ``PINNED_FOR_SECONDS``, then connections of its own
  (``proxy.upstreams.http1``) to a pinned address, with ``gate.tls`` where the scheme is https.
- Everything else (webhooks, look-ups): ``gate.fetch(...)``, or an httpx2 client of the gate that pins each connection.
- Many calls to one place after each other: ``gate.keep_open()``, whose calls to one origin share a connection.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property, partial
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

import httpx2
from django.conf import settings

from costhub.lib import clock
from costhub.lib.addresses import is_never_allowed, is_public, plain
from costhub.lib.blocking_http import FAILURES, Connection
from costhub.lib.errors import AppError, InvalidField
from costhub.lib.origins import Target, check_same_origin, parse_origin, parse_url

__all__ = [
    "PINNED_FOR_SECONDS",
    "AllowedNetwork",
    "BlockedAddress",
    "Fetched",
    "Gate",
    "Line",
    "Pinned",
    "Resolver",
    "Target",
    "Unreachable",
    "Unresolvable",
    "check_same_origin",
    "gate_from_settings",
    "parse_origin",
    "parse_url",
    "resolve_with_system",
]

#: how long a pin is trusted before the hot path resolves the name again
PINNED_FOR_SECONDS: Final = 60
RESOLVE_TIMEOUT_SECONDS: Final = 5.0
FETCH_TIMEOUT_SECONDS: Final = 10.0
FETCH_MAX_BYTES: Final = 1024 * 1024
USER_AGENT: Final = "CostHub"

#: a network and the one port that is open in it, or None for every port
AllowedNetwork = tuple[IPv4Network | IPv6Network, int | None]
#: host and port to IP addresses; blocks, and raises OSError when there is no answer
Resolver = Callable[[str, int], Sequence[str]]

_log = logging.getLogger(__name__)


class BlockedAddress(AppError):
    """The URL leads to an address that tenants may not reach. The address itself is told to the operator's log only."""

    code = "blocked_address"
    http_status = 400


class Unresolvable(AppError):
    """The host name has no address, or its DNS server did not answer in time."""

    code = "unresolvable"
    http_status = 400


class Unreachable(AppError):
    """The address is permitted, and no whole HTTP answer came from it in time."""

    code = "unreachable"
    http_status = 502


@dataclass(frozen=True, slots=True)
class Pinned:
    """A target and its vetted addresses, in the order in which they should be tried; never empty."""

    target: Target
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer. ``body`` is as it was sent, never decompressed, and cut off where ``truncated`` says so."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool


def resolve_with_system(host: str, port: int) -> tuple[str, ...]:
    """Every address that the machine's own resolver gives, best first."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in answers))


class Gate:
    """Decides where calls may go, and builds the clients that go there. Holds no connection; safe to share.

    ``allowed``: networks that the operator opened, beside the public internet; plain http is for them alone.
    ``resolver``: who is asked for addresses, and may take ``resolve_timeout_seconds`` to answer. ``trusted_ca_pem``:
    certificates to trust beside the public ones.
    """

    def __init__(
        self,
        allowed: Iterable[AllowedNetwork] = (),
        resolver: Resolver = resolve_with_system,
        *,
        resolve_timeout_seconds: float = RESOLVE_TIMEOUT_SECONDS,
        trusted_ca_pem: bytes | None = None,
    ) -> None:
        self._allowed = tuple(allowed)
        self._resolver = resolver
        self._resolve_timeout_seconds = resolve_timeout_seconds
        self._trusted_ca_pem = trusted_ca_pem

    async def pin(self, target: Target, *, field: str = "base_url") -> Pinned:
        """Resolve the target's host and vet every address of the answer.

        Raises BlockedAddress for an address that may not be reached, InvalidField where the scheme is http and an
        address lies outside of the operator's networks, and Unresolvable where there is no address, or none in time.
        """
        if target.address is not None:
            return self._vet(target, [target.host], field)
        lookup = asyncio.wrap_future(self._start_lookup(target))
        try:
            return self._vet(target, await asyncio.wait_for(lookup, self._resolve_timeout_seconds), field)
        except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
            raise _unresolvable(target, field) from error

    def pin_now(self, target: Target, *, field: str = "base_url") -> Pinned:
        """``pin`` for synchronous code. Raises the same."""
        if target.address is not None:
            return self._vet(target, [target.host], field)
        try:
            return self._vet(target, self._start_lookup(target).result(self._resolve_timeout_seconds), field)
        except (OSError, UnicodeError) as error:
            raise _unresolvable(target, field) from error

    def httpx_client(self, *, timeout_seconds: float = FETCH_TIMEOUT_SECONDS) -> httpx2.AsyncClient:
        """A client that pins each connection; its requests raise what ``pin`` raises, besides httpx2's errors.

        ``timeout_seconds`` bounds each single wait. Its answers are not bounded in size: prefer ``fetch``.
        """
        return httpx2.AsyncClient(
            transport=_PinnedTransport(self), trust_env=False, timeout=timeout_seconds, headers=_DEFAULT_HEADERS
        )

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeout_seconds: float = FETCH_TIMEOUT_SECONDS,
        max_bytes: int = FETCH_MAX_BYTES,
    ) -> Fetched:
        """Make one call and read its answer, at most ``max_bytes`` of it, all within ``timeout_seconds``.

        Raises InvalidField, BlockedAddress and Unresolvable for a URL that may not be called, and Unreachable where no
        whole answer came in time.
        """
        async with self.httpx_client(timeout_seconds=timeout_seconds) as client:
            return await _fetch(client, method, url, headers, content, timeout_seconds, max_bytes)

    def fetch_now(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeout_seconds: float = FETCH_TIMEOUT_SECONDS,
        max_bytes: int = FETCH_MAX_BYTES,
    ) -> Fetched:
        """``fetch`` for code outside of an event loop. Raises the same."""
        # A loop of its own, because only a loop can end a call whose peer keeps dripping single bytes.
        call = self.fetch(
            method, url, headers=headers, content=content, timeout_seconds=timeout_seconds, max_bytes=max_bytes
        )
        return asyncio.run(call)

    @contextmanager
    def keep_open(self) -> Iterator["Line"]:
        """For code outside of an event loop that makes many calls to one place: until the block ends they share a
        connection. For one thread."""
        line = Line(self)
        try:
            yield line
        finally:
            line.close()

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """What every connection of this gate verifies certificates with: those of the hot path and of httpx2."""
        if self._trusted_ca_pem is None:
            return _public_tls()
        context = httpx2.create_ssl_context(trust_env=False)
        context.load_verify_locations(cadata=self._trusted_ca_pem.decode("ascii"))
        return context

    def _start_lookup(self, target: Target) -> "Future[Sequence[str]]":
        # A thread of its own for each lookup: names that hang cannot use up a pool that others wait for, and no
        # pool has to survive a fork of Celery's.
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="resolve")
        lookup = executor.submit(self._resolver, target.host, target.port)
        executor.shutdown(wait=False)
        return lookup

    def _vet(self, target: Target, answers: Sequence[str], field: str) -> Pinned:
        """One bad address refuses them all: a rebinding server mixes good and bad."""
        if not answers:
            raise _unresolvable(target, field)
        addresses, all_allowed = [], True
        for answer in answers:
            try:
                address = plain(ip_address(answer))
            except ValueError as error:
                raise _unresolvable(target, field) from error
            allowed = not is_never_allowed(address) and any(
                address in network and port in {None, target.port} for network, port in self._allowed
            )
            if not allowed and (is_never_allowed(address) or not is_public(address)):
                _log.warning("blocked_address", extra={"host": target.host, "port": target.port, "address": answer})
                raise _blocked(target, field)
            all_allowed = all_allowed and allowed
            addresses.append(str(address))
        if target.scheme != "https" and not all_allowed:
            raise InvalidField(
                f"Use https for {target.host}: plain http is only for the networks that the operator allowed.",
                field=field,
            )
        return Pinned(target, tuple(dict.fromkeys(addresses)))


class Line:
    """Calls of one thread to the first origin that it asks, over a connection that stays open between them. Calls to
    any other go out on their own: see ``_NO_KEEP_ALIVE``."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._origin: str | None = None
        self._connection: Connection | None = None
        self._ends_ns = 0

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def fetch_now(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeout_seconds: float = FETCH_TIMEOUT_SECONDS,
        max_bytes: int = FETCH_MAX_BYTES,
    ) -> Fetched:
        """``Gate.fetch_now``. Raises the same."""
        target = parse_url(url)
        self._origin = self._origin or target.origin
        if target.origin != self._origin:
            return self._gate.fetch_now(
                method, url, headers=headers, content=content, timeout_seconds=timeout_seconds, max_bytes=max_bytes
            )
        ends_ns = clock.ends_in(timeout_seconds)
        sent = {**_DEFAULT_HEADERS, **{name.lower(): value for name, value in (headers or {}).items()}}
        sent["host"] = target.authority
        path = f"{target.path or '/'}?{target.query}" if target.query else target.path or "/"
        try:
            connection = self._connect(target, ends_ns)
            answer = connection.ask(method, path, sent, content, ends_ns=ends_ns, most_bytes=max_bytes)
        except TimeoutError as error:
            raise _too_late(target, timeout_seconds) from error
        except FAILURES as error:
            raise _failed(target) from error
        kept = {name: value for name, value in answer.headers.items() if name != _ENCODING}
        return Fetched(answer.status, kept, answer.body, truncated=not answer.is_whole)

    def _connect(self, target: Target, ends_ns: int) -> Connection:
        """The connection as it is open, for as long as a pin is trusted, or a new one: to the first address that
        answers. Raises what ``pin`` raises, and OSError."""
        known = self._connection
        if known is not None and known.is_open and clock.monotonic_ns() < self._ends_ns:
            return known
        self.close()
        *others, last = self._gate.pin_now(target, field="url").addresses
        open_to = partial(
            Connection,
            port=target.port,
            tls=self._gate.tls if target.scheme == "https" else None,
            host=target.host,
            ends_ns=ends_ns,
        )
        self._ends_ns = clock.ends_in(PINNED_FOR_SECONDS)
        for address in others:
            with suppress(OSError):
                self._connection = open_to(address)
                return self._connection
        self._connection = open_to(last)
        return self._connection


def gate_from_settings() -> Gate:
    """The gate as the operator configured it."""
    return Gate(settings.ALLOWED_PRIVATE_NETWORKS)


@cache
def _public_tls() -> ssl.SSLContext:
    """The public certificates, read once: that takes a twentieth of a second, and each run of a job makes a gate."""
    return httpx2.create_ssl_context(trust_env=False)


#: identity, because nothing is decompressed here
_DEFAULT_HEADERS: Final = {"user-agent": USER_AGENT, "accept-encoding": "identity"}
#: nothing was asked of anybody
CONNECT_FAILURES: Final = (httpx2.ConnectError, httpx2.ConnectTimeout)
_ENCODING: Final = "content-encoding"
#: Each URL is aimed at an IP address, and a kept connection is found again by that address alone: two names behind one
#: address would then share a connection whose certificate was checked for the first name only.
_NO_KEEP_ALIVE: Final = httpx2.Limits(max_keepalive_connections=0)


class _PinnedTransport(httpx2.AsyncBaseTransport):
    """Sends each request to a vetted address of its host, with the host's own name in Host, SNI and certificate check.

    Rewriting the URL needs nothing but httpx2's public names; a network backend of our own would not know the scheme.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._inner = httpx2.AsyncHTTPTransport(verify=gate.tls, trust_env=False, limits=_NO_KEEP_ALIVE)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        pinned = await self._gate.pin(parse_url(str(request.url)), field="url")
        *others, last = [_aim(request, pinned.target, address) for address in pinned.addresses]
        for attempt in others:
            with suppress(*CONNECT_FAILURES):
                return _undecoded(await self._inner.handle_async_request(attempt))
        return _undecoded(await self._inner.handle_async_request(last))

    async def aclose(self) -> None:
        await self._inner.aclose()


def _aim(request: httpx2.Request, target: Target, address: str) -> httpx2.Request:
    """The request with the address in its URL. Its Host header was written from the name before it came here."""
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": target.host},
    )


def _undecoded(response: httpx2.Response) -> httpx2.Response:
    """httpx2 unfolds whatever this header names, asked for or not, without a bound: so it never sees it."""
    response.headers.pop(_ENCODING, None)
    return response


async def _fetch(
    client: httpx2.AsyncClient,
    method: str,
    url: str,
    headers: Mapping[str, str] | None,
    content: bytes | None,
    timeout_seconds: float,
    max_bytes: int,
) -> Fetched:
    """One call and its answer: see ``Gate.fetch``."""
    target = parse_url(url)
    try:
        async with (
            asyncio.timeout(timeout_seconds),
            client.stream(method, url, headers=headers, content=content, timeout=timeout_seconds) as answer,
        ):
            body = await _read_at_most(answer, max_bytes + 1)
    except (TimeoutError, httpx2.TimeoutException) as error:
        raise _too_late(target, timeout_seconds) from error
    except httpx2.HTTPError as error:
        raise _failed(target) from error
    return Fetched(answer.status_code, dict(answer.headers), body[:max_bytes], truncated=len(body) > max_bytes)


async def _read_at_most(answer: httpx2.Response, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) >= max_bytes:
            break
    return bytes(body[:max_bytes])


def _too_late(target: Target, timeout_seconds: float) -> Unreachable:
    return Unreachable(f"{target.host} gave no whole answer within {timeout_seconds:g} s.", field="url")


def _failed(target: Target) -> Unreachable:
    return Unreachable(f"The call to {target.host} failed: check that it serves HTTP there.", field="url")


def _blocked(target: Target, field: str) -> BlockedAddress:
    return BlockedAddress(
        f"{target.host} leads to an address that may not be called from here. If it is a server of your own, "
        "ask the operator to add its network to COSTHUB_ALLOWED_NETWORKS.",
        field=field,
    )


def _unresolvable(target: Target, field: str) -> Unresolvable:
    return Unresolvable(f"No address was found for {target.host}: check the host name.", field=field)
