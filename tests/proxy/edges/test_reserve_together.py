"""reserve.lua for several calls of one path: each is answered as if it had come alone, one after the other."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from costhub.lib import keyspace
from costhub.lib.redis import client
from tests.proxy.edges.till import NOW, Ask, Line, Till, Window, next_shard
from tests.sampling import examples

HELD, OVER_BUDGET, COUNT_EXACTLY, OVER_MAX_COST, OVER_RATE, CROSSED = 1, 0, -3, -4, -5, -6


class TestTogether:
    def test_each_finds_what_those_before_it_took(self, till: Till) -> None:
        wide, narrow = till.line("org", 10_000), till.line("key", 250)
        asks = [Ask(name, wanted=100) for name in "abcd"]
        answers = till.reserve_together(*asks, lines=(wide, narrow), fewest=60)
        assert [answer[:4] for answer in answers[:2]] == [[HELD, 100, 100, 150], [HELD, 100, 100, 50]]
        assert answers[2:] == [[OVER_BUDGET, 2, 0, 200, 60]] * 2
        assert [till.read(line) for line in (wide, narrow)] == [(0, 200)] * 2
        assert [bool(till.hold(name)) for name in "abcd"] == [True, True, False, False]

    def test_who_is_refused_takes_nothing_from_those_behind_it(self, till: Till) -> None:
        line = till.line("org", 250)
        asks = [Ask("a", wanted=100), Ask("b", wanted=100, max_cost=5), Ask("c", wanted=500, is_exact=False)]
        answers = till.reserve_together(*asks, Ask("d", wanted=100), lines=[line], fewest=60)
        assert [answer[0] for answer in answers] == [HELD, OVER_MAX_COST, COUNT_EXACTLY, HELD]
        assert till.read(line) == (0, 200)

    def test_a_window_takes_as_many_as_it_has_room_for(self, till: Till) -> None:
        window = Window(f"{keyspace.tag(till.shard)}:rate:acme", 60_000, requests=3)
        under_way = Window(f"{keyspace.tag(till.shard)}:rate:now", 0, requests=9)
        till.reserve("old", wanted=1, now=NOW - 20_000, windows=(window, under_way))
        asks = [Ask(name, wanted=10) for name in "abc"]
        answers = till.reserve_together(*asks, lines=(), windows=(window, under_way))
        assert [answer[5] for answer in answers[:2]] == [[2, 11, 11, 2, 0, 0], [3, 21, 21, 3, 0, 0]]
        assert answers[2] == [OVER_RATE, 1, 1, 3, 1, 40_000]
        assert client().zcard(window.log) == client().scard(under_way.log) == 3

    def test_a_ladders_step_that_one_of_them_crosses_counts_for_those_behind_it(self, till: Till) -> None:
        line = replace(till.line("org", 1_000), band=(0, 150))
        answers = till.reserve_together(*(Ask(name, wanted=100) for name in "abc"), lines=[line])
        assert [answer[0] for answer in answers[:2]] == [HELD, HELD]
        assert answers[2] == [CROSSED, 1, 200, 0]

    def test_the_same_call_twice_is_one(self, till: Till) -> None:
        line = till.line("org", 1_000)
        asks = (Ask("a", wanted=100), Ask("a", wanted=100), Ask("a", wanted=50, attempt=2))
        answers = till.reserve_together(*asks, lines=[line])
        assert [answer[:3] for answer in answers] == [[HELD, 100, 100], [HELD, 100, 100], [HELD, 50, 150]]
        assert till.read(line) == (0, 150)
        assert till.hold("a")["amount"] == "150"
        assert till.hold("a")["attempt"] == "2"

    ASKS = st.lists(
        st.builds(
            Ask,
            hold_id=st.sampled_from("abcdef"),
            fixed=st.integers(0, 400_000),
            per_token=st.sampled_from([0, 333, 1_000, 2_500]),
            wanted=st.integers(0, 400),
            is_exact=st.sampled_from([True, True, False]),
            max_cost=st.sampled_from([-1, -1, 60, 300]),
            attempt=st.sampled_from([1, 1, 1, 2]),
            input_tokens=st.integers(0, 200),
        ),
        min_size=1,
        max_size=16,
    )
    WAYS = st.sampled_from(["a budget", "a shadow", "windows", "a ladder", "rolled over", "unknown", "given up"])

    @given(before=st.lists(ASKS, max_size=2), asks=ASKS, way=WAYS, limit=st.integers(0, 3_000), ms=st.integers(1, 300))
    @settings(max_examples=examples(150), deadline=None)
    def test_as_one_after_the_other(
        self, before: list[list[Ask]], asks: list[Ask], way: str, limit: int, ms: int
    ) -> None:
        """Answers, counters, windows, holds and leases are the same, whatever was there."""
        found = []
        for is_together in (True, False):
            till = Till(next_shard())
            lines, windows = furnish(till, way, limit)
            told: list[list[Any]] = []
            for step, batch in enumerate((*before, asks)):
                now = NOW + step * ms
                batches = [batch] if is_together else [[ask] for ask in batch]
                for each in batches:
                    told += till.reserve_together(*each, lines=lines, windows=windows, now=now)
            found.append((told, everything(till)))
            till.lose_everything()
        assert found[0] == found[1]


def furnish(till: Till, way: str, limit: int) -> tuple[list[Line], list[Window]]:
    """A path whose every limit can be met, on an open shard."""
    till.open()
    hard, watched = till.line("org", limit), till.line("key")
    till.put(hard, 100, 20)
    names = [f"{keyspace.tag(till.shard)}:rate:{name}" for name in ("org", "key", "now")]
    windows = [
        Window(names[0], 250, requests=4, tokens=limit),
        Window(names[1], 400, nanos=limit // 2, is_shadow=limit % 2 == 0),
        Window(names[2], 0, requests=5),
    ]
    if way == "a shadow":
        hard = replace(hard, is_shadow=True)
    elif way == "a ladder":
        hard = replace(hard, band=(0, limit // 2 + 200))
    elif way == "rolled over":
        hard = replace(hard, before=f"{keyspace.tag(till.shard)}:budget:before:0:", own=limit, share=90)
        client().hset(hard.before, mapping={"s": limit // 3, "h": 0})
    elif way == "unknown":
        watched = replace(watched, is_whole=False)
    elif way == "given up":
        client().set(keyspace.closed_key(till.shard, "c"), "given up")
    return [hard, watched], windows if way == "windows" else []


def everything(till: Till) -> dict[str, object]:
    """All that the shard has, by what its keys are called behind the shard's own part."""
    store: Any = client()
    tag = keyspace.tag(till.shard)
    found: dict[str, object] = {}
    for key in store.scan_iter(match=f"{tag}:*", count=1000):
        kind, name = store.type(key), key.decode().removeprefix(tag)
        if kind == b"hash":
            fields = store.hgetall(key)
            found[name] = {field: value.replace(tag.encode(), b"") for field, value in fields.items()}
        elif kind == b"zset":
            found[name] = dict(store.zrange(key, 0, -1, withscores=True))
        elif kind == b"set":
            found[name] = {value.replace(tag.encode(), b"") for value in store.smembers(key)}
        else:
            found[name] = store.get(key)
    return found
