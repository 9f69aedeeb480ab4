"""kill -9 of the worker at every await of a line's way and of a batch's end: every line is answered, none whose
answer was noted is asked again, and the ledger is the bank's bill."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx2
import orjson
import pytest
import time_machine

from costhub.lib import clock
from proxy.batches.model import Batch, BatchLine
from proxy.ledger import recount
from tenants.access import org_scope
from tenants.actions.upstreams import update_upstream
from tenants.models import Upstream
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS
from tests.proxy.batches.desk import CHAT, line, open_desk, read, run_worker
from tests.proxy.batches.test_remote import IN_BATCH, balance
from tests.proxy.batches.test_remote import acme as account
from tests.proxy.books import assert_balanced, open_holds, read_books, settle_the_dead
from tests.proxy.deployment import ROOT
from tests.proxy.failpoints import IN_BATCHES, WHERE_BATCHES_COME, WHERE_BATCHES_GO, Mortal, deploy_mortal
from tests.world import Tenant

__all__ = ["account"]

LINES = 24
#: lines of a batch that are asked at once; as many may wait to be noted
SLOTS = 4
#: places of every call that a line passes, too
PLACES = ("upstream_connected", "settle_sent", *IN_BATCHES)
RUN = """
import django; django.setup()
from proxy.batches.work import run
run(30, {{"{org}"}})
"""


@pytest.mark.parametrize("place", PLACES)
def test_a_worker_dies(place: str, acme: Tenant, bank: Bank) -> None:
    async def hand_in() -> dict[str, Any]:
        async with open_desk(acme) as desk:
            return read(await desk.hand_in([line(number) for number in range(LINES)]))

    batch = asyncio.run(hand_in())
    # Lines that end together are settled together: on a busy machine by few scripts.
    nth = 1 if place.startswith("batch_") else 3 if place == "settle_sent" else 10
    assert run_until_it_dies(acme, f"{place}:{nth}") == -9, "the worker passed the place alive"
    run_worker(acme)

    async def collect() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        async with open_desk(acme) as desk:
            over = await desk.look(batch)
            return over, await desk.read_lines(over["output_file_id"])

    over, answers = asyncio.run(collect())
    assert over["status"] == "completed"
    assert over["request_counts"] == {"total": LINES, "completed": LINES, "failed": 0}
    assert [answer["custom_id"] for answer in answers] == [f"line-{number}" for number in range(LINES)]
    # What was under way when the worker died is asked again, with what waited to be noted beside it, and nothing else.
    asked = Counter(request.json["messages"][0]["content"] for request in bank.calls_received())
    assert len(asked) == LINES
    assert sum(asked.values()) - LINES <= 2 * SLOTS
    if place in {"batch_written", "batch_settled"}:
        assert sum(asked.values()) == LINES
    assert_balanced(acme, bank)


@pytest.mark.parametrize("goes_on", [True, False])
def test_what_was_answered_is_settled_at_what_it_cost_by_the_next_worker_or_the_reaper(
    acme: Tenant, bank: Bank, *, goes_on: bool
) -> None:
    """The upstream has no bill that tells the truth later. A worker dies between a line's answer and its money."""
    with org_scope(acme.org_id):
        upstream = Upstream.objects.get(org=acme.org)
        update_upstream(actor=acme.owner, upstream=upstream, bill_path="")

    async def hand_in() -> dict[str, Any]:
        async with open_desk(acme) as desk:
            return read(await desk.hand_in([line(number) for number in range(LINES)]))

    batch = asyncio.run(hand_in())
    assert run_until_it_dies(acme, "line_saved:10") == -9
    held = set(open_holds(acme.org))
    with org_scope(acme.org_id):
        lines = BatchLine.objects.filter(org_id=acme.org.pk, event__isnull=False, request_id__in=held)
        noted = {str(one.request_id): one.cost for one in lines}
    assert noted, "at least the tenth had its answer, and its money was still held"
    if goes_on:
        run_worker(acme)
        assert asyncio.run(look(acme, batch))["status"] == "completed"
    bank.wait_quiet()
    settle_the_dead()
    books = read_books(acme, bank, "0.15", "0.60")
    assert {call: books.ledger[call] for call in noted} == {call: books.billed[call] for call in noted} == noted
    by_id = {str(row.id): row for row in books.rows}
    assert not any(by_id[call].is_estimated for call in noted)
    assert {books.rows_per_call[call] for call in noted} == {1}
    # What had no answer may have cost anything, up to what was held.
    assert sum(row.is_estimated for row in books.rows) <= 2 * SLOTS
    assert recount.find_drift(acme.org.shard) == []


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Mortal]:
    with deploy_mortal(tmp_path_factory.mktemp("dying")) as mortal:
        yield mortal


