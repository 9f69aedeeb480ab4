"""Batches on an upstream that knows none: lines asked one by one, each with a row of its own; what they may cost is
held from the start."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
import time_machine

from costhub.lib import clock
from costhub.lib.money import format_usd
from proxy.batches import runner, store
from proxy.batches.finish import finish
from proxy.batches.model import Batch
from proxy.batches.oversight import access_batch, find_cost
from proxy.batches.work import work
from proxy.edges.settle_batch import Settle, Settles
from proxy.edges.valkey import Answer, ValkeyUnavailable
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tenants.actions.changes import apply_changes
from tenants.actions.stops import set_stopped
from tenants.choices import BudgetScope
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS, until
from tests.proxy.batches.desk import CHAT, held_of, ids_of, line, open_desk, read, run_worker
from tests.proxy.books import assert_balanced
from tests.proxy.in_process import events_of
from tests.world import Tenant, make_budget, make_catalog

LINES = 40
#: of them so many are asked at once
RUNNING = 4
Json = dict[str, Any]
#: nano-USD that 10 lines of one figure and 30 of two may cost: 79 and 80 bytes and 64 of a template at 0.15 USD a
#: million, 20 tokens at 0.60
BOUND = 10 * 33_450 + 30 * 33_600
#: the same with the texts counted: "user" and "Hi 1", 8 for a message, 3 for the answer's beginning, 64 for the rest
COUNTED = 10 * 24_450 + 30 * 24_600


def test_every_line_is_answered_once_and_charged_what_the_bank_bills(acme: Tenant, bank: Bank) -> None:
    async def hand_in() -> Json:
        async with open_desk(acme) as desk:
            return read(await desk.hand_in([line(number) for number in range(LINES)], x_costhub_tags="job=night"))

    batch = asyncio.run(hand_in())
    assert batch["status"] == "in_progress"
    assert batch["request_counts"] == {"total": LINES, "completed": 0, "failed": 0}
    assert held_of(acme, batch) == BOUND, "what it may cost is held"

    assert run_worker(acme) == 1
    assert run_worker(acme) == 0, "there is nothing more to do"

    async def collect() -> tuple[Json, list[Json]]:
        async with open_desk(acme) as desk:
            over = await desk.look(batch)
            return over, await desk.read_lines(over["output_file_id"])

    over, answers = asyncio.run(collect())
    assert over["status"] == "completed"
    assert over["request_counts"] == {"total": LINES, "completed": LINES, "failed": 0}
    assert over["error_file_id"] is None
    assert [answer["custom_id"] for answer in answers] == [f"line-{number}" for number in range(LINES)]
    assert all(answer["response"]["status_code"] == 200 for answer in answers)
    assert len(ids_of(bank)) == LINES

    assert_balanced(acme, bank)
    with org_scope(acme.org_id):
        rows = list(LedgerEntry.objects.filter(org_id=acme.org_id))
    assert {row.endpoint for row in rows} == {"chat/completions", "batches"}
    (own,) = (row for row in rows if row.endpoint == "batches")
    assert (own.effective_cost, own.status, own.held) == (0, 200, BOUND)
    assert {row.tags["job"] for row in rows} == {"night"}
    assert {row.started_at for row in rows} == {own.started_at}, "a line came with its batch"
    with org_scope(acme.org_id):
        cost = find_cost(access_batch(acme.owner, batch["id"]))
    assert cost == sum(row.effective_cost for row in rows), "what people are shown is what the ledger has"


def test_a_budget_that_cannot_take_the_file_refuses_it_with_the_sum(acme: Tenant, bank: Bank) -> None:
    make_budget(acme, "0.0009", scope=BudgetScope.PROJECT)

    async def hand_in() -> tuple[int, Json, Json]:
        async with open_desk(acme) as desk:
            refused = await desk.hand_in([line(number) for number in range(LINES)])
            return refused.status, read(refused)["error"], read(await desk.ask("GET", "/v1/batches"))

    status, error, batches = asyncio.run(hand_in())
    assert (status, error["code"]) == (402, "budget_exceeded")
    assert error["budget"]["needed"] == format_usd(COUNTED)
    assert f"${format_usd(COUNTED)} or more" in error["message"]
    assert batches["data"] == []
    assert_balanced(acme, bank)


def test_a_file_that_may_cost_more_than_can_be_counted_is_refused(acme: Tenant, bank: Bank) -> None:
    """Each of its two lines alone may cost 5,000 dollars and a little, which can."""
    make_catalog(acme, base_url=bank.base_url, model="gold", output_per_million="1000000")

    async def hand_in() -> tuple[int, Json]:
        async with open_desk(acme) as desk:
            refused = await desk.hand_in([line(number, model="gold", max_tokens=5_000) for number in range(2)])
            return refused.status, read(refused)["error"]

    status, error = asyncio.run(hand_in())
    assert (status, error["code"], error["param"]) == (400, "batch_too_expensive", "input_file_id")
    assert "This batch may cost $10000." in error["message"]
    assert error["message"].endswith(", and $9,007 is the most that is taken: split it.")


def test_a_file_that_fits_when_its_tokens_are_counted_is_taken(acme: Tenant, bank: Bank) -> None:
    make_budget(acme, format_usd(COUNTED), scope=BudgetScope.PROJECT)

    async def hand_in() -> Json:
        async with open_desk(acme) as desk:
            return read(await desk.hand_in([line(number) for number in range(LINES)]))

    batch = asyncio.run(hand_in())
    assert held_of(acme, batch) == COUNTED
    run_worker(acme)
    assert_balanced(acme, bank)


def test_an_upstream_that_stumbles_is_asked_again_and_one_that_refuses_is_told_of(acme: Tenant, bank: Bank) -> None:
    wrong = line(2)
    wrong["body"]["bank"] = {"fault": "http_error", "status": 422}
    lines = [line(0), line(1), wrong]

    async def hand_in() -> Json:
        async with open_desk(acme) as desk:
            return read(await desk.hand_in(lines))

    batch = asyncio.run(hand_in())
    # Three tries of a call, and the line with it: it waits, and is asked again as a call of its own.
    bank.queue(count=3, fault="http_error", status=503)
    assert run_worker(acme, looks=1) == 1
    with time_machine.travel(clock.now() + timedelta(minutes=1), tick=True):
        run_worker(acme)

    async def collect() -> tuple[Json, list[Json], list[Json]]:
        async with open_desk(acme) as desk:
            over = await desk.look(batch)
            files = over["output_file_id"], over["error_file_id"]
            return over, await desk.read_lines(files[0]), await desk.read_lines(files[1])

    over, answers, errors = asyncio.run(collect())
    assert over["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
    assert [answer["custom_id"] for answer in answers] == ["line-0", "line-1"]
    assert [(error["custom_id"], error["response"]["status_code"]) for error in errors] == [("line-2", 422)]
    assert errors[0]["response"]["body"]["error"]["message"]
    assert_balanced(acme, bank)


@pytest.mark.parametrize("is_ended", [True, False])
def test_half_an_answer_is_no_line_of_the_output(acme: Tenant, bank: Bank, *, is_ended: bool) -> None:
    """Its body breaks off in the middle, and is or is not ended as if it were whole. It was billed, each time."""
    halves = line(0, bank={"fault": "eof", "terminate": is_ended})

    async def hand_in() -> Json:
        async with open_desk(acme) as desk:
            return read(await desk.hand_in([halves, line(1)]))

    batch = asyncio.run(hand_in())
    with time_machine.travel(clock.now(), tick=True) as traveller:
        for _ in range(8):
            run_worker(acme, looks=2)
            traveller.shift(600)

    async def collect() -> tuple[Json, list[Json], list[Json]]:
        async with open_desk(acme) as desk:
            over = await desk.look(batch)
            files = over["output_file_id"], over["error_file_id"]
            return over, await desk.read_lines(files[0]), await desk.read_lines(files[1])

    over, answers, errors = asyncio.run(collect())
    assert over["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
    assert [answer["custom_id"] for answer in answers] == ["line-1"]
    assert [(error["custom_id"], error["response"]["status_code"]) for error in errors] == [("line-0", 502)]
    tried = sum(1 for request in bank.calls_received() if "bank" in request.json)
    assert tried >= 5, "asked again as often as any line that meets an upstream's trouble"
    assert_balanced(acme, bank)


def test_a_batch_that_is_cancelled_ends_with_what_it_has(acme: Tenant, bank: Bank) -> None:
    async def hand_in() -> tuple[Json, Json, int]:
        async with open_desk(acme) as desk:
            batch = read(await desk.hand_in([line(number) for number in range(LINES)]))
            early = await desk.look(batch)
            assert early["output_file_id"] is None
            cancelling = read(await desk.ask("POST", f"/v1/batches/{batch['id']}/cancel"))
            again = await desk.ask("POST", f"/v1/batches/{batch['id']}/cancel")
            return batch, cancelling, again.status

    batch, cancelling, again = asyncio.run(hand_in())
    assert (cancelling["status"], again) == ("cancelling", 200)
    run_worker(acme)

    async def collect() -> tuple[Json, list[Json], int]:
        async with open_desk(acme) as desk:
            over = await desk.look(batch)
            late = await desk.ask("POST", f"/v1/batches/{batch['id']}/cancel")
            return over, await desk.read_lines(over["error_file_id"]), late.status

    over, errors, late = asyncio.run(collect())
    assert (over["status"], over["output_file_id"], late) == ("cancelled", None, 200)
    assert {error["error"]["code"] for error in errors} == {"batch_cancelled"}
    assert len(errors) == LINES
    assert held_of(acme, batch) is None
    assert_balanced(acme, bank)
    assert bank.bill() == []


def test_a_batch_that_is_cancelled_while_lines_run_has_those_answered_and_begins_no_other(
    acme: Tenant, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_WATCHED_EVERY_SECONDS", 0.05)
    usual, seen = store.read_batch, list[str]()

    def look(org_id: str, batch_id: UUID) -> Batch:
        found = usual(org_id, batch_id)
        seen.append(found.status)
        return found

    monkeypatch.setattr(store, "read_batch", look)

    async def run() -> tuple[Json, list[Json], list[Json]]:
        async with open_desk(acme) as desk:
            lines = [line(number, bank={"first_ms": 250_000}) for number in range(LINES)]
            batch = read(await desk.hand_in(lines))
            working = asyncio.create_task(work(PATIENCE_SECONDS, {acme.org_id}))
            while len(await asyncio.to_thread(bank.calls_received)) < RUNNING:
                await asyncio.sleep(0.02)
            told = read(await desk.ask("POST", f"/v1/batches/{batch['id']}/cancel"))
            assert (told["status"], told["request_counts"]["completed"]) == ("cancelling", 0)
            # Looking for the second time, the worker has taken in what it saw the first time.
            await until(lambda: seen.count(store.CANCELLING) > 1)
            await asyncio.to_thread(bank.let_go)
            await working
            over = await desk.look(batch)
            files = over["output_file_id"], over["error_file_id"]
            return over, await desk.read_lines(files[0]), await desk.read_lines(files[1])

    over, answers, errors = asyncio.run(asyncio.wait_for(run(), PATIENCE_SECONDS))
    assert (over["status"], len(bank.calls_received())) == ("cancelled", RUNNING)
    assert over["request_counts"] == {"total": LINES, "completed": RUNNING, "failed": LINES - RUNNING}
    assert [answer["custom_id"] for answer in answers] == [f"line-{number}" for number in range(RUNNING)]
    assert [error["custom_id"] for error in errors] == [f"line-{number}" for number in range(RUNNING, LINES)]
    assert {error["error"]["code"] for error in errors} == {"batch_cancelled"}
    books = assert_balanced(acme, bank)
    assert sum(row.effective_cost > 0 for row in books.rows) == RUNNING


def test_a_batch_whose_window_is_over_ends_as_expired(acme: Tenant, bank: Bank) -> None:
    async def hand_in() -> Json:
        async with open_desk(acme) as desk:
            return read(await desk.hand_in([line(0)]))

    batch = asyncio.run(hand_in())
    with time_machine.travel(clock.now() + timedelta(hours=24, seconds=1), tick=True):
        run_worker(acme)

    async def collect() -> tuple[Json, list[Json]]:
        async with open_desk(acme) as desk:
            over = await desk.look(batch)
            return over, await desk.read_lines(over["error_file_id"])

    over, errors = asyncio.run(collect())
    assert over["status"] == "expired"
    assert [error["error"]["code"] for error in errors] == ["batch_expired"]
    assert held_of(acme, batch) is None
    assert bank.bill() == []


def test_calls_that_are_stopped_wait_and_go_on(acme: Tenant, bank: Bank) -> None:
    async def hand_in() -> Json:
        async with open_desk(acme) as desk:
            return read(await desk.hand_in([line(0), line(1)]))

    batch = asyncio.run(hand_in())
    with org_scope(acme.org_id):
        set_stopped(actor=acme.owner, target=acme.project, is_stopped=True)
    assert run_worker(acme, looks=1) == 1
    assert bank.bill() == []
    with org_scope(acme.org_id):
        set_stopped(actor=acme.owner, target=acme.project, is_stopped=False)
    run_worker(acme)

    async def look() -> Json:
        async with open_desk(acme) as desk:
            return await desk.look(batch)

    assert asyncio.run(look())["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
    assert_balanced(acme, bank)


def test_calls_of_an_organisation_that_is_closed_wait_and_go_on(acme: Tenant, bank: Bank) -> None:
    async def hand_in() -> Json:
        async with open_desk(acme) as desk:
            return read(await desk.hand_in([line(0), line(1)]))

    batch = asyncio.run(hand_in())
    with org_scope(acme.org_id):
        apply_changes(acme.owner, acme.org, {"is_active": False})
    run_worker(acme, looks=1)
    assert bank.bill() == []
    with org_scope(acme.org_id):
        apply_changes(acme.owner, acme.org, {"is_active": True})
    run_worker(acme)

    async def look() -> Json:
        async with open_desk(acme) as desk:
            return await desk.look(batch)

    assert asyncio.run(look())["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
    assert_balanced(acme, bank)


def test_answers_are_kept_for_as_long_as_its_caller_says(acme: Tenant) -> None:
    async def hand_in() -> list[Json]:
        async with open_desk(acme) as desk:
            file = read(await desk.upload(orjson.dumps(line(0))))
            body = {"input_file_id": file["id"], "endpoint": CHAT, "completion_window": "24h"}
            expiries: tuple[Json, ...] = ({"output_expires_after": {"anchor": "created_at", "seconds": 3_600}}, {})
            return [read(await desk.ask("POST", "/v1/batches", orjson.dumps(body | expiry))) for expiry in expiries]

    batches = asyncio.run(hand_in())
    run_worker(acme)

    async def collect() -> list[int]:
        async with open_desk(acme) as desk:
            names = [(await desk.look(batch))["output_file_id"] for batch in batches]
            files = [read(await desk.ask("GET", f"/v1/files/{name}")) for name in names]
            return [file["expires_at"] - file["created_at"] for file in files]

    assert asyncio.run(collect()) == [3_600, 30 * 86_400]


def test_a_batch_keeps_what_settles_its_lines_until_they_are_settled(
    acme: Tenant, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that died between its end and their settling would have left nobody who knows what they cost."""
    send, refused, written = Settles.send, set[str](), list[int]()

    def refuse_once(settles: Settles, shard: int, settle: Settle, breadth: int) -> Answer:
        if settle.hold_id not in refused:
            refused.add(settle.hold_id)
            raise ValkeyUnavailable
        return send(settles, shard, settle, breadth)

    async def look(batch: Any, shard: int, *more: Any) -> None:
        written.append(len(events_of(acme)))
        await finish(batch, shard, *more)

    async def hand_in() -> None:
        async with open_desk(acme) as desk:
            assert read(await desk.hand_in([line(number) for number in range(4)]))["status"] == "in_progress"

    asyncio.run(hand_in())
    before = len(events_of(acme))
    monkeypatch.setattr(Settles, "send", refuse_once)
    monkeypatch.setattr(runner, "finish", look)
    run_worker(acme)
    assert len(refused) == 4
    assert written == [before + 4]
    assert_balanced(acme, bank)
