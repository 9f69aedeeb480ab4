"""A worker whose connection was lost goes on for a while beside the next one: no line is anybody's but one's."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection, connections, transaction

from proxy.batches import results, store
from proxy.batches.ids import BATCH, find_id
from proxy.batches.lock import is_locked, try_lock, unlock
from proxy.batches.model import Batch, BatchLine
from proxy.batches.results import Result
from proxy.batches.sealed_lines import open_answer
from proxy.batches.take_back import take_back_all
from tenants.access import org_scope
from tenants.sealed_rows import find_sealer
from tests.patience import PATIENCE_SECONDS
from tests.proxy.batches.desk import line, open_desk, read, run_worker
from tests.world import Tenant

Json = dict[str, Any]


def hand_in(acme: Tenant, lines: int) -> Batch:
    async def send() -> Json:
        async with open_desk(acme) as desk:
            return read(await desk.hand_in([line(number) for number in range(lines)]))

    batch_id = find_id(BATCH, asyncio.run(send())["id"])
    assert batch_id is not None
    return store.read_batch(acme.org_id, batch_id)


def states(acme: Tenant, batch: Batch) -> list[tuple[str, bytes | None]]:
    with org_scope(acme.org_id):
        rows = BatchLine.objects.filter(batch_id=batch.pk).order_by("number").values_list("state", "answer")
        sealer = find_sealer(acme.org_id)
        return [
            (state, None if answer is None else open_answer(sealer, batch.pk, number, bytes(answer)))
            for number, (state, answer) in enumerate(rows, 1)
        ]


def test_what_one_has_claimed_the_other_passes_over(acme: Tenant) -> None:
    batch = hand_in(acme, 6)

    def claim() -> list[int]:
        try:
            return [taken.number for taken in store.claim_lines(batch, 4, 10**6)]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as other, transaction.atomic():
        mine = [taken.number for taken in store.claim_lines(batch, 4, 10**6)]
        theirs = other.submit(claim).result(timeout=PATIENCE_SECONDS)
    assert (mine, theirs) == ([1, 2, 3, 4], [5, 6])
    run_worker(acme)


def test_an_answer_to_a_try_that_was_given_up_changes_nothing(acme: Tenant) -> None:
    batch = hand_in(acme, 1)
    (first,) = store.claim_lines(batch, 1, 10**6)
    store.take_back(batch, [1])
    (second,) = store.claim_lines(batch, 1, 10**6)
    assert first.request_id != second.request_id
    for taken, answer in ((first, b"late"), (second, b"mine"), (second, b"again")):
        results.save_results(batch, [Result(1, taken.request_id, store.DONE, answer, 7)])
    assert states(acme, batch) == [("done", b"mine")]
    now = store.read_batch(acme.org_id, batch.pk)
    assert (now.completed, now.failed) == (1, 0)
    take_back_all([now], acme.org.shard)
    assert states(acme, batch) == [("done", b"mine")]
    run_worker(acme)


def test_who_is_late_gives_back_nothing_that_another_asks(acme: Tenant) -> None:
    batch = hand_in(acme, 2)
    late = store.claim_lines(batch, 2, 10**6)
    take_back_all([batch], acme.org.shard)
    (mine,) = store.claim_lines(batch, 1, 10**6)
    store.give_back(batch, late)
    assert states(acme, batch) == [("running", None), ("waiting", None)]
    results.save_results(batch, [Result(1, mine.request_id, store.DONE, b"mine", 7)])
    store.give_back(batch, [mine])
    assert states(acme, batch) == [("done", b"mine"), ("waiting", None)]
    run_worker(acme)


def test_a_lock_that_went_with_its_connection_is_known_to_be_gone(acme: Tenant) -> None:
    assert try_lock(acme.org_id)
    assert is_locked(acme.org_id)
    # As a network breaks it: a connection that is closed in order may be left to the next thread.
    connection.connection.close()
    connection.close()
    assert not is_locked(acme.org_id)
    assert try_lock(acme.org_id)
    unlock(acme.org_id)
    assert not is_locked(acme.org_id)
