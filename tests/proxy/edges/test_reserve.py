"""reserve.lua: every answer it can give, and that it counts as Python does."""

import struct
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from costhub.lib import keyspace
from costhub.lib.money import MAX_LIMIT_NANOS, round_up
from costhub.lib.redis import client
from proxy.core.rate_limits import read_total
from tests.proxy.edges.till import FORGET_AT, LEASE, NOW, Ask, Line, Till, Window, next_shard
from tests.sampling import examples

EPOCH = b"first"


class TestGranted:
    def test_it_holds_the_bound_in_every_budget_and_says_what_is_left_in_the_tightest(self, till: Till) -> None:
        wide, narrow, watched = till.line("org", 10_000), till.line("key", 4_000), till.line("tag")
        till.put(wide, 500)
        assert till.reserve("a", wide, narrow, watched, fixed=100_000, wanted=200) == [1, 200, 300, 3_700, EPOCH]
        assert [till.read(line) for line in (wide, narrow, watched)] == [(500, 300), (0, 300), (0, 300)]
        assert till.lease("a") == NOW + LEASE

    def test_the_hold_has_all_that_its_end_needs(self, till: Till) -> None:
        one, two = till.line("one", 10_000), till.line("two")
        till.reserve("a", one, two, wanted=50, row={"id": "a"})
        assert till.hold("a") == {
            "amount": "50",
            "attempt": "1",
            "output": "50",
            "row": '{"id":"a"}',
            "counters": f"{one.key}\n{two.key}",
        }

    def test_a_new_counter_is_forgotten_when_it_may_be(self, till: Till) -> None:
        line = till.line("org", 10_000)
        till.reserve("a", line, wanted=50)
        assert client().pexpiretime(line.key) == FORGET_AT

    def test_a_call_that_costs_nothing_is_held_at_nothing(self, till: Till) -> None:
        line = till.line("org", 10_000)
        assert till.reserve("a", line, per_token=0, wanted=50) == [1, 50, 0, 10_000, EPOCH]
        assert till.read(line) == (0, 0)
        assert till.lease("a") == NOW + LEASE

    def test_without_a_budget_it_holds_all_the_same(self, till: Till) -> None:
        assert till.reserve("a", fixed=1, wanted=50) == [1, 50, 51, -1, EPOCH]
        assert till.hold("a")["counters"] == ""

    def test_a_budget_that_only_watches_never_refuses_and_still_counts(self, till: Till) -> None:
        watched = till.line("org")
        till.put(watched, 9_000_000)
        assert till.reserve("a", watched, wanted=1_000_000) == [1, 1_000_000, 1_000_000, -1, EPOCH]
        assert till.read(watched) == (9_000_000, 1_000_000)

    def test_the_last_nano_can_be_held(self, till: Till) -> None:
        line = till.line("org", 100)
        assert till.reserve("a", line, wanted=100) == [1, 100, 100, 0, EPOCH]
        assert till.read(line) == (0, 100)


class TestIdempotent:
    def test_the_same_reserve_again_holds_nothing_more(self, till: Till) -> None:
        line = till.line("org", 10_000)
        first = till.reserve("a", line, wanted=50)
        assert till.reserve("a", line, wanted=50) == [1, 50, 50, -1, EPOCH]
        assert first == [1, 50, 50, 9_950, EPOCH]
        assert till.read(line) == (0, 50)

    def test_another_hold_is_another(self, till: Till) -> None:
        line = till.line("org", 10_000)
        till.reserve("a", line, wanted=50)
        assert till.reserve("b", line, wanted=50) == [1, 50, 50, 9_900, EPOCH]
        assert till.read(line) == (0, 100)

    def test_a_second_attempt_adds_to_the_hold_once(self, till: Till) -> None:
        line = till.line("org", 10_000)
        till.reserve("a", line, wanted=50)
        later = NOW + 2 * LEASE
        assert till.reserve("a", line, wanted=70, attempt=2, ends=later) == [1, 70, 120, 9_880, EPOCH]
        assert till.reserve("a", line, wanted=70, attempt=2, ends=later) == [1, 70, 120, -1, EPOCH]
        assert till.reserve("a", line, wanted=50, attempt=1) == [1, 70, 120, -1, EPOCH]
        assert till.read(line) == (0, 120)
        assert till.hold("a")["attempt"] == "2"
        assert till.lease("a") == later

    def test_a_second_attempt_that_does_not_fit_leaves_the_first_as_it_is(self, till: Till) -> None:
        line = till.line("org", 100)
        till.reserve("a", line, wanted=90)
        assert till.reserve("a", line, wanted=50, attempt=2) == [0, 1, 0, 90, 16]
        assert till.hold("a")["amount"] == "90"
        assert till.read(line) == (0, 90)


