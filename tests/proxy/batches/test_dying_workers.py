"""kill -9 of the worker at every await of a line's way and of a batch's end: every line is answered, none whose
answer was noted is asked again, and the ledger is the bank's bill."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from proxy.batches.model import BatchLine
from proxy.ledger import recount
from tenants.access import org_scope
from tenants.actions.upstreams import update_upstream
from tenants.models import Upstream
from tests.bank import Bank
from tests.proxy.batches.desk import line, open_desk, read, run_worker
from tests.proxy.books import assert_balanced, open_holds, read_books, settle_the_dead
from tests.proxy.deployment import ROOT
from tests.proxy.failpoints import IN_BATCHES
from tests.world import Tenant

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
        timeout=60,
    ).returncode
