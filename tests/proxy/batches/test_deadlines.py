"""Calls with deadlines: taken at once, answered by then, as part of a batch where there is time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import orjson
import pytest
import time_machine
from django.db import connection, connections

from costhub.lib import clock
from costhub.lib.moments import from_ms
from proxy.batches import pools
from proxy.batches.pools import controls_of
from proxy.batches.work import work
from proxy.models import Batch, BatchLine
from proxy.tasks import reap_reservations
from tenants.access import org_scope
from tenants.actions.compression import create_compression_policy
from tenants.actions.orgs import update_organization
from tenants.actions.routes import update_route
from tenants.actions.stops import set_stopped
from tenants.actions.upstreams import update_upstream
from tenants.choices import Compression, Mode, RouteKind, UpstreamKind
from tenants.models import Upstream
from tests.bank import Bank
from tests.bank.answers import answer_text
from tests.patience import PATIENCE_SECONDS
from tests.proxy.batches.desk import CHAT, line, open_desk, read, run_worker
from tests.proxy.batches.lost_commits import losing_a_commit
from tests.proxy.batches.test_remote import IN_BATCH, USUAL
from tests.proxy.batches.test_remote import acme as account
from tests.proxy.books import assert_balanced, close_the_day, open_holds, read_books
from tests.proxy.cache.calls import make_policy
from tests.proxy.in_process import Conversation, converse, events_of, running, serve
from tests.proxy.routing.test_compressor import TIDY, WIDE
from tests.tenants.route_examples import make_route, targets_of
from tests.world import Tenant, make_catalog

__all__ = ["account"]

Json = dict[str, Any]
CALLS = 6


def defer(acme: Tenant, seconds: int, calls: int = CALLS, max_cost: str = "", **fields: Any) -> list[str]:
    """Make calls whose answers are wanted in so many seconds; gives their ids."""
    headers = {"x_costhub_deadline": str(seconds)} | ({"x_costhub_max_cost": max_cost} if max_cost else {})

    async def call() -> list[str]:
        async with open_desk(acme) as desk:
            taken = []
            for number in range(calls):
                body = orjson.dumps(line(number, **fields)["body"])
                answer = await desk.ask("POST", CHAT, body, **headers)
                assert answer.status == 202, answer.body
                taken.append(read(answer)["id"])
                waiting = await desk.ask("GET", f"/v1/costhub/deferred/{taken[-1]}")
                assert (waiting.status, read(waiting)["status"]) == (202, "waiting")
            return taken

    return asyncio.run(call())


def collect(acme: Tenant, ids: list[str]) -> list[tuple[int, Json]]:
    """What is known of them now."""

    async def look() -> list[tuple[int, Json]]:
        async with open_desk(acme) as desk:
            found = [await desk.ask("GET", f"/v1/costhub/deferred/{one}") for one in ids]
            return [(one.status, read(one)) for one in found]

    return asyncio.run(look())


def test_near_ones_are_asked_online(acme: Tenant, bank: Bank) -> None:
    ids = defer(acme, 600)
    run_worker(acme)
    for number, (status, answer) in enumerate(collect(acme, ids)):
        assert (status, answer["status"], answer["id"]) == (200, "completed", ids[number])
        assert answer["response"]["status_code"] == 200
        assert answer["response"]["body"]["choices"]
    books = assert_balanced(acme, bank)
    assert {str(row.id) for row in books.rows} == set(ids)


SAID = [{"role": "user", "content": "one two three"}]


@pytest.mark.parametrize(
    ("path", "model", "body", "kind"),
    [
        ("/v1/responses", "small", {"input": "one two three", "max_output_tokens": 50}, "response"),
        ("/v1/responses", "native", {"input": "one two three", "max_output_tokens": 50}, "response"),
        ("/v1/messages", "small", {"messages": SAID, "max_tokens": 50}, "message"),
        ("/v1/messages", "claude", {"messages": SAID, "max_tokens": 50}, "message"),
    ],
)
def test_responses_and_messages_are_answered_in_their_own_form(
    acme: Tenant, bank: Bank, path: str, model: str, body: Json, kind: str
) -> None:
    make_catalog(acme, base_url=bank.base_url, kind=UpstreamKind.OPENAI, model="native")
    make_catalog(acme, base_url=bank.base_url, kind=UpstreamKind.ANTHROPIC, model="claude")

    async def call() -> str:
        async with open_desk(acme) as desk:
            taken = await desk.ask("POST", path, orjson.dumps({"model": model, **body}), x_costhub_deadline="600")
            assert taken.status == 202, taken.body
            return str(read(taken)["id"])

    name = asyncio.run(call())
    run_worker(acme)
    ((status, answer),) = collect(acme, [name])
    assert (status, answer["status"], answer["response"]["status_code"]) == (200, "completed", 200)
    told = answer["response"]["body"]
    part = (told["output"][-1] if kind == "response" else told)["content"][0]
    assert ((told.get("object") or told["type"]), part["text"]) == (kind, answer_text())
    books = assert_balanced(acme, bank)
    assert [(str(row.id), row.endpoint, row.status) for row in books.rows] == [(name, path.removeprefix("/v1/"), 200)]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/responses", {"input": "Hi", "stream": True}, "stream"),
        ("/v1/responses", {"input": "Hi", "background": True}, "background"),
        ("/v1/messages", {"messages": SAID, "max_tokens": 5, "stream": True}, "stream"),
        ("/v1/moderations", {"input": "Hi"}, "x-costhub-deadline"),
    ],
)
def test_what_has_no_deadline_is_refused_in_words(acme: Tenant, path: str, body: Json, param: str) -> None:
    async def call() -> tuple[int, Json]:
        async with open_desk(acme) as desk:
            sent = orjson.dumps({"model": "small", **body})
            refused = await desk.ask("POST", path, sent, x_costhub_deadline="600")
            return refused.status, read(refused)["error"]

    status, error = asyncio.run(call())
    assert (status, error["param"]) == (400, param)
    assert "leave" in error["message"].lower()


@pytest.mark.parametrize(
    "seconds", [PATIENCE_SECONDS, 1], ids=["in its time", "while it waits for lines behind its time"]
)
def test_a_near_deadline_is_kept_beside_a_batch_whose_lines_take_long(acme: Tenant, bank: Bank, seconds: float) -> None:
    slow = [line(number, bank={"first_ms": 120_000}) for number in range(6)]

    async def come() -> tuple[Json, Json]:
        async with open_desk(acme) as desk:
            batch = read(await desk.hand_in(slow))
            began_ns = clock.monotonic_ns()
            working = asyncio.create_task(work(seconds, {acme.org_id}))
            await until(lambda: len(bank.calls_received()) == 4)
            if seconds == 1:
                await until(lambda: clock.monotonic_ns() - began_ns > 1_000_000_000)
            body = orjson.dumps(line(9)["body"])
            name = read(await desk.ask("POST", CHAT, body, x_costhub_deadline="60"))["id"]
            answer: Json = {}
            while "response" not in answer:
                answer = read(await desk.ask("GET", f"/v1/costhub/deferred/{name}"))
                await asyncio.sleep(0.05)
            shown = await desk.look(batch)
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working
            return answer, shown

    answer, shown = asyncio.run(asyncio.wait_for(come(), PATIENCE_SECONDS))
    assert (answer["status"], answer["response"]["status_code"]) == ("completed", 200)
    # None of its lines was given up, and none has begun.
    assert shown["request_counts"] == {"total": 6, "completed": 0, "failed": 0}
    assert len(bank.calls_received()) == 5


def test_near_calls_that_are_not_alike_do_not_wait_for_one_another(acme: Tenant, bank: Bank) -> None:
    async def come() -> int:
        async with open_desk(acme) as desk:
            for number in range(6):
                body = orjson.dumps(line(number, bank={"first_ms": 120_000})["body"])
                run = {"x_costhub_session": f"run-{number}", "x_costhub_deadline": "600"}
                assert (await desk.ask("POST", CHAT, body, **run)).status == 202
            working = asyncio.create_task(work(PATIENCE_SECONDS, {acme.org_id}))
            await until(lambda: len(bank.calls_received()) >= 4)
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working
            return len(bank.calls_received())

    assert asyncio.run(asyncio.wait_for(come(), PATIENCE_SECONDS)) == 4, "and no more than may run at a time"


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for something that another process knows."""
    while not await asyncio.to_thread(is_so):
        await asyncio.sleep(0.05)


