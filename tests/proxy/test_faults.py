"""Whatever breaks, the ledger is the bank's bill: to the nano, call by call, one row each.

300 calls by 32 clients for every fault. Where CostHub cannot know how far a call got, it asks the bank.
"""

import asyncio
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from costhub.stack.part import Part
from tenants.access import org_scope
from tenants.actions.upstreams import update_upstream
from tenants.choices import BudgetScope
from tenants.models import Upstream
from tests.bank import Bank
from tests.plugin import STACK
from tests.proxy.books import Books, assert_balanced
from tests.proxy.deployment import Deployment, deploy
from tests.proxy.load import Outcome, call_all, make_bodies
from tests.stack_fixtures import TestStack
from tests.world import Tenant, World, make_budget, make_catalog

CALLS = 300
CLIENTS = 32
BILL_PATH = "/costhub/bill"


@dataclass(frozen=True)
class Scene:
    """Acme calls the bank through two workers, under budgets that it will not reach."""

    acme: Tenant
    bank: Bank
    proxy: Deployment

    def run(
        self,
        *,
        on_end: Callable[[int], None] = lambda _: None,
        leave_after: Callable[[int], int | None] = lambda _: None,
        calls: int = CALLS,
    ) -> list[Outcome]:
        """All the calls; ``on_end`` may break something on the way."""
        return asyncio.run(
            call_all(
                self.proxy.base_url,
                self.acme.api_key,
                make_bodies(calls, "small"),
                clients=CLIENTS,
                on_end=on_end,
                leave_after=leave_after,
            )
        )

    def balance(self) -> Books:
        """The books, balanced."""
        return assert_balanced(self.acme, self.bank)


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    acme = committed_world.acme
    catalog = make_catalog(acme, base_url=bank.base_url)
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=catalog.upstream, bill_path=BILL_PATH, timeout_ms=20_000)
    for scope, subject in (
        (BudgetScope.ORGANIZATION, ""),
        (BudgetScope.PROJECT, str(acme.project.pk)),
        (BudgetScope.KEY, str(acme.key.pk)),
        (BudgetScope.MODEL, "small"),
    ):
        make_budget(acme, "100.00", scope=scope, subject=subject)
    return acme


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


def test_nothing_breaks(scene: Scene) -> None:
    outcomes = scene.run()
    assert {outcome.status for outcome in outcomes} == {200}
    books = scene.balance()
    assert len(books.rows) == CALLS
    assert not any(row.is_estimated for row in books.rows)


def test_one_worker_is_killed(scene: Scene) -> None:
    outcomes = scene.run(on_end=at_call(100, scene.proxy.kill_worker))
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


def test_valkey_hangs(scene: Scene, stack: TestStack) -> None:
    pid = pid_of(stack.valkey)

    def ended(number: int) -> None:
        if number == 100:
            os.kill(pid, signal.SIGSTOP)
        if number == 200:
            os.kill(pid, signal.SIGCONT)

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


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "reset", "at": 3},
        {"fault": "reset", "at_byte": 700},
        {"fault": "eof", "at": 2},
        {"fault": "error_after_tokens", "at": 4},
        {"fault": "http_500"},
        {"fault": "http_503"},
        {"fault": "rate_limited"},
        {"fault": "error_event", "at": 2},
        {"fault": "hang_up"},
        {"fault": "no_usage"},
        {"fault": "zero_usage"},
        {"fault": "cumulative_usage"},
        {"fault": "usage_before_finish"},
        {"fault": "duplicate_final"},
        {"fault": "no_done"},
        {"fault": "crlf"},
        {"fault": "multi_line"},
        {"fault": "comments"},
        {"fault": "split_utf8", "wide": True},
        {"fault": "nul"},
        {"fault": "garbage"},
        {"fault": "wrong_content_length", "by": 10},
        {"fault": "wrong_content_length", "by": -10},
        {"fault": "wrong_model"},
        {"fault": "not_json"},
        {"fault": "redirect", "url": "http://127.0.0.1:1/"},
        {"cached_tokens": 2, "reasoning_tokens": 7},
    ],
    ids=lambda fault: "-".join(str(value) for value in fault.values()),
)
def test_the_upstream_misbehaves_every_third_time(scene: Scene, fault: dict[str, object]) -> None:
    bodies = list(make_bodies(60, "small"))
    for body in bodies[::3]:
        body["bank"] |= fault
    asyncio.run(call_all(scene.proxy.base_url, scene.acme.api_key, iter(bodies), clients=16))
    books = scene.balance()
    assert len(books.rows) - books.corrections == 60


def test_the_upstream_stalls(acme: Tenant, bank: Bank, tmp_path: Path) -> None:
    with deploy(tmp_path) as proxy:
        bodies = list(make_bodies(30, "small"))
        for body in bodies[::3]:
            body["bank"] |= {"fault": "stall", "at": 2}
            body["stream"] = True
        with org_scope(acme.org_id):
            update_upstream(actor=acme.owner, upstream=Upstream.objects.get(org=acme.org), timeout_ms=1_000)
        outcomes = asyncio.run(call_all(proxy.base_url, acme.api_key, iter(bodies), clients=30))
        assert sum(outcome.error_code == "upstream_timeout" for outcome in outcomes) == 10
        Scene(acme, bank, proxy).balance()


def test_callers_leave_at_a_random_byte(scene: Scene) -> None:
    chance = random.Random(7)
    leaving = {number: chance.randint(1, 4_000) for number in range(0, CALLS, 2)}
    scene.run(leave_after=leaving.get)
    scene.balance()


def test_the_proxy_is_asked_to_stop(acme: Tenant, bank: Bank, tmp_path: Path) -> None:
    with deploy(tmp_path, workers=2) as first:
        scene = Scene(acme, bank, first)
        scene.run(on_end=at_call(100, first._process.terminate))
    with deploy(tmp_path) as second:
        Scene(acme, bank, second).run(calls=20)
        books = Scene(acme, bank, second).balance()
    assert not any(row.error_code == "worker_died" for row in books.rows), "a stop is no death: every call is settled"
