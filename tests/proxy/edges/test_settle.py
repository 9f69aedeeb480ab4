"""settle.lua, give_up.lua, late.lua and correct.lua: every answer, once and again."""

from itertools import pairwise
from typing import cast

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from costhub.lib import keyspace
from costhub.lib.redis import client
from proxy.core.rate_limits import read_total
from proxy.edges.settle_batch import MARK_KEPT_MS, Settle
from tests.proxy.edges.till import FORGET_AT, LEASE, NOW, Line, Till, Window, next_shard

EVENT = b'{"id":"a"}'


@pytest.fixture
def lines(till: Till) -> tuple[Line, Line]:
    """Two budgets in which the hold ``a`` has 100 nanos, on top of 1,000 spent and 7 held by others."""
    lines = till.line("org", 10_000), till.line("key", 5_000)
    for line in lines:
        till.put(line, 1_000, 7)
    till.reserve("a", *lines, wanted=100)
    return lines


class TestSettle:
    @pytest.mark.parametrize("cost", [0, 1, 99, 100, 101, 4_000_000_000_000])
    def test_the_hold_becomes_what_it_cost(self, till: Till, lines: tuple[Line, Line], cost: int) -> None:
        assert till.settle("a", cost, event=EVENT) == 1
        assert [till.read(line) for line in lines] == [(1_000 + cost, 7)] * 2
        assert (till.hold("a"), till.lease("a"), till.events()) == ({}, None, [EVENT])

    @pytest.mark.parametrize("how", ["settled", "given up", "reaped"])
    def test_a_hold_of_nothing_comes_to_an_end_too(self, till: Till, lines: tuple[Line, Line], how: str) -> None:
        """A model that costs nothing: what goes back is a zero, and a zero has no sign."""
        window = Window(f"{{s{till.shard}}}:rate:free", 60_000, requests=5, tokens=5)
        assert till.reserve("free", *lines, wanted=0, windows=[window])[:3] == [1, 0, 0]
        if how == "settled":
            assert till.settle("free", 0, event=EVENT, tokens=0) == 1
        elif how == "given up":
            assert till.give_up("free", event=EVENT) == 1
        else:
            assert till.settle("free", 0, event=EVENT, mark="reaped 0", only_before=NOW + 100_000) == 1
        assert [till.read(line) for line in lines] == [(1_000, 107)] * 2
        assert (till.hold("free"), till.lease("free"), till.events()) == ({}, None, [EVENT])

    def test_the_second_time_it_says_so_and_does_nothing(self, till: Till, lines: tuple[Line, Line]) -> None:
        till.settle("a", 60, event=EVENT)
        assert till.settle("a", 60, event=EVENT) == 0
        assert till.read(lines[0]) == (1_060, 7)
        assert till.events() == [EVENT]

    def test_without_a_hold_nothing_happens(self, till: Till, lines: tuple[Line, Line]) -> None:
        assert till.settle("b", 60, event=EVENT) == 0
        assert till.read(lines[0]) == (1_000, 107)
        assert till.events() == []

    def test_all_attempts_are_settled_at_once(self, till: Till, lines: tuple[Line, Line]) -> None:
        till.reserve("a", *lines, wanted=200, attempt=2)
        assert till.read(lines[1]) == (1_000, 307)
        assert till.settle("a", 250) == 1
        assert [till.read(line) for line in lines] == [(1_250, 7)] * 2

    def test_the_reaper_leaves_word_of_what_it_did(self, till: Till, lines: tuple[Line, Line]) -> None:
        assert till.settle("a", 100, mark="reaped 100", only_before=NOW + 100_000) == 1
        name = keyspace.closed_key(till.shard, "a")
        assert client().get(name) == b"reaped 100"
        assert 0 < client().pttl(name) <= MARK_KEPT_MS
        assert till.reserve("a", *lines, wanted=10) == [-1]

    def test_a_worker_leaves_nothing_behind(self, till: Till, lines: tuple[Line, Line]) -> None:
        till.settle("a", 100)
        assert client().exists(keyspace.closed_key(till.shard, "a")) == 0

    def test_the_reaper_lets_a_renewed_lease_be(self, till: Till, lines: tuple[Line, Line]) -> None:
        client().zadd(till.leases, {"a": NOW + 200_000}, xx=True)
        assert till.settle("a", 100, mark="reaped 100", only_before=NOW + 100_000) == 2
        assert till.read(lines[0]) == (1_000, 107)
        assert till.hold("a")["amount"] == "100"
        assert till.settle("a", 100, mark="reaped 100", only_before=NOW + 200_000) == 1

    def test_beyond_what_a_float_holds(self, till: Till) -> None:
        line = till.line("org")
        till.put(line, 9_007_199_254_740_991)
        till.reserve("a", line, wanted=1)
        till.settle("a", 2)
        assert till.read(line) == (9_007_199_254_740_993, 0)


