"""One upstream call for equal calls, in one process and between processes that share a Valkey."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from secrets import token_bytes
from typing import Any

import pytest
from django.conf import settings

from costhub.lib import clock, keyspace, secrets
from costhub.lib.clock import Stopwatch
from costhub.lib.redis import client
from proxy.cache.coalesce import Flight, Flights, Origin, Shared, hands_over
from proxy.cache.entries import Kept, pack, unpack
from proxy.cache.valkey_cache import LAND, LOOK_UP, LookedUp, Standing, ValkeyCache, find_call
from proxy.edges.valkey import Valkey
from proxy.errors import AnsweredLater, RateLimited, UpstreamError
from tenants.sealed_rows import Sealer
from tests.patience import until
from tests.proxy.cache.examples import make_kept

ORG = "0197e9d4-0000-7000-8000-000000000001"
SEALER = Sealer(ORG, secrets.make_data_key(settings.MASTER_KEYS, ORG))


class Worker:
    """A process, as far as flights know: a connection and the calls under way."""

    def __init__(self) -> None:
        self.store = ValkeyCache(Valkey(settings.REDIS_URL, [LOOK_UP, LAND], 2_000))
        self.flights = Flights(self.store)
        self.kept_going: list[str] = []
        self.waited = Stopwatch()

    async def open(self) -> None:
        await self.store.open()
        await self.flights.open()

    async def close(self) -> None:
        await self.flights.close()
        await self.store.close()

    async def join(self, digest: bytes, asker: str, *, accepts: bool = True) -> Flight | Shared | None:
        return await self.flights.join(
            digest, asker, SEALER, lambda: self.kept_going.append(asker), lambda _: accepts, self.waited
        )

    async def lead(self, digest: bytes, asker: str) -> Flight:
        joined = await self.join(digest, asker)
        assert isinstance(joined, Flight)
        return joined


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


async def test_of_workers_that_want_a_newer_answer_one_asks(workers: tuple[Worker, Worker], digest: bytes) -> None:
    """After a purge, or where callers want it no older."""
    here, there = workers
    old, new = make_kept(b"old"), make_kept(b"new")
    here.flights.land(await here.lead(digest, "first"), old, 60)

    def join(worker: Worker, asker: str) -> Coroutine[Any, Any, Flight | Shared | None]:
        return worker.flights.join(
            *(digest, asker, SEALER, lambda: worker.kept_going.append(asker), lambda kept: kept.body == b"new"),
            waited=worker.waited,
        )

    flight = await join(here, "leader")
    assert isinstance(flight, Flight)
    assert flight.is_claimed
    tasks = [asyncio.create_task(join(worker, "follower")) for worker in (here, there, there)]
    await until(lambda: client().hget(keyspace.flight_key(digest), "w") == b"1")
    # Who is content with the old one gets it meanwhile.
    assert await there.store.look_up(digest, "content", SEALER) == LookedUp(Standing.FOUND, old)
    here.flights.land(flight, new, 60)
    assert await asyncio.gather(*tasks) == [Shared(new, Origin.UPSTREAM)] * 3


async def test_a_flight_for_a_newer_answer_is_renewed(workers: tuple[Worker, Worker], digest: bytes) -> None:
    worker, _ = workers
    worker.flights.land(await worker.lead(digest, "first"), make_kept(), 60)
    flight = await worker.join(digest, "leader", accepts=False)
    assert isinstance(flight, Flight)
    client().pexpire(keyspace.flight_key(digest), 50)
    await worker.flights._renew_one(flight)
    assert client().pttl(keyspace.flight_key(digest)) > 1_000


async def test_all_flights_are_renewed_at_once(workers: tuple[Worker, Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    """Valkey answers none of them before it has all."""
    worker, _ = workers
    led = {(await worker.lead(token_bytes(20), f"leader {number}")).digest for number in range(30)}
    asked, is_answered = set[bytes](), asyncio.Event()

    async def look_up(digest: bytes, *_: Any, **__: Any) -> LookedUp:
        asked.add(digest)
        await is_answered.wait()
        return LookedUp(Standing.OURS)

    monkeypatch.setattr(worker.store, "look_up", look_up)
    await until(lambda: asked == led)
    is_answered.set()


async def test_without_valkey_calls_of_the_process_still_share(digest: bytes) -> None:
    store = ValkeyCache(Valkey("redis://127.0.0.1:1/0", [LOOK_UP, LAND], 50))
    flights = Flights(store)
    leader = await flights.join(digest, "leader", SEALER, lambda: None, lambda _: True, Stopwatch())
    assert isinstance(leader, Flight)
    assert not leader.is_claimed
    follower = asyncio.create_task(flights.join(digest, "follower", SEALER, lambda: None, lambda _: True, Stopwatch()))
    await asyncio.sleep(0)
    kept = make_kept()
    flights.land(leader, kept, 60)
    assert await follower == Shared(kept, Origin.UPSTREAM)
    assert await store.find([digest, digest], SEALER) == [None, None]


async def test_a_damaged_answer_is_none(workers: tuple[Worker, Worker], digest: bytes) -> None:
    worker, _ = workers
    client().set(keyspace.cached_key(digest), b"\x00garbage")
    assert isinstance(await worker.join(digest, "leader"), Flight)
    assert await worker.store.find([digest], SEALER) == [None]


async def keep(worker: Worker, digest: bytes) -> bytes:
    """Keep Rome as the answer; gives what Valkey has."""
    worker.flights.land(await worker.lead(digest, "leader"), make_kept(b'{"said":"Rome"}'), 60)
    # The answer stands in line before this.
    await worker.store.find([digest], SEALER)
    raw = client().get(keyspace.cached_key(digest))
    assert isinstance(raw, bytes)
    return raw


class TestSealed:
    async def test_valkey_has_nothing_of_an_answer_in_clear(
        self, workers: tuple[Worker, Worker], digest: bytes
    ) -> None:
        raw = await keep(workers[0], digest)
        assert raw.startswith(b"\x02")
        assert find_call(raw) == make_kept().id
        assert find_call(pack(make_kept())) == make_kept().id, "of an answer that is not sealed, too"
        assert find_call(b"\x00garbage") is None
        assert b"Rome" not in raw
        assert b"small" not in raw, "the model is a part of what is kept"
        assert await workers[1].store.find([digest], SEALER) == [open_by_hand(raw, digest)]

    async def test_it_opens_for_no_other_call_and_no_other_organisation(
        self, workers: tuple[Worker, Worker], digest: bytes
    ) -> None:
        raw = await keep(workers[0], digest)
        other = token_bytes(20)
        client().set(keyspace.cached_key(other), raw)
        assert await workers[1].store.find([other], SEALER) == [None]
        mallcorp = "0197e9d4-0000-7000-8000-000000000002"
        foreign = Sealer(mallcorp, secrets.make_data_key(settings.MASTER_KEYS, mallcorp))
        assert await workers[1].store.find([digest], foreign) == [None]

    async def test_nobody_opens_it_when_the_data_key_was_overwritten(
        self, workers: tuple[Worker, Worker], digest: bytes
    ) -> None:
        await keep(workers[0], digest)
        erased = SEALER._replace(data_key=secrets.make_data_key(settings.MASTER_KEYS, ORG))
        assert await workers[1].store.find([digest], erased) == [None]
        # Nor does a key that does not open keep anything, or fail the call that tries.
        unusable = SEALER._replace(data_key=b"")
        workers[0].store.keep(other := token_bytes(20), unusable, make_kept(), 60)
        assert await workers[0].store.find([other], unusable) == [None]
        assert client().get(keyspace.cached_key(other)) is None

    async def test_what_was_kept_before_answers_were_sealed_is_found(
        self, workers: tuple[Worker, Worker], digest: bytes
    ) -> None:
        kept = make_kept()
        client().set(keyspace.cached_key(digest), pack(kept))
        assert await workers[0].store.find([digest], SEALER) == [kept]
        assert await workers[0].join(digest, "leader") == Shared(kept, Origin.VALKEY)


def open_by_hand(raw: bytes, digest: bytes) -> Kept | None:
    """What a sealed answer says, opened with nothing but the keys."""
    opened = secrets.open_content(
        settings.MASTER_KEYS,
        SEALER.data_key,
        org_id=ORG,
        origin=f"cached answer {digest.hex()}",
        sealed=raw.partition(b"\n")[2][1:],
    )
    kept = unpack(opened)
    assert kept is not None
    assert kept.body == b'{"said":"Rome"}'
    return kept


@pytest.mark.parametrize(
    ("ended", "seconds"),
    [
        (None, 30),
        (Shared(make_kept(), Origin.UPSTREAM), 30),
        # What was there took us as long.
        (Shared(make_kept(), Origin.VALKEY), 0),
        (Shared(make_kept(), Origin.MEANING), 0),
    ],
)
async def test_an_upstream_that_was_waited_for_is_no_overhead_whatever_it_answers(
    workers: tuple[Worker, Worker],
    digest: bytes,
    monkeypatch: pytest.MonkeyPatch,
    ended: Shared | None,
    seconds: int,
) -> None:
    worker, _ = workers
    now = clock.monotonic_ns()
    flight = await worker.lead(digest, "leader")
    monkeypatch.setattr(clock, "monotonic_ns", lambda: now)
    (follower,) = await followers(worker, digest, 1)
    now += 30_000_000_000
    flight.end(ended, hands_over=False)
    assert await follower == ended
    assert worker.waited.total_ns == seconds * 1_000_000_000
    worker.flights.land(flight, None, 60)


@pytest.mark.parametrize(
    ("error", "is_handed_over"),
    [
        (None, False),
        (asyncio.CancelledError(), True),
        (AnsweredLater(), True),
        (RateLimited("Too many calls."), True),
        (UpstreamError("It does not answer."), False),
        (ZeroDivisionError(), False),
    ],
)
def test_who_ends_without_having_asked_hands_over(error: BaseException | None, is_handed_over: bool) -> None:
    assert hands_over(error) is is_handed_over
