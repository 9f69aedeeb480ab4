"""A deadline is promised by how long calls have taken lately, and one that was missed all the same is told so."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest
import time_machine
from django.db import connection

from costhub.lib import clock
from proxy.attempts.loop import run_attempts
from proxy.batches import pace, pools
from proxy.batches.pace import find_call_ms
from proxy.models import BatchLine, LedgerEntry
from proxy.values.answer import Answer
from tenants.access import org_scope
from tenants.actions.keys import create_key
from tenants.actions.models import create_model
from tenants.actions.pricing import create_price
from tenants.actions.upstreams import update_upstream
from tenants.models import Upstream
from tests.bank import Bank
from tests.billing.ledger import make_call
from tests.proxy.batches.desk import CHAT, line, open_desk, read, run_worker
from tests.proxy.batches.test_deadlines import collect, defer
from tests.proxy.batches.test_remote import acme as account
from tests.world import Tenant

__all__ = ["account"]

MINUTE_US = 60_000_000


def upstream_of(tenant: Tenant) -> UUID:
    with org_scope(tenant.org_id):
        return Upstream.objects.get(org=tenant.org).pk


def record(tenant: Tenant, *durations_us: int, ago: timedelta = timedelta(hours=1), **columns: Any) -> None:
    """Calls that took so long, in the ledger, all of one moment, as the lines of a batch are."""
    at = clock.now() - ago
    told: dict[str, Any] = {name: columns.pop(name) for name in ("model", "service_tier") if name in columns}
    attempts: list[dict[str, Any]] = [
        {"number": 1, "status": 200, "model": "small", "certainty": "exact", "cost": 0, "error": "", **told}
    ]
    columns = {"upstream_id": upstream_of(tenant), "attempts": attempts, **columns}
    rows = [make_call(tenant, at, duration_us=duration, **columns) for duration in durations_us]
    with org_scope(tenant.org_id):
        LedgerEntry.objects.bulk_create(rows)


def pace_of(tenant: Tenant, model: str = "small") -> int:
    return find_call_ms(tenant.org_id, upstream_of(tenant), tenant.key.pk, model)


def test_nineteen_of_twenty_calls_took_so_long(acme: Tenant) -> None:
    record(acme, *(seconds * 1_000_000 for seconds in range(1, 101)))
    # Of another model, settled from an upstream's batch, that failed, of another upstream, and of the day before.
    record(acme, *[900 * MINUTE_US] * 100, ago=timedelta(hours=2), model="large")
    record(acme, *[1_000] * 100, ago=timedelta(minutes=20), service_tier="batch")
    record(acme, *[900 * MINUTE_US] * 100, ago=timedelta(hours=4), status=502)
    record(acme, *[900 * MINUTE_US] * 100, ago=timedelta(hours=8), upstream_id=acme.org.pk)
    record(acme, *[900 * MINUTE_US] * 100, ago=timedelta(hours=25))
    assert pace_of(acme) == 95_000
    # It is looked up again behind a minute.
    record(acme, *[MINUTE_US * 5] * 100, ago=timedelta(minutes=10))
    assert pace_of(acme) == 95_000
    with time_machine.travel(clock.now() + timedelta(seconds=61), tick=True):
        assert pace_of(acme) == 300_000


def test_no_call_is_taken_to_last_less_than_ten_seconds(acme: Tenant) -> None:
    record(acme, *[200_000] * 20)
    assert (pace_of(acme), pace_of(acme, "never asked")) == (10_000, 10_000)


def test_calls_of_the_same_key_count_however_many_others_there_are(acme: Tenant) -> None:
    record(acme, MINUTE_US, ago=timedelta(hours=5))
    with org_scope(acme.org_id):
        other = create_key(actor=acme.owner, name="other", project=acme.project).key
    record(acme, *[1_000_000] * 1_000, key_id=other.pk, model="large")
    assert pace_of(acme) == 60_000


def test_a_batch_hides_no_calls_that_came_before_it(acme: Tenant) -> None:
    """It has more lines than rows are looked through."""
    record(acme, *[MINUTE_US] * 5, ago=timedelta(hours=5))
    record(acme, *[1_000_000] * 1_100, model="large")
    assert pace_of(acme) == 60_000


def test_the_lines_of_one_batch_are_not_all_that_is_known_of_a_model(acme: Tenant) -> None:
    record(acme, *[MINUTE_US] * 50, ago=timedelta(hours=5))
    record(acme, *[1_000_000] * 1_100)
    assert pace_of(acme) == 60_000


def test_the_newest_calls_are_enough_where_there_are_many(acme: Tenant) -> None:
    record(acme, *[15 * MINUTE_US] * 100, ago=timedelta(hours=5))
    for minutes in (0.5, 1.5):
        record(acme, *[MINUTE_US] * 100, ago=timedelta(minutes=minutes))
    assert pace_of(acme) == 60_000


def test_a_minute_is_not_promised_where_calls_take_one(acme: Tenant) -> None:
    record(acme, *[MINUTE_US] * 5)

    async def come() -> tuple[int, Any]:
        async with open_desk(acme) as desk:
            answer = await desk.ask("POST", CHAT, orjson.dumps(line(0)["body"]), x_costhub_deadline="60")
            return answer.status, read(answer)["error"]

    status, error = asyncio.run(come())
    assert (status, error["code"]) == (409, "deadline_cannot_be_kept")
    assert error["message"].startswith("0 calls wait for this upstream, 4 of which run at a time, for up to 60 s each:")
    assert len(defer(acme, 120, 1)) == 1


@pytest.mark.parametrize(("waiting", "expected"), [(35, 202), (36, 409)])
def test_as_many_are_promised_as_can_be_answered_at_that_pace(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch, waiting: int, expected: int
) -> None:
    """Ten minutes are nine rounds of four calls of a minute each, and a little less than a tenth."""
    record(acme, *[MINUTE_US] * 5)

    def count_waiting(org_id: str, upstream_id: UUID) -> dict[int, int]:
        return {clock.now_ms() + 590_000: waiting}

    monkeypatch.setattr(pools, "count_waiting", count_waiting)

    async def come() -> int:
        async with open_desk(acme) as desk:
            sent = orjson.dumps(line(0)["body"])
            return (await desk.ask("POST", CHAT, sent, x_costhub_deadline="600")).status

    assert asyncio.run(come()) == expected


def test_the_ledger_is_not_read_while_other_calls_wait_for_the_lock(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is known any more by then, as behind a minute."""
    asked: list[str] = []
    join = pools.join

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        asked.append(sql)
        return execute(sql, *rest)

    def watched(*arguments: Any) -> None:
        pace._known.clear()
        with connection.execute_wrapper(note):
            join(*arguments)

    monkeypatch.setattr(pools, "join", watched)
    assert len(defer(acme, 600, 2)) == 2
    assert [sql for sql in asked if "pg_advisory_xact_lock" in sql], "looked at"
    assert [sql for sql in asked if "proxy_ledgerentry" in sql] == []