class TestGivenUp:
    @pytest.mark.parametrize("mark", ["given up", "reaped 12", "late"])
    def test_a_hold_that_was_closed_is_never_taken(self, till: Till, mark: str) -> None:
        line = till.line("org", 10_000)
        client().set(keyspace.closed_key(till.shard, "a"), mark)
        assert till.reserve("a", line, wanted=50) == [-1]
        assert till.read(line) is None
        assert till.lease("a") is None

    def test_a_later_attempt_of_a_settled_call_is_refused(self, till: Till) -> None:
        line = till.line("org", 10_000)
        till.reserve("a", line, wanted=50)
        till.settle("a", 10)
        assert till.reserve("a", line, wanted=50, attempt=2) == [-1]
        assert till.read(line) == (10, 0)


class TestUnknown:
    def test_a_shard_whose_counters_are_unknown_takes_nothing(self) -> None:
        till = Till(next_shard())
        line = till.line("org", 10_000)
        assert till.reserve("a", line, wanted=50) == [-2, 0]
        assert till.read(line) is None
        assert till.lease("a") is None

    def test_every_counter_that_is_missing_is_named_at_once(self, till: Till) -> None:
        lines = [till.line(name, 10_000, is_whole=name == "whole") for name in ("one", "whole", "two", "three")]
        till.put(lines[2], 0)
        assert till.reserve("a", *lines, wanted=50) == [-2, 1, 4]
        assert [till.read(line) for line in lines] == [None, None, (0, 0), None]
        assert till.lease("a") is None

    def test_also_one_that_only_watches_must_be_known(self, till: Till) -> None:
        assert till.reserve("a", till.line("org", is_whole=False), wanted=50) == [-2, 1]

    def test_what_is_unknown_goes_before_what_is_spent(self, till: Till) -> None:
        spent, unknown = till.line("spent", 10), till.line("unknown", 10_000, is_whole=False)
        till.put(spent, 10)
        assert till.reserve("a", spent, unknown, wanted=50) == [-2, 2]


class TestRefused:
    def test_it_names_the_budget_and_its_state_and_holds_nothing_anywhere(self, till: Till) -> None:
        wide, narrow = till.line("org", 10_000), till.line("key", 500)
        till.put(narrow, 300, 190)
        assert till.reserve("a", wide, narrow, fixed=5_000, wanted=50) == [0, 2, 300, 190, 21]
        assert (till.read(wide), till.read(narrow)) == (None, (300, 190))
        assert (till.lease("a"), till.hold("a")) == (None, {})

    def test_an_overspent_budget_refuses(self, till: Till) -> None:
        line = till.line("org", 100)
        till.put(line, 150)
        assert till.reserve("a", line, wanted=16) == [0, 1, 150, 0, 16]

    @pytest.mark.parametrize(
        ("settled", "held", "wanted", "noted"),
        [
            (501, 0, 500, b"1000"),
            (1_000, 0, 1, b"1000"),
            # most of it is left: the call is dear, and not the budget at its end
            (500, 0, 501, None),
            # it would fit if the calls in flight cost nothing
            (501, 300, 499, None),
        ],
    )
    def test_a_budget_whose_spend_leaves_too_little_notes_that_it_refused(
        self, till: Till, settled: int, held: int, wanted: int, noted: bytes | None
    ) -> None:
        line = till.line("org", 1_000)
        till.put(line, settled, held)
        assert till.reserve("a", line, wanted=wanted, fewest=wanted)[0] == 0
        assert client().hget(line.key, "r") == noted

    def test_a_lowered_limit_counts_at_once(self, till: Till) -> None:
        till.reserve("a", till.line("org", 1_000), wanted=500)
        assert till.reserve("b", till.line("org", 400), wanted=16) == [0, 1, 0, 500, 16]


