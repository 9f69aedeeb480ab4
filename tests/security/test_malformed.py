"""Whatever bytes come, nobody is told that we are broken, and we are not."""

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from statistics import quantiles

import httpx2
import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS
from tests.proxy.deployment import NO_TLS, Deployment, deploy
from tests.proxy.raw_http import Header, connect
from tests.security.malformed import Malformed, broken_bodies, broken_heads
from tests.world import Tenant, World, make_catalog

PATHS = ["/v1/chat/completions", "/v1/models", "/api/v1/keys", "/login"]
LEAST = 400
#: so long for an answer; and, once it is said that no more comes, for the end
PATIENT_SECONDS = 2
SECONDS = 20
SLOW = 500
#: good calls a turn, and turns, of the comparison
CALLS = 300
TURNS = 6
#: what HTTP says to a version of itself that is not spoken: the one 5xx that is the caller's
NO_SUCH_VERSION = 505


@pytest.fixture(scope="module")
def proxy(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Deployment]:
    with django_db_blocker.unblock(), deploy(tmp_path_factory.mktemp("malformed")) as proxy:
        yield proxy


def statuses_of(port: int, one: Malformed, seconds: float = PATIENT_SECONDS) -> list[int]:
    """The statuses of all answers to some bytes. Who gets none for a while says that there is no more."""
    received = b""
    with connect(port) as connection:
        connection.settimeout(seconds)
        # What is refused early is closed early: the rest may not be taken.
        with suppress(ConnectionError):
            connection.sendall(one.data)
        for _ in range(2):
            with suppress(ConnectionError, TimeoutError):
                while part := connection.recv(65_536):
                    received += part
                break
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(SECONDS)
    return [int(status) for status in re.findall(rb"^HTTP/1\.[01] (\d{3}) ", received, re.MULTILINE)]


def test_no_bytes_break_us(proxy: Deployment, committed_world: World) -> None:
    token: list[Header] = [("authorization", f"Bearer {committed_world.acme.admin_token}")]
    key: list[Header] = [("authorization", f"Bearer {committed_world.acme.api_key}")]
    json_too: list[Header] = [("content-type", "application/json")]
    corpus = [
        *broken_heads(PATHS),
        *broken_bodies(
            {
                "/v1/chat/completions": key + json_too,
                "/v1/messages": key + json_too,
                "/v1/responses": key + json_too,
                "/v1/embeddings": key + json_too,
                "/v1/files": [*key, ("content-type", "multipart/form-data; boundary=x")],
                "/api/v1/keys": token + json_too,
                "/api/v1/upstreams": token + json_too,
                "/scim/v2/Users": token + json_too,
                "/login": [("content-type", "application/x-www-form-urlencoded")],
            }
        ),
    ]
    assert len({one.data for one in corpus}) >= LEAST
    workers = proxy.worker_pids
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda one: statuses_of(proxy.port, one), corpus))
    broken = {
        one.what: found
        for one, found in zip(corpus, answers, strict=True)
        if any(code >= 500 and code != NO_SUCH_VERSION for code in found)
    }
    assert broken == {}
    assert sum(map(len, answers)) > len(corpus) / 2, "most are told what is wrong"
    well = Malformed("well", b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
    assert statuses_of(proxy.port, well, PATIENCE_SECONDS) == [200]
    assert proxy.worker_pids == workers
    assert "Traceback" not in proxy.log.read_text()


def test_good_calls_are_served_beside_slow_ones(proxy: Deployment, tenant: Tenant) -> None:
    async def run() -> None:
        async with (
            httpx2.AsyncClient(trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http,
            slow_callers(proxy, tenant, SLOW),
        ):
            assert len(await make_calls(http, proxy, tenant, 20)) == 20

    asyncio.run(run())


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_slow_callers_do_not_slow_others(proxy: Deployment, tenant: Tenant) -> None:
    """The 99th percentile of good calls, alone and beside slow ones, in turns."""
    alone: list[float] = []
    beside: list[float] = []

    async def run() -> None:
        async with httpx2.AsyncClient(trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http:
            await make_calls(http, proxy, tenant, CALLS)
            for _ in range(TURNS):
                alone.extend(await make_calls(http, proxy, tenant, CALLS))
                async with slow_callers(proxy, tenant, SLOW):
                    beside.extend(await make_calls(http, proxy, tenant, CALLS))

    asyncio.run(run())
    before, after = quantiles(alone, n=100)[98], quantiles(beside, n=100)[98]
    ratio = after / before
    print(f"\np99: alone {before * 1000:.1f} ms, beside {SLOW} slow ones {after * 1000:.1f} ms, {ratio:.2f} times")
    assert after <= 1.5 * before


@pytest.fixture
def tenant(committed_world: World, loopback: None, bank: Bank) -> Tenant:
    """Acme, with a model."""
    make_catalog(committed_world.acme, base_url=bank.base_url)
    return committed_world.acme


async def make_calls(http: httpx2.AsyncClient, proxy: Deployment, tenant: Tenant, count: int) -> list[float]:
    """How many seconds each of so many calls took, four at a time."""
    headers = {"Authorization": f"Bearer {tenant.api_key}"}
    body = {"model": "small", "messages": [{"role": "user", "content": "hello"}]}
    took: list[float] = []
    numbers = iter(range(count))

    async def work() -> None:
        for _ in numbers:
            began = time.perf_counter()
            answer = await http.post(f"{proxy.base_url}/chat/completions", json=body, headers=headers)
            assert answer.status_code == 200
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(work() for _ in range(4)))
    return took


@asynccontextmanager
async def slow_callers(proxy: Deployment, tenant: Tenant, count: int) -> AsyncIterator[None]:
    """So many who send a byte a second, half of them of their heads, half of bodies, and begin anew when they are cut
    off. All have begun when the block does."""
    stop, begun = asyncio.Event(), asyncio.Semaphore(0)
    authorized = f"authorization: Bearer {tenant.api_key}\r\ncontent-length: 5000\r\n\r\n".encode()

    async def drip(number: int) -> None:
        while not stop.is_set():
            with suppress(ConnectionError):
                _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
                writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n")
                writer.write(authorized if number % 2 else b"x-slow: ")
                begun.release()
                while not stop.is_set():
                    writer.write(b"x")
                    await writer.drain()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), 1)
                writer.close()

    slow = [asyncio.create_task(drip(number)) for number in range(count)]
    for _ in slow:
        await begun.acquire()
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*slow)
