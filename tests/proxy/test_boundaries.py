"""Streams across a local midnight: each is in the period in which it came, in the ledger, in the counters and on the
console.

The proxies' clock is moved, so that the midnight comes some seconds after the first call. One of the end users has used
up the first day by then: she is refused until midnight, and not a call longer.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import httpx2
import pytest
import time_machine
from django.db import connection

from costhub.lib import clock
from costhub.lib.moments import to_ms
from costhub.lib.redis import client
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tenants.actions.orgs import update_organization
from tenants.choices import BudgetScope
from tenants.models import Budget
from tenants.periods import period_bounds
from tests.bank import Bank
from tests.billing.rollups import read_spend
from tests.patience import PATIENCE_SECONDS
from tests.proxy.books import assert_balanced
from tests.proxy.deployment import NO_TLS, deploy
from tests.proxy.edges.entries import find_scope
from tests.proxy.load import Outcome, call_once
from tests.world import Tenant, World, make_budget, make_catalog

APP: Final = "tests.proxy.moved_clock:application"
CLIENTS: Final = 64
#: the midnight comes so long after the first call; one takes a second
BEFORE: Final = timedelta(seconds=5)
CALL: Final[dict[str, Any]] = {
    "model": "small",
    "messages": [{"role": "user", "content": "how many roads must a man walk down"}],
    "stream": True,
    "max_tokens": 20,
    "bank": {"output_tokens": 6, "pace_ms": 160},
}
MIA: Final = "mia"
OTHERS: Final = tuple(f"user-{number}" for number in range(10))
#: what all the calls of a test cost on one day is less
MUCH: Final = "1.00"
#: the least of what is left of it after a call of hers that wants more is too little for another; all that she asks for
#: on the second day fits
MIAS: Final = "0.0025"
LONG: Final = CALL | {"user": MIA, "max_tokens": 4_000, "bank": {"output_tokens": 4_000, "burst": 4_000}}


@dataclass(frozen=True)
class Call:
    """One call, and what its caller's clock said before and after it."""

    sent_ms: int
    ended_ms: int
    outcome: Outcome


def next_odd_midnight(zone: str) -> datetime:
    """The end of the next local day that has not 24 hours; of the next day where no clock changes."""
    start, end = first = period_bounds("day", clock.now(), zone)
    for _ in range(400):
        start, end = period_bounds("day", end, zone)
        if end - start != timedelta(hours=24):
            return end
    return first[1]


@pytest.fixture
def midnight(zone: str) -> datetime:
    midnight = next_odd_midnight(zone)
    with connection.cursor() as cursor:
        cursor.execute("SELECT costhub_ensure_partitions(%s, 1)", [midnight.date()])
    return midnight


@pytest.fixture
def acme(committed_world: World, zone: str, midnight: datetime, bank: Bank) -> Tenant:
    """Acme in a time zone, with hard budgets of a day that were made in the middle of the first one."""
    acme = committed_world.acme
    with time_machine.travel(midnight - timedelta(hours=6), tick=False):
        with org_scope(acme.org_id):
            update_organization(actor=acme.owner, time_zone=zone)
        make_catalog(acme, base_url=bank.base_url)
        for scope, subject in (
            (BudgetScope.ORGANIZATION, ""),
            (BudgetScope.KEY, str(acme.key.pk)),
            (BudgetScope.END_USER, ""),
        ):
            make_budget(acme, MUCH, scope=scope, subject=subject)
        make_budget(acme, MIAS, scope=BudgetScope.END_USER, subject=MIA)
    return acme


@pytest.mark.parametrize(
    ("zone", "calls"),
    [
        pytest.param("Europe/Berlin", 200, id="200-at-a-change-of-the-clock"),
        pytest.param("Europe/Berlin", 1_000, id="1000-at-a-change-of-the-clock", marks=pytest.mark.soak),
        pytest.param("Asia/Kathmandu", 200, id="200-at-18:15-UTC"),
    ],
)
def test_no_stream_is_in_the_wrong_period(
    acme: Tenant, bank: Bank, midnight: datetime, zone: str, calls: int, tmp_path: Path
) -> None:
    ahead = tmp_path / "ahead"
    with deploy(tmp_path, workers=2, app=APP, TEST_CLOCK_AHEAD=str(ahead)) as proxy:
        crowd = Crowd(proxy.base_url, acme.api_key, midnight, to_ms(midnight - BEFORE) - clock.now_ms())
        ahead.write_text(str(crowd.ahead_ms))
        asyncio.run(crowd.call_across(calls))
    with time_machine.travel(midnight + timedelta(seconds=30), tick=True):
        rows = assert_balanced(acme, bank).rows
    days = [period_bounds("day", at, zone) for at in (midnight - timedelta(milliseconds=1), midnight)]
    first, second = ([row for row in rows if start <= row.started_at < end] for start, end in days)
    assert len(first) + len(second) == len(rows) == len(crowd.made)
    spanning = [row for row in first if row.started_at + timedelta(microseconds=row.duration_us) > midnight]
    assert len(spanning) >= CLIENTS // 4
    assert_in_their_moment(rows, crowd)
    assert_only_mia_is_refused(first, second, crowd)
    assert_counted(acme, first, midnight - timedelta(milliseconds=1))
    assert_counted(acme, second, midnight)
    assert_shown(acme, zone, days, first, second)


