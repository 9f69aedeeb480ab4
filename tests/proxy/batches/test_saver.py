"""Results are noted many at a time, and of long answers few."""

import asyncio
from typing import Any

from proxy.batches import saver as module
from proxy.batches.model import Batch
from proxy.batches.results import Result
from proxy.batches.saver import Saver


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
