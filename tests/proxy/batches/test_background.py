"""Responses that run in the background: queued at once, asked by a worker, shown, cancelled and forgotten by id."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
import time_machine
from django.db import connections

from costhub.lib import clock, keyspace
from costhub.lib.redis import client
from proxy.edges import told
from proxy.models import BatchLine, LedgerEntry
from tenants.access import org_scope
from tenants.actions.orgs import update_organization
from tenants.actions.upstreams import update_upstream
from tenants.choices import UpstreamKind
from tenants.models import Upstream
from tests.bank import Bank
from tests.bank.answers import answer_text
from tests.billing.ledger import make_call
from tests.patience import PATIENCE_SECONDS
from tests.proxy.batches.desk import open_desk, read, run_worker, run_worker_for
from tests.proxy.batches.test_dying_workers import run_until_it_dies
from tests.proxy.books import assert_balanced, open_holds
from tests.proxy.in_process import converse, serve
from tests.world import Tenant, World, make_catalog

Json = dict[str, Any]
RESPONSES = "/v1/responses"


@pytest.fixture
def keeping(acme: Tenant, bank: Bank) -> Tenant:
    """Acme, which keeps answers for a day, with a model at an upstream that speaks Responses, too."""
    native = make_catalog(acme, base_url=bank.base_url, kind=UpstreamKind.OPENAI, model="native")
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=native.upstream, bill_path="/costhub/bill")
        update_organization(actor=acme.owner, answers_kept_hours=24)
    connections.close_all()
    return acme


def ask(tenant: Tenant, *calls: tuple[str, str, Json]) -> list[tuple[int, Json]]:
    """The answers to some requests, one after the other."""

    async def run() -> list[tuple[int, Json]]:
        async with open_desk(tenant) as desk:
            found = []
            for method, path, body in calls:
                got = await desk.ask(method, f"{RESPONSES}{path}", orjson.dumps(body) if body else b"")
                found.append((got.status, read(got)))
            return found

    return asyncio.run(run())


def begin(tenant: Tenant, **fields: Any) -> Json:
    """One that is queued."""
    body = {"model": "small", "input": "one two three", "background": True, "max_output_tokens": 50, **fields}
    ((status, taken),) = ask(tenant, ("POST", "", body))
    assert (status, taken["status"], taken["background"], taken["output"]) == (200, "queued", True, [])
    return taken


def look(tenant: Tenant, taken: Json) -> Json:
    """It as it is now."""
    ((status, shown),) = ask(tenant, ("GET", f"/{taken['id']}", {}))
    assert (status, shown["id"]) == (200, taken["id"])
    return shown


def said(response: Json) -> str:
    return "".join(part["text"] for item in response["output"] for part in item["content"])


@pytest.mark.parametrize(("model", "asked"), [("small", 3 + (3 + 2) + (3 + 3)), ("native", 3 + 2 + (3 + 3))])
def test_one_is_queued_answered_and_continued(keeping: Tenant, bank: Bank, model: str, asked: int) -> None:
    """In a chat instructions are a message; of a response they are none."""
    taken = begin(keeping, model=model, metadata={"for": "Ada"}, instructions="Be short.")
    assert (taken["metadata"], taken["instructions"], taken["usage"]) == ({"for": "Ada"}, "Be short.", None)
    assert look(keeping, taken)["status"] == "queued"
    run_worker(keeping)
    done = look(keeping, taken)
    assert (done["status"], done["background"], said(done)) == ("completed", True, answer_text())
    (listed,) = ask(keeping, ("GET", f"/{taken['id']}/input_items", {}))
    assert [item["content"][0]["text"] for item in listed[1]["data"]] == ["one two three"]
    second = begin(keeping, model=model, input="four", previous_response_id=taken["id"])
    assert second["previous_response_id"] == taken["id"]
    run_worker(keeping)
    again = look(keeping, second)
    # what was asked, what was answered, what is asked now
    assert again["usage"]["input_tokens"] == 3 + 3 * 3 + 3 + 12 + 1
    books = assert_balanced(keeping, bank)
    assert sorted(row.effective_cost for row in books.rows) == [asked * 150 + 12 * 600, 28 * 150 + 12 * 600]
    assert {row.endpoint for row in books.rows} == {"responses"}


@pytest.mark.parametrize("given", ["one two three", [{"role": "user", "content": "one two three"}]])
def test_what_one_was_asked_is_listed_before_it_is_out(keeping: Tenant, given: Any) -> None:
    taken = begin(keeping, input=given)
    path = f"/{taken['id']}/input_items"
    ((status, waiting),) = ask(keeping, ("GET", path, {}))
    assert (status, waiting["has_more"]) == (200, False)
    assert [item["content"] for item in waiting["data"]] == [[{"type": "input_text", "text": "one two three"}]]
    run_worker(keeping)
    ((_, out),) = ask(keeping, ("GET", path, {}))
    assert out == waiting


def test_one_for_which_there_is_no_place_is_told_when_to_come_again(keeping: Tenant, bank: Bank) -> None:
    """One at a time, of thirteen hours each: two take two more than a day has."""
    with org_scope(keeping.org_id):
        upstream = Upstream.objects.get(org=keeping.org, name="for small")
        update_upstream(actor=keeping.owner, upstream=upstream, batch_concurrency=1)
        attempts = [{"number": 1, "status": 200, "model": "small", "certainty": "exact", "cost": 0, "error": ""}]
        long = make_call(
            keeping,
            clock.now() - timedelta(hours=1),
            duration_us=13 * 3_600_000_000,
            upstream_id=upstream.pk,
            attempts=attempts,
        )
        LedgerEntry.objects.bulk_create([long])
    connections.close_all()
    begin(keeping)

    async def come() -> tuple[int, dict[str, str], Json]:
        async with open_desk(keeping) as desk:
            body = {"model": "small", "input": "one two three", "background": True}
            told = await desk.ask("POST", RESPONSES, orjson.dumps(body))
            return told.status, told.headers, read(told)["error"]

    status, headers, error = asyncio.run(come())
    assert (status, error["type"], error["code"], error["param"]) == (
        *(429, "rate_limit_error", "background_full"),
        "background",
    )
    assert 7_200 <= int(headers["retry-after"]) <= 7_200 + PATIENCE_SECONDS
    assert "could not be made within 24 hours" in error["message"]
    # What it may cost is not held.
    assert len(open_holds(keeping.org)) == 1
    assert bank.calls_received() == []


def test_one_that_waits_is_cancelled_at_no_cost(keeping: Tenant, bank: Bank) -> None:
    taken = begin(keeping)
    path = f"/{taken['id']}"
    (_, first), (_, again) = ask(keeping, ("POST", f"{path}/cancel", {}), ("POST", f"{path}/cancel", {}))
    assert (first["status"], again["status"]) == ("cancelled", "cancelled")
    run_worker(keeping)
    assert look(keeping, taken)["status"] == "cancelled"
    assert bank.calls_received() == []
    books = assert_balanced(keeping, bank)
    assert [(row.status, row.error_code, row.effective_cost) for row in books.rows] == [(409, "cancelled", 0)]


def test_one_that_runs_is_left_and_what_it_cost_is_paid(keeping: Tenant, bank: Bank) -> None:
    bank.queue(count=1, first_ms=60_000)
    taken = begin(keeping)
    with ThreadPoolExecutor(1) as thread:
        working = thread.submit(_work, keeping)
        while look(keeping, taken)["status"] != "in_progress" or not bank.calls_received():
            pass
        ((_, shown),) = ask(keeping, ("POST", f"/{taken['id']}/cancel", {}))
        assert shown["status"] == "cancelled"
        working.result(timeout=PATIENCE_SECONDS)
    assert look(keeping, taken)["status"] == "cancelled"
    books = assert_balanced(keeping, bank)
    assert {row.error_code for row in books.rows if row.kind == "call"} == {"cancelled"}


@pytest.mark.parametrize("place", ["upstream_connected", "line_answered"])
def test_one_outlives_the_worker_that_asks_it(keeping: Tenant, bank: Bank, place: str) -> None:
    taken = begin(keeping)
    assert run_until_it_dies(keeping, f"{place}:1") == -9
    run_worker(keeping)
    assert said(look(keeping, taken)) == answer_text()
    assert_balanced(keeping, bank)


def test_one_that_came_out_while_it_was_cancelled_stays_cancelled(keeping: Tenant, bank: Bank) -> None:
    taken = begin(keeping)
    run_worker(keeping)
    with org_scope(keeping.org_id):
        BatchLine.objects.filter(org_id=keeping.org_id).update(cancelled_at=clock.now())
    connections.close_all()
    assert look(keeping, taken)["status"] == "cancelled"
    assert_balanced(keeping, bank)


def _work(tenant: Tenant) -> None:
    try:
        run_worker(tenant)
    finally:
        connections.close_all()


def test_one_that_fails_says_why_and_none_that_has_ended_is_cancelled(keeping: Tenant, bank: Bank) -> None:
    bank.queue(count=1, fault="http_error", status=400)
    failing, working = begin(keeping), begin(keeping)
    run_worker(keeping)
    shown = {look(keeping, one)["status"]: one for one in (failing, working)}
    assert shown.keys() == {"failed", "completed"}
    failed = look(keeping, shown["failed"])
    assert failed["error"]["message"]
    for one in (failing, working):
        ((status, told),) = ask(keeping, ("POST", f"/{one['id']}/cancel", {}))
        assert (status, told["error"]["code"]) == (400, "not_cancellable")
    assert_balanced(keeping, bank)


@pytest.mark.parametrize(("tries", "ends"), [(8, "completed"), (99, "failed")])
def test_one_outlasts_an_upstream_that_takes_nothing_for_a_while(
    keeping: Tenant, bank: Bank, tries: int, ends: str
) -> None:
    """For half an hour, at no cost; after an hour nobody looks for its answer any more."""
    with org_scope(keeping.org_id):
        for upstream in Upstream.objects.filter(org=keeping.org):
            update_upstream(actor=keeping.owner, upstream=upstream, max_retries=0)
    connections.close_all()
    bank.queue(count=tries, fault="http_error", status=429)
    taken = begin(keeping)
    with time_machine.travel(clock.now(), tick=True) as traveller:
        for _ in range(9):
            run_worker(keeping, looks=2)
            traveller.shift(310)
        if ends == "failed":
            assert look(keeping, taken)["status"] == "queued"
        for _ in range(5):
            run_worker(keeping, looks=2)
            traveller.shift(310)
        shown = look(keeping, taken)
    assert shown["status"] == ends
    rows = [row for row in assert_balanced(keeping, bank).rows if row.kind == "call"]
    assert sum(row.effective_cost for row in rows if row.status != 200) == 0
    assert 8 < len(rows) < 15


def test_one_that_was_deleted_or_is_too_old_is_unknown(keeping: Tenant) -> None:
    deleted, old = begin(keeping), begin(keeping)
    ((status, told),) = ask(keeping, ("DELETE", f"/{deleted['id']}", {}))
    assert (status, told["error"]["code"]) == (400, "not_deletable")
    run_worker(keeping)
    told_key = keyspace.told_key(keeping.org.shard, str(UUID(deleted["id"].removeprefix("resp_"))))
    assert client().exists(told_key)
    gone, shown = ask(keeping, ("DELETE", f"/{deleted['id']}", {}), ("GET", f"/{deleted['id']}", {}))
    assert (gone[0], gone[1]["deleted"], shown[0]) == (200, True, 404)
    assert not client().exists(told_key)
    with time_machine.travel(clock.now() + timedelta(hours=25), tick=True):
        assert ask(keeping, ("GET", f"/{old['id']}", {}))[0][0] == 404


def test_another_organisation_does_not_learn_of_it(keeping: Tenant, committed_world: World) -> None:
    taken = begin(keeping)
    mallcorp = committed_world.mallcorp
    for method, path in (("GET", ""), ("POST", "/cancel"), ("DELETE", "")):
        ((status, told),) = ask(mallcorp, (method, f"/{taken['id']}{path}", {}))
        ((_, unknown),) = ask(mallcorp, (method, f"/resp_{'0' * 32}{path}", {}))
        assert status == 404
        words = told["error"]["message"].replace(taken["id"], "resp_" + "0" * 32)
        assert words == unknown["error"]["message"]
    assert look(keeping, taken)["status"] == "queued"


def test_a_providers_own_windows_are_not_for_what_is_asked_here(keeping: Tenant) -> None:
    body = {"model": "native", "input": "one", "background": True, "background_options": {"completion_window": "2h"}}
    ((status, told),) = ask(keeping, ("POST", "", body))
    assert (status, told["error"]["param"]) == (400, "background_options")


def test_what_nobody_keeps_is_refused_in_words(keeping: Tenant) -> None:
    body = {"model": "small", "input": "one", "background": True, "store": False}
    ((status, told),) = ask(keeping, ("POST", "", body))
    assert (status, told["error"]["param"]) == (400, "store")


def test_it_is_told_as_a_stream_that_can_be_taken_up_again(keeping: Tenant, bank: Bank) -> None:
    """Begun before it is out, and from any number on when it is."""

    async def listen() -> tuple[bytes, Json, list[bytes]]:
        async with open_desk(keeping) as desk:
            body = {"model": "small", "input": "one two three", "background": True, "stream": True}
            worker = asyncio.get_running_loop().run_in_executor(None, _work_until_out, keeping)
            told = await desk.ask("POST", RESPONSES, orjson.dumps(body))
            await worker
            (name,) = {event["response"]["id"] for event in _read_events(told.body) if "response" in event}
            again = [
                (await desk.ask("GET", f"{RESPONSES}/{name}", query=f"stream=true&starting_after={after}")).body
                for after in (-2, -1, 0, 4)
            ]
            refused = await desk.ask("GET", f"{RESPONSES}/{name}", query="stream=true&starting_after=x")
            assert (refused.status, read(refused)["error"]["param"]) == (400, "starting_after")
            items = await desk.ask("GET", f"{RESPONSES}/{name}/input_items", query="stream=true")
            assert (items.status, len(read(items)["data"])) == (200, 1)
            return told.body, {"id": name}, again

    told, taken, again = asyncio.run(listen())
    events = _read_events(told)
    last = len(events) - 1
    assert [event["sequence_number"] for event in events] == list(range(last + 1))
    assert [event["type"] for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * (last - 7),
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    deltas = [event["delta"] for event in events[4:-4]]
    assert len(deltas) > 5, "as it came, and not in one piece"
    assert "".join(deltas) == answer_text()
    assert events[-1]["response"] == look(keeping, taken)
    assert [_read_events(one) for one in again] == [events, events, events[1:], events[5:]]
    # When what was told has been forgotten it is told from what was kept, in fewer events.
    told_key = keyspace.told_key(keeping.org.shard, str(UUID(taken["id"].removeprefix("resp_"))))
    stream: Any = client().xrange(told_key)
    pieces = [fields[b"events"] for _, fields in stream if b"events" in fields]
    assert pieces
    assert not any(b"delta" in piece for piece in pieces), "what is told lies sealed in Valkey"
    client().delete(told_key)
    shorter, end = asyncio.run(_take_up(keeping, taken, -1)), asyncio.run(_take_up(keeping, taken, last - 1))
    assert [event["sequence_number"] for event in shorter] == list(range(9))
    assert shorter[4]["delta"] == answer_text()
    assert [event["response"] for event in end] == [events[-1]["response"]]
    assert_balanced(keeping, bank)


def test_the_same_idempotency_key_listens_to_the_same_stream(keeping: Tenant, bank: Bank) -> None:
    body = orjson.dumps({"model": "small", "input": "one two three", "background": True, "stream": True})

    async def listen_twice() -> list[bytes]:
        async with open_desk(keeping) as desk:
            worker = asyncio.get_running_loop().run_in_executor(None, _work_until_out, keeping)
            told = [(await desk.ask("POST", RESPONSES, body, idempotency_key="k")).body for _ in range(2)]
            await worker
            return told

    first, again = asyncio.run(listen_twice())
    assert said(_read_events(first)[-1]["response"]) == answer_text()
    assert _read_events(again) == _read_events(first)
    books = assert_balanced(keeping, bank)
    assert sorted((row.cache_status, row.effective_cost > 0) for row in books.rows) == [
        ("bypass", True),
        ("replayed", False),
    ]


@pytest.mark.parametrize("model", ["small", "native"])
def test_who_listens_hears_of_it_while_it_is_made(keeping: Tenant, bank: Bank, model: str) -> None:
    """The bank stops in the middle of its answer until the listener has told what it heard: the caller cancels then."""
    bank.queue(count=1, fault="stall", at=5)

    async def listen() -> tuple[list[Json], Json]:
        async with open_desk(keeping) as desk:
            body = {"model": model, "input": "one two three", "background": True, "stream": True}
            conversation = converse(keeping.api_key, body, path=RESPONSES)
            heard = asyncio.Event()
            sent = conversation.send

            async def send(message: Json) -> None:
                await sent(message)
                if message.get("body", b"").count(b"output_text.delta"):
                    heard.set()

            conversation.send = send  # type: ignore[method-assign]
            worker = asyncio.get_running_loop().run_in_executor(None, _work_until_out, keeping)
            listening = asyncio.create_task(serve(desk.app, conversation))
            await asyncio.wait_for(heard.wait(), PATIENCE_SECONDS)
            (name,) = {event["response"]["id"] for event in _read_events(conversation.body) if "response" in event}
            cancelled = await desk.ask("POST", f"{RESPONSES}/{name}/cancel")
            await asyncio.wait_for(listening, PATIENCE_SECONDS)
            await worker
            return _read_events(conversation.body), read(cancelled)

    events, cancelled = asyncio.run(listen())
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds.count("response.output_text.delta") >= 1
    assert (kinds[-1], events[-1]["response"]["status"]) == ("response.failed", "cancelled")
    assert cancelled["status"] == "cancelled"
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    books = assert_balanced(keeping, bank)
    assert {row.error_code for row in books.rows if row.kind == "call"} == {"cancelled"}


def test_words_of_a_second_try_are_not_put_behind_those_of_the_first(keeping: Tenant, bank: Bank) -> None:
    bank.queue(count=1, fault="reset", at=5)

    async def listen() -> list[Json]:
        async with open_desk(keeping) as desk:
            body = {"model": "small", "input": "one two three", "background": True, "stream": True}
            worker = asyncio.get_running_loop().run_in_executor(None, _work_through_trouble, keeping)
            told = await desk.ask("POST", RESPONSES, orjson.dumps(body))
            await worker
            return _read_events(told.body)

    events = asyncio.run(listen())
    deltas = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert answer_text().startswith(deltas)
    assert deltas != answer_text()
    assert (events[-1]["type"], said(events[-1]["response"])) == ("response.completed", answer_text())
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert_balanced(keeping, bank)


def test_where_there_is_no_room_for_words_its_end_has_them(
    keeping: Tenant, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told, "MOST_BYTES", 0)

    async def listen() -> bytes:
        async with open_desk(keeping) as desk:
            body = {"model": "small", "input": "one two three", "background": True, "stream": True}
            worker = asyncio.get_running_loop().run_in_executor(None, _work_until_out, keeping)
            heard = await desk.ask("POST", RESPONSES, orjson.dumps(body))
            await worker
            return heard.body

    events = _read_events(asyncio.run(listen()))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert (events[-1]["type"], said(events[-1]["response"])) == ("response.completed", answer_text())
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert deltas == [answer_text()], "from what was kept, in one piece"
    assert_balanced(keeping, bank)


def test_words_behind_a_gap_are_not_told(keeping: Tenant) -> None:
    taken = begin(keeping)
    run_worker(keeping)
    key = keyspace.told_key(keeping.org.shard, str(UUID(taken["id"].removeprefix("resp_"))))
    client().delete(key)
    for number in (2, 3, 5):
        event = b'event: e\ndata: {"type":"e","sequence_number":%d}\n\n' % number
        client().xadd(key, {"by": "call", "first": number, "events": event})
    events = asyncio.run(_take_up(keeping, taken, -1))
    assert [event["sequence_number"] for event in events] == [0, 1, 2, 3, 4]
    assert (events[-1]["type"], said(events[-1]["response"])) == ("response.completed", answer_text())
    # One who had heard more before they were lost is told the end, too.
    (last,) = asyncio.run(_take_up(keeping, taken, 7))
    assert (last["type"], last["sequence_number"], said(last["response"])) == ("response.completed", 8, answer_text())


async def _take_up(tenant: Tenant, taken: Json, after: int) -> list[Json]:
    async with open_desk(tenant) as desk:
        query = f"stream=true&starting_after={after}"
        return _read_events((await desk.ask("GET", f"{RESPONSES}/{taken['id']}", query=query)).body)


def _work_until_out(tenant: Tenant) -> None:
    """Work for the tenant as soon as there is something."""
    try:
        while not run_worker_for(tenant, 5):
            pass
    finally:
        connections.close_all()


def _work_through_trouble(tenant: Tenant) -> None:
    """Work long enough for a second try, which comes five seconds behind the first."""
    try:
        while not _is_out(tenant):
            run_worker_for(tenant, 8)
    finally:
        connections.close_all()


def _is_out(tenant: Tenant) -> bool:
    with org_scope(tenant.org_id):
        return BatchLine.objects.filter(org_id=tenant.org_id, answer__isnull=False).exists()


def _read_events(body: bytes) -> list[Json]:
    return [orjson.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: ")]
