"""Answers in a process's memory."""

import time_machine

from costhub.lib import clock
from proxy.cache import process
from proxy.cache.process import ProcessCache
from tests.proxy.cache.examples import make_kept

ROOM = 100_000


def test_the_least_recently_used_go_first() -> None:
    cache = ProcessCache(ROOM)
    size = make_kept(b"x" * 8_800).bytes
    digests = [bytes([number]) for number in range(ROOM // size)]
    for digest in digests:
        cache.keep(digest, make_kept(b"x" * 8_800), 60)
    assert (len(cache), cache.bytes) == (10, 10 * size)
    assert cache.find(digests[0]) is not None
    cache.keep(b"new", make_kept(b"x" * 8_800), 60)
    assert cache.bytes <= ROOM
    assert cache.find(digests[0]) is not None
    assert cache.find(digests[1]) is None


def test_one_answer_does_not_push_out_everything() -> None:
    cache = ProcessCache(ROOM)
    cache.keep(b"small", make_kept(), 60)
    cache.keep(b"large", make_kept(b"x" * (ROOM // 8)), 60)
    assert cache.find(b"large") is None
    assert cache.find(b"small") is not None


def test_an_answer_ends_with_its_time() -> None:
    cache = ProcessCache(ROOM)
    cache.keep(b"a", make_kept(), 0)
    assert cache.find(b"a") is None
    assert (len(cache), cache.bytes) == (0, 0)


def test_setting_the_clock_makes_nothing_live_longer() -> None:
    cache = ProcessCache(ROOM)
    with time_machine.travel(clock.now().replace(year=2050), tick=False):
        cache.keep(b"a", make_kept(), 0.0)
    assert cache.find(b"a") is None


def test_keeping_again_takes_the_place_of_what_was_there() -> None:
    cache = ProcessCache(ROOM)
    cache.keep(b"a", make_kept(b"first"), 60)
    second = make_kept(b"second")
    cache.keep(b"a", second, 60)
    assert cache.find(b"a") == second
    assert (len(cache), cache.bytes) == (1, second.bytes)
    cache.forget(b"a")
    cache.forget(b"a")
    assert cache.bytes == 0


def test_no_room_is_no_cache() -> None:
    cache = process.ProcessCache(0)
    cache.keep(b"a", make_kept(), 60)
    assert cache.find(b"a") is None