def test_far_ones_go_together_and_cost_half(account: Tenant, bank: Bank) -> None:
    ids = defer(account, 6 * 3600)
    run_worker(account, looks=2)
    assert bank.bill() == [], "they gather"
    for minutes in (6, 8, 10):
        with time_machine.travel(clock.now() + timedelta(minutes=minutes), tick=True):
            run_worker(account, looks=2)
    assert [status for status, _ in collect(account, ids)] == [200] * CALLS
    assert {call.request_id for call in bank.bill()} == set(ids)
    books = assert_balanced(account, bank, input_price="0.075", output_price="0.30")
    assert {(row.effective_cost, row.list_cost) for row in books.rows} == {(IN_BATCH, USUAL)}


def test_far_responses_go_together_too(account: Tenant, bank: Bank) -> None:
    async def call() -> list[str]:
        async with open_desk(account) as desk:
            body = orjson.dumps({"model": "small", "input": "one two three", "max_output_tokens": 50})
            taken = [await desk.ask("POST", "/v1/responses", body, x_costhub_deadline="21600") for _ in range(3)]
            return [str(read(one)["id"]) for one in taken]

    ids = asyncio.run(call())
    run_worker(account, looks=2)
    assert bank.bill() == [], "they gather"
    for minutes in (6, 8, 10):
        with time_machine.travel(clock.now() + timedelta(minutes=minutes), tick=True):
            run_worker(account, looks=2)
    for status, answer in collect(account, ids):
        told = answer["response"]["body"]
        assert (status, told["object"], told["output"][-1]["content"][0]["text"]) == (200, "response", answer_text())
    books = assert_balanced(account, bank, input_price="0.075", output_price="0.30")
    assert {(row.effective_cost, row.list_cost) for row in books.rows} == {(9 * 75 + 12 * 300, 9 * 150 + 12 * 600)}
    assert {(str(row.id), row.endpoint) for row in books.rows} == {(one, "responses") for one in ids}


