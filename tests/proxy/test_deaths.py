"""Whatever dies or hangs of CostHub, the ledger is the bank's bill: to the nano, call by call, one row each."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from costhub.stack.part import Part
from tests.bank import Bank
from tests.plugin import STACK
from tests.proxy.deployment import deploy
from tests.proxy.load import Outcome, call_all, make_bodies
from tests.proxy.scene import CALLS, CLIENTS, Scene, acme
from tests.stack_fixtures import TestStack
from tests.world import Tenant

__all__ = ["acme"]


@pytest.fixture
def scene(acme: Tenant, bank: Bank, tmp_path: Path) -> Iterator[Scene]:
    with deploy(tmp_path, workers=2) as proxy:
        yield Scene(acme, bank, proxy)


@pytest.fixture
def stack(request: pytest.FixtureRequest) -> TestStack:
    """The test run's own servers, to be broken."""
    stack = request.config.stash.get(STACK, None)
    assert stack is not None, "this test breaks the servers, so it must not run on somebody else's"
    return stack


def at_call(number: int, act: Callable[[], object]) -> Callable[[int], None]:
    """Do something once, when so many calls have ended."""

    def watch(ended: int) -> None:
        if ended == number:
            act()

    return watch


def pid_of(part: Part) -> int:
    """The process of a server that runs."""
    assert part.pid is not None
    return part.pid


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """SIGSTOP for the length of the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_one_worker_is_killed(scene: Scene) -> None:
    """One that has a call under way which is never answered, besides whichever it has then."""

    async def run() -> list[Outcome]:
        url, key, bodies = scene.proxy.base_url, scene.acme.api_key, make_bodies(1, "small", bank={"fault": "stall"})
        held = asyncio.create_task(call_all(url, key, bodies, clients=1))
        while not await asyncio.to_thread(scene.bank.calls_received):
            assert not held.done()
        victim = scene.proxy.find_asking(scene.bank.port)
        kill = at_call(100, lambda: os.kill(victim, signal.SIGKILL))
        outcomes = await call_all(url, key, make_bodies(CALLS, "small"), clients=CLIENTS, on_end=kill)
        return [*await held, *outcomes]

    outcomes = asyncio.run(run())
    assert any(not outcome.is_whole for outcome in outcomes)
    books = scene.balance()
    assert any(row.error_code == "worker_died" for row in books.rows)


def test_all_workers_are_killed(acme: Tenant, bank: Bank, tmp_path: Path) -> None:
    with deploy(tmp_path, workers=2) as first:
        Scene(acme, bank, first).run(on_end=at_call(100, first.kill))
    with deploy(tmp_path, workers=2) as second:
        scene = Scene(acme, bank, second)
        scene.run(calls=50)
        books = scene.balance()
    assert any(row.error_code == "worker_died" for row in books.rows)
    assert sum(row.status == 200 for row in books.rows) >= 50 + 50


def test_valkey_is_killed(scene: Scene, stack: TestStack) -> None:
    def kill_and_restart() -> None:
        os.kill(pid_of(stack.valkey), signal.SIGKILL)
        stack.valkey.stop()
        stack.valkey.start()
        stack.valkey.wait_ready()

    outcomes = scene.run(on_end=at_call(100, kill_and_restart))
    assert {outcome.status for outcome in outcomes} <= {200, 503}
    scene.balance()


def test_valkey_hangs(acme: Tenant, bank: Bank, stack: TestStack, tmp_path: Path) -> None:
    pid = pid_of(stack.valkey)

    def ended(number: int) -> None:
        if number == 100:
            os.kill(pid, signal.SIGSTOP)
        if number == 200:
            os.kill(pid, signal.SIGCONT)

    with deploy(tmp_path, workers=2, COSTHUB_GOVERNANCE_TIMEOUT_MS="200") as proxy:
        scene = Scene(acme, bank, proxy)
        outcomes = scene.run(on_end=ended)
        assert {outcome.status for outcome in outcomes} <= {200, 503}
        assert any(outcome.error_code == "governance_unavailable" for outcome in outcomes)
        scene.balance()


def test_postgresql_hangs(scene: Scene, stack: TestStack) -> None:
    assert {outcome.status for outcome in scene.run(calls=10)} == {200}
    with stopped(pid_of(stack.postgres)):
        outcomes = scene.run()
    assert {outcome.status for outcome in outcomes} == {200}, "calls go on without PostgreSQL"
    books = scene.balance()
    assert len(books.rows) == 10 + CALLS


def test_postgresql_is_killed(scene: Scene, stack: TestStack) -> None:
    def kill() -> None:
        os.kill(pid_of(stack.postgres), signal.SIGKILL)

    assert {outcome.status for outcome in scene.run(calls=10)} == {200}
    try:
        outcomes = scene.run(on_end=at_call(100, kill))
    finally:
        stack.postgres.stop()
        stack.postgres.start()
        stack.postgres.wait_ready()
    assert {outcome.status for outcome in outcomes} == {200}, "calls go on without PostgreSQL"
    books = scene.balance()
    assert len(books.rows) == 10 + CALLS


def test_the_proxy_is_asked_to_stop(acme: Tenant, bank: Bank, tmp_path: Path) -> None:
    with deploy(tmp_path, workers=2) as first:
        scene = Scene(acme, bank, first)
        scene.run(on_end=at_call(100, first._process.terminate))
    with deploy(tmp_path) as second:
        Scene(acme, bank, second).run(calls=20)
        books = Scene(acme, bank, second).balance()
    assert not any(row.error_code == "worker_died" for row in books.rows), "a stop is no death: every call is settled"