class TestTogether:
    """Holds that end in one tick: whatever they share is written once, and comes to the same as one after the other."""

    def test_what_several_cost_is_in_all_of_their_budgets(self, till: Till) -> None:
        org, ann, bob = till.line("org"), till.line("ann"), till.line("bob")
        for name, lines in (("a", (org, ann)), ("b", (org, bob)), ("c", (org, ann)), ("d", (org, bob))):
            till.reserve(name, *lines, wanted=100)
        ends = [
            Settle(name, cost, name.encode(), b"") for name, cost in (("a", 60), ("b", 100), ("gone", 9), ("c", 150))
        ]
        assert till.settle_together(*ends) == [1, 1, 0, 1]
        assert [till.read(line) for line in (org, ann, bob)] == [(310, 100), (210, 0), (100, 100)]
        assert till.events() == [b"a", b"b", b"c"]
        assert [till.lease(name) for name in "abc"] == [None] * 3
        assert till.lease("d") == NOW + LEASE
        moved = client().smembers(keyspace.moved_key(till.shard))
        assert moved == {line.key.encode() for line in (org, ann, bob)}

    def test_the_same_hold_twice_is_settled_once(self, till: Till, lines: tuple[Line, Line]) -> None:
        assert till.settle_together(Settle("a", 60, b"1", b""), Settle("a", 60, b"2", b"")) == [1, 0]
        assert till.read(lines[0]) == (1_060, 7)
        assert till.events() == [b"1"]

    def test_a_call_without_a_budget_is_settled_too(self, till: Till, lines: tuple[Line, Line]) -> None:
        till.reserve("free", wanted=5)
        assert till.settle_together(Settle("free", 5, b"f", b""), Settle("a", 60, b"a", b"")) == [1, 1]
        assert (till.read(lines[0]), till.events()) == ((1_060, 7), [b"f", b"a"])

    @pytest.mark.parametrize("dear", [10**15, 9 * 10**17, 2**63 - 1])
    def test_an_absurd_cost_is_exact_or_left_out_and_keeps_nobody_back(self, till: Till, dear: int) -> None:
        """A tenant's own upstream may report any usage. What no counter holds stays out of it until the next
        recount."""
        line = till.line("org")
        till.put(line, 2**53 + 1)
        for name in "abc":
            till.reserve(name, line, wanted=100)
        ends = (Settle("a", 7, b"a", b""), Settle("b", dear, b"b", b""), Settle("c", 9, b"c", b""))
        assert till.settle_together(*ends) == [1, 1, 1]
        fits = 2**53 + 17 + dear < 2**63
        assert till.read(line) == (2**53 + 17 + (dear if fits else 0), 0)
        assert till.events() == [b"a", b"b", b"c"]

    def test_a_hold_that_cannot_be_read_changes_nothing(self, till: Till, lines: tuple[Line, Line]) -> None:
        client().set(keyspace.hold_key(till.shard, "bad"), "no hold")
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            till.settle_together(Settle("a", 60, b"1", b""), Settle("bad", 60, b"2", b""))
        assert (till.read(lines[0]), till.events()) == ((1_000, 107), [])
        assert till.hold("a")["amount"] == "100"

    def test_a_counter_that_is_none_keeps_nobody_back(self, till: Till, lines: tuple[Line, Line]) -> None:
        client().set(lines[0].key, "no counter")
        assert till.settle("a", 60, event=EVENT) == 1
        assert (till.read(lines[1]), till.events()) == ((1_060, 7), [EVENT])

    @pytest.mark.parametrize("counters", [500, 1_000])
    def test_very_many_counters_are_settled_once(self, till: Till, counters: int) -> None:
        """Sixteen calls, each with as many budgets as there may be and more, and a neighbour among them."""
        mine = till.line("neighbour")
        till.reserve("mine", mine, wanted=16)
        sets = [[till.line(f"{call}-{number}") for number in range(counters)] for call in range(15)]
        for call, lines in enumerate(sets):
            till.reserve(f"h{call}", *lines, wanted=16)
        ends = (*(Settle(f"h{call}", 5, b"{}", b"") for call in range(15)), Settle("mine", 5, b"{}", b""))
        assert till.settle_together(*ends) == [1] * 16
        assert till.read(mine) == (5, 0)
        assert {till.read(line) for lines in sets for line in (lines[0], lines[-1])} == {(5, 0)}
        assert till.settle_together(*ends) == [0] * 16
        assert client().scard(keyspace.moved_key(till.shard)) == 15 * counters + 1

    def test_a_hold_of_the_version_before_is_settled(self, till: Till, lines: tuple[Line, Line]) -> None:
        """Its windows were spelled out, and the calls under way a sorted set."""
        name = f"{{s{till.shard}}}:rate:acme"
        client().zadd(f"{name}:0:log", {"a": NOW})
        text = f"{name}:log\n{name}:sums\n60000\n{name}:0:log\n{name}:0:sums\n0\n"
        client().hset(keyspace.hold_key(till.shard, "a"), mapping={"windows": text, "tokens": 100, "at": NOW})
        assert till.settle("a", 60, event=EVENT, tokens=60) == 1
        assert [till.read(line) for line in lines] == [(1_060, 7)] * 2
        assert till.events() == [EVENT]

    def test_each_stays_in_its_windows_for_as_long_as_it_was_in_them(self, till: Till) -> None:
        name = f"{{s{till.shard}}}:rate:acme"
        short, long, at_once = (Window(f"{name}:{ms}", ms, requests=9, tokens=10_000) for ms in (1_000, 60_000, 0))
        for hold, at in (("old", 0), ("new", 5_000)):
            till.reserve(hold, wanted=100, now=NOW + at, windows=(short, long, at_once))
        ends = (Settle("old", 40, b"{}", 40), Settle("new", 70, b"{}", 30))
        assert till.settle_together(*ends, now=NOW + 5_500) == [1, 1]
        totals = [read_total(cast("bytes | None", client().get(window.total))) for window in (short, long)]
        assert totals == [(1, 30, 70), (2, 70, 110)], "the old one had left the short window"
        assert client().scard(at_once.log) == 0

    @given(
        costs=st.lists(st.integers(0, 2_000), min_size=1, max_size=12),
        cuts=st.sets(st.integers(0, 12)),
        data=st.data(),
    )
    def test_it_comes_to_the_same_however_they_fall_together(
        self, costs: list[int], cuts: set[int], data: st.DataObject
    ) -> None:
        till = Till(next_shard())
        till.open()
        lines = [till.line(f"budget-{place}") for place in range(4)]
        spent = [0] * len(lines)
        for number, cost in enumerate(costs):
            places = data.draw(st.sets(st.integers(0, 3)))
            till.reserve(f"h{number}", *(lines[place] for place in sorted(places)), wanted=1_000)
            for place in places:
                spent[place] += cost
        ends = [Settle(f"h{number}", cost, b"%d" % number, b"") for number, cost in enumerate(costs)]
        bounds = [0, *sorted(cut for cut in cuts if 0 < cut < len(ends)), len(ends)]
        for first, last in pairwise(bounds):
            assert till.settle_together(*ends[first:last]) == [1] * (last - first)
        assert [(till.read(line) or (0, 0)) for line in lines] == [(amount, 0) for amount in spent]
        assert till.events() == [b"%d" % number for number in range(len(costs))]
        till.lose_everything()