def test_a_batch_that_is_late_is_ended_and_its_calls_are_asked_online(account: Tenant, bank: Bank) -> None:
    bank.order_batches(stall=True)
    ids = defer(account, 6 * 3600)
    for minutes in (6, 8, 5 * 60 + 35, 5 * 60 + 36):
        with time_machine.travel(clock.now() + timedelta(minutes=minutes), tick=True):
            run_worker(account, looks=2)
    assert [(status, answer["status"]) for status, answer in collect(account, ids)] == [(200, "completed")] * CALLS
    books = assert_balanced(account, bank)
    assert {row.effective_cost for row in books.rows} == {USUAL}


def test_a_near_deadline_ends_the_batch_of_none_that_has_hours_yet(account: Tenant, bank: Bank) -> None:
    bank.order_batches(stall=True)
    near, far = defer(account, 4 * 3600, 2), defer(account, 20 * 3600, 2)
    for minutes in (6, 8, 3 * 60 + 35, 3 * 60 + 36):
        with time_machine.travel(clock.now() + timedelta(minutes=minutes), tick=True):
            run_worker(account, looks=2)
    assert [status for status, _ in collect(account, near)] == [200, 200]
    assert [status for status, _ in collect(account, far)] == [202, 202]
    close_the_day(account)
    books = read_books(account, bank, "0.15", "0.60")
    assert books.ledger == books.billed == dict.fromkeys(near, USUAL)


@pytest.mark.parametrize(("waiting", "expected"), [(8_600, 202), (8_640, 409)])
def test_a_batch_that_could_not_be_asked_online_in_time_is_not_promised(
    account: Tenant, monkeypatch: pytest.MonkeyPatch, waiting: int, expected: int
) -> None:
    with org_scope(account.org_id):
        update_upstream(actor=account.owner, upstream=Upstream.objects.get(org=account.org), batch_concurrency=1)

    def count_waiting(org_id: str, upstream_id: UUID) -> dict[int, int]:
        return {clock.now_ms() + 3_600_000: waiting}

    monkeypatch.setattr(pools, "count_waiting", count_waiting)

    async def come() -> int:
        async with open_desk(account) as desk:
            sent = orjson.dumps(line(0)["body"])
            return (await desk.ask("POST", CHAT, sent, x_costhub_deadline="86400")).status

    assert asyncio.run(come()) == expected
    with org_scope(account.org_id):
        kinds = list(Batch.objects.filter(org_id=account.org_id).values_list("is_remote", flat=True))
    # With minutes left behind all others there is no time for a batch before it is asked online.
    assert kinds == ([False] if expected == 202 else [])


