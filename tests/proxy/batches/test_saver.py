"""Results are noted many at a time, and of long answers few."""

import asyncio
from typing import Any

import pytest

from costhub.lib.secrets import UnusableCredential
from proxy.batches import saver as module
from proxy.batches.model import Batch
from proxy.batches.results import Result
from proxy.batches.saver import Saver
from tests.patience import PATIENCE_SECONDS


def note(sizes: list[int], at_once: int = 64) -> list[list[int]]:
    """The numbers of results that were written together, given the bytes of each answer."""
    written = []

    async def in_thread(act: Any, batch: Batch, results: list[Result]) -> None:
        written.append([result.number for result in results])

    async def run() -> None:
        saver = Saver(Batch(), in_thread, at_once)
        results = [Result(number, None, "done", bytes(size)) for number, size in enumerate(sizes)]
        await asyncio.gather(*map(saver.save, results))

    asyncio.run(run())
    return written


def test_short_answers_are_written_together() -> None:
    assert note([10] * 300) == [list(range(256)), list(range(256, 300))]


def test_long_ones_are_shared_out_over_statements(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 100)
    assert note([60, 40, 1, 99, 500, 0, 100]) == [[0, 1], [2, 3], [4], [5, 6]]


@pytest.mark.parametrize("error", [UnusableCredential("It does not open."), TypeError("no row")])
def test_what_cannot_be_noted_is_told_to_who_waits_and_the_next_is_noted(error: Exception) -> None:
    """A worker that was started without the key of before: whoever saved waited for ever."""
    written = []

    async def in_thread(act: Any, batch: Batch, results: list[Result]) -> None:
        if results[0].number < 2:
            raise error
        written.append([result.number for result in results])

    async def run() -> list[Any]:
        saver = Saver(Batch(), in_thread, 4)
        async with asyncio.timeout(PATIENCE_SECONDS):
            came = await asyncio.gather(
                *(saver.save(Result(number, None, "done")) for number in range(2)), return_exceptions=True
            )
            await saver.save(Result(2, None, "done"))
            return came

    assert asyncio.run(run()) == [error, error]
    assert written == [[2]]
