"""What a batch holds is what its lines are asked with: never more, never for another model than it was held for."""

import asyncio
from typing import Any

import time_machine

from costhub.lib import clock
from costhub.lib.money import format_usd
from proxy.batches import store
from proxy.batches.ids import BATCH, find_id
from proxy.batches.results import Result, save_results
from proxy.models import BatchLine
from tenants.access import org_scope
from tenants.actions.keys import update_key
from tenants.actions.models import update_model
from tenants.choices import BudgetPeriod, RouteKind
from tests.bank import Bank
from tests.proxy.batches.desk import line, open_desk, read, run_worker
from tests.proxy.books import assert_balanced
from tests.tenants.route_examples import make_route
from tests.world import Tenant, make_budget, make_catalog

Json = dict[str, Any]
#: nano-USD that a line of one figure may cost (test_batches.py)
BOUND = 33_450


def hand_in(acme: Tenant, lines: list[Json], **headers: str) -> tuple[int, Json]:
    async def send() -> tuple[int, Json]:
        async with open_desk(acme) as desk:
            answer = await desk.hand_in(lines, **headers)
            return answer.status, read(answer)

    return asyncio.run(send())


def look(acme: Tenant, batch: Json) -> Json:
    async def ask() -> Json:
        async with open_desk(acme) as desk:
            return await desk.look(batch)

    return asyncio.run(ask())


def test_lines_of_a_model_that_costs_nothing_are_answered(acme: Tenant, bank: Bank) -> None:
    make_catalog(acme, base_url=bank.base_url, model="free", input_per_million="0", output_per_million="0")
    _, batch = hand_in(acme, [line(number, model="free") for number in range(3)])
    run_worker(acme, looks=2)
    assert look(acme, batch)["request_counts"] == {"total": 3, "completed": 3, "failed": 0}


def test_the_callers_own_limit_holds_the_whole_batch(acme: Tenant, bank: Bank) -> None:
    lines = [line(number) for number in range(3)]
    status, refused = hand_in(acme, lines, x_costhub_max_cost=format_usd(2 * BOUND))
    assert (status, refused["error"]["code"]) == (402, "max_cost_exceeded")
    status, batch = hand_in(acme, lines, x_costhub_max_cost=format_usd(3 * BOUND))
    assert (status, batch["costhub"]["held"]) == (200, format_usd(3 * BOUND))
    run_worker(acme)
    assert_balanced(acme, bank)


def test_a_route_that_would_choose_for_each_line_is_named(acme: Tenant, bank: Bank) -> None:
    make_catalog(acme, base_url=bank.base_url, model="large", input_per_million="3.00", output_per_million="12.00")
    make_route(acme, RouteKind.ROUTER)
    hard = "Explain why the sky is blue and compare it with the sky of Mars."
    lines = [line(0, model="smart"), line(1, model="smart", messages=[{"role": "user", "content": hard}])]
    _, batch = hand_in(acme, lines)
    assert batch["status"] == "failed", batch
    assert [error["code"] for error in batch["errors"]["data"]] == ["route_not_fixed"] * 2


def test_a_fixed_route_asks_for_the_model_that_is_held_for(acme: Tenant, bank: Bank) -> None:
    make_route(acme, RouteKind.FIXED, ("small",))
    _, batch = hand_in(acme, [line(number, model="smart") for number in range(3)])
    run_worker(acme)
    assert look(acme, batch)["request_counts"] == {"total": 3, "completed": 3, "failed": 0}
    books = assert_balanced(acme, bank)
    assert {row.request_model for row in books.rows} == {"smart"}


def test_a_line_whose_upstream_is_down_is_held_at_the_fallbacks_price(acme: Tenant, bank: Bank) -> None:
    gone = make_catalog(acme, base_url="http://127.0.0.1:9/v1", model="gone", max_output_tokens=100)
    make_catalog(acme, base_url=bank.base_url, model="large", input_per_million="3.00", output_per_million="12.00")
    with org_scope(acme.org_id):
        update_model(actor=acme.owner, model=gone.model, fallbacks=["large"])
    _, batch = hand_in(acme, [line(number, model="gone") for number in range(8)])
    run_worker(acme)
    assert look(acme, batch)["request_counts"] == {"total": 8, "completed": 8, "failed": 0}
    books = assert_balanced(acme, bank, input_price="3.00", output_price="12.00")
    assert [row.is_overrun for row in books.rows] == [False] * 9


def test_a_key_that_is_not_for_chats_makes_none_by_a_batch(acme: Tenant) -> None:
    with org_scope(acme.org_id):
        update_key(actor=acme.owner, key=acme.key, endpoints=["/v1/files", "/v1/batches", "/v1/embeddings"])
    status, refused = hand_in(acme, [line(0)])
    assert (status, refused["error"]["code"]) == (403, "endpoint_not_allowed")


