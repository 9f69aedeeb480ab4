"""Equal calls at once over several worker processes: one upstream call and exact books, also when the worker that asks
the upstream is killed, and when the caller for whom it does leaves. In ``make soak`` a thousand calls over four."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tenants.access import org_scope
from tenants.actions.upstreams import update_upstream
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS
from tests.proxy.books import Books, assert_balanced
from tests.proxy.cache.calls import make_policy
from tests.proxy.deployment import Deployment, count_connections, deploy
from tests.proxy.load import Outcome, call_all, call_once
from tests.proxy.scene import BILL_PATH
from tests.sampling import IS_WHOLE
from tests.world import Tenant, World, make_catalog

CALLS, WORKERS = (1_000, 4) if IS_WHOLE else (30, 2)
#: an answer waits so long before its first byte, unless it may go sooner
HELD_MS = 250_000
APP = "tests.proxy.cache.followed:application"
COST = 8_400
#: a caller whose connection breaks tries again
TRIES = 1_000


@pytest.fixture
def own_bank(tmp_path: Path) -> Iterator[Bank]:
    """A bank with an empty bill."""
    bank = Bank.start(tmp_path)
    yield bank
    bank.stop()


@pytest.fixture
def acme(committed_world: World, own_bank: Bank) -> Tenant:
    """Acme, whose equal calls are one, and whose upstream tells what it has billed."""
    acme = committed_world.acme
    catalog = make_catalog(acme, base_url=own_bank.base_url)
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=catalog.upstream, bill_path=BILL_PATH)
    make_policy(acme)
    return acme


def chat(*, is_stream: bool = False) -> dict[str, Any]:
    message = {"role": "user", "content": "Hi there"}
    return {"model": "small", "messages": [message], "stream": is_stream}


async def all_come(proxy: Deployment) -> None:
    """Return when as many callers are connected as there are calls."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (
            await asyncio.to_thread(lambda: sum(count_connections(pid, proxy.port) for pid in proxy.worker_pids))
            < CALLS
        ):
            await asyncio.sleep(0.05)


async def is_missed(pid: int, port: int) -> None:
    """Return when a worker has closed the connection of a caller who has left."""

    def knows() -> bool:
        open_ones = psutil.Process(pid).net_connections("tcp")
        return psutil.CONN_CLOSE_WAIT not in {one.status for one in open_ones if one.laddr.port == port}

    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await asyncio.to_thread(knows):
            await asyncio.sleep(0.05)


async def call_until_served(http: httpx2.AsyncClient, body: dict[str, Any]) -> Outcome:
    outcome = await call_once(http, body)
    for _ in range(TRIES):
        if outcome.status == 200 and outcome.is_whole:
            break
        await asyncio.sleep(0.05)
        outcome = await call_once(http, body)
    return outcome


@contextmanager
def deploy_noting(folder: Path) -> Iterator[tuple[Deployment, Path]]:
    """The workers, and the file in which they note who is waited for."""
    noted = folder / "followed"
    noted.touch()
    with deploy(folder, workers=WORKERS, app=APP, TEST_FOLLOWED=str(noted)) as proxy:
        yield proxy, noted


async def share_one(
    proxy: Deployment, noted: Path, tenant: Tenant, bank: Bank, act: Callable[["asyncio.Task[Outcome]"], None]
) -> list[Outcome | BaseException]:
    """One call, which leads, and once the upstream is asked all others; ``act`` on it when they have all come and it
    knows that somebody waits for it. Then its answer may go."""
    limits = httpx2.Limits(max_connections=CALLS)
    headers = {"authorization": f"Bearer {tenant.api_key}"}
    async with httpx2.AsyncClient(
        base_url=proxy.base_url, headers=headers, limits=limits, timeout=PATIENCE_SECONDS, trust_env=False
    ) as http:
        leading = asyncio.create_task(call_until_served(http, chat()))
        while not (leader := await asyncio.to_thread(proxy.find_asking, bank.port)):
            await asyncio.sleep(0.02)
        following = [asyncio.create_task(call_until_served(http, chat())) for _ in range(CALLS - 1)]
        await all_come(proxy)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while str(leader) not in noted.read_text().split():
                await asyncio.sleep(0.05)
        assert not leading.done()
        act(leading)
        if act is leave:
            await asyncio.wait([leading])
            await is_missed(leader, proxy.port)
            await asyncio.to_thread(bank.let_go)
        return await asyncio.gather(leading, *following, return_exceptions=True)


def leave(leading: "asyncio.Task[Outcome]") -> None:
    """The caller for whom the upstream was asked hangs up."""
    leading.cancel()


def served(books: Books) -> list[Any]:
    return [row for row in books.rows if row.kind == "call" and row.status == 200]


def test_the_worker_that_asks_the_upstream_is_killed(acme: Tenant, own_bank: Bank, tmp_path: Path) -> None:
    own_bank.queue(first_ms=HELD_MS)
    with deploy_noting(tmp_path) as (proxy, noted):

        def kill(_: "asyncio.Task[Outcome]") -> None:
            proxy.kill_worker(own_bank.port)

        outcomes = asyncio.run(share_one(proxy, noted, acme, own_bank, kill))
    assert Counter(isinstance(one, Outcome) and one.status for one in outcomes) == {200: CALLS}
    books = assert_balanced(acme, own_bank)
    assert len(served(books)) == CALLS
    # One call of an heir; what the dead worker's call came to is the bank's to say, and a row of its own.
    assert sum(row.effective_cost for row in served(books)) == COST
    assert {row.list_cost for row in served(books)} == {COST}
    assert len(books.billed) <= 2
    assert len([row for row in books.rows if row.kind == "call"]) == CALLS + 1


def test_the_caller_for_whom_the_upstream_is_asked_leaves(acme: Tenant, own_bank: Bank, tmp_path: Path) -> None:
    own_bank.queue(first_ms=HELD_MS)
    with deploy_noting(tmp_path) as (proxy, noted):
        outcomes = asyncio.run(share_one(proxy, noted, acme, own_bank, leave))
    assert Counter(isinstance(one, Outcome) and one.status for one in outcomes) == {200: CALLS - 1, False: 1}
    books = assert_balanced(acme, own_bank)
    assert (len(books.billed), sum(books.billed.values())) == (1, COST)
    assert len(books.rows) == CALLS
    assert sum(row.effective_cost for row in books.rows) == COST


@pytest.mark.parametrize("is_stream", [False, True] if IS_WHOLE else [False])
def test_equal_calls_are_one(acme: Tenant, own_bank: Bank, tmp_path: Path, is_stream: bool) -> None:
    body = chat(is_stream=is_stream)
    own_bank.queue(first_ms=HELD_MS)

    async def call(proxy: Deployment) -> list[Outcome]:
        bodies = iter([body] * CALLS)
        calling = asyncio.create_task(call_all(proxy.base_url, acme.api_key, bodies, clients=CALLS))
        await all_come(proxy)
        await asyncio.to_thread(own_bank.let_go)
        return await calling

    with deploy(tmp_path, workers=WORKERS) as proxy:
        outcomes = asyncio.run(call(proxy))
    assert Counter(outcome.status for outcome in outcomes) == {200: CALLS}
    assert len({outcome.request_id for outcome in outcomes}) == CALLS
    books = assert_balanced(acme, own_bank)
    assert (len(books.billed), sum(books.billed.values())) == (1, COST)
    assert len(books.rows) == CALLS
    assert sum(row.effective_cost for row in books.rows) == COST
    assert {row.list_cost for row in books.rows} == {COST}
    assert sum(sum(row.savings.values()) for row in books.rows) == (CALLS - 1) * COST
