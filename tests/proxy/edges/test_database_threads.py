"""A database that hangs holds up who asks it, and nobody else."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
from django.db import connection, transaction

from proxy.answers.archive import ask_database
from proxy.batches.database import in_database
from proxy.edges.counting import run_whole
from proxy.edges.database_threads import DATABASE_THREADS, MOST_AT_ONCE
from tests.patience import PATIENCE_SECONDS
from tests.proxy.edges.threads import in_thread
from tests.world import World

#: of PostgreSQL's advisory locks, nobody else's
LOCK = 7_701
ASKED = 20


def ask_slowly(number: int) -> int:
    """A question that is answered when nobody has the lock."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = 0")
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [LOCK])
    return number


def count_hanging() -> int:
    """How many wait for it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted", [LOCK]
        )
        found: int = cursor.fetchone()[0]
        return found


@pytest.fixture
async def let_go(committed_world: World) -> AsyncIterator[asyncio.Event]:
    """PostgreSQL hangs until this is set."""
    has_lock, may_end = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            loop.call_soon_threadsafe(has_lock.set)
            asyncio.run_coroutine_threadsafe(may_end.wait(), loop).result(PATIENCE_SECONDS)

    holding = asyncio.create_task(in_thread(hold))
    await asyncio.wait_for(has_lock.wait(), PATIENCE_SECONDS)
    yield may_end
    may_end.set()
    await holding
    DATABASE_THREADS.close()


async def test_who_computes_or_looks_up_a_name_does_not_wait_for_it(let_go: asyncio.Event) -> None:
    asking = [
        asyncio.create_task(
            ask_database(partial(ask_slowly, number)) if number % 2 else in_database(ask_slowly, number)
        )
        for number in range(ASKED)
    ]
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await in_thread(count_hanging) < MOST_AT_ONCE:
            pass
        assert await run_whole(lambda: sum(range(1_000))) == 499_500
        assert await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)
    assert not any(one.done() for one in asking)
    assert await in_thread(count_hanging) == MOST_AT_ONCE
    let_go.set()
    assert await asyncio.wait_for(asyncio.gather(*asking), PATIENCE_SECONDS) == list(range(ASKED))


async def test_what_was_asked_is_answered_though_the_threads_end(let_go: asyncio.Event) -> None:
    asking = [asyncio.create_task(in_database(ask_slowly, number)) for number in range(ASKED)]
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await in_thread(count_hanging) < MOST_AT_ONCE:
            pass
    DATABASE_THREADS.close()
    let_go.set()
    assert await asyncio.wait_for(asyncio.gather(*asking), PATIENCE_SECONDS) == list(range(ASKED))
    assert await in_database(ask_slowly, 1) == 1, "whoever asks later has other threads"
