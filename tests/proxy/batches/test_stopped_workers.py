"""A real worker of Celery's is asked to stop in the middle of a batch, as a deploy does: lines that have begun come to
their end, none begins any more, and the next worker goes on with the others. Nothing is asked, or paid, twice."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from costhub.celery import app
from costhub.lib.keyspace import BATCH_QUEUE
from costhub.stack.services import BatchWorker
from proxy.batches.model import BatchLine
from proxy.batches.store import DONE, WAITING
from tenants.access import org_scope
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS
from tests.proxy.batches.desk import line, open_desk, read
from tests.proxy.books import assert_balanced, open_holds
from tests.proxy.deployment import PATIENT, ROOT
from tests.stack.queue import clean_queue
from tests.valkeys import until
from tests.world import Tenant

LINES: Final = 48
#: what an answer takes: a stop finds lines under way
ANSWERS_IN_MS: Final = 500
#: so many calls were received when the worker is asked to stop: some are answered, some are under way
ASKED_BY_THEN: Final = 6


@contextmanager
def run_worker(folder: Path) -> Iterator[BatchWorker]:
    """The worker as `costhub up` starts it, at work on what there is; killed behind the block, if it is left."""
    folder.mkdir()
    worker = BatchWorker(folder, os.environ | PATIENT | {"PYTHONPATH": str(ROOT)})
    worker.start()
    try:
        worker.wait_ready(PATIENCE_SECONDS)
        # What beat does each second.
        app.send_task("proxy.tasks.run_batches", queue=BATCH_QUEUE)
        yield worker
    finally:
        worker.kill()
        worker.reap()


def asked_of(bank: Bank) -> Counter[str]:
    """How often each line was asked."""
    return Counter(request.json["messages"][0]["content"] for request in bank.calls_received())


def states_of(tenant: Tenant) -> Counter[str]:
    """How many lines are in which state; in the end none is left."""
    with org_scope(tenant.org_id):
        return Counter(BatchLine.objects.filter(org_id=tenant.org.pk).values_list("state", flat=True))


async def hand_in(acme: Tenant) -> dict[str, Any]:
    lines = [line(number, bank={"first_ms": ANSWERS_IN_MS}) for number in range(LINES)]
    async with open_desk(acme) as desk:
        return read(await desk.hand_in(lines))


async def look(acme: Tenant, batch: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The batch, and its answers by the names of their lines."""
    async with open_desk(acme) as desk:
        found = await desk.look(batch)
        return found, [each["custom_id"] for each in await desk.read_lines(found["output_file_id"])]


@pytest.mark.processes
def test_a_worker_that_is_asked_to_stop_ends_its_lines_and_the_next_one_goes_on(
    acme: Tenant, bank: Bank, tmp_path: Path
) -> None:
    batch = asyncio.run(hand_in(acme))
    with clean_queue():
        with run_worker(tmp_path / "first") as first:
            until(lambda: len(bank.calls_received()) >= ASKED_BY_THEN, "lines are under way")
            first.signal(signal.SIGTERM)
            assert first.wait_exit(PATIENCE_SECONDS), first.log_path.read_text()[-2_000:]
            assert first.reap() == 0
        assert "Warm shutdown" in first.log_path.read_text()
        states, asked = states_of(acme), asked_of(bank)
        assert states.keys() == {DONE, WAITING}, "no line is left in the middle"
        assert sum(states.values()) == LINES
        assert ASKED_BY_THEN <= states[DONE] == len(asked) < LINES
        assert set(asked.values()) == {1}
        assert len(bank.bill()) == states[DONE]
        with run_worker(tmp_path / "second"):
            until(lambda: not states_of(acme), "the batch is over")
    over, answers = asyncio.run(look(acme, batch))
    assert (over["status"], over["request_counts"]) == (
        "completed",
        {"total": LINES, "completed": LINES, "failed": 0},
    )
    assert answers == [f"line-{number}" for number in range(LINES)]
    asked = asked_of(bank)
    assert (len(asked), set(asked.values())) == (LINES, {1})
    assert len(bank.bill()) == LINES
    books = assert_balanced(acme, bank)
    assert sum(row.effective_cost > 0 for row in books.rows) == LINES
    assert open_holds(acme.org) == []