def test_what_nobody_was_asked_for_costs_nothing_however_long_it_waits(acme: Tenant, bank: Bank) -> None:
    ids = defer(acme, 600, 2)
    with org_scope(acme.org_id):
        set_stopped(actor=acme.owner, target=acme.org, is_stopped=True)
    run_worker(acme, looks=1)
    with time_machine.travel(clock.now() + timedelta(hours=2), tick=True):
        reap_reservations()
        with org_scope(acme.org_id):
            set_stopped(actor=acme.owner, target=acme.org, is_stopped=False)
        run_worker(acme, looks=2)
    for status, answer in collect(acme, ids):
        assert (status, answer["status"], answer["response"]["status_code"]) == (200, "failed", 504)
        assert answer["response"]["body"]["error"]["code"] == "deadline_missed"
    books = assert_balanced(acme, bank)
    assert [(row.status, row.error_code, row.effective_cost) for row in books.rows] == [(504, "deadline_missed", 0)] * 2


def test_a_deferred_call_that_lost_its_hold_before_it_was_asked_is_charged_once(acme: Tenant, bank: Bank) -> None:
    """As when its process was killed between promising the answer and prolonging the lease."""
    ids = defer(acme, 600, 1)
    with time_machine.travel(clock.now() + timedelta(hours=30), tick=True):
        reap_reservations()
    run_worker(acme, looks=2)
    with time_machine.travel(clock.now() + timedelta(minutes=1), tick=True):
        run_worker(acme)
    assert [(status, answer["status"]) for status, answer in collect(acme, ids)] == [(200, "completed")]
    books = assert_balanced(acme, bank)
    assert sum(row.effective_cost for row in books.rows) == USUAL


def test_a_call_whose_connection_is_lost_as_it_is_put_down_is_taken(acme: Tenant, bank: Bank) -> None:
    with losing_a_commit(b'INSERT INTO "proxy_batchline"') as is_lost:
        ids = defer(acme, 600, 1)
    assert is_lost.is_set()
    assert open_holds(acme.org) == ids
    run_worker(acme)
    assert [(status, answer["status"]) for status, answer in collect(acme, ids)] == [(200, "completed")]
    books = assert_balanced(acme, bank)
    assert [(str(row.id), row.status, row.effective_cost) for row in books.rows] == [(ids[0], 200, USUAL)]


def test_a_call_that_was_refused_and_is_in_its_pool_is_held_anew_before_it_is_asked(acme: Tenant, bank: Bank) -> None:
    """As it is put down its connection is lost, and nobody can ask whether it was: it ends, at nothing."""

    async def call() -> tuple[int, str]:
        async with open_desk(acme) as desk:
            body = orjson.dumps(line(0)["body"])
            with losing_a_commit(b'INSERT INTO "proxy_batchline"', and_all_else=True) as is_lost:
                refused = await desk.ask("POST", CHAT, body, x_costhub_deadline="600")
            assert is_lost.is_set()
            return refused.status, refused.headers["x-request-id"]

    status, name = asyncio.run(call())
    assert status == 503
    assert open_holds(acme.org) == []
    run_worker(acme, looks=1)
    assert bank.calls_received() == [], "nobody is asked with money that is not held"
    with time_machine.travel(clock.now() + timedelta(minutes=1), tick=True):
        run_worker(acme)
    assert [(status, answer["status"]) for status, answer in collect(acme, [name])] == [(200, "completed")]
    books = assert_balanced(acme, bank)
    rows = sorted((row.status, row.effective_cost, row.held > 0, str(row.id) == name) for row in books.rows)
    assert rows == [(200, USUAL, True, False), (503, 0, True, True)]


@pytest.mark.parametrize("others", [0, 1])
def test_a_call_that_was_refused_and_is_in_its_pool_is_in_no_batch_of_its_upstreams(
    account: Tenant, bank: Bank, others: int
) -> None:
    """Its row says that it has cost nothing: what it costs now is that of a call of its own."""

    async def call() -> str:
        async with open_desk(account) as desk:
            body = orjson.dumps(line(9)["body"])
            with losing_a_commit(b'INSERT INTO "proxy_batchline"', and_all_else=True) as is_lost:
                refused = await desk.ask("POST", CHAT, body, x_costhub_deadline=str(6 * 3600))
            assert (is_lost.is_set(), refused.status) == (True, 503)
            return refused.headers["x-request-id"]

    held, name = defer(account, 6 * 3600, others), asyncio.run(call())
    with time_machine.travel(clock.now() + timedelta(minutes=6), tick=True) as traveller:
        for minutes in (2, 2, 2, 2):
            run_worker(account, looks=2)
            traveller.shift(minutes * 60)
    assert [(status, answer["status"]) for status, answer in collect(account, [*held, name])] == [
        (200, "completed")
    ] * (others + 1)
    uploads = [request for request in bank.calls_received() if request.target == "/v1/files"]
    assert len(uploads) == others
    close_the_day(account)
    books = read_books(account, bank, "0.15", "0.60")
    rows = sorted((row.status, row.effective_cost, str(row.id) == name) for row in books.rows)
    assert rows == [(200, IN_BATCH, False)] * others + [(200, USUAL, False), (503, 0, True)]
    assert {call.request_id.partition(":")[0] for call in bank.bill()} == {
        str(row.id) for row in books.rows if row.status == 200
    }


