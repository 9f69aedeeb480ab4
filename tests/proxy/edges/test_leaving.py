"""What must not end half-way, and who leaves meanwhile."""

import asyncio

import pytest

from proxy.edges.leaving import finish


async def test_who_stays_gets_what_it_gives_or_raises() -> None:
    async def give() -> str:
        await asyncio.sleep(0)
        return "done"

    async def fail() -> None:
        raise LookupError("no such thing")

    assert await finish(give()) == "done"
    with pytest.raises(LookupError, match="no such thing"):
        await finish(fail())


@pytest.mark.parametrize("fails", [False, True])
async def test_who_leaves_however_often_is_gone_when_it_is_done(*, fails: bool) -> None:
    may_end, is_done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await may_end.wait()
        is_done.set()
        if fails:
            raise LookupError("nobody is there to be told")

    leaving = asyncio.create_task(finish(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        leaving.cancel()
    await asyncio.wait([leaving], timeout=0)
    assert not leaving.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert is_done.is_set()
