"""Do the books balance: the bank's bill, the ledger, the counters."""

import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from threading import Event
from typing import cast

import orjson
import time_machine
from django.db import connections

from costhub.lib import clock, keyspace
from costhub.lib.net import gate_from_settings
from costhub.lib.redis import client
from proxy import tasks
from proxy.ledger import bill_corrections, recount
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tenants.models import Organization
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.proxy.deployment import living
from tests.world import Tenant

#: longer than any lease
LATER = timedelta(minutes=10)
#: while processes live, and none of a tenant's holds has ended for so long, what is held still is dead ones'
STILL_SECONDS = 2


@dataclass(frozen=True)
class Books:
    """What was found, all in nano-USD by request id."""

    billed: dict[str, int]
    ledger: dict[str, int]
    rows_per_call: dict[str, int]
    rows: list[LedgerEntry]
    corrections: int


def close_the_day(tenant: Tenant) -> None:
    """Let every job run until there is nothing left to do, as if all leases had ended. Calls of proxies that live are
    settled by these before.

    A run of the corrections gives an organisation five seconds, and an upstream that is slow to answer the next run's
    time: on a busy machine there are more of them.
    """
    if living:
        let_the_living_settle(tenant.org)
    settle_the_dead()
    gate, idle = gate_from_settings(), 0
    while idle < 2:
        idle = 0 if bill_corrections.correct_estimates(tenant.org_id, gate) else idle + 1
        # what is not in the ledger yet would be corrected again
        tasks.drain_ledger()


def open_holds(org: Organization) -> list[str]:
    """The ids of the organisation's holds: a shard is shared, and another one's batch may hold money for a day."""
    ids = cast("list[bytes]", client().zrange(keyspace.leases_key(org.shard), 0, -1))
    rows = {id_.decode(): client().hget(keyspace.hold_key(org.shard, id_.decode()), "row") for id_ in ids}
    return [id_ for id_, row in rows.items() if row and orjson.loads(cast("bytes", row))["org_id"] == str(org.pk)]


def let_the_living_settle(org: Organization) -> None:
    """Return when none of the organisation's holds is left, or ends: the answer of a call may be there a moment before
    its process has settled it, and a reaper that came between would take that for dead."""
    pause, held, since = Event(), open_holds(org), time.monotonic()
    while held and time.monotonic() - since < STILL_SECONDS:
        pause.wait(0.01)
        if (left := open_holds(org)) != held:
            held, since = left, time.monotonic()


def read_row(tenant: Tenant, request_id: str) -> LedgerEntry:
    """The row of a call that was answered, once the ledger has it. Raises AssertionError where it never does."""

    def find() -> list[LedgerEntry]:
        tasks.drain_ledger()
        with org_scope(tenant.org_id):
            return list(LedgerEntry.objects.filter(org_id=tenant.org_id, id=request_id))

    wait_until(lambda: bool(find()))
    (row,) = find()
    return row


def wait_for_calls(tenant: Tenant, calls: int = 0) -> None:
    """Have the ledger a row of each of so many calls, and nothing held any more: what processes that live write of a
    call they do not await, so that its answer may be there sooner. Raises AssertionError where that never comes."""
    ends, pause = time.monotonic() + PATIENCE_SECONDS, Event()
    while True:
        tasks.drain_ledger()
        with org_scope(tenant.org_id):
            found = LedgerEntry.objects.filter(org_id=tenant.org_id, kind="call").count()
        held = open_holds(tenant.org)
        if found >= calls and not held:
            return
        assert time.monotonic() < ends, f"{found} of {calls} calls have rows, and {len(held)} hold money"
        pause.wait(0.02)


def settle_the_dead() -> None:
    """The first part of it: every call has its row, those of dead workers an estimated one."""
    connections.close_all()
    tasks.drain_ledger()
    with time_machine.travel(clock.now() + LATER, tick=True):
        tasks.reap_reservations()
    tasks.drain_ledger()


def read_books(tenant: Tenant, bank: Bank, input_price: str, output_price: str) -> Books:
    """The bank's bill and the ledger, side by side."""
    billed: dict[str, int] = defaultdict(int)
    for call in bank.bill():
        request_id = call.request_id.partition(":")[0]
        billed[request_id] += call.cost_nanos(Decimal(input_price), Decimal(output_price))
    ledger: dict[str, int] = defaultdict(int)
    rows_per_call: dict[str, int] = defaultdict(int)
    corrections = 0
    with org_scope(tenant.org_id):
        rows = list(LedgerEntry.objects.filter(org_id=tenant.org_id))
    for row in rows:
        if row.kind == "call":
            rows_per_call[str(row.id)] += 1
            ledger[str(row.id)] += row.effective_cost
        else:
            corrections += 1
            ledger[str(row.corrects)] += row.effective_cost
    return Books(dict(billed), dict(ledger), dict(rows_per_call), rows, corrections)


def assert_balanced(
    tenant: Tenant,
    bank: Bank,
    *,
    input_price: str = "0.15",
    output_price: str = "0.60",
    living_calls: int | None = None,
) -> Books:
    """Sum of the ledger = sum of the bank's bill to the nano, call by call; one row a call; counters = ledger; no
    hold. ``living_calls``: so many at least were of processes that live, which settle them by themselves."""
    bank.wait_quiet()
    if living_calls is not None:
        wait_for_calls(tenant, living_calls)
    close_the_day(tenant)
    books = read_books(tenant, bank, input_price, output_price)
    differing = {
        request_id: (books.billed.get(request_id, 0), books.ledger.get(request_id))
        for request_id in books.billed.keys() | books.ledger.keys()
        if books.billed.get(request_id, 0) != books.ledger.get(request_id)
    }
    assert differing == {}, f"{len(differing)} calls differ (billed, ledger): {dict(list(differing.items())[:5])}"
    assert sum(books.ledger.values()) == sum(books.billed.values())
    assert set(books.rows_per_call.values()) <= {1}
    assert open_holds(tenant.org) == []
    assert recount.find_drift(tenant.org.shard) == []
    for row in books.rows:
        assert row.list_cost - row.effective_cost == sum(row.savings.values())
    return books