@dataclass
class Crowd:
    """The callers, with a clock that is as far ahead as the proxies'."""

    base_url: str
    api_key: str
    midnight: datetime
    ahead_ms: int
    made: dict[str, Call] = field(default_factory=dict)
    #: the moment at which Mia's first day was used up
    used_up_ms: int = 0

    def now_ms(self) -> int:
        return clock.now_ms() + self.ahead_ms

    async def call_across(self, calls: int) -> None:
        """Use up Mia's day; then make so many calls of others, and more until a quarter of them came after midnight."""
        async with httpx2.AsyncClient(
            base_url=self.base_url,
            headers={"authorization": f"Bearer {self.api_key}"},
            limits=httpx2.Limits(max_connections=CLIENTS),
            timeout=PATIENCE_SECONDS,
            trust_env=False,
            verify=NO_TLS,
        ) as http:
            while (await self._call(http, LONG)).status == 200:
                pass
            self.used_up_ms = self.now_ms()
            bodies = self._make_bodies(calls)

            async def work() -> None:
                for body in bodies:
                    await self._call(http, body)

            await asyncio.gather(*(work() for _ in range(CLIENTS)))

    async def _call(self, http: httpx2.AsyncClient, body: dict[str, Any]) -> Outcome:
        sent_ms = self.now_ms()
        outcome = await call_once(http, body)
        self.made[outcome.request_id] = Call(sent_ms, self.now_ms(), outcome)
        return outcome

    def _make_bodies(self, calls: int) -> Iterator[dict[str, Any]]:
        made = late = 0
        while made < calls or late < calls // 4:
            if made % len(OTHERS) == 0:
                yield CALL | {"user": MIA}
            yield CALL | {"user": OTHERS[made % len(OTHERS)]}
            made += 1
            late += self.now_ms() >= to_ms(self.midnight)


def assert_in_their_moment(rows: list[LedgerEntry], crowd: Crowd) -> None:
    """A row says when its call came: after its caller sent it, and before the caller had the whole answer."""
    for row in rows:
        call = crowd.made[str(row.id)]
        assert call.sent_ms <= to_ms(row.started_at) <= call.ended_ms
        assert call.outcome.status == row.status


def assert_only_mia_is_refused(first: list[LedgerEntry], second: list[LedgerEntry], crowd: Crowd) -> None:
    """From the moment on at which her day was used up, and never after midnight; nobody else is."""
    hers = [row for row in first if row.end_user == MIA and to_ms(row.started_at) >= crowd.used_up_ms]
    assert {(row.status, row.error_code) for row in hers} == {(402, "budget_exceeded")}
    assert {row.status for row in first if row.end_user != MIA} == {200}
    for who in (MIA, *OTHERS):
        assert {row.status for row in second if row.end_user == who} == {200}


def assert_counted(acme: Tenant, rows: list[LedgerEntry], at: datetime) -> None:
    """Every counter of the day is the sum of its rows, and holds nothing."""
    with org_scope(acme.org_id):
        budgets = {(budget.scope, budget.subject): budget for budget in Budget.objects.filter(org=acme.org)}
    for (scope, subject), budget in budgets.items():
        for who in [subject] if subject or scope == BudgetScope.ORGANIZATION else [*OTHERS, MIA]:
            is_of_user = scope == BudgetScope.END_USER
            spent = sum(row.effective_cost for row in rows if not is_of_user or row.end_user == who)
            counter = find_scope(acme, budget, who, to_ms(at)).counter
            found = client().hmget(counter, "s", "h")
            assert [int(each or 0) for each in found] == [spent, 0], (scope, who)
            assert spent > 0


def assert_shown(acme: Tenant, zone: str, days: list[tuple[datetime, datetime]], *rows: list[LedgerEntry]) -> None:
    """The console's days are these."""
    spend = read_spend(acme, days[0][0], days[1][1], "day")
    assert {row.group["day"]: row.totals.effective_cost for row in spend.rows} == {
        str(start.astimezone(ZoneInfo(zone)).date()): sum(row.effective_cost for row in of_day)
        for (start, _), of_day in zip(days, rows, strict=True)
    }
