"""What was promised by a deadline comes first, and no upstream waits for another."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from uuid import UUID, uuid4

from costhub.lib import clock
from proxy.batches.model import Batch
from proxy.batches.queues import Slots, make_queues
from proxy.batches.soon import choose_soon

FAST, SLOW = uuid4(), uuid4()


def batch(upstream_id: UUID, age: int, minutes: int | None = None, *, is_remote: bool = False) -> Batch:
    """One of so many hours ago; a pool where there is a deadline in so many minutes."""
    now = clock.now()
    return Batch(
        id=UUID(clock.new_id_of(clock.now_ms() - age * 3_600_000)),
        upstream_id=upstream_id,
        is_pool=minutes is not None,
        is_remote=is_remote,
        first_deadline=None if minutes is None else now + timedelta(minutes=minutes),
        expires_at=now + timedelta(hours=24 - age),
    )


def test_promises_come_before_batches_and_upstreams_do_not_wait_for_one_another() -> None:
    old, young, elsewhere = batch(SLOW, 9), batch(SLOW, 1), batch(FAST, 5)
    soon, later = batch(SLOW, 0, 10), batch(SLOW, 3, 40)
    queues = make_queues([old, elsewhere, later, young, soon])
    assert sorted(queues, key=len) == [[elsewhere], [soon, later, old, young]]


def test_of_near_pools_so_many_are_begun_as_lines_may_run() -> None:
    fifth, first, third, second = (batch(SLOW, 0, minutes) for minutes in (5, 1, 3, 2))
    elsewhere, handed_on = batch(FAST, 0, 9), batch(SLOW, 0, 4, is_remote=True)
    pools = [fifth, first, third, handed_on, second, elsewhere]
    most: dict[UUID | None, int] = {SLOW: 2, FAST: 1}
    assert choose_soon(pools, (), most) == [handed_on, first, second, elsewhere]
    # One that is under way counts, and is not begun again; a nearer one is begun beside one that is not as near.
    assert choose_soon(pools, {first.pk, fifth.pk, elsewhere.pk}, most) == [handed_on, second]


class Lines:
    """Lines of one upstream, and which of them are under way."""

    def __init__(self, size: int) -> None:
        self.slots = Slots(size)
        self.under_way: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    async def begin(self, name: str, due_ms: float, *, is_soon: bool = False) -> None:
        """Have one want its turn."""
        self._ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._ask(name, due_ms, is_soon=is_soon))
        await asyncio.sleep(0)

    async def end(self, *names: str) -> None:
        """They have their answers."""
        for name in names:
            self._ends[name].set()
            await self.tasks[name]
        await asyncio.sleep(0)

    async def leave(self, name: str) -> None:
        """Nobody wants it any more."""
        self.tasks[name].cancel()
        with suppress(asyncio.CancelledError):
            await self.tasks[name]
        await asyncio.sleep(0)

    async def _ask(self, name: str, due_ms: float, *, is_soon: bool) -> None:
        async with self.slots.turn(due_ms, is_soon=is_soon):
            self.under_way.append(name)
            try:
                await self._ends[name].wait()
            finally:
                self.under_way.remove(name)


def with_lines(size: int, tell: Callable[[Lines], Awaitable[None]]) -> None:
    async def run() -> None:
        await tell(Lines(size))

    asyncio.run(run())


def test_what_is_near_waits_for_no_other_line_and_none_begins_before_it() -> None:
    async def tell(lines: Lines) -> None:
        for name in ("a", "b", "c"):
            await lines.begin(name, 900)
        assert lines.under_way == ["a", "b"]
        for name, due in (("later", 60), ("near", 30), ("nearest", 10)):
            await lines.begin(name, due, is_soon=True)
        # Beside those that have begun, and two of their own.
        assert lines.under_way == ["a", "b", "later", "near"]
        await lines.end("a", "b")
        assert lines.under_way == ["later", "near"]
        await lines.end("later")
        assert lines.under_way == ["near", "nearest"]
        await lines.end("near")
        assert lines.under_way == ["nearest", "c"]

    with_lines(2, tell)


def test_the_nearest_deadline_comes_first_and_who_leaves_keeps_nobody_waiting() -> None:
    async def tell(lines: Lines) -> None:
        for name, due in (("begun", 50), ("third", 30), ("first", 10), ("second", 20)):
            await lines.begin(name, due)
        await lines.leave("first")
        await lines.end("begun")
        assert lines.under_way == ["second"]
        await lines.leave("second")
        assert lines.under_way == ["third"]

    with_lines(1, tell)


def test_one_who_leaves_when_it_has_its_turn_passes_it_on() -> None:
    async def tell(lines: Lines) -> None:
        for name, due in (("begun", 50), ("first", 10), ("second", 20)):
            await lines.begin(name, due)
        lines.tasks["begun"].cancel()
        await asyncio.sleep(0)
        # Its turn has come, and it does not know yet.
        assert lines.under_way == []
        await lines.leave("first")
        assert lines.under_way == ["second"]

    with_lines(1, tell)


def test_who_is_answered_passes_its_turn_on_while_it_waits_to_be_noted() -> None:
    """Once, whatever comes after it."""

    async def run() -> None:
        slots, begun = Slots(1), list[str]()

        async def ask(name: str, noted: asyncio.Event) -> None:
            async with slots.turn(0, is_soon=False) as end_turn:
                begun.append(name)
                if name == "answered":
                    end_turn()
                    end_turn()
                await noted.wait()

        events = {name: asyncio.Event() for name in ("answered", "next", "last")}
        tasks = [asyncio.create_task(ask(name, noted)) for name, noted in events.items()]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert begun == ["answered", "next"]
        events["answered"].set()
        await tasks[0]
        assert begun == ["answered", "next"], "the place that it had is the next one's"
        events["next"].set()
        events["last"].set()
        await asyncio.gather(*tasks)
        assert begun == ["answered", "next", "last"]

    asyncio.run(run())
