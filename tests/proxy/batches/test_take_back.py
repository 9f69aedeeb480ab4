"""Lines whose worker died: those that had not drawn their money are as if nobody had claimed them."""

import asyncio

from proxy.batches import pools, store
from proxy.batches.ids import BATCH, find_id
from proxy.batches.results import Result, find_saved, list_saved, save_results
from proxy.batches.take_back import take_back_all
from proxy.models import Batch, BatchLine
from tenants.access import org_scope
from tenants.actions.models import update_model
from tenants.models import LanguageModel
from tests.bank import Bank
from tests.proxy.batches.desk import held_of, line, open_desk, read, run_worker
from tests.proxy.batches.test_deadlines import collect, defer
from tests.proxy.books import assert_balanced
from tests.world import Tenant


def test_lines_that_were_claimed_and_not_asked_draw_their_share(acme: Tenant, bank: Bank) -> None:
    async def hand_in() -> dict[str, str]:
        async with open_desk(acme) as desk:
            return read(await desk.hand_in([line(number) for number in range(4)]))

    shown = asyncio.run(hand_in())
    batch = store.read_batch(acme.org_id, find_id(BATCH, shown["id"]))  # type: ignore[arg-type]
    held = held_of(acme, shown)
    assert len(store.claim_lines(batch, 3, 10**6)) == 3
    take_back_all([batch], acme.org.shard)
    with org_scope(acme.org_id):
        rows = list(BatchLine.objects.filter(batch_id=batch.pk))
    assert {(row.state, row.tries, row.request_id) for row in rows} == {("waiting", 0, None)}
    run_worker(acme)
    books = assert_balanced(acme, bank)
    assert sum(row.held for row in books.rows if row.endpoint != "batches") == held


def test_what_was_noted_of_a_try_settles_no_other_one(acme: Tenant) -> None:
    async def hand_in() -> dict[str, str]:
        async with open_desk(acme) as desk:
            return read(await desk.hand_in([line(0)]))

    batch = store.read_batch(acme.org_id, find_id(BATCH, asyncio.run(hand_in())["id"]))  # type: ignore[arg-type]
    (first,) = store.claim_lines(batch, 1, 10**6)
    save_results(batch, [Result(first.number, first.request_id, store.WAITING, event=b"{}")])
    assert find_saved(acme.org_id, str(first.request_id)) == b"{}"
    (second,) = store.claim_lines(batch, 1, 10**6)
    assert second.request_id != first.request_id
    assert find_saved(acme.org_id, str(second.request_id)) is None
    assert list_saved(batch, [str(second.request_id)]) == {}


def test_deferred_calls_that_were_claimed_and_not_asked_keep_their_money(acme: Tenant, bank: Bank) -> None:
    ids = defer(acme, 600, 3)
    with org_scope(acme.org_id):
        pool = Batch.objects.get(org_id=acme.org_id, is_pool=True)
    assert len(pools.claim(pool, 3, 10**6)) == 3
    take_back_all([pool], acme.org.shard)
    run_worker(acme)
    assert [status for status, _ in collect(acme, ids)] == [200] * 3
    books = assert_balanced(acme, bank)
    assert {str(row.id) for row in books.rows} == set(ids)


def test_a_deferred_call_whose_model_is_gone_holds_nothing_more(acme: Tenant, bank: Bank) -> None:
    ids = defer(acme, 600, 1)
    with org_scope(acme.org_id):
        update_model(actor=acme.owner, model=LanguageModel.objects.get(org=acme.org), is_active=False)
    run_worker(acme)
    ((status, answer),) = collect(acme, ids)
    assert (status, answer["status"], answer["response"]["status_code"]) == (200, "failed", 404)
    books = assert_balanced(acme, bank)
    assert [(str(row.id), row.status, row.effective_cost) for row in books.rows] == [(ids[0], 404, 0)]