class TestPartial:
    def test_what_is_left_is_granted_to_the_last_nano(self, till: Till) -> None:
        line = till.line("org", 100)
        assert till.reserve("a", line, fixed=10_500, per_token=700, wanted=1_000) == [1, 127, 100, 0, EPOCH]

    def test_not_less_than_the_fewest_tokens_worth_having(self, till: Till) -> None:
        line = till.line("org", 100)
        assert till.reserve("a", line, fixed=84_000, wanted=1_000) == [1, 16, 100, 0, EPOCH]
        assert till.reserve("b", till.line("key", 100), fixed=84_001, wanted=1_000) == [0, 1, 0, 0, 101]

    def test_a_short_answer_is_granted_whole(self, till: Till) -> None:
        assert till.reserve("a", till.line("org", 5), wanted=5) == [1, 5, 5, 0, EPOCH]
        assert till.reserve("b", till.line("key", 4), wanted=5) == [0, 1, 0, 0, 5]

    def test_the_tightest_budget_decides(self, till: Till) -> None:
        wide, narrow, narrowest = till.line("a", 900), till.line("b", 200), till.line("c", 150)
        till.put(narrow, 100)
        assert till.reserve("a", wide, narrow, narrowest, wanted=1_000) == [1, 100, 100, 0, EPOCH]


class TestMaxCost:
    def test_the_callers_own_limit_cuts_the_answer(self, till: Till) -> None:
        line = till.line("org", 10_000)
        assert till.reserve("a", line, wanted=1_000, max_cost=40) == [1, 40, 40, 9_960, EPOCH]

    def test_it_refuses_what_it_cannot_take(self, till: Till) -> None:
        line = till.line("org", 10_000)
        assert till.reserve("a", line, fixed=30_000, wanted=1_000, max_cost=40) == [-4]
        assert till.read(line) is None

    def test_it_is_for_all_attempts_together(self, till: Till) -> None:
        till.reserve("a", wanted=30, max_cost=50)
        assert till.reserve("a", wanted=30, max_cost=50, attempt=2) == [1, 20, 50, -1, EPOCH]
        assert till.reserve("a", wanted=30, max_cost=50, attempt=3) == [-4]

    def test_it_does_not_hide_what_is_left_in_the_budget(self, till: Till) -> None:
        assert till.reserve("a", till.line("org", 50), wanted=40, max_cost=45) == [1, 40, 40, 10, EPOCH]


class TestLoose:
    """An input that is only bounded: it must not crowd out anybody."""

    def test_it_is_let_in_where_a_tenth_stays_free(self, till: Till) -> None:
        line = till.line("org", 1_000)
        assert till.reserve("a", line, wanted=900, is_exact=False) == [1, 900, 900, 100, EPOCH]

    def test_the_last_tenth_is_for_exact_counts(self, till: Till) -> None:
        line = till.line("org", 1_000)
        assert till.reserve("a", line, wanted=901, is_exact=False) == [-3]
        assert till.read(line) is None
        assert till.reserve("a", line, wanted=901) == [1, 901, 901, 99, EPOCH]

    @pytest.mark.parametrize("settled", [990, 1_000, 2_000])
    def test_no_refusal_rests_on_it(self, till: Till, settled: int) -> None:
        line = till.line("org", 1_000)
        till.put(line, settled)
        assert till.reserve("a", line, wanted=50, is_exact=False) == [-3]

    def test_nor_one_by_the_callers_own_limit(self, till: Till) -> None:
        assert till.reserve("a", fixed=41_000, wanted=50, max_cost=40, is_exact=False) == [-3]
        assert till.reserve("a", fixed=10_000, wanted=50, max_cost=40, is_exact=False) == [-3]

    def test_a_budget_that_only_watches_does_not_ask_for_more(self, till: Till) -> None:
        watched = till.line("org")
        till.put(watched, 10_000)
        assert till.reserve("a", watched, wanted=50, is_exact=False) == [1, 50, 50, -1, EPOCH]


