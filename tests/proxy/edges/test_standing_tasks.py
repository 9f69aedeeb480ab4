"""What a process does for as long as it lives goes on after a turn that failed."""

import asyncio
import logging
from collections.abc import Iterable

import pytest
from prometheus_client import REGISTRY

from proxy.edges import standing_tasks
from proxy.edges.standing_tasks import start_standing
from tests.patience import PATIENCE_SECONDS


def count_faults(task: str) -> float:
    """How many turns of it have failed in this process."""
    return REGISTRY.get_sample_value("costhub_standing_faults_total", {"task": task}) or 0.0


class Turns:
    """Turns that fail by these, one after the other, and then go well."""

    def __init__(self, faults: Iterable[BaseException]) -> None:
        self._faults = list(faults)
        self.begun = 0
        self.has_gone_well = asyncio.Event()

    async def take(self) -> None:
        self.begun += 1
        await asyncio.sleep(0)
        if self._faults:
            raise self._faults.pop(0)
        self.has_gone_well.set()
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    "fault",
    [LookupError("nobody has thought of it"), asyncio.CancelledError()],
    ids=["an error", "something that it waited for was cancelled"],
)
async def test_the_next_turn_comes_after_one_that_failed(
    fault: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    before, turns = count_faults("waiting"), Turns([fault])
    task = start_standing("waiting", turns.take)
    began = asyncio.get_running_loop().time()
    await asyncio.wait_for(turns.has_gone_well.wait(), PATIENCE_SECONDS)
    assert turns.begun == 2
    assert count_faults("waiting") - before == 1
    assert asyncio.get_running_loop().time() - began >= standing_tasks.PAUSE_SECONDS
    (told,) = [record for record in caplog.records if record.name == standing_tasks.__name__]
    assert (told.levelno, told.getMessage()) == (logging.ERROR, "waiting: failed by our own fault, and goes on")
    assert told.exc_info is not None
    assert told.exc_info[1] is fault
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_turn_that_takes_a_cancellation_as_its_own_is_the_last() -> None:
    turns, has_begun = 0, asyncio.Event()

    async def take() -> None:
        nonlocal turns
        turns += 1
        has_begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    task = start_standing("waiting", take)
    await has_begun.wait()
    task.cancel()
    await asyncio.wait_for(asyncio.wait([task]), PATIENCE_SECONDS)
    assert turns == 1
