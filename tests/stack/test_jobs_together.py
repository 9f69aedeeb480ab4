"""Two workers of each kind and two beats, kill -9 among them: no call lost, no sum wrong, no alert missing, none twice.

Calls are settled all the while, so that budgets cross their thresholds. What is promised of messages is promised of
ids: one whose sender was killed between sending and noting comes again under the same (docs/alerts.md).
"""

import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from threading import Event
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson
import pytest
from pytest_django.fixtures import Settings

from billing.alerts.actions.channels import create_channel
from billing.alerts.models import Alert, Channel, Delivery
from billing.choices import AlertKind, ChannelKind, DeliveryState
from billing.spend.models import DayRollup, QuarterRollup
from costhub.lib import clock, keyspace
from costhub.lib.moments import to_ms
from costhub.lib.redis import client
from costhub.stack.services import Beat, Service, SlowWorker, Worker
from proxy.ledger import recount
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tenants.choices import BudgetAction, BudgetPeriod, BudgetScope
from tenants.models import Budget, Membership
from tests.billing.ledger import make_id
from tests.billing.rollups import add_rows, read_spend
from tests.hooks import Receiver, run_receiver
from tests.mail import MailSink, run_mail_sink
from tests.patience import PATIENCE_SECONDS
from tests.proxy.edges.entries import find_scope, line_of, make_row, read_ledger
from tests.proxy.edges.till import Line, Till
from tests.stack.conftest import ROOT
from tests.stack.queue import clean_queue
from tests.world import Tenant, World, make_budget

APP: Final = "tests.stack.impatient_celery"
KINDS: Final[tuple[type[Worker] | type[Beat], ...]] = (Worker, SlowWorker, Beat)
THRESHOLDS: Final = [20, 40, 60, 80, 100]
USD: Final = 1_000_000_000
#: of a steady budget one threshold is crossed after the other has been told of; the others jump as they like
STEADY: Final = 8
JUMPING: Final = 4
ABANDONED: Final = "nobody"
PAUSE_SECONDS: Final = 0.03
LEASE_MS: Final = 1_000


@dataclass
class Machines:
    """Six processes, as three machines would have them."""

    folder: Path
    environment: dict[str, str]
    parts: list[Service] = field(default_factory=list)

    def start(self) -> None:
        for kind in KINDS * 2:
            folder = self.folder / f"{kind.name}-{len(self.parts)}"
            folder.mkdir()
            self.parts.append(kind(folder, self.environment, app=APP))
        for part in self.parts:
            part.start()
        for part in self.parts:
            part.wait_ready(PATIENCE_SECONDS)

    def kill(self, place: int) -> None:
        """kill -9 of a process and all that it had forked; another is started at once."""
        self.parts[place].kill()
        self.parts[place].reap()
        self.parts[place].start()

    def stop(self) -> None:
        for part in self.parts:
            part.kill()
        for part in self.parts:
            part.reap()


@dataclass
class Spender:
    """An end user and the budget for her. What was spent of it is a multiple of nothing in particular."""

    name: str
    budget: Budget
    line: Line
    is_steady: bool
    spent: int = 0

    @property
    def next_level(self) -> int:
        """The first threshold that is not crossed; 0 when all are."""
        return next((level for level in THRESHOLDS if self.spent * 100 < level * USD), 0)

    @property
    def last_level(self) -> int:
        """The last threshold that is crossed, or 0."""
        return max((level for level in THRESHOLDS if self.spent * 100 >= level * USD), default=0)