def expected(
    *, fixed: int, per_token: int, wanted: int, limits: list[tuple[int, int, int]]
) -> tuple[int, int] | list[int]:
    """(tokens, nanos), or the refusal, in Python's integers. ``limits`` are (limit, settled, held)."""

    def cost(tokens: int) -> int:
        return round_up(fixed + per_token * tokens)

    least = cost(min(16, wanted))
    for place, (limit, settled, held) in enumerate(limits, 1):
        if limit - settled - held < least:
            return [0, place, settled, held, least]
    room = min((limit - settled - held for limit, settled, held in limits), default=cost(wanted))
    granted = wanted if cost(wanted) <= room else (room * 1000 - fixed) // per_token
    assert cost(granted) <= room
    assert granted == wanted or cost(granted + 1) > room
    return granted, cost(granted)


amounts = st.one_of(
    st.integers(0, 10**6),
    st.integers(0, int(MAX_LIMIT_NANOS)),
    st.integers(int(MAX_LIMIT_NANOS) - 1000, int(MAX_LIMIT_NANOS)),
)
#: one call may be bounded at up to 9,000 USD: 9e15 pico-USD
prices = st.integers(0, 10**9)


class TestExact:
    """Lua's numbers are floats: below 2^53 they hold every integer, and this looks for the place where they would
    not."""

    @settings(max_examples=examples(200), deadline=None)
    @given(
        fixed=st.one_of(st.integers(0, 10**7), st.integers(0, 4 * 10**15)),
        per_token=prices,
        wanted=st.integers(0, 4_000_000),
        limits=st.lists(st.tuples(amounts, amounts, amounts), max_size=4),
    )
    def test_it_grants_what_python_would(
        self, fixed: int, per_token: int, wanted: int, limits: list[tuple[int, int, int]]
    ) -> None:
        till = Till(next_shard())
        till.open()
        lines = [till.line(str(place), limit) for place, (limit, _, _) in enumerate(limits)]
        for line, (_, settled, held) in zip(lines, limits, strict=True):
            till.put(line, settled, held)
        found = till.reserve("a", *lines, fixed=fixed, per_token=per_token, wanted=wanted)
        wish = expected(fixed=fixed, per_token=per_token, wanted=wanted, limits=limits)
        if isinstance(wish, list):
            assert found == wish
            held = 0
        else:
            left = [limit - settled - in_flight - wish[1] for limit, settled, in_flight in limits]
            assert found == [1, *wish, min(left, default=-1), EPOCH]
            held = wish[1]
        assert [till.read(line) for line in lines] == [(settled, in_flight + held) for _, settled, in_flight in limits]
        till.lose_everything()

    @pytest.mark.parametrize(
        ("fixed", "per_token", "wanted", "room", "granted", "amount"),
        [
            (8_999_999_999_999_999, 1, 100, 9_000_000_000_000, 1, 9_000_000_000_000),
            (1, 999_999_999, 9_000_000, 8_999_999_991_001, 9_000_000, 8_999_999_991_001),
            (1, 999_999_999, 9_000_000, 8_999_999_991_000, 8_999_999, 8_999_998_991_001),
            (0, 3, 4_000_000, 11, 3_666, 11),
        ],
    )
    def test_at_the_edges(
        self, till: Till, fixed: int, per_token: int, wanted: int, room: int, granted: int, amount: int
    ) -> None:
        line = till.line("org", int(MAX_LIMIT_NANOS))
        till.put(line, int(MAX_LIMIT_NANOS) - room)
        found = till.reserve("a", line, fixed=fixed, per_token=per_token, wanted=wanted, fewest=1)
        assert found == [1, granted, amount, room - amount, EPOCH]

    def test_nine_million_dollars_are_counted_to_the_nano(self, till: Till) -> None:
        limit = int(MAX_LIMIT_NANOS)
        line = till.line("org", limit)
        till.put(line, limit - 3)
        answers: list[list[Any]] = [till.reserve(hold, line, wanted=1) for hold in "abcd"]
        assert answers == [
            *([1, 1, 1, left, EPOCH] for left in (2, 1, 0)),
            [0, 1, limit - 3, 3, 1],
        ]
        assert till.read(line) == (limit - 3, 3)