def test_what_a_line_is_asked_again_with_comes_out_of_what_its_batch_may_cost(acme: Tenant, bank: Bank) -> None:
    """Each try of a line that breaks off is billed 20 tokens, as much as was held for it: no second one is paid beside
    the caller's limit, but out of what other lines left of theirs."""
    broken = {"fault": "error_after_tokens", "at": 20, "output_tokens": 20}
    lines = [line(0, bank=broken), *(line(number, bank={"output_tokens": 1}) for number in range(1, 4))]
    limit = 4 * BOUND + 4_000  # the bank's orders are part of a line's bytes
    status, batch = hand_in(acme, lines, x_costhub_max_cost=format_usd(limit))
    assert status == 200, batch
    with time_machine.travel(clock.now(), tick=True) as traveller:
        for _ in range(12):
            run_worker(acme, looks=2)
            traveller.shift(600)
    over = look(acme, batch)
    assert over["request_counts"] == {"total": 4, "completed": 3, "failed": 1}
    assert read_errors(acme, over) == ["max_cost_exceeded"]
    books = assert_balanced(acme, bank)
    calls = [row for row in books.rows if row.kind == "call" and row.endpoint != "batches"]
    # As they were charged before the bank's bill said that less had come: three tries had room, and a fourth had none.
    assert sorted(row.effective_cost for row in calls) == [0, 1_800, 1_800, 1_800, 24_450, 24_450, 24_450, 43_200]
    assert sum(row.effective_cost for row in calls) == 121_950 <= limit < 121_950 + 24_450


def test_every_try_of_a_line_is_in_the_ledger_and_within_the_budgets(acme: Tenant, bank: Bank) -> None:
    """Without a limit of the caller's. What a line is asked again with is set aside beside what its batch holds, where
    budgets have it: here they have less than five tries of it cost."""
    make_budget(acme, "0.0002", period=BudgetPeriod.TOTAL)  # no midnight gives more
    broken = {"fault": "error_after_tokens", "at": 20, "output_tokens": 20}
    status, batch = hand_in(acme, [line(0, bank=broken), line(1, bank={"output_tokens": 1})])
    assert status == 200, batch
    with time_machine.travel(clock.now(), tick=True) as traveller:
        for _ in range(8):
            run_worker(acme, looks=2)
            traveller.shift(600)
    over = look(acme, batch)
    assert over["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
    asked = len(bank.calls_received()) - 1
    books = assert_balanced(acme, bank)
    calls = [row for row in books.rows if row.kind == "call" and row.endpoint != "batches"]
    tried = [row for row in calls if row.status != 200]
    assert sum(len(row.attempts) for row in tried) == asked > len(tried) > 1
    assert len({row.id for row in tried}) == len(tried), "a try is a call of its own"
    assert sum(row.effective_cost for row in calls) <= 200_000
    assert not any(row.is_overrun for row in books.rows)


def test_two_lines_are_not_given_the_same_room(acme: Tenant) -> None:
    """Of 100 that a batch may cost four lines had 25 each. Two are out, at 5; two were billed 25, and wait."""
    _, shown = hand_in(acme, [line(number) for number in range(4)])
    batch = store.read_batch(acme.org_id, find_id(BATCH, shown["id"]))  # type: ignore[arg-type]
    with org_scope(acme.org_id):
        BatchLine.objects.filter(batch_id=batch.pk).update(amount=25, tries=2)
    lines = store.claim_lines(batch, 4, 10**6)
    out = [Result(one.number, one.request_id, store.DONE, b"{}", 5) for one in lines[:2]]
    save_results(batch, [*out, *(Result(one.number, one.request_id, store.WAITING, None, 25) for one in lines[2:])])
    first, second = store.claim_lines(batch, 4, 10**6)
    assert (first.amount, first.cost) == (0, 25)
    assert store.find_room(batch, first, 100) == (25, True)
    assert store.find_room(batch, second, 100) == (15, True)
    assert store.find_room(batch, first, 100) == (25, True), "what it was given is its share"
    with org_scope(acme.org_id):
        BatchLine.objects.filter(batch_id=batch.pk, number=first.number).update(tries=1)
    assert store.find_room(batch, second, 90) == (5, False), "the other one may leave something yet"
    with org_scope(acme.org_id):
        waiting = BatchLine.objects.get(batch_id=batch.pk, number=second.number)
    assert (waiting.amount, second.amount) == (15, 15), "while it waits it asks for no more than before"


def test_what_a_line_held_whose_worker_died_is_taken_as_spent(acme: Tenant, bank: Bank) -> None:
    _, shown = hand_in(acme, [line(0), line(1)], x_costhub_max_cost=format_usd(2 * BOUND))
    batch = store.read_batch(acme.org_id, find_id(BATCH, shown["id"]))  # type: ignore[arg-type]
    (first,) = store.claim_lines(batch, 1, 10**6)
    store.take_back(batch, [first.number])
    with time_machine.travel(clock.now(), tick=True) as traveller:
        for _ in range(3):
            run_worker(acme, looks=2)
            traveller.shift(600)
    over = look(acme, shown)
    # The other line's answer of twelve tokens leaves less than the line may cost, and enough for a shorter answer.
    assert over["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
    books = assert_balanced(acme, bank)
    assert max(row.held for row in books.rows if row.status == 200 and row.endpoint != "batches") == BOUND


def read_errors(acme: Tenant, over: Json) -> list[str]:
    async def ask() -> list[str]:
        async with open_desk(acme) as desk:
            lines = await desk.read_lines(over["error_file_id"])
            return [one["response"]["body"]["error"]["code"] for one in lines]

    return asyncio.run(ask())
