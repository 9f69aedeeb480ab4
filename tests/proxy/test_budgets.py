"""Hard budgets under a crowd: never a nano too much, and hardly one too few.

Streams come from so many callers at once over four workers, against nested budgets of the organisation, the project and
the key. A refused caller waits until another call has ended and tries again, until nothing is in flight any more.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from costhub.lib.money import Nanos, format_usd
from costhub.lib.redis import client
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tenants.actions.budgets import update_budget
from tenants.actions.upstreams import update_upstream
from tenants.choices import BudgetPeriod, BudgetScope, Tokenizer
from tenants.models import Budget
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS
from tests.proxy.books import assert_balanced, open_holds
from tests.proxy.deployment import NO_TLS, Deployment, deploy
from tests.world import Tenant, make_budget, make_catalog, make_world

WORKERS = 4
LIMIT = "0.004"
LIMIT_NANOS = 4_000_000
BODY: dict[str, Any] = {
    "model": "small",
    "messages": [{"role": "user", "content": "how many roads must a man walk down"}],
    "stream": True,
    "bank": {"output_tokens": 12},
}


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[tuple[Deployment, Path]]:
    directory = tmp_path_factory.mktemp("budgets")
    with django_db_blocker.unblock(), deploy(directory, workers=WORKERS) as proxy:
        yield proxy, directory


@pytest.fixture
def acme(place: tuple[Deployment, Path], bank: Bank) -> Tenant:
    """Acme, with the same limit on three levels."""
    acme = make_world(unique=True).acme
    make_catalog(acme, base_url=bank.base_url)
    for scope, subject in (
        (BudgetScope.ORGANIZATION, ""),
        (BudgetScope.PROJECT, str(acme.project.pk)),
        (BudgetScope.KEY, str(acme.key.pk)),
    ):
        make_budget(acme, LIMIT, scope=scope, subject=subject, period=BudgetPeriod.TOTAL)
    return acme


@dataclass
class Crowd:
    """Callers that go on until their budget is spent, each on a connection of its own, and so with a worker of its
    own. ``before_news`` calls may begin until ``news`` has come and a caller's own worker knows of ``limit``."""

    proxy: Deployment
    acme: Tenant
    body: dict[str, Any]
    before_news: int = sys.maxsize
    limit: str = ""
    ended: int = 0
    refused: int = 0
    turn: asyncio.Condition = field(default_factory=asyncio.Condition)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def spend_it_all(self, callers: int) -> None:
        """Return when every caller was refused while nothing was in flight."""
        await asyncio.gather(*(self._caller() for _ in range(callers)))

    async def _caller(self) -> None:
        is_told = False
        async with httpx2.AsyncClient(
            base_url=self.proxy.base_url,
            headers={"authorization": f"Bearer {self.acme.api_key}"},
            timeout=PATIENCE_SECONDS,
            trust_env=False,
            verify=NO_TLS,
        ) as http:
            while True:
                if self.before_news <= 0 and not is_told:
                    await self.news.wait()
                    await self._wait_until_told(http)
                    is_told = True
                self.before_news -= 1
                seen = self.ended
                answer = await http.post("/chat/completions", json=self.body)
                if answer.status_code == 200:
                    assert "[DONE]" in answer.text
                    async with self.turn:
                        self.ended += 1
                        self.turn.notify_all()
                    continue
                assert answer.status_code == 402, answer.text
                self.refused += 1
                if answer.json()["error"]["budget"]["held"] == "0.000000000":
                    async with self.turn:
                        self.turn.notify_all()
                    return
                # Somebody's money is still held: wait for it, and for nothing else.
                await self._wait_until_it_moves(seen)

    async def _wait_until_told(self, http: httpx2.AsyncClient) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.limit not in (await http.get("/costhub/budget")).text:
                await asyncio.sleep(0.01)

    async def _wait_until_it_moves(self, seen: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), self.turn:
            while not self._has_moved(seen):
                # A settle is not awaited: the last one may land when nobody is left to tell of it.
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.turn.wait(), 0.05)

    def _has_moved(self, seen: int) -> bool:
        return self.ended > seen or open_holds(self.acme.org) == []


async def watch(acme: Tenant, budgets: list[Budget], until: asyncio.Event) -> int:
    """The most that was ever settled and held together in one of the budgets, looked at all the time."""
    names = [name for budget in budgets for name in client().scan_iter(f"*:budget:{budget.pk}.*")]
    most = 0
    while not until.is_set():
        for name in names or [
            name for budget in budgets for name in client().scan_iter(f"*:budget:{budget.pk}.*", count=1000)
        ]:
            settled, held = (int(value or 0) for value in client().hmget(name, "s", "h"))
            assert settled >= 0
            assert held >= 0
            most = max(most, settled + held)
        await asyncio.sleep(0)
    return most


async def run(
    proxy: Deployment, acme: Tenant, budgets: list[Budget], callers: int, body: dict[str, Any]
) -> tuple[int, int]:
    """The most that was ever settled and held, and how many calls were answered or refused."""
    crowd = Crowd(proxy, acme, body)
    finished = asyncio.Event()
    watching = asyncio.create_task(watch(acme, budgets, finished))
    try:
        await crowd.spend_it_all(callers)
    finally:
        finished.set()
    return await watching, crowd.ended + crowd.refused