class TestGiveUp:
    def test_the_money_goes_back_and_one_event_is_written(self, till: Till, lines: tuple[Line, Line]) -> None:
        assert till.give_up("a", event=EVENT) == 1
        assert [till.read(line) for line in lines] == [(1_000, 7)] * 2
        assert (till.hold("a"), till.lease("a"), till.events()) == ({}, None, [EVENT])

    def test_a_reserve_that_comes_after_it_is_refused(self, till: Till, lines: tuple[Line, Line]) -> None:
        assert till.give_up("b", event=EVENT) == 1
        assert till.reserve("b", *lines, wanted=100) == [-1]
        assert till.read(lines[0]) == (1_000, 107)
        assert till.events() == [EVENT]

    def test_the_second_time_nothing_happens(self, till: Till, lines: tuple[Line, Line]) -> None:
        till.give_up("a", event=EVENT)
        assert till.give_up("a", event=EVENT) == 0
        assert till.read(lines[0]) == (1_000, 7)
        assert till.events() == [EVENT]

    def test_what_was_reaped_stays_reaped(self, till: Till, lines: tuple[Line, Line]) -> None:
        till.settle("a", 100, event=EVENT, mark="reaped 100")
        assert till.give_up("a", event=b"{}") == 0
        assert till.read(lines[0]) == (1_100, 7)
        assert till.events() == [EVENT]

    def test_only_counters_that_hold_it_give_back(self, till: Till) -> None:
        line = till.line("org", 10_000)
        assert till.give_up("never") == 1
        assert till.read(line) is None


