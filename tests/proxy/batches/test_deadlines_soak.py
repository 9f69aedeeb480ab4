"""Two thousand calls with deadlines from a minute to a day, on a clock that is moved: every deadline is kept, the books
balance to the nano, and what the batches saved is told. And three real minutes beside a batch that keeps every slot."""

import asyncio
import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import orjson
import pytest
import time_machine

from costhub.lib import clock
from proxy.batches.work import work
from proxy.models import BatchLine
from tenants.access import org_scope
from tenants.actions.upstreams import MAX_BATCH_CONCURRENCY, update_upstream
from tenants.models import Upstream
from tests.bank import Bank
from tests.proxy.batches.desk import CHAT, line, open_desk, read, run_worker_for
from tests.proxy.batches.test_remote import acme
from tests.proxy.books import assert_balanced, close_the_day, read_books
from tests.world import Tenant, World, make_budget, make_catalog

__all__ = ["acme"]

Json = dict[str, Any]
CALLS = 2_000
SHORTEST, LONGEST = 60, 86_400
#: how often a worker looks; more often while the first deadlines are near
STEP = timedelta(minutes=12)


@pytest.mark.soak
def test_every_deadline_is_kept(acme: Tenant, bank: Bank) -> None:
    with org_scope(acme.org_id):
        # What an upstream takes at a time bounds what can be promised: two thousand calls come within a minute.
        (upstream,) = Upstream.objects.filter(org=acme.org)
        update_upstream(actor=acme.owner, upstream=upstream, batch_concurrency=MAX_BATCH_CONCURRENCY)
    chance = random.Random(14)
    began = clock.now()
    deadlines = asyncio.run(
        defer_all(acme, [int(SHORTEST * (LONGEST / SHORTEST) ** chance.random()) for _ in range(CALLS)])
    )
    answered: dict[str, datetime] = {}
    moment = began
    while len(answered) < CALLS and moment < began + timedelta(hours=25):
        with time_machine.travel(moment, tick=True):
            run_worker_for(acme, 8 if moment == began else 2)
            now = clock.now()
        for name in list_answered(acme) - answered.keys():
            answered[name] = now
        moment += STEP
    assert answered.keys() == deadlines.keys()
    late = {name: answered[name] - deadlines[name] for name in deadlines if answered[name] > deadlines[name]}
    assert late == {}
    close_the_day(acme)
    books = read_books(acme, bank, "0.15", "0.60")
    # What came in a batch is billed under our id alone, and at the tier's price.
    billed = sum(
        call.cost_nanos(Decimal("0.15"), Decimal("0.60"))
        if ":" in call.request_id
        else call.cost_nanos(Decimal("0.075"), Decimal("0.30"))
        for call in bank.bill()
    )
    spent, listed = sum(row.effective_cost for row in books.rows), sum(row.list_cost for row in books.rows)
    assert spent == billed
    in_batches = sum(":" not in call.request_id for call in bank.bill())
    print(
        f"\n{in_batches} of {CALLS} in batches; {spent} nano-USD in place of {listed}: {1 - spent / listed:.1%} saved"
    )
    assert len(books.rows) == CALLS
    assert in_batches > 0


