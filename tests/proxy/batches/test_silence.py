"""Upstreams that run a batch and do not say what came of it."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from costhub.lib import clock
from proxy.batches.silence import charge_unheard, find_charged
from proxy.batches.store import list_open
from proxy.ledger import drain, recount
from tests.bank import Bank
from tests.proxy.batches.desk import held_of, line, open_desk, read, run_worker
from tests.proxy.batches.test_deadlines import CALLS, collect, defer
from tests.proxy.batches.test_remote import IN_BATCH, USUAL
from tests.proxy.batches.test_remote import acme as account
from tests.proxy.books import read_books, settle_the_dead
from tests.world import Tenant

__all__ = ["account"]


@pytest.mark.parametrize("is_told", [True, False])
def test_an_upstream_that_does_not_say_what_it_answered_is_charged_until_it_does(
    account: Tenant, bank: Bank, *, is_told: bool
) -> None:
    """It has answered all of them, bills for that, and goes on saying that it is at work."""
    bank.order_batches(silent=True)
    ids = defer(account, 6 * 3600)
    for minutes in (6, 8, 5 * 60 + 31, 5 * 60 + 47):
        with time_machine.travel(clock.now() + timedelta(minutes=minutes), tick=True):
            run_worker(account, looks=2)
    assert [(status, answer["status"]) for status, answer in collect(account, ids)] == [(200, "completed")] * CALLS
    assert len(bank.bill()) == 2 * CALLS
    settle_the_dead()
    unheard = [row for row in read_books(account, bank, "0.15", "0.60").rows if row.error_code == "upstream_silent"]
    assert {str(row.id) for row in unheard} == set(ids)
    assert all(row.is_estimated and row.effective_cost == row.held > USUAL for row in unheard)

    bank.order_batches(**({} if is_told else {"silent": True}))
    for hours in (7, 8, 32):
        with time_machine.travel(clock.now() + timedelta(hours=hours), tick=True):
            run_worker(account, looks=2)
    drain.drain(account.org.shard)
    ledger = read_books(account, bank, "0.15", "0.60").ledger
    # Those that were asked online are calls of their own.
    assert sorted(nanos for call, nanos in ledger.items() if call not in ids) == [USUAL] * CALLS
    of_batch = {nanos for call, nanos in ledger.items() if call in ids}
    assert of_batch == ({IN_BATCH} if is_told else {row.effective_cost for row in unheard})
    assert recount.find_drift(account.org.shard) == []
    assert list_open(account.org_id) == []


def test_a_batch_of_whose_making_nobody_has_heard_is_not_made_near_a_deadline(account: Tenant, bank: Bank) -> None:
    """Nobody knows whether there is one: its calls are charged, and asked online."""
    bank.order_batches(lose=True)
    ids = defer(account, 6 * 3600)
    for minutes in (6, 5 * 60 + 31, 5 * 60 + 47):
        with time_machine.travel(clock.now() + timedelta(minutes=minutes), tick=True):
            run_worker(account, looks=2)
    assert [(status, answer["status"]) for status, answer in collect(account, ids)] == [(200, "completed")] * CALLS
    assert [request.target for request in bank.calls_received()].count("/v1/batches") == 1
    assert len(bank.bill()) == CALLS
    settle_the_dead()
    unheard = [row for row in read_books(account, bank, "0.15", "0.60").rows if row.error_code == "upstream_silent"]
    assert {str(row.id) for row in unheard} == set(ids)


def test_what_an_upstream_counts_and_does_not_give_is_no_unanswered_call(account: Tenant, bank: Bank) -> None:
    """Its file has all answers but one, whole lines all of them, and it says that it has answered all."""
    bank.order_batches(short=1)
    ids = defer(account, 6 * 3600)
    for minutes in (6, 8, 10, 12, 14, 16, 18, 20, 5 * 60 + 47):
        with time_machine.travel(clock.now() + timedelta(minutes=minutes), tick=True):
            run_worker(account, looks=2)
    assert [(status, answer["status"]) for status, answer in collect(account, ids)] == [(200, "completed")] * CALLS
    drain.drain(account.org.shard)
    rows = [row for row in read_books(account, bank, "0.15", "0.60").rows if str(row.id) in ids]
    (unheard,) = (row for row in rows if row.error_code)
    assert (unheard.error_code, unheard.is_estimated) == ("upstream_silent", True)
    ledger = read_books(account, bank, "0.15", "0.60").ledger
    assert ledger[str(unheard.id)] == unheard.held > USUAL, "not nothing: nobody said that it was not answered"
    assert sorted(nanos for call, nanos in ledger.items() if call != str(unheard.id)) == [
        *[IN_BATCH] * (CALLS - 1),
        USUAL,
    ]

    bank.order_batches()
    with time_machine.travel(clock.now() + timedelta(hours=8), tick=True):
        run_worker(account, looks=2)
    drain.drain(account.org.shard)
    ledger = read_books(account, bank, "0.15", "0.60").ledger
    assert ledger[str(unheard.id)] == IN_BATCH
    assert recount.find_drift(account.org.shard) == []
    assert list_open(account.org_id) == []


def test_an_upstream_that_speaks_at_once_finds_what_was_charged(account: Tenant, bank: Bank) -> None:
    ids = defer(account, 6 * 3600)
    (pool,) = list_open(account.org_id)
    # Whoever made the pool had begun after the others.
    pool.created_ms += 5_000
    assert charge_unheard(pool, account.org.shard) == CALLS
    assert {str(call_id) for call_id in find_charged(pool, account.org.shard)} == set(ids)


def test_a_files_lines_are_charged_when_its_time_is_long_over(account: Tenant, bank: Bank) -> None:
    bank.order_batches(silent=True)

    async def hand_in() -> dict[str, Any]:
        async with open_desk(account) as desk:
            return read(await desk.hand_in([line(number) for number in range(CALLS)]))

    async def collect_errors() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        async with open_desk(account) as desk:
            over = await desk.look(batch)
            return over, await desk.read_lines(over["error_file_id"])

    batch = asyncio.run(hand_in())
    held = held_of(account, batch)
    for minutes in (1, 24 * 60 + 61, 24 * 60 + 77):
        with time_machine.travel(clock.now() + timedelta(minutes=minutes), tick=True):
            run_worker(account, looks=2)
    over, errors = asyncio.run(collect_errors())
    assert (over["status"], over["request_counts"]["failed"]) == ("expired", CALLS)
    assert {error["error"]["code"] for error in errors} == {"batch_expired"}
    drain.drain(account.org.shard)
    rows = [row for row in read_books(account, bank, "0.075", "0.30").rows if row.endpoint != "batches"]
    assert {row.error_code for row in rows} == {"upstream_silent"}
    assert (len(rows), sum(row.effective_cost for row in rows)) == (CALLS, held)
    assert {(row.endpoint, row.request_model, row.is_estimated) for row in rows} == {
        ("chat/completions", "small", True)
    }
    assert {str(row.id) for row in rows} == {call.request_id for call in bank.bill()}
    assert recount.find_drift(account.org.shard) == []
    assert held_of(account, batch) is None