def test_a_deferred_call_keeps_to_its_most_however_often_it_is_asked(acme: Tenant, bank: Bank) -> None:
    with org_scope(acme.org_id):
        # Without a bill a refusal costs nothing, so that the next try has all of it.
        update_upstream(actor=acme.owner, upstream=Upstream.objects.get(org=acme.org), bill_path="")
    [capped] = defer(acme, 900, 1, max_cost="0.00003", max_tokens=100, bank={"output_tokens": 100})
    [free] = defer(acme, 900, 1, max_tokens=100, bank={"output_tokens": 100})
    bank.queue(count=6, fault="http_error", status=503)
    run_worker(acme, looks=2)
    with time_machine.travel(clock.now() + timedelta(minutes=1), tick=True):
        run_worker(acme)
    (_, held), (_, whole) = collect(acme, [capped, free])
    used = [answer["response"]["body"]["usage"]["completion_tokens"] for answer in (held, whole)]
    assert 0 < used[0] < 50
    assert used[1] == 100
    costs = [event["effective_cost"] for event in events_of(acme) if event["status"] == 200]
    assert len(costs) == 2
    assert min(costs) <= 30_000 < max(costs)


@pytest.mark.parametrize(
    ("is_pool", "row", "gone", "most"),
    [
        (True, {}, 9, None),
        (True, {"max_cost": 100}, 30, 70),
        (True, {"max_cost": 100}, 130, 0),
        (False, {"max_cost": 1}, 0, None),
    ],
)
def test_what_earlier_tries_cost_is_off_a_deferred_calls_most(
    is_pool: bool, row: Json, gone: int, most: int | None
) -> None:
    assert controls_of(Batch(is_pool=is_pool, row=row), gone).max_cost == most


def test_a_deferred_call_goes_to_the_model_that_its_route_chose_when_it_came(acme: Tenant, bank: Bank) -> None:
    make_catalog(acme, base_url=bank.base_url, model="large", input_per_million="3.00", output_per_million="12.00")
    route = make_route(acme, RouteKind.FIXED, ("small",))
    ids = defer(acme, 600, 2, model="smart")
    with org_scope(acme.org_id):
        update_route(actor=acme.owner, route=route, targets=targets_of("large"))
    run_worker(acme)
    assert [answer["status"] for _, answer in collect(acme, ids)] == ["completed"] * 2
    books = assert_balanced(acme, bank)
    assert [(row.request_model, row.is_overrun) for row in books.rows] == [("smart", False)] * 2


def test_a_route_has_its_calls_wait_that_can(acme: Tenant, bank: Bank) -> None:
    route = make_route(acme, RouteKind.FIXED, ("small",), name="later", deadline_seconds=3600)
    texts: list[Json] = [{"role": "user", "content": "Where is my parcel?"}]
    asked = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    step = [
        *texts,
        {"role": "assistant", "tool_calls": [asked]},
        {"role": "tool", "tool_call_id": "c", "content": "No."},
    ]

    async def come(**fields: Any) -> tuple[int, bytes]:
        async with open_desk(acme) as desk:
            body = {"model": "later", "max_tokens": 9, "messages": texts} | fields
            answer = await desk.ask("POST", CHAT, orjson.dumps(body))
            return answer.status, answer.body

    status, body = asyncio.run(come())
    told = orjson.loads(body)
    assert (status, told["status"], told["object"]) == (202, "waiting", "costhub.deferred")
    with org_scope(acme.org_id):
        (waiting,) = BatchLine.objects.filter(org_id=acme.org.pk)
        assert waiting.request_id is not None
        assert waiting.deadline_at == from_ms((waiting.request_id.int >> 80) + 3_600_000)
    # A stream and an agent's step wait for nobody, nor does anything while the route only watches.
    assert asyncio.run(come(stream=True))[0] == 200
    assert asyncio.run(come(messages=step))[0] == 200
    more = {"role": "user", "content": "Go on."}
    assert asyncio.run(come(messages=[*step, more]))[0] == 200
    with org_scope(acme.org_id):
        update_route(actor=acme.owner, route=route, mode=Mode.SHADOW)
    assert asyncio.run(come())[0] == 200