def budgets_of(acme: Tenant) -> list[Budget]:
    with org_scope(acme.org_id):
        return list(Budget.objects.filter(org=acme.org))


@pytest.mark.parametrize(
    ("callers", "more"),
    [
        pytest.param(1, {"max_tokens": 40}, id="1"),
        pytest.param(32, {"max_tokens": 40}, id="32"),
        pytest.param(64, {}, id="64-without-max_tokens"),
        pytest.param(128, {"max_tokens": 40, "n": 3}, id="128-three-choices"),
        pytest.param(256, {"max_completion_tokens": 40}, id="256"),
    ],
)
def test_nothing_too_much_and_hardly_anything_too_few(
    place: tuple[Deployment, Path], acme: Tenant, bank: Bank, callers: int, more: dict[str, Any]
) -> None:
    proxy, _ = place
    budgets = budgets_of(acme)
    most, calls = asyncio.run(run(proxy, acme, budgets, callers, BODY | more))
    assert 0 < most <= LIMIT_NANOS, f"overshoot of {most - LIMIT_NANOS} nanos"
    books = assert_balanced(acme, bank, living_calls=calls)
    spent = sum(books.ledger.values())
    assert spent <= LIMIT_NANOS
    assert spent >= LIMIT_NANOS * 97 // 100, f"only {spent / LIMIT_NANOS:.1%} of the budget could be used"
    assert open_holds(acme.org) == []


def test_a_budget_is_lowered_in_mid_flight(place: tuple[Deployment, Path], acme: Tenant, bank: Bank) -> None:
    """What is spent before every worker knows of it is less than the new limit; from then on no nano goes above it."""
    proxy, _ = place
    (organization,) = (budget for budget in budgets_of(acme) if budget.scope == BudgetScope.ORGANIZATION)
    lowered = LIMIT_NANOS // 2

    async def spend() -> int:
        crowd = Crowd(proxy, acme, BODY | {"max_tokens": 40}, before_news=150, limit=f'"limit":"{format_usd(lowered)}"')
        spending = asyncio.create_task(crowd.spend_it_all(64))
        async with crowd.turn:
            await crowd.turn.wait_for(lambda: crowd.ended >= 60)
        await asyncio.to_thread(_lower, acme, organization, lowered)
        crowd.news.set()
        await spending
        return crowd.ended + crowd.refused

    books = assert_balanced(acme, bank, living_calls=asyncio.run(spend()))
    spent = sum(books.ledger.values())
    assert lowered * 97 // 100 <= spent <= lowered
    refused = [row for row in books.rows if row.status == 402]
    assert refused
    assert {row.effective_cost for row in refused} == {0}


def _lower(acme: Tenant, budget: Budget, limit_nanos: int) -> None:
    with org_scope(acme.org_id):
        update_budget(actor=acme.owner, budget=Budget.objects.get(pk=budget.pk), limit_nanos=Nanos(limit_nanos))
    connection.close()


def test_the_output_is_cut_to_what_the_budget_affords(place: tuple[Deployment, Path], acme: Tenant, bank: Bank) -> None:
    """Without a max_tokens of its own a call may want 16,384 tokens: it is given what is affordable, and told so
    upstream."""
    proxy, _ = place
    with httpx2.Client(base_url=proxy.base_url, trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http:
        answer = http.post(
            "/chat/completions", json=BODY | {"stream": False}, headers={"authorization": f"Bearer {acme.api_key}"}
        )
    assert answer.status_code == 200
    sent = bank.calls_received()[-1].json
    books = assert_balanced(acme, bank, living_calls=1)
    (row,) = books.rows
    assert isinstance(row, LedgerEntry)
    assert row.held <= LIMIT_NANOS
    # 0.60 USD a million tokens are 600 nanos a token
    assert sent["max_tokens"] == (LIMIT_NANOS - (row.held - sent["max_tokens"] * 600)) // 600


def test_an_unknown_end_costs_no_more_than_was_held(place: tuple[Deployment, Path], bank: Bank) -> None:
    """In a tight budget the input is counted exactly, and an attempt whose end is unknown is charged by that count."""
    proxy, _ = place
    acme = make_world(unique=True).acme
    catalog = make_catalog(acme, base_url=bank.base_url, tokenizer=Tokenizer.O200K)
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=catalog.upstream, bill_path="/costhub/bill", max_retries=0)
    make_budget(acme, "0.0005", period=BudgetPeriod.TOTAL)
    body = {
        "model": "small",
        "messages": [{"role": "user", "content": "word " * 800}],
        "max_tokens": 40,
        "bank": {"fault": "hang_up"},
    }
    with httpx2.Client(base_url=proxy.base_url, trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http:
        answer = http.post("/chat/completions", json=body, headers={"authorization": f"Bearer {acme.api_key}"})
    assert answer.status_code == 502
    (row,) = (row for row in assert_balanced(acme, bank, living_calls=1).rows if row.kind == "call")
    # 800 words, the space behind them, the role, a message and the beginning of an answer: 813 tokens
    assert row.held == row.effective_cost == 813 * 150 + 40 * 600