class TestLadder:
    """A plan holds for a span of spend: outside it the call is planned anew, and nothing is held."""

    def band(self, till: Till, low: int, high: int) -> Line:
        return replace(till.line("org", 1_000), band=(low, high))

    @pytest.mark.parametrize(("settled", "held"), [(400, 0), (0, 400), (250, 150), (499, 0)])
    def test_it_holds_within_its_span(self, till: Till, settled: int, held: int) -> None:
        till.put(till.line("org"), settled, held)
        assert till.reserve("a", self.band(till, 400, 500), wanted=1)[0] == 1

    @pytest.mark.parametrize("spent", [399, 500])
    def test_it_does_not_outside(self, till: Till, spent: int) -> None:
        till.put(till.line("org"), spent, 0)
        assert till.reserve("a", self.band(till, 400, 500), wanted=1) == [-6, 1, spent, 0]
        assert till.read(till.line("org")) == (spent, 0)

    def test_all_that_were_crossed_are_named(self, till: Till) -> None:
        lines = [replace(till.line(name), band=(0, 10)) for name in ("one", "two", "three")]
        for line, spent in zip(lines, (9, 10, 11), strict=True):
            till.put(line, spent, 0)
        assert till.reserve("a", *lines, wanted=1) == [-6, 2, 10, 0, 3, 11, 0]

    def test_a_later_attempt_keeps_its_plan(self, till: Till) -> None:
        line = self.band(till, 0, 50)
        assert till.reserve("a", line, wanted=60)[0] == 1
        assert till.reserve("a", line, wanted=60, attempt=2)[0] == 1


