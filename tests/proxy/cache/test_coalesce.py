"""One upstream call for equal calls, in one process and between processes that share a Valkey."""

import asyncio
from collections.abc import AsyncIterator, Callable
from secrets import token_bytes

import pytest
from django.conf import settings

from costhub.lib import keyspace
from costhub.lib.redis import client
from proxy.cache.coalesce import Flight, Flights, Origin, Shared
from proxy.cache.valkey_cache import LAND, LOOK_UP, ValkeyCache
from proxy.edges.valkey import Valkey
from tests.proxy.cache.examples import make_kept


class Worker:
    """A process, as far as flights know: a connection and the calls under way."""

    def __init__(self) -> None:
        self.store = ValkeyCache(Valkey(settings.REDIS_URL, [LOOK_UP, LAND], 2_000))
        self.flights = Flights(self.store)
        self.kept_going: list[str] = []

    async def open(self) -> None:
        await self.store.open()
        await self.flights.open()

    async def close(self) -> None:
        await self.flights.close()
        await self.store.close()

    async def join(self, digest: bytes, asker: str, *, accepts: bool = True) -> Flight | Shared | None:
        return await self.flights.join(digest, asker, lambda: self.kept_going.append(asker), lambda _: accepts)

    async def lead(self, digest: bytes, asker: str) -> Flight:
        joined = await self.join(digest, asker)
        assert isinstance(joined, Flight)
        return joined


async def until(is_true: Callable[[], bool]) -> None:
    """Return as soon as the condition holds. Raises TimeoutError after two seconds."""
    async with asyncio.timeout(2):
        while not is_true():
            await asyncio.sleep(0.005)


@pytest.fixture
async def workers() -> AsyncIterator[tuple[Worker, Worker]]:
    pair = (Worker(), Worker())
    for worker in pair:
        await worker.open()
    yield pair
    for worker in pair:
        await worker.close()


@pytest.fixture
def digest() -> bytes:
    return token_bytes(20)


async def followers(worker: Worker, digest: bytes, count: int) -> list["asyncio.Task[Flight | Shared | None]"]:
    tasks = [asyncio.create_task(worker.join(digest, f"follower {number} of {id(worker)}")) for number in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_followers_in_the_process_get_the_leaders_answer(workers: tuple[Worker, Worker], digest: bytes) -> None:
    worker, _ = workers
    flight = await worker.lead(digest, "leader")
    tasks = await followers(worker, digest, 20)
    assert worker.kept_going == ["leader"] * 20
    kept = make_kept()
    worker.flights.land(flight, kept, 60)
    assert await asyncio.gather(*tasks) == [Shared(kept, Origin.UPSTREAM)] * 20
    # Who comes later finds it in Valkey.
    assert await worker.join(digest, "late") == Shared(kept, Origin.VALKEY)


async def test_another_workers_call_is_waited_for(workers: tuple[Worker, Worker], digest: bytes) -> None:
    here, there = workers
    flight = await here.lead(digest, "leader")
    tasks = await followers(there, digest, 5)
    await until(lambda: "leader" in here.kept_going)
    kept = make_kept()
    here.flights.land(flight, kept, 60)
    assert await asyncio.gather(*tasks) == [Shared(kept, Origin.UPSTREAM)] * 5


async def test_a_leader_that_leaves_hands_over_to_one(workers: tuple[Worker, Worker], digest: bytes) -> None:
    here, there = workers
    flight = await here.lead(digest, "leader")
    near, far = await followers(here, digest, 3), await followers(there, digest, 3)
    await until(lambda: client().hget(keyspace.flight_key(digest), "w") == b"1")
    here.flights.land(flight, None, 60, hands_over=True)
    done, waiting = await asyncio.wait([*near, *far], return_when=asyncio.FIRST_COMPLETED)
    assert (len(done), len(waiting)) == (1, 5)
    next_leader = done.pop().result()
    assert isinstance(next_leader, Flight)
    kept = make_kept()
    owner = here if here.flights._open.get(digest) is next_leader else there
    owner.flights.land(next_leader, kept, 60)
    assert await asyncio.gather(*waiting) == [Shared(kept, Origin.UPSTREAM)] * 5


async def test_a_dead_workers_flight_is_taken_over(workers: tuple[Worker, Worker], digest: bytes) -> None:
    here, there = workers
    # It renews nothing any more.
    await here.flights.close()
    await here.lead(digest, "leader")
    client().pexpire(keyspace.flight_key(digest), 50)
    assert (await there.lead(digest, "heir")).is_claimed


async def test_an_answer_that_is_nobody_elses_sends_each_on_its_way(
    workers: tuple[Worker, Worker], digest: bytes
) -> None:
    here, there = workers
    flight = await here.lead(digest, "leader")
    near, far = await followers(here, digest, 3), await followers(there, digest, 1)
    await until(lambda: client().hget(keyspace.flight_key(digest), "w") == b"1")
    here.flights.land(flight, None, 60)
    assert await asyncio.gather(*near) == [None] * 3
    alone = await far[0]
    assert isinstance(alone, Flight)
    assert not alone.is_claimed


async def test_a_follower_that_leaves_disturbs_nobody(workers: tuple[Worker, Worker], digest: bytes) -> None:
    worker, _ = workers
    flight = await worker.lead(digest, "leader")
    tasks = await followers(worker, digest, 3)
    tasks[1].cancel()
    kept = make_kept()
    worker.flights.land(flight, kept, 60)
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(end, asyncio.CancelledError) for end in ends] == [False, True, False]


async def test_an_answer_that_may_not_be_given_is_asked_for_anew(workers: tuple[Worker, Worker], digest: bytes) -> None:
    worker, _ = workers
    worker.flights.land(await worker.lead(digest, "leader"), make_kept(), 60)
    assert isinstance(await worker.join(digest, "strict", accepts=False), Flight)


async def test_without_valkey_calls_of_the_process_still_share(digest: bytes) -> None:
    store = ValkeyCache(Valkey("redis://127.0.0.1:1/0", [LOOK_UP, LAND], 50))
    flights = Flights(store)
    leader = await flights.join(digest, "leader", lambda: None, lambda _: True)
    assert isinstance(leader, Flight)
    assert not leader.is_claimed
    follower = asyncio.create_task(flights.join(digest, "follower", lambda: None, lambda _: True))
    await asyncio.sleep(0)
    kept = make_kept()
    flights.land(leader, kept, 60)
    assert await follower == Shared(kept, Origin.UPSTREAM)
    assert await store.find([digest, digest]) == [None, None]


async def test_a_damaged_answer_is_none(workers: tuple[Worker, Worker], digest: bytes) -> None:
    worker, _ = workers
    client().set(keyspace.cached_key(digest), b"\x00garbage")
    assert isinstance(await worker.join(digest, "leader"), Flight)
    assert await worker.store.find([digest]) == [None]