class TestLate:
    @pytest.mark.parametrize("mark", [b"reaped 100", b"given up"])
    def test_it_tells_what_became_of_the_hold(self, till: Till, lines: tuple[Line, Line], mark: bytes) -> None:
        client().set(keyspace.closed_key(till.shard, "a"), mark)
        assert till.late("a", "first", 60, *lines, event=EVENT) == mark
        assert till.read(lines[0]) == (1_000, 107)
        assert till.events() == []

    def test_a_settle_whose_answer_was_lost_is_counted_once(self, till: Till, lines: tuple[Line, Line]) -> None:
        till.settle("a", 60, event=EVENT)
        assert till.late("a", "first", 60, *lines, event=EVENT) == b""
        assert [till.read(line) for line in lines] == [(1_060, 7)] * 2
        assert till.entries() == [{b"e": EVENT}, {b"e": EVENT, b"again": b"1"}]

    def test_a_hold_that_was_lost_with_the_data_is_counted_now(self, till: Till, lines: tuple[Line, Line]) -> None:
        till.lose_everything()
        till.open("second")
        till.put(lines[0], 900)
        fresh, unknown = till.line("fresh"), till.line("unknown", is_whole=False)
        assert till.late("a", "first", 60, lines[0], fresh, unknown, event=EVENT) == b""
        assert [till.read(line) for line in (lines[0], fresh, unknown)] == [(960, 0), (60, 0), None]
        assert client().pexpiretime(fresh.key) == FORGET_AT
        assert till.entries() == [{b"e": EVENT}]

    def test_before_the_counters_are_made_anew_the_event_is_enough(self, till: Till, lines: tuple[Line, Line]) -> None:
        till.lose_everything()
        assert till.late("a", "first", 60, *lines, event=EVENT) == b""
        assert [till.read(line) for line in lines] == [None, None]
        assert till.events() == [EVENT]

    @pytest.mark.parametrize("epoch", ["first", "second"])
    def test_the_second_time_nothing_happens(self, till: Till, epoch: str) -> None:
        line = till.line("org")
        till.late("a", epoch, 60, line, event=EVENT)
        before = till.read(line)
        assert till.late("a", epoch, 60, line, event=EVENT) == b"late"
        assert till.read(line) == before == (None if epoch == "first" else (60, 0))
        assert till.events() == [EVENT]

    def test_where_all_spenders_were_counted_it_is_the_first(self, till: Till) -> None:
        """The data was lost and counted anew without this call, which had no row yet: the default budget has a mark,
        and no counter of this subject."""
        till.open("second")
        ann = Line(f"{keyspace.tag(till.shard)}:budget:default.1:0:ann", 1_000, is_whole=False)
        client().hset(keyspace.mark_key(ann.key), mapping={"s": 0, "h": 0})
        assert till.late("a", "first", 60, ann, event=EVENT) == b""
        assert till.read(ann) == (60, 0)