@pytest.mark.parametrize("place", WHERE_BATCHES_COME)
def test_a_proxy_dies_while_it_takes_them(place: str, acme: Tenant, bank: Bank, mortal: Mortal) -> None:
    """Its caller hears nothing. What was not taken costs nothing, what was taken is answered, and once."""
    content = b"".join(orjson.dumps(line(number)) + b"\n" for number in range(LINES))
    with httpx2.Client(
        base_url=mortal.proxy.root_url,
        headers={"authorization": f"Bearer {acme.api_key}"},
        trust_env=False,
        timeout=PATIENCE_SECONDS,
    ) as http:
        files = {"file": ("calls.jsonl", content)}
        uploaded = http.post("/v1/files", data={"purpose": "batch"}, files=files).raise_for_status().json()
        mortal.dies_at(place, 1)
        with pytest.raises(httpx2.TransportError):
            if place == "call_pooled":
                http.post(CHAT, json=line(0)["body"], headers={"x-costhub-deadline": "600"})
            else:
                asked = {"input_file_id": uploaded["id"], "endpoint": CHAT, "completion_window": "24h"}
                http.post("/v1/batches", json=asked)
    calls = {"batch_held": 0, "batch_taken": LINES, "call_pooled": 1}[place]
    with org_scope(acme.org_id):
        (batch,) = Batch.objects.filter(org_id=acme.org.pk)
    assert batch.status == ("validating" if place == "batch_held" else "in_progress")
    run_worker(acme)
    assert len(bank.calls_received()) == calls
    books = assert_balanced(acme, bank)
    assert sum(row.effective_cost > 0 for row in books.rows) == calls
    with org_scope(acme.org_id):
        batch.refresh_from_db()
    assert (batch.status, batch.completed) == ("completed" if calls else "validating", calls)


@pytest.mark.parametrize("place", WHERE_BATCHES_GO)
def test_a_worker_dies_when_its_upstream_has_the_batch(place: str, account: Tenant, bank: Bank) -> None:
    """It has not noted by which name: the batch that is there is found, and none is made beside it."""

    async def hand_in() -> dict[str, Any]:
        async with open_desk(account) as desk:
            return read(await desk.hand_in([line(number) for number in range(LINES)]))

    batch = asyncio.run(hand_in())
    assert run_until_it_dies(account, f"{place}:1") == -9, "the worker passed the place alive"
    for minutes in (1, 5, 10):
        with time_machine.travel(clock.now() + timedelta(minutes=minutes), tick=True):
            run_worker(account, looks=2)
    over = asyncio.run(look(account, batch))
    assert (over["status"], over["request_counts"]["completed"]) == ("completed", LINES)
    assert len(bank.bill()) == LINES
    assert {row.effective_cost for row in balance(account, bank)} == {IN_BATCH}


async def look(acme: Tenant, batch: dict[str, Any]) -> dict[str, Any]:
    async with open_desk(acme) as desk:
        return await desk.look(batch)


def run_until_it_dies(tenant: Tenant, place: str) -> int:
    """A worker in a process of its own. Gives its exit code."""
    return subprocess.run(
        [sys.executable, "-c", RUN.format(org=tenant.org_id)],
        cwd=ROOT,
        env=os.environ
        | {
            "DJANGO_SETTINGS_MODULE": "costhub.settings",
            "COSTHUB_ALLOWED_NETWORKS": "127.0.0.0/8",
            "COSTHUB_FAILPOINT": place,
        },
        timeout=PATIENCE_SECONDS,
    ).returncode