@dataclass
class Town:
    """Acme's calls, as proxies would settle them, and what must come of them."""

    acme: Tenant
    chance: random.Random
    spenders: list[Spender]
    whole: Line
    abandoned: Line
    #: id -> what it cost
    calls: dict[str, int] = field(default_factory=dict)
    given_up: set[str] = field(default_factory=set)

    @property
    def till(self) -> Till:
        return Till(self.acme.org.shard)

    def call(self, spender: Spender, cost: int) -> None:
        """One call, from its hold to its settlement."""
        row, now_ms = self._make_row(spender.name, cost), clock.now_ms()
        lines = (spender.line, self.whole)
        assert self.till.reserve(row["id"], *lines, fixed=cost * 1000, now=now_ms, ends=now_ms + 45_000)[0] == 1
        assert self.till.settle(row["id"], cost, event=orjson.dumps(row), now=now_ms) == 1
        spender.spent += cost
        self.calls[row["id"]] = cost

    def abandon(self) -> None:
        """A call whose proxy died: it is settled at what was held."""
        cost = self.chance.randint(1, 10**6)
        row, now_ms = self._make_row(ABANDONED, 0) | {"status": 0}, clock.now_ms()
        lines = (self.abandoned, self.whole)
        assert (
            self.till.reserve(row["id"], *lines, fixed=cost * 1000, now=now_ms, ends=now_ms + LEASE_MS, row=row)[0] == 1
        )
        self.calls[row["id"]] = cost
        self.given_up.add(row["id"])

    def _make_row(self, end_user: str, cost: int) -> dict[str, Any]:
        """Of a day that is over, so that its sums are rolled up while more of its calls come."""
        at = clock.now() - timedelta(seconds=self.chance.randint(25 * 3600, 70 * 3600))
        tokens = self.chance.randint(1, 1000)
        return make_row(
            self.acme,
            cost,
            at_ms=to_ms(at),
            id=str(make_id(at)),
            end_user=end_user,
            request_model=self.chance.choice(["small", "large"]),
            tags={"team": self.chance.choice(["a", "b"])},
            input_tokens=tokens,
            output_tokens=tokens * 2,
            attempts=[{"number": 1, "status": 200, "certainty": "exact", "cost": cost, "error": ""}],
        )

    def spend(self, told: set[tuple[str, int]], open_levels: set[tuple[str, int]]) -> None:
        """A call of about half of them: up to the next threshold, over it when it may be crossed."""
        for spender in self.spenders:
            level = spender.next_level
            if level == 0 or self.chance.random() < 0.5:
                continue
            room = level * USD // 100 - spender.spent
            if (spender.name, level) not in open_levels:
                if room > 1:
                    self.call(spender, self.chance.randint(1, min(room - 1, USD // 500)))
            elif not spender.is_steady:
                self.call(spender, self.chance.randint(1, USD // 2))
            elif spender.last_level == 0 or (str(spender.budget.pk), spender.last_level) in told:
                self.call(spender, room + self.chance.choice([0, self.chance.randint(0, USD // 10)]))


@pytest.fixture
def sink() -> Iterator[MailSink]:
    with run_mail_sink() as sink:
        yield sink


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    with run_receiver() as receiver:
        yield receiver


@pytest.fixture
def town(committed_world: World, receiver: Receiver, settings: Settings, seed: int) -> Town:
    """Acme with a webhook beside its mails, budgets of all time that only watch, and known counters."""
    settings.ALLOWED_PRIVATE_NETWORKS = ((ip_network("127.0.0.0/8"), None),)
    acme = committed_world.acme
    with org_scope(acme.org_id):
        # On a Monday the hour's job would mail what last week did cost.
        Membership.objects.filter(org=acme.org).update(wants_summaries=False)
        create_channel(
            actor=acme.owner, kind=ChannelKind.WEBHOOK, name="Hook", url=receiver.url, kinds=[AlertKind.BUDGET]
        )
    traits: dict[str, Any] = {"period": BudgetPeriod.TOTAL, "action": BudgetAction.WARN}
    of_users: dict[str, Any] = {"scope": BudgetScope.END_USER, **traits}
    names = [f"user-{number}" for number in range(STEADY + JUMPING)]
    budgets = [make_budget(acme, "1.00", subject=name, thresholds=THRESHOLDS, **of_users) for name in names]
    others = (
        make_budget(acme, "9000.00", thresholds=[], **traits),
        make_budget(acme, "9000.00", subject=ABANDONED, thresholds=[], **of_users),
    )
    recount.recount(acme.org.shard, "", ())
    lines = [line_of(find_scope(acme, budget)) for budget in (*budgets, *others)]
    spenders = [
        Spender(name, budget, line, place < STEADY)
        for place, (name, budget, line) in enumerate(zip(names, budgets, lines, strict=False))
    ]
    return Town(acme, random.Random(seed), spenders, whole=lines[-2], abandoned=lines[-1])


@pytest.fixture
def machines(town: Town, sink: MailSink, data_dir: Path) -> Iterator[Machines]:
    more = {
        "COSTHUB_SMTP_URL": f"smtp://127.0.0.1:{sink.port}",
        "COSTHUB_ALLOWED_NETWORKS": "127.0.0.0/8",
        "PYTHONWARNINGS": "",
        "PYTHONPATH": str(ROOT),
    }
    machines = Machines(data_dir, os.environ | more)
    with clean_queue():
        try:
            machines.start()
            yield machines
        finally:
            machines.stop()


@pytest.mark.parametrize(
    ("seed", "kills"),
    [
        # every process once
        pytest.param(0, len(KINDS) * 2, id="6-deaths"),
        *(pytest.param(seed, 16, id=f"16-deaths-seed-{seed}", marks=pytest.mark.soak) for seed in range(1, 6)),
    ],
)
def test_nothing_is_lost_and_nothing_is_twice(
    town: Town, machines: Machines, sink: MailSink, receiver: Receiver, seed: int, kills: int
) -> None:
    live(town, machines, kills)
    wait_quiet(town)
    assert_in_the_ledger(town)
    assert_rolled_up(town)
    assert_told(town, sink, receiver)


def live(town: Town, machines: Machines, kills: int) -> None:
    """Spend, and kill one process every second or two, until so many have died and every threshold is crossed."""
    pause, victims = Event(), choose_victims(town.chance, len(machines.parts), kills)
    # After how many deaths a spender may cross each threshold: spread over all of them.
    opens = {
        (spender.name, level): town.chance.randint(place * kills // 5, (place + 1) * kills // 5)
        for spender in town.spenders
        for place, level in enumerate(THRESHOLDS)
    }
    next_death = clock.monotonic_ns()
    while victims or any(spender.next_level for spender in town.spenders):
        told = list_alerts(town)
        open_levels = {level for level, deaths in opens.items() if deaths <= kills - len(victims)}
        for _ in range(10):
            town.spend(told, open_levels)
            pause.wait(PAUSE_SECONDS)
        if victims and clock.monotonic_ns() >= next_death:
            machines.kill(victims.pop())
            town.abandon()
            next_death = clock.monotonic_ns() + town.chance.randint(1000, 2000) * 1_000_000


def choose_victims(chance: random.Random, parts: int, kills: int) -> list[int]:
    """Every process once at least, in any order."""
    victims = [*range(parts), *(chance.randrange(parts) for _ in range(kills - parts))]
    chance.shuffle(victims)
    return victims


def list_alerts(town: Town) -> set[tuple[str, int]]:
    """The budget and threshold of every alert of now."""
    return {(alert.facts["budget"], alert.threshold) for alert in read_alerts(town)}


def read_alerts(town: Town) -> list[Alert]:
    with org_scope(town.acme.org_id):
        return list(Alert.objects.filter(org=town.acme.org, kind=AlertKind.BUDGET.value))


def wait_quiet(town: Town) -> None:
    """Return when the jobs have nothing more to do for Acme."""
    pause, ends = Event(), clock.monotonic_ns() + PATIENCE_SECONDS * 10**9
    while busy := find_busy(town):
        assert clock.monotonic_ns() < ends, f"still not done: {busy}"
        pause.wait(0.2)


def find_busy(town: Town) -> dict[str, int]:
    """What is still to be done, and how much of it."""
    org, shard = town.acme.org, town.acme.org.shard
    spent = sum(town.calls.values())
    with org_scope(org.pk):
        waiting = [DeliveryState.QUEUED.value, DeliveryState.SENDING.value]
        left = {
            "calls": len(town.calls) - LedgerEntry.objects.filter(org_id=org.pk).count(),
            "stream": client().xlen(keyspace.ledger_key(shard)),
            "moved": client().exists(keyspace.moved_key(shard), keyspace.looked_at_key(shard)),
            "messages": Delivery.objects.filter(org=org, state__in=waiting).count(),
            "in quarters": spent - sum(read_quarters(town).values()),
            "in days": spent - sum(read_days(town).values()),
        }
    return {name: amount for name, amount in left.items() if amount}


def read_quarters(town: Town) -> dict[Any, int]:
    with org_scope(town.acme.org_id):
        found = QuarterRollup.objects.filter(org_id=town.acme.org.pk, cube="total")
        return dict(found.values_list("quarter", "effective_cost"))


def read_days(town: Town) -> dict[Any, int]:
    with org_scope(town.acme.org_id):
        found = DayRollup.objects.filter(org_id=town.acme.org.pk, cube="total")
        return dict(found.values_list("day", "effective_cost"))


def assert_in_the_ledger(town: Town) -> None:
    """Every call has one row and what it cost; the counters say the same."""
    rows = read_ledger(town.acme)
    assert len(rows) == len(town.calls)
    assert {str(row.id): row.effective_cost for row in rows} == town.calls
    assert {str(row.id) for row in rows if row.error_code == "worker_died"} == town.given_up
    for spender in town.spenders:
        assert town.till.read(spender.line) == (spender.spent, 0)
    assert town.till.read(town.whole) == (sum(town.calls.values()), 0)
    assert recount.find_drift(town.acme.org.shard) == []


def assert_rolled_up(town: Town) -> None:
    """Each quarter and each day is the sum of its rows, and so is what people see."""
    quarters: dict[Any, int] = defaultdict(int)
    days: dict[Any, int] = defaultdict(int)
    rows = read_ledger(town.acme)
    for row in rows:
        quarters[row.started_at.replace(minute=row.started_at.minute // 15 * 15, second=0, microsecond=0)] += (
            row.effective_cost
        )
        days[row.started_at.date()] += row.effective_cost
    assert read_quarters(town) == quarters
    assert read_days(town) == days
    end = clock.now()
    for groups in ((), ("hour", "model"), ("day", "end_user"), ("tag:team",), ("status", "key")):
        spend = read_spend(town.acme, end - timedelta(days=5), end, *groups)
        found = {tuple(row.group.values()): row.totals for row in spend.rows}
        assert found == add_rows(rows, groups, ZoneInfo(town.acme.org.time_zone)), groups


def assert_told(town: Town, sink: MailSink, receiver: Receiver) -> None:
    """One alert for each budget and threshold. Each is told once by each way; where several were crossed between two
    looks, the gravest is."""
    alerts = read_alerts(town)
    assert Counter((alert.facts["budget"], alert.threshold) for alert in alerts) == {
        (str(spender.budget.pk), level): 1 for spender in town.spenders for level in THRESHOLDS
    }
    gravest: dict[tuple[str, datetime], Alert] = {}
    for alert in sorted(alerts, key=lambda alert: alert.threshold):
        gravest[alert.subject, alert.created_at] = alert
    steady = {str(spender.budget.pk) for spender in town.spenders if spender.is_steady}
    to_tell = {alert.pk for alert in gravest.values()}
    assert to_tell >= {alert.pk for alert in alerts if alert.facts["budget"] in steady}
    with org_scope(town.acme.org_id):
        sent = list(Delivery.objects.filter(org=town.acme.org, alert__in=[alert.pk for alert in alerts]))
        of_others = {str(row.pk) for row in Delivery.objects.filter(org=town.acme.org)} - {str(row.pk) for row in sent}
        kinds = dict(Channel.objects.filter(org=town.acme.org).values_list("pk", "kind"))
    assert {row.state for row in sent} == {DeliveryState.SENT.value}
    assert Counter((row.alert, kinds[row.channel]) for row in sent) == {
        (pk, kind.value): 1 for pk in to_tell for kind in (ChannelKind.EMAIL, ChannelKind.WEBHOOK)
    }
    ids = {kind: {str(row.pk) for row in sent if kinds[row.channel] == kind} for kind in set(kinds.values())}
    mails = Counter(
        str(mail["Message-ID"]).strip("<>").partition("@")[0]
        for mail in sink.mails
        if mail["To"] == town.acme.owner.name
    )
    # what jobs of the hour found beside, as anomalies, is mailed too
    assert set(mails) - of_others == ids[ChannelKind.EMAIL.value]
    calls = Counter(call.headers["webhook-id"] for call in receiver.calls)
    assert set(calls) == ids[ChannelKind.WEBHOOK.value]
    of_ids = {call.headers["webhook-id"]: orjson.loads(call.body)["data"]["id"] for call in receiver.calls}
    assert sorted(of_ids.values()) == sorted(str(pk) for pk in to_tell)
    again = mails.total() - len(mails) + calls.total() - len(calls)
    print(f"{len(town.calls)} calls, {len(alerts)} alerts, {len(sent)} messages, {again} of them again under their id")