def test_a_call_that_its_route_has_wait_is_taken_once_for_an_idempotency_key(acme: Tenant) -> None:
    make_route(acme, RouteKind.FIXED, ("small",), name="later", deadline_seconds=3600)

    async def come_twice() -> list[tuple[int, bytes]]:
        async with open_desk(acme) as desk:
            body = orjson.dumps({"model": "later", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]})
            answers = [await desk.ask("POST", CHAT, body, idempotency_key="once") for _ in range(2)]
            return [(answer.status, answer.body) for answer in answers]

    first, second = asyncio.run(come_twice())
    assert first == second
    assert first[0] == 202
    with org_scope(acme.org_id):
        assert BatchLine.objects.filter(org_id=acme.org.pk).count() == 1


@pytest.mark.parametrize("named", [{}, {"idempotency_key": "each"}], ids=["", "with keys"])
def test_calls_for_which_a_routes_deadline_cannot_be_promised_are_answered_at_once(
    acme: Tenant, bank: Bank, named: dict[str, str]
) -> None:
    make_route(acme, RouteKind.FIXED, ("small",), name="later", deadline_seconds=65)
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=Upstream.objects.get(org=acme.org), batch_concurrency=1)

    async def come() -> list[int]:
        async with open_desk(acme) as desk:
            body = orjson.dumps({"model": "later", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]})
            keys = [{name: f"{key} {number}" for name, key in named.items()} for number in range(7)]
            return [(await desk.ask("POST", CHAT, body, **key)).status for key in keys]

    # One at a time, of ten seconds each.
    assert asyncio.run(come()) == [202] * 6 + [200]
    run_worker(acme)
    books = assert_balanced(acme, bank)
    assert [row.status for row in books.rows] == [200] * 7


@pytest.mark.parametrize("named", [{}, {"idempotency_key": "k"}], ids=["", "with a key"])
def test_a_call_that_its_route_has_wait_looks_into_the_cache_first(
    acme: Tenant, bank: Bank, named: dict[str, str]
) -> None:
    make_policy(acme)
    route = make_route(acme, RouteKind.FIXED, ("small",), name="later", deadline_seconds=3600, mode=Mode.SHADOW)

    async def come(text: str) -> Conversation:
        async with open_desk(acme) as desk:
            body = {"model": "later", "max_tokens": 20, "messages": [{"role": "user", "content": text}]}
            return await desk.ask("POST", CHAT, orjson.dumps(body), **named)

    first = asyncio.run(come("Where?"))
    with org_scope(acme.org_id):
        update_route(actor=acme.owner, route=route, mode=Mode.ON)
    if named:
        named["idempotency_key"] = "another"
    again = asyncio.run(come("Where?"))
    assert (first.status, again.status) == (200, 200)
    assert (again.headers["x-costhub-cache"], again.headers["x-costhub-cost"]) == ("hit-l2", "0.000000000")
    if named:
        named["idempotency_key"] = "a third"
    other = asyncio.run(come("When?"))
    assert (other.status, read(other)["status"]) == (202, "waiting")
    run_worker(acme)
    books = assert_balanced(acme, bank)
    assert sorted(row.effective_cost > 0 for row in books.rows) == [False, True, True]


def test_an_agents_step_has_no_deadline(acme: Tenant) -> None:
    messages = [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "Sunny."}]}]
    body = orjson.dumps({"model": "small", "max_tokens": 9, "messages": messages})

    async def come() -> bytes:
        async with open_desk(acme) as desk:
            answer = await desk.ask("POST", "/v1/messages", body, x_costhub_deadline="3600")
            assert answer.status == 400
            return answer.body

    assert b"an agent waits for its next step" in asyncio.run(come())


def test_a_cascade_is_not_deferred(acme: Tenant) -> None:
    make_catalog(acme, model="large", input_per_million="3.00", output_per_million="12.00")
    make_route(acme, RouteKind.CASCADE)

    async def call() -> tuple[int, str]:
        async with open_desk(acme) as desk:
            body = orjson.dumps(line(0, model="smart")["body"])
            answer = await desk.ask("POST", CHAT, body, x_costhub_deadline="600")
            return answer.status, read(answer)["error"]["code"]

    assert asyncio.run(call()) == (400, "unsupported_operation")


def test_what_was_asked_is_kept_no_longer_than_it_is_needed(acme: Tenant) -> None:
    defer(acme, 600, 1)
    run_worker(acme)
    with org_scope(acme.org_id):
        (kept,) = BatchLine.objects.filter(org_id=acme.org_id)
    assert (kept.body, kept.state) == (None, "done")