@pytest.mark.parametrize(("seconds", "expected"), [(1_100, 409), (1_300, 202)])
def test_calls_of_a_slower_model_that_wait_before_one_count_as_what_they_take(
    acme: Tenant, seconds: int, expected: int
) -> None:
    """Four of ten minutes each run first, and nobody knows which of the five is the last."""
    with org_scope(acme.org_id):
        upstream = Upstream.objects.get(org=acme.org)
        model = create_model(actor=acme.owner, name="slow", upstream=upstream, upstream_model="slow")
        price = Decimal("0.15")
        create_price(actor=acme.owner, model=model, input_per_million=price, output_per_million=price)
    record(acme, *[10 * MINUTE_US] * 5, model="slow")
    defer(acme, 1_000, 4, model="slow")

    async def come() -> int:
        async with open_desk(acme) as desk:
            sent = orjson.dumps(line(0)["body"])
            return (await desk.ask("POST", CHAT, sent, x_costhub_deadline=str(seconds))).status

    assert asyncio.run(come()) == expected


def test_calls_that_take_long_go_online_the_earlier(account: Tenant, bank: Bank) -> None:
    """Six of ten minutes each, one at a time, behind the quarter of an hour in which their batch is ended: 75 minutes
    before their deadline, where half an hour would do for short ones."""
    with org_scope(account.org_id):
        update_upstream(actor=account.owner, upstream=Upstream.objects.get(org=account.org), batch_concurrency=1)
    record(account, *[10 * MINUTE_US] * 5)
    bank.order_batches(stall=True)
    ids = defer(account, 6 * 3600, 6)
    for minutes, status in ((6, 202), (8, 202), (284, 202), (286, 202), (287, 200)):
        with time_machine.travel(clock.now() + timedelta(minutes=minutes), tick=True):
            run_worker(account, looks=2)
        if minutes != 286:
            assert {told for told, _ in collect(account, ids)} == {status}


def test_an_answer_behind_its_deadline_is_kept_and_says_so(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    [early] = defer(acme, 600, 1)
    run_worker(acme)
    [late] = defer(acme, 600, 1)
    now, ahead = clock.now, timedelta()
    monkeypatch.setattr(clock, "now", lambda: now() + ahead)

    async def ask_slowly(*asked: Any) -> Answer:
        nonlocal ahead
        answer = await run_attempts(*asked)
        ahead = timedelta(minutes=11)
        return answer

    monkeypatch.setattr("proxy.batches.line.run_attempts", ask_slowly)
    run_worker(acme)
    (_, kept), (_, missed) = collect(acme, [early, late])
    assert [(one["status"], one["deadline_missed"]) for one in (kept, missed)] == [
        ("completed", False),
        ("completed", True),
    ]
    assert missed["response"]["status_code"] == 200
    with org_scope(acme.org_id):
        lines = {one.custom_id: one.is_late for one in BatchLine.objects.filter(org_id=acme.org.pk)}
    assert lines == {early: False, late: True}
