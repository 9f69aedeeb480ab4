"""Two thousand calls with deadlines from a minute to a day, on a clock that is moved: every deadline is kept, the books
balance to the nano, and what the batches saved is told."""

import asyncio
import random
from datetime import datetime, timedelta
from decimal import Decimal

import orjson
import pytest
import time_machine

from costhub.lib import clock
from proxy.models import BatchLine
from tenants.access import org_scope
from tenants.actions.upstreams import MAX_BATCH_CONCURRENCY, update_upstream
from tenants.models import Upstream
from tests.bank import Bank
from tests.proxy.batches.desk import CHAT, line, open_desk, read, run_worker
from tests.proxy.batches.test_remote import acme
from tests.proxy.books import close_the_day, read_books
from tests.world import Tenant

__all__ = ["acme"]

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
            run_worker(acme, 8 if moment == began else 2)
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


async def defer_all(acme: Tenant, seconds: list[int]) -> dict[str, datetime]:
    """The deadline of each call, by its id."""
    deadlines = {}
    async with open_desk(acme) as desk:
        for number, each in enumerate(seconds):
            body = orjson.dumps(line(number)["body"])
            answer = await desk.ask("POST", CHAT, body, x_costhub_deadline=str(each))
            assert answer.status == 202, answer.body
            shown = read(answer)
            deadlines[shown["id"]] = datetime.fromisoformat(shown["deadline"])
    return deadlines


def list_answered(acme: Tenant) -> set[str]:
    """The calls that have an answer."""
    with org_scope(acme.org_id):
        rows = BatchLine.objects.filter(org_id=acme.org_id, state="done").values_list("custom_id", flat=True)
        return set(rows)