class TestRollover:
    """A limit of 1,000 a period; of the one before, what was left is added."""

    LIMIT = 1_000

    def line(self, till: Till, spent: int | None, held: int = 0, **more: Any) -> Line:
        till.open()
        before = till.line("yesterday")
        if spent is not None:
            till.put(before, spent, held)
        fields: dict[str, Any] = {"limit": self.LIMIT, "before": before.key, "own": self.LIMIT} | more
        return replace(till.line("today"), **fields)

    @pytest.mark.parametrize(
        ("spent", "held", "takes"),
        [(0, 0, 2_000), (400, 0, 1_600), (999, 0, 1_001), (1_000, 0, 1_000), (1_700, 0, 1_000), (400, 1, 1_000)],
    )
    def test_what_was_left_is_added_when_nothing_is_in_flight_there(
        self, till: Till, spent: int, held: int, takes: int
    ) -> None:
        line = self.line(till, spent, held)
        assert till.reserve("a", line, fixed=(takes + 1) * 1_000) == [0, 1, 0, 0, takes + 1, takes - self.LIMIT]
        assert till.reserve("b", line, fixed=takes * 1_000)[:4] == [1, 0, takes, 0]
        assert till.reserve("c", line, fixed=1_000) == [0, 1, 0, takes, 1, takes - self.LIMIT]

    def test_not_before_all_calls_of_it_have_come(self, till: Till) -> None:
        line = self.line(till, 400, opens=NOW + 1)
        assert till.reserve("a", line, fixed=1_001_000)[0] == 0
        assert till.reserve("a", line, fixed=1_001_000, now=NOW + 1)[0] == 1

    def test_an_increase_is_not_rolled_over(self, till: Till) -> None:
        line = self.line(till, 400, limit=1_500)
        assert till.reserve("a", line, fixed=2_101_000)[-1] == 600
        assert till.reserve("a", line, fixed=2_100_000)[0] == 1

    def test_a_ladders_block_has_its_share(self, till: Till) -> None:
        line = self.line(till, 333, share=90)
        assert till.reserve("a", line, fixed=1_501_000) == [0, 1, 0, 0, 1_501, 667]
        assert till.reserve("a", line, fixed=1_500_000)[0] == 1, "90 % of 1,667, rounded down"

    @pytest.mark.parametrize(("spent", "crosses"), [(799, True), (800, False), (1_599, False), (1_600, True)])
    def test_a_ladders_steps_are_per_cent_of_the_sum(self, till: Till, spent: int, crosses: bool) -> None:
        line = self.line(till, 0, limit=-1, band=(40, 80))
        till.put(line, spent)
        answer = till.reserve("a", line, fixed=1_000)
        assert answer == [-6, 1, spent, 1_000] if crosses else answer[0] == 1

    def test_a_shadow_would_have_refused_above_it(self, till: Till) -> None:
        line = self.line(till, 400, is_shadow=True)
        assert till.reserve("a", line, fixed=1_600_000)[6] == []
        assert till.reserve("b", line, fixed=1_000)[6] == [1]

    def test_a_period_before_that_is_not_known_is_counted_first(self, till: Till) -> None:
        line = self.line(till, None)
        assert till.reserve("a", line, till.line("org"), fixed=1_000) == [-2, 3]
        client().hset(keyspace.mark_key(line.before), mapping={"s": 0, "h": 0})
        assert till.reserve("a", line, till.line("org"), fixed=2_000_000)[0] == 1

    @given(
        calls=st.lists(
            st.tuples(
                st.sampled_from(["early", "late"]), st.integers(200, 700), st.integers(0, 100), st.integers(0, 1)
            ),
            min_size=6,
            max_size=25,
        )
    )
    def test_two_periods_never_take_more_than_two_limits(self, calls: list[tuple[str, int, int, int]]) -> None:
        """Calls of both periods in any order, while that of the earlier one may still come; they end in any order, each
        at a share of what it held."""
        till = Till(next_shard())
        till.open()
        first = replace(till.line("first"), limit=self.LIMIT)
        second = replace(till.line("second"), limit=self.LIMIT, before=first.key, own=self.LIMIT)
        till.put(first, 0)
        held: dict[str, tuple[Line, int]] = {}
        is_open = False
        for number, (when, nanos, share, ends) in enumerate(calls):
            # Whoever is early has come before the second period opens, as the proxy sees to it.
            is_open = is_open or number >= len(calls) // 3
            line = first if when == "early" and not is_open else second
            now = NOW if is_open else NOW - 1
            if till.reserve(str(number), line, fixed=nanos * 1_000, now=now)[0] == 1:
                held[str(number)] = (line, nanos)
            if held and share % 3 == 0:  # a further attempt of a call that is under way
                hold_id, (of, amount) = next(iter(held.items()))
                attempt = 2 + number
                answer = till.reserve(hold_id, of, fixed=nanos * 1_000, now=now, attempt=attempt)
                held[hold_id] = (of, answer[2] if answer[0] == 1 else amount)
            for hold_id in list(held)[:ends]:
                of, amount = held.pop(hold_id)
                till.settle(hold_id, amount * share // 100)
            (s1, h1), (s2, h2) = till.read(first) or (0, 0), till.read(second) or (0, 0)
            assert s1 + h1 <= self.LIMIT
            assert s2 + h2 <= self.LIMIT + max(self.LIMIT - s1 - h1, 0)
            if s2 + h2 > self.LIMIT:
                assert s1 + h1 + s2 + h2 <= 2 * self.LIMIT


class TestBreadth:
    def test_as_many_budgets_as_a_call_may_have_with_all_that_they_can_have(self, till: Till) -> None:
        line = replace(till.line("org", 10**6), band=(0, 90), share=90)
        lines = [replace(line, key=f"{line.key}{number}", before=f"{line.key}b{number}") for number in range(600)]
        for one in lines:
            client().hset(one.before, mapping={"s": 0, "h": 0})
        assert till.reserve("a", *lines, wanted=100)[:3] == [1, 100, 100]
        assert [till.read(one) for one in (lines[0], lines[-1])] == [(0, 100)] * 2


class TestDamage:
    """What others than the scripts wrote; no call and no crash of ours can."""

    @pytest.mark.parametrize("what", ["leases", "hold", "counter", "log"])
    def test_a_key_of_another_kind_keeps_everything_from_being_written(self, till: Till, what: str) -> None:
        sound, broken = till.line("org", 10_000), till.line("key", 10_000)
        window = Window(f"{keyspace.tag(till.shard)}:rate:org", 60_000, requests=9)
        keys = {
            "leases": till.leases,
            "hold": keyspace.hold_key(till.shard, "b"),
            "counter": broken.key,
            "log": window.log,
        }
        client().setrange(window.total, 0, struct.pack("<ddddd", 0, 0, 0, NOW, NOW + 10**6))
        client().set(keys[what], "no such thing")
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            till.reserve_together(Ask("a", wanted=9), Ask("b", wanted=9), lines=[sound, broken], windows=[window])
        assert till.read(sound) is None
        assert till.hold("a") == {}
        assert read_total(cast("bytes | None", client().get(window.total)))[:3] == (0, 0, 0)
