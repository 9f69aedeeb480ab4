"""Large requests are counted beside the event loop, or loosely where that takes too long."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from proxy.core import tokens
from proxy.core.plan import make_plan
from proxy.edges import counting as counting_module
from proxy.edges.counting import INLINE_BYTES, MOST_OF_ONE, MOST_WAITING, THREADS, Counting, NotLoaded
from proxy.values.windows import NO_LIMIT
from tests.proxy.core.examples import KEY, NO_CONTROLS, NOON_MS, ORG, make_chat
from tests.watched import watched


@pytest.fixture
def counting() -> Iterator[Counting]:
    counting = Counting()
    yield counting
    counting.close()


async def test_a_small_request_is_counted_at_once(counting: Counting) -> None:
    assert await counting.run(INLINE_BYTES, threading.get_ident, lambda: 0) == threading.get_ident()


def test_what_was_read_before_is_not_read_again(counting: Counting) -> None:
    request, candidate = make_chat(), make_plan(make_chat(), NO_CONTROLS, KEY, ORG, NOON_MS).first
    with pytest.raises(NotLoaded):
        counting.count(request, candidate, NO_LIMIT)
    with watched(tokens.load) as read:
        counting.read(["llama3", candidate.model.tokenizer])
        assert counting.count(request, candidate, NO_LIMIT).is_exact
    assert [one.names["tokenizer"] for one in read] == ["llama3", candidate.model.tokenizer]


async def test_a_large_one_in_a_thread(counting: Counting) -> None:
    found = await counting.run(INLINE_BYTES + 1, threading.get_ident, lambda: 0)
    assert found not in {0, threading.get_ident()}


async def test_what_counting_raises_is_raised(counting: Counting) -> None:
    def fail() -> int:
        raise LookupError("no such vocabulary")

    with pytest.raises(LookupError, match="no such vocabulary"):
        await counting.run(INLINE_BYTES + 1, fail, lambda: 0)


async def test_what_takes_too_long_is_not_waited_for(counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting_module, "DEADLINE_SECONDS", 0.01)
    is_over = threading.Event()
    try:
        for _ in range(THREADS):
            assert await counting.run(INLINE_BYTES + 1, is_over.wait, lambda: "loose") == "loose"
        # the threads are still at it: who comes next waits no longer either
        assert await counting.run(INLINE_BYTES + 1, lambda: "exact", lambda: "loose") == "loose"
    finally:
        is_over.set()
    monkeypatch.setattr(counting_module, "DEADLINE_SECONDS", 20)
    assert await counting.run(INLINE_BYTES + 1, lambda: "exact", lambda: "loose") == "exact"


async def test_so_many_wait_and_no_more(counting: Counting) -> None:
    is_over = threading.Event()
    waiting = [
        asyncio.create_task(counting.run(INLINE_BYTES + 1, is_over.wait, lambda: False, whose=str(number)))
        for number in range(MOST_WAITING)
    ]
    try:
        await asyncio.sleep(0)
        assert await counting.run(INLINE_BYTES + 1, lambda: "exact", lambda: "loose") == "loose"
        # whoever leaves does not stop what others wait for
        waiting.pop().cancel()
    finally:
        is_over.set()
    assert set(await asyncio.gather(*waiting)) == {True}


async def test_a_long_count_holds_up_no_short_one(counting: Counting) -> None:
    is_over = threading.Event()
    long = asyncio.create_task(counting.run(INLINE_BYTES + 1, is_over.wait, lambda: False, whose="acme"))
    try:
        await asyncio.sleep(0)
        assert await counting.run(INLINE_BYTES + 1, lambda: "exact", lambda: "loose", whose="mallcorp") == "exact"
    finally:
        is_over.set()
    assert await long


async def test_one_organisation_leaves_the_others_their_places(counting: Counting) -> None:
    is_over = threading.Event()
    waiting = [
        asyncio.create_task(counting.run(INLINE_BYTES + 1, is_over.wait, lambda: False, whose="mallcorp"))
        for _ in range(MOST_OF_ONE)
    ]
    try:
        await asyncio.sleep(0)
        assert await counting.run(INLINE_BYTES + 1, lambda: "exact", lambda: "loose", whose="mallcorp") == "loose"
        other = asyncio.create_task(counting.run(INLINE_BYTES + 1, lambda: "exact", lambda: "loose", whose="acme"))
        await asyncio.sleep(0)
        assert not other.done()
    finally:
        is_over.set()
    assert await other == "exact"
    assert set(await asyncio.gather(*waiting)) == {True}


async def test_a_vocabulary_is_read_beside_the_loop(counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    is_read, readers = threading.Event(), list[tuple[str, int]]()

    def read(vocabulary: str) -> None:
        readers.append((vocabulary, threading.get_ident()))
        is_read.wait()

    monkeypatch.setattr(tokens, "load", read)
    plan = make_plan(make_chat(), NO_CONTROLS, KEY, ORG, NOON_MS)
    with pytest.raises(NotLoaded, match="o200k_base"):
        counting.count(plan.request, plan.first, NO_LIMIT)
    calls = [
        asyncio.create_task(counting.run(1, threading.get_ident, lambda: 0, vocabulary="o200k_base")) for _ in range(3)
    ]
    # who counts in another one, or in none, does not wait
    assert await counting.run(1, lambda: "exact", lambda: "loose", vocabulary="bytes") == "exact"
    calls.pop().cancel()
    is_read.set()
    assert await asyncio.gather(*calls) == [threading.get_ident()] * 2
    [(vocabulary, reader)] = readers
    assert vocabulary == "o200k_base"
    assert reader != threading.get_ident()
    assert counting.count(plan.request, plan.first, NO_LIMIT).is_exact