def test_what_cannot_be_promised_is_refused_and_holds_nothing(acme: Tenant, bank: Bank) -> None:
    async def call() -> list[tuple[int, str]]:
        async with open_desk(acme) as desk:
            refused = []
            for deadline, is_stream in (("0", False), ("30", False), ("90000", False), ("soon", False), ("600", True)):
                body = orjson.dumps(line(0, stream=is_stream)["body"])
                answer = await desk.ask("POST", CHAT, body, x_costhub_deadline=deadline)
                refused.append((answer.status, read(answer)["error"]["code"]))
            unknown = await desk.ask("GET", "/v1/costhub/deferred/0197e9d4-0000-7000-8000-000000000003")
            refused.append((unknown.status, read(unknown)["error"]["code"]))
            return refused

    assert asyncio.run(call()) == [
        (400, "deadline_passed"),
        (400, "deadline_too_near"),
        (400, "deadline_too_far"),
        (400, "deadline_unreadable"),
        (400, "invalid_request"),
        (404, "not_found"),
    ]
    assert_balanced(acme, bank)
    assert bank.bill() == []


@pytest.mark.parametrize("by", ["header", "route"])
def test_calls_that_come_together_are_promised_no_more_than_there_is_time_for(
    acme: Tenant, bank: Bank, by: str
) -> None:
    """One at a time, of ten seconds each, within 65: each is counted before any of the others is there, and again when
    it is put down."""
    make_route(acme, RouteKind.FIXED, ("small",), name="later", deadline_seconds=65)
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=Upstream.objects.get(org=acme.org), batch_concurrency=1)
    model, headers = ("small", {"x_costhub_deadline": "65"}) if by == "header" else ("later", {})

    async def come() -> list[tuple[int, str]]:
        async with open_desk(acme) as desk:
            bodies = [orjson.dumps(line(number, model=model)["body"]) for number in range(24)]
            answers = await asyncio.gather(*(desk.ask("POST", CHAT, body, **headers) for body in bodies))
            return [(one.status, read(one).get("error", {}).get("code", "")) for one in answers]

    found = asyncio.run(come())
    assert found.count((202, "")) == 6
    # Those whose route wanted them to wait are answered at once: their callers had no choice.
    assert set(found) - {(202, "")} == {(409, "deadline_cannot_be_kept") if by == "header" else (200, "")}
    # What the others held has gone back.
    assert len(open_holds(acme.org)) == 6
    run_worker(acme)
    books = assert_balanced(acme, bank)
    assert sum(row.status == 200 for row in books.rows) == (6 if by == "header" else 24)
    assert len(books.rows) == 24


def test_two_deadlines_that_differ_are_none(acme: Tenant, bank: Bank) -> None:
    """Which of them counts must not be a guess."""

    async def call(*deadlines: str) -> tuple[int, str | None]:
        async with open_desk(acme) as desk:
            talk = converse(acme.api_key, line(0)["body"], path=CHAT)
            talk.scope["headers"] += [(b"x-costhub-deadline", deadline.encode()) for deadline in deadlines]
            answer = await serve(desk.app, talk)
            return answer.status, read(answer).get("error", {}).get("param")

    assert asyncio.run(call("600", "7200")) == (400, "x-costhub-deadline")
    assert asyncio.run(call("600", "600")) == (202, None)
    run_worker(acme)
    assert_balanced(acme, bank)


@pytest.mark.parametrize(("status", "is_kept"), [(429, True), (503, False)])
def test_a_promise_outlasts_an_upstream_that_takes_nothing(
    acme: Tenant, bank: Bank, status: int, *, is_kept: bool
) -> None:
    """For nine tries, of two hours. What may have been billed, as its bill alone tells, is asked five times."""
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=Upstream.objects.get(org=acme.org), max_retries=0)
    ids = defer(acme, 7_200, 1)
    bank.queue(count=9, fault="http_error", status=status)
    with time_machine.travel(clock.now(), tick=True) as traveller:
        for _ in range(10):
            run_worker(acme, looks=2)
            traveller.shift(310)
        ((_, answer),) = collect(acme, ids)
    assert answer["status"] == ("completed" if is_kept else "failed")
    calls = [row.status for row in assert_balanced(acme, bank).rows if row.kind == "call"]
    assert sorted(calls) == ([200] + [429] * 9 if is_kept else [503] * 5)