class TestCorrect:
    @pytest.mark.parametrize("difference", [-60, 0, 60])
    def test_the_difference_is_posted_once(self, till: Till, lines: tuple[Line, Line], difference: int) -> None:
        assert till.correct("a", difference, *lines, event=EVENT) == 1
        assert till.correct("a", difference, *lines, event=EVENT) == 0
        assert [till.read(line) for line in lines] == [(1_000 + difference, 107)] * 2
        assert till.events() == [EVENT]

    def test_a_counter_that_is_forgotten_is_left_so(self, till: Till) -> None:
        line = till.line("old")
        assert till.correct("a", -60, line, event=EVENT) == 1
        assert till.read(line) is None
        assert till.events() == [EVENT]


class TestRebuild:
    def test_counters_are_set_and_never_added_to(self, till: Till, lines: tuple[Line, Line]) -> None:
        for _ in range(2):
            assert till.rebuild((lines[0], 3_000), (lines[1], 0)) == 2
            assert [till.read(line) for line in lines] == [(3_000, 100), (0, 100)]
        assert client().pexpiretime(lines[0].key) == FORGET_AT

    def test_holds_are_summed_anew_where_they_are_held(self, till: Till) -> None:
        one, two = till.line("one"), till.line("two")
        till.reserve("a", one, wanted=10)
        till.reserve("b", one, two, wanted=20)
        till.reserve("b", one, two, wanted=300, attempt=2)
        till.reserve("c", two, wanted=4_000)
        till.settle("c", 5, event=b'{"org_id":"o","started_at_ms":5,"effective_cost":5}')
        client().delete(one.key)
        till.rebuild((one, 1), (two, 2), match={"org_id": "p"})
        assert (till.read(one), till.read(two)) == ((1, 330), (2, 320))

    def test_events_count_that_match_and_are_not_in_the_sum_yet(self, till: Till) -> None:
        line = till.line("user")
        ids = [
            till.add_event(event)
            for event in (
                b'{"org_id":"o","end_user":"u","tags":{},"started_at_ms":5,"effective_cost":1}',
                b'{"org_id":"o","end_user":"u","tags":{"team":"a"},"started_at_ms":5,"effective_cost":20}',
                b'{"org_id":"o","end_user":"v","tags":{"team":"a"},"started_at_ms":5,"effective_cost":300}',
                b'{"org_id":"p","end_user":"u","tags":{"team":"b"},"started_at_ms":5,"effective_cost":4000}',
                b'{"org_id":"o","end_user":"u","tags":{"team":"a"},"started_at_ms":5,"effective_cost":-7}',
            )
        ]
        till.rebuild((line, 100_000), match={"org_id": "o", "end_user": "u"}, since=ids[1])
        assert till.read(line) == (100_013, 0)
        till.rebuild((line, 100_000), match={"org_id": "o", "tag": {"name": "team", "value": "a"}})
        assert till.read(line) == (100_313, 0)
        till.rebuild((line, 0), match={"org_id": "nobody"})
        assert till.read(line) == (0, 0)

    def test_an_event_that_is_only_written_again_is_not_counted(self, till: Till, lines: tuple[Line, Line]) -> None:
        event = b'{"org_id":"o","started_at_ms":5,"effective_cost":60}'
        till.settle("a", 60, event=event)
        till.late("a", "first", 60, *lines, event=event)
        till.rebuild((lines[0], 0), match={"org_id": "o"})
        assert till.read(lines[0]) == (60, 0)

    def test_it_opens_a_shard_once(self, till: Till) -> None:
        epoch = keyspace.epoch_key(till.shard)
        client().delete(epoch)
        till.rebuild()
        assert client().get(epoch) is None
        till.rebuild(epoch="second")
        till.rebuild(epoch="third")
        assert client().get(epoch) == b"second"

    def test_sums_of_millions_are_exact(self, till: Till) -> None:
        line = till.line("org")
        event = b'{"org_id":"o","started_at_ms":5,"effective_cost":1}'
        till.add_event(event)
        till.rebuild((line, 8_999_999_999_999_998), match={"org_id": "o"})
        assert till.read(line) == (8_999_999_999_999_999, 0)