@pytest.mark.soak
def test_every_deadline_is_kept_where_nights_are_for_batches(local: Tenant, bank: Bank) -> None:
    """Calls of several kinds and sessions, on a server of their own that has time for batches from ten to six."""
    chance = random.Random(15)
    began = (clock.now() + timedelta(days=1)).replace(hour=7, minute=30)
    seconds = [int(SHORTEST * (LONGEST / SHORTEST) ** chance.random()) for _ in range(CALLS // 4)]
    with time_machine.travel(began, tick=True):
        deadlines = asyncio.run(defer_all(local, seconds, kinds=KINDS))
    answered: dict[str, datetime] = {}
    moment = began
    while len(answered) < len(seconds) and moment < began + timedelta(hours=25):
        with time_machine.travel(moment, tick=True):
            run_worker_for(local, 8 if moment == began else 2)
            now = clock.now()
        for name in list_answered(local) - answered.keys():
            answered[name] = now
        moment += STEP
    assert answered.keys() == deadlines.keys()
    assert {name: answered[name] - due for name, due in deadlines.items() if answered[name] > due} == {}
    # By day only what was near: half an hour, and as long as a worker takes to look.
    by_day = [deadlines[name] - at for name, at in answered.items() if 6 <= at.hour < 22]
    assert by_day
    assert max(by_day) <= timedelta(minutes=92), "an hour's calls go together"
    with time_machine.travel(moment, tick=True):
        assert_balanced(local, bank)


@pytest.mark.soak
def test_every_deadline_is_kept_beside_a_batch_that_keeps_every_slot(local: Tenant, bank: Bank) -> None:
    """Three real minutes: lines of four seconds, eight at a time, and calls of two seconds that are wanted within one
    minute, of five sessions, two each second: half of what may run at a time."""
    chance = random.Random(16)

    async def live() -> dict[str, float]:
        async with open_desk(local) as desk:
            slow = [line(number, bank={"first_ms": 4_000}) for number in range(1_000)]
            assert (await desk.hand_in(slow)).status == 200
            over = asyncio.Event()
            working = asyncio.create_task(keep_working(local, over))
            left: dict[str, float] = {}
            waiting: dict[str, datetime] = {}
            ends_ns = clock.ends_in(180)
            while clock.monotonic_ns() < ends_ns or waiting:
                if clock.monotonic_ns() < ends_ns:
                    body = orjson.dumps(line(0, bank={"first_ms": 2_000})["body"])
                    run = {"x_costhub_session": f"run-{chance.randrange(5)}", "x_costhub_deadline": "60"}
                    shown = read(await desk.ask("POST", CHAT, body, **run))
                    waiting[shown["id"]] = datetime.fromisoformat(shown["deadline"])
                for name in list(waiting):
                    if read(await desk.ask("GET", f"/v1/costhub/deferred/{name}"))["status"] == "completed":
                        left[name] = (waiting.pop(name) - clock.now()).total_seconds()
                await asyncio.sleep(0.5)
            over.set()
            await working
            return left

    left = asyncio.run(live())
    print(f"\n{len(left)} calls; {min(left.values()):.1f} s were left at the least")
    assert min(left.values()) > 0


async def keep_working(tenant: Tenant, over: asyncio.Event) -> None:
    """As Celery has it: one run after another, of a few seconds here, so that many end while lines are under way."""
    while not over.is_set():
        await work(5, {tenant.org_id})


#: what calls are of, in turn, with what a body of that kind has
KINDS: Final[tuple[tuple[str, Json], ...]] = (
    (CHAT, {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20}),
    ("/v1/embeddings", {"input": "Hi"}),
    ("/v1/responses", {"input": "Hi", "max_output_tokens": 20}),
    ("/v1/messages", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20}),
)


@pytest.fixture
def local(committed_world: World, bank: Bank) -> Tenant:
    """Acme with a server of its own."""
    acme = committed_world.acme
    catalog = make_catalog(acme, base_url=bank.base_url, max_output_tokens=100)
    with org_scope(acme.org_id):
        update_upstream(
            actor=acme.owner, upstream=catalog.upstream, bill_path="/costhub/bill", batch_hours="22:00-06:00"
        )
    make_budget(acme, "100.00")
    return acme


async def defer_all(acme: Tenant, seconds: list[int], kinds: tuple[tuple[str, Json], ...] = ()) -> dict[str, datetime]:
    """The deadline of each call, by its id."""
    deadlines = {}
    async with open_desk(acme) as desk:
        for number, each in enumerate(seconds):
            path, body = kinds[number % len(kinds)] if kinds else (CHAT, line(number)["body"])
            session = {"x_costhub_session": f"run-{number % 5}"} if kinds else {}
            sent = orjson.dumps({"model": "small", **body})
            answer = await desk.ask("POST", path, sent, x_costhub_deadline=str(each), **session)
            assert answer.status == 202, answer.body
            shown = read(answer)
            deadlines[shown["id"]] = datetime.fromisoformat(shown["deadline"])
    return deadlines


def list_answered(acme: Tenant) -> set[str]:
    """The calls that have an answer."""
    with org_scope(acme.org_id):
        rows = BatchLine.objects.filter(org_id=acme.org_id, state="done").values_list("custom_id", flat=True)
        return set(rows)