def test_a_prompt_is_sent_as_it_came_where_its_caller_says_so(acme: Tenant, bank: Bank) -> None:
    with org_scope(acme.org_id):
        create_compression_policy(actor=acme.owner, mode=Mode.ON, methods=(Compression.LOSSLESS,))
    body = line(0)["body"] | {"messages": [{"role": "user", "content": WIDE}]}
    raw, lines = orjson.dumps(body), [line(0) | {"body": body}]

    async def come() -> None:
        async with open_desk(acme) as desk:
            for headers in ({"x_costhub_compression": "off"}, {}):
                assert (await desk.ask("POST", CHAT, raw, x_costhub_deadline="600", **headers)).status == 202
                assert read(await desk.hand_in(lines, **headers))["status"] == "in_progress"

    asyncio.run(come())
    run_worker(acme)
    sent = [call.json["messages"][0]["content"] for call in bank.calls_received()]
    assert sorted(sent) == sorted([WIDE, WIDE, TIDY, TIDY])
    assert_balanced(acme, bank)


def test_features_of_a_header_wait_with_a_call(acme: Tenant, bank: Bank) -> None:
    make_catalog(acme, base_url=bank.base_url, kind=UpstreamKind.ANTHROPIC, model="claude")
    body = orjson.dumps({"model": "claude", "messages": SAID, "max_tokens": 50})

    async def come() -> None:
        async with open_desk(acme) as desk:
            for headers in ({"anthropic_beta": "effort-2025-11-24, unknown-2031-01-01"}, {}):
                answer = await desk.ask("POST", "/v1/messages", body, x_costhub_deadline="600", **headers)
                assert answer.status == 202

    asyncio.run(come())
    run_worker(acme)
    assert {call.header("anthropic-beta") for call in bank.calls_received()} == {"effort-2025-11-24", None}
    assert_balanced(acme, bank)


def _keep_from_pools(acme: Tenant) -> int:
    """This connection has the lock that whoever puts a call into a pool waits for. Gives its process."""
    with org_scope(acme.org_id):
        name = f"deadlines {acme.org.pk}{Upstream.objects.get(org=acme.org).pk}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid() FROM pg_advisory_lock(hashtextextended(%s, 0))", [name])
        found: int = cursor.fetchone()[0]
        return found


def _somebody_waits_for(process: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))", [process])
        return bool(cursor.fetchone()[0])


@asynccontextmanager
async def put_down_later(acme: Tenant) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """No call is put into a pool before the block ends. Gives what tells whether one is about to be."""
    with ThreadPoolExecutor(1) as thread:
        run = partial(asyncio.get_running_loop().run_in_executor, thread)
        process = await run(_keep_from_pools, acme)
        yield lambda: run(_somebody_waits_for, process)
        await run(connections.close_all)


@pytest.mark.parametrize("by", ["route", "background"])
def test_a_caller_who_leaves_while_his_call_is_put_down_is_charged_once_for_it(
    acme: Tenant, bank: Bank, by: str
) -> None:
    """It is in its pool by then, or it is not: the money is the pool's or goes back, and there is one row."""
    make_route(acme, RouteKind.FIXED, ("small",), name="later", deadline_seconds=3600)
    with org_scope(acme.org_id):
        update_organization(actor=acme.owner, answers_kept_hours=24)
    path, body = {
        "route": (CHAT, line(0, model="later")["body"]),
        "background": ("/v1/responses", {"model": "small", "input": "Hi", "background": True, "max_output_tokens": 50}),
    }[by]

    async def leave() -> Conversation:
        async with running() as app:
            gone, again = (converse(acme.api_key, body, path=path, idempotency_key="once") for _ in range(2))
            serving = asyncio.create_task(serve(app, gone))
            async with put_down_later(acme) as is_about_to_be, asyncio.timeout(PATIENCE_SECONDS):
                while not await is_about_to_be():
                    pass
                gone.incoming.put_nowait({"type": "http.disconnect"})
                await until(lambda: serving.done() or serving.cancelling() > 0)
            await asyncio.wait([serving])
            await serve(app, again)
            return again

    again = asyncio.run(leave())
    assert again.headers["x-costhub-replayed"] == "true"
    with org_scope(acme.org_id):
        (waiting,) = BatchLine.objects.filter(org_id=acme.org.pk)
    assert open_holds(acme.org) == [str(waiting.request_id)]
    run_worker(acme)
    books = assert_balanced(acme, bank)
    assert [(row.status, row.error_code) for row in books.rows if row.effective_cost] == [(200, "")]
    assert len(bank.bill()) == 1
