"""What a run of the batch worker leaves behind in its process: nothing."""

import asyncio
import gc
from collections.abc import Iterator

import pytest

from proxy.batches import work as module
from proxy.wiring import Edges
from tests.proxy.batches.desk import line, open_desk, read
from tests.world import Tenant


@pytest.fixture
def uncollected(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is collected by itself, and nothing of this process is left out for good."""
    monkeypatch.setattr(module, "_settle", lambda: None)
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def count_edges() -> int:
    return sum(type(each) is Edges for each in gc.get_objects())


@pytest.mark.usefixtures("uncollected")
def test_what_a_run_had_open_is_gone_when_it_ends(acme: Tenant) -> None:
    """A worker runs each second, and each run opens its own: what waited for the collector was 40 MiB in the end."""

    async def hand_in() -> str:
        async with open_desk(acme) as desk:
            return str(read(await desk.hand_in([line(number) for number in range(3)]))["status"])

    assert asyncio.run(hand_in()) == "in_progress"
    gc.collect()
    before = count_edges()
    assert module.run(30, {acme.org_id}) == 1
    assert count_edges() == before
