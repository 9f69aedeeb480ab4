"""rates.lua, by way of the scripts that use it: windows that slide, exact at both ends, and calls under way."""

from dataclasses import dataclass, field
from struct import pack
from typing import Any, cast

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from costhub.lib.redis import client
from proxy.core.rate_limits import read_total, sum_window
from tests.proxy.edges.till import NOW, Line, Till, Window, next_shard
from tests.sampling import examples

MINUTE = 60_000
ROOM = 1_000_000
ADMITTED = 1


@pytest.fixture
def window(till: Till) -> Window:
    """Three calls, a thousand tokens and a thousand nanos a minute."""
    till.open()
    return Window(f"{{s{till.shard}}}:rate:acme", MINUTE, requests=3, tokens=1_000, nanos=1_000)


def sums(window: Window) -> tuple[int, ...]:
    """Requests, tokens and nanos of a window, as they are written."""
    return read_total(cast("bytes | None", client().get(window.total)))


def admit(till: Till, hold_id: str, *windows: Window, at: int = 0, tokens: int = 100, **more: Any) -> list[Any]:
    """A call of so many tokens, at a nano each, ``at`` ms after now."""
    return till.reserve(hold_id, till.line("org", ROOM), wanted=tokens, now=NOW + at, windows=windows, **more)


class TestWindow:
    def test_the_call_after_the_last_one_is_refused_until_the_first_is_a_window_old(
        self, till: Till, window: Window
    ) -> None:
        assert [admit(till, name, window, at=at)[0] for name, at in (("a", 0), ("b", 10), ("c", 20))] == [ADMITTED] * 3
        assert admit(till, "d", window, at=30) == [-5, 1, 1, 3, 1, MINUTE - 30]
        assert admit(till, "d", window, at=MINUTE - 1) == [-5, 1, 1, 3, 1, 1]
        assert admit(till, "d", window, at=MINUTE)[:2] == [ADMITTED, 100]
        assert sums(window) == (3, 300, 300)

    def test_it_says_what_is_in_it(self, till: Till, window: Window) -> None:
        assert admit(till, "a", window)[5] == [1, 100, 100]
        assert admit(till, "b", window, tokens=50)[5] == [2, 150, 150]

    @pytest.mark.parametrize(("unit", "limits"), [(2, (250, -1)), (3, (-1, 250))])
    def test_tokens_and_dollars_are_counted_by_what_a_call_may_take(
        self, till: Till, window: Window, unit: int, limits: tuple[int, int]
    ) -> None:
        window = Window(window.name, MINUTE, tokens=limits[0], nanos=limits[1])
        assert [admit(till, name, window, at=at)[0] for name, at in (("a", 0), ("b", 500))] == [ADMITTED] * 2
        assert admit(till, "c", window, at=600) == [-5, 1, unit, 200, 100, MINUTE - 600]
        assert admit(till, "c", window, at=600, tokens=50)[0] == ADMITTED

    def test_an_unsure_count_is_made_sure_before_it_is_refused(self, till: Till, window: Window) -> None:
        assert admit(till, "a", window, tokens=1_001, is_exact=False) == [-3]
        assert admit(till, "a", window, tokens=1_001)[0] == -5

    def test_what_was_not_used_is_free_again(self, till: Till, window: Window) -> None:
        admit(till, "a", window, tokens=900)
        assert admit(till, "b", window, at=10, tokens=200)[0] == -5
        assert till.settle("a", 300, now=NOW + 20, tokens=400) == 1
        assert sums(window) == (1, 400, 300)
        assert admit(till, "b", window, at=30, tokens=200)[0] == ADMITTED

    def test_what_was_used_beyond_it_counts(self, till: Till, window: Window) -> None:
        admit(till, "a", window, tokens=100)
        till.settle("a", 990, now=NOW + 20, tokens=990)
        assert admit(till, "b", window, at=30) == [-5, 1, 2, 990, 100, MINUTE - 30]

    def test_a_call_and_its_difference_leave_together(self, till: Till, window: Window) -> None:
        admit(till, "a", window, tokens=900)
        till.settle("a", 300, now=NOW + 20, tokens=400)
        admit(till, "b", window, at=MINUTE)
        assert sums(window) == (1, 100, 100)
        assert client().zcard(window.log) == 1

    def test_a_call_that_outlasts_the_window_changes_nothing_in_it(self, till: Till, window: Window) -> None:
        admit(till, "a", window, tokens=900)
        admit(till, "b", window, at=MINUTE)
        till.settle("a", 5, now=NOW + MINUTE + 1, tokens=5)
        assert sums(window) == (1, 100, 100)

    def test_a_call_that_was_given_up_was_none(self, till: Till, window: Window) -> None:
        admit(till, "a", window)
        assert till.give_up("a", now=NOW + 5) == 1
        assert sums(window) == (0, 0, 0)

    def test_a_dead_workers_call_stays_at_what_was_reserved(self, till: Till, window: Window) -> None:
        admit(till, "a", window)
        assert till.settle("a", 100, mark="reaped 100", now=NOW + 5) == 1
        assert sums(window) == (1, 100, 100)

    def test_the_same_reserve_again_counts_once(self, till: Till, window: Window) -> None:
        assert [admit(till, "a", window)[0] for _ in range(3)] == [ADMITTED] * 3
        assert sums(window) == (1, 100, 100)

    def test_a_later_attempt_is_no_further_request(self, till: Till, window: Window) -> None:
        admit(till, "a", window)
        admit(till, "a", window, at=5, attempt=2)
        assert sums(window) == (1, 200, 200)
        till.settle("a", 150, now=NOW + 20, tokens=150)
        assert sums(window) == (1, 150, 150)

    def test_a_window_that_was_left_full_is_forgotten_by_and_by(self, till: Till, window: Window) -> None:
        """A call and its difference leave together wherever the cut falls: 1,700 calls, each at half of what was
        reserved."""
        window = Window(window.name, MINUTE, tokens=10_000_000)
        for number in range(1_700):
            client().zadd(window.log, {f"{number}#1 1 10 10": NOW + number, f"{number}' 0 -5 -5": NOW + number})
        client().set(window.total, pack("<5d", 1_700, 8_500, 8_500, 0, NOW))
        left = []
        for number in range(5):
            admit(till, f"late-{number}", window, at=10 * MINUTE)
            requests, tokens, nanos = sums(window)
            assert tokens == nanos
            left.append((requests - number - 1, tokens - 100 * (number + 1)))
        assert left == [(1_200, 6_000), (700, 3_500), (200, 1_000), (0, 0), (0, 0)]

    def test_a_window_that_nobody_uses_is_forgotten(self, till: Till, window: Window) -> None:
        admit(till, "a", window)
        assert client().pexpiretime(window.log) == client().pexpiretime(window.total)
        assert MINUTE < client().pttl(window.log) <= 2 * MINUTE

    def test_it_is_kept_while_calls_come(self, till: Till, window: Window) -> None:
        """That is said anew every half minute, for both keys, and not for every call."""
        for name, at, is_renewed in (("a", 0, True), ("b", 29_999, False), ("c", 30_000, True)):
            for key in (window.log, window.total):
                client().pexpire(key, 5_000)
            admit(till, name, window, at=at)
            assert [client().pttl(key) > MINUTE for key in (window.log, window.total)] == [is_renewed] * 2

    @pytest.mark.parametrize("ms", [1_000, 10_000, 30_000, MINUTE])
    def test_a_log_that_was_emptied_is_kept_no_longer_than_its_total(self, till: Till, window: Window, ms: int) -> None:
        """Else the total would be forgotten alone, and the next calls would take the log off a new one."""
        window = Window(window.name, ms, requests=3)
        for at in (0, ms, ms + 1, 2 * ms + 1, 5 * ms):
            admit(till, f"call-{at}", window, at=at)
            assert client().pexpiretime(window.log) == client().pexpiretime(window.total) > 0

    def test_a_moment_in_which_very_much_happened_is_forgotten_whole(self, till: Till, window: Window) -> None:
        window = Window(window.name, MINUTE, requests=5_000)
        client().zadd(window.log, {f"{number}#1 1 10 10": NOW for number in range(1_500)})
        client().set(window.total, pack("<5d", 1_500, 15_000, 15_000, 0, NOW))
        assert admit(till, "late", window, at=MINUTE)[5] == [1, 100, 100]

    @pytest.mark.parametrize("total", [b"", b"short", b"x" * 41])
    def test_what_is_no_total_is_none(self, till: Till, window: Window, total: bytes) -> None:
        admit(till, "a", window)
        client().set(window.total, total)
        assert till.settle("a", 50, now=NOW + 5, tokens=50) == 1
        assert till.read(till.line("org")) == (50, 0)
        assert [admit(till, name, window, at=10)[5] for name in "bc"] == [[1, 100, 100], [2, 200, 200]]

    def test_a_log_without_its_total_says_nothing(self, till: Till, window: Window) -> None:
        client().zadd(window.log, {f"old-{number}#1 1 10 10": NOW - MINUTE for number in range(5)})
        assert [admit(till, name, window, at=1)[0] for name in "abcd"] == [ADMITTED] * 3 + [-5]
        assert sums(window) == (3, 300, 300)

    def test_a_clock_that_is_ahead_keeps_nobody_out_for_long(self, till: Till, window: Window) -> None:
        admit(till, "ahead", window, at=10 * MINUTE)
        assert [admit(till, name, window)[0] for name in "abc"] == [ADMITTED, ADMITTED, -5]
        assert [admit(till, name, window, at=MINUTE)[0] for name in "def"] == [ADMITTED, ADMITTED, -5]

    def test_who_is_refused_or_counted_again_leaves_the_sums_right(self, till: Till, window: Window) -> None:
        admit(till, "old", window, tokens=10)
        admit(till, "a", window, at=MINUTE - 1, tokens=900)
        assert admit(till, "b", window, at=MINUTE, tokens=900)[0] == -5
        assert sums(window) == (1, 900, 900)
        assert client().zcard(window.log) == 1
        admit(till, "c", window, at=MINUTE + 1, tokens=5)
        assert admit(till, "d", window, at=2 * MINUTE - 1, tokens=1_001, is_exact=False) == [-3]
        assert sums(window) == (1, 5, 5)

    def test_what_has_left_is_told_ten_ms_later_and_refuses_nobody(self, till: Till, window: Window) -> None:
        window = Window(window.name, MINUTE, requests=4)
        for name, at in (("a", 0), ("b", 0), ("c", 9), ("late", MINUTE)):
            admit(till, name, window, at=at)
        assert sums(window) == (2, 200, 200)
        assert admit(till, "d", window, at=MINUTE + 9)[5][0] == 3, "c has left, and is told to be there"
        assert admit(till, "e", window, at=MINUTE + 9)[5][0] == 4
        assert admit(till, "f", window, at=MINUTE + 9)[:2] == [ADMITTED, 100]
        assert sums(window) == (4, 400, 400)


class TestSeveral:
    def test_all_take_it_or_none(self, till: Till, window: Window) -> None:
        full = Window(f"{window.name}:full", MINUTE, requests=1)
        assert admit(till, "a", full)[0] == ADMITTED
        assert admit(till, "b", window, full)[:2] == [-5, 2]
        assert sums(window) == (0, 0, 0)
        assert till.read(till.line("org")) == (0, 100)
        assert client().exists(*till.hold_keys("b")[:2]) == 0

    def test_a_budget_that_cannot_take_it_spends_nothing_of_a_window(self, till: Till, window: Window) -> None:
        assert till.reserve("a", till.line("org", 5), wanted=100, windows=[window])[0] == 0
        assert sums(window) == (0, 0, 0)

    def test_a_smaller_answer_takes_less_of_it(self, till: Till, window: Window) -> None:
        """The budget has room for 40 tokens only."""
        assert till.reserve("a", till.line("org", 40), wanted=100, windows=[window])[1] == 40
        assert sums(window) == (1, 40, 40)


class TestUnderWay:
    def test_so_many_at_once(self, till: Till, window: Window) -> None:
        at_once = Window(f"{window.name}:now", 0, requests=2)
        assert [admit(till, name, at_once)[0] for name in "ab"] == [ADMITTED] * 2
        assert admit(till, "c", at_once) == [-5, 1, 1, 2, 1, 1_000]
        till.settle("a", 5, tokens=5)
        assert admit(till, "c", at_once)[0] == ADMITTED
        till.give_up("b")
        assert client().smembers(at_once.log) == {b"c"}

    def test_a_later_attempt_is_the_same_call(self, till: Till, window: Window) -> None:
        at_once = Window(f"{window.name}:now", 0, requests=1)
        admit(till, "a", at_once)
        assert admit(till, "a", at_once, attempt=2)[0] == ADMITTED
        assert client().scard(at_once.log) == 1


class TestShadow:
    def test_it_lets_everything_in_and_says_what_it_would_not_have(self, till: Till, window: Window) -> None:
        shadow = Window(f"{window.name}:shadow", MINUTE, requests=1, is_shadow=True)
        assert admit(till, "a", window, shadow)[6] == []
        assert admit(till, "b", window, shadow)[6] == [5], (
            "after the one counter and the three units of the first window"
        )
        assert sums(shadow) == (2, 200, 200)

    def test_so_does_a_budget(self, till: Till) -> None:
        till.open()
        shadow = Line(till.line("shadow").key, 150, is_shadow=True)
        assert till.reserve("a", shadow, till.line("org", ROOM), wanted=100)[6] == []
        assert till.reserve("b", shadow, till.line("org", ROOM), wanted=100, fewest=100)[6] == [1]
        assert till.read(shadow) == (0, 200)


@dataclass
class Held:
    """A call under way in the model."""

    at: int
    tokens: int
    nanos: int


@dataclass
class Happened:
    """Something that is in the window: its moment, and requests, tokens and nanos."""

    at: int
    amounts: list[int] = field(default_factory=list)


class SlidingWindow(RuleBasedStateMachine):
    """Two windows and the calls under way, against a list of what happened."""

    LENGTHS = (1_000, 7_000)
    LIMITS = (4, 500, 5_000)
    AT_ONCE = 3

    def __init__(self) -> None:
        super().__init__()
        self.till = Till(next_shard())
        self.till.open()
        name = f"{{s{self.till.shard}}}:rate:machine"
        requests, tokens, nanos = self.LIMITS
        self.windows = [
            Window(f"{name}:{ms}", ms, requests=requests, tokens=tokens, nanos=nanos) for ms in self.LENGTHS
        ]
        self.at_once = Window(f"{name}:0", 0, requests=self.AT_ONCE)
        self.now = NOW
        self.calls = 0
        self.held: dict[str, Held] = {}
        self.happened: list[dict[str, Happened]] = [{}, {}]
        self.forgotten = [0, 0]

    def inside(self, place: int) -> list[int]:
        """What the model says is in a window."""
        return self.after(place, self.now - self.LENGTHS[place])

    def after(self, place: int, moment: int) -> list[int]:
        kept = [one.amounts for one in self.happened[place].values() if one.at > moment]
        return [sum(amounts) for amounts in zip(*kept, strict=True)] or [0, 0, 0]

    def told(self, needed: list[int]) -> list[int]:
        """What the first window is said to hold: what has left it is taken off every ten ms, or where a call would not
        fit, window by window until one refuses it."""
        for place, length in enumerate(self.LENGTHS):
            moment = self.now - length
            had = self.after(place, self.forgotten[place])
            if moment >= self.forgotten[place] + 10 or not self.fits(had, needed):
                self.forgotten[place] = max(moment, self.forgotten[place])
            if not self.fits(self.inside(place), needed):
                break
        return self.after(0, self.forgotten[0])

    def fits(self, used: list[int], needed: list[int]) -> bool:
        return all(
            not amount or had + amount <= limit for had, amount, limit in zip(used, needed, self.LIMITS, strict=True)
        )

    @rule(ms=st.sampled_from([0, 1, 5, 9, 10, 250, 990, 999, 1_000, 3_000, 7_000]))
    def wait(self, ms: int) -> None:
        self.now += ms

    @rule(tokens=st.integers(0, 300), price=st.integers(0, 20))
    def reserve(self, tokens: int, price: int) -> None:
        self.calls += 1
        hold_id = f"call-{self.calls}"
        answer = self.till.reserve(
            hold_id,
            wanted=tokens,
            per_token=price * 1_000,
            now=self.now,
            windows=[*self.windows, self.at_once],
        )
        needed = [1, tokens, tokens * price]
        told = self.told(needed)
        fits = len(self.held) < self.AT_ONCE and all(self.fits(self.inside(place), needed) for place in range(2))
        assert (answer[0] == ADMITTED) is fits, answer
        if fits:
            assert answer[5][:3] == [had + more for had, more in zip(told, needed, strict=True)]
            self.held[hold_id] = Held(self.now, tokens, tokens * price)
            for happened in self.happened:
                happened[hold_id] = Happened(self.now, needed)
        elif answer[1] <= 2:
            self.check_wait(answer, needed)

    def check_wait(self, answer: list[Any], needed: list[int]) -> None:
        """There is room exactly then, and not a millisecond before."""
        _, place, unit, used, amount, wait = answer
        assert (used, amount) == (self.inside(place - 1)[unit - 1], needed[unit - 1])
        if amount > self.LIMITS[unit - 1]:
            return
        now = self.now
        for later, has_room in ((wait - 1, False), (wait, True)):
            self.now = now + later
            room = self.inside(place - 1)[unit - 1] + amount <= self.LIMITS[unit - 1]
            self.now = now
            assert room is has_room, (answer, later)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), share=st.integers(0, 100))
    def settle(self, data: st.DataObject, share: int) -> None:
        hold_id = data.draw(st.sampled_from(sorted(self.held)))
        call = self.held.pop(hold_id)
        tokens, nanos = call.tokens * share // 100, call.nanos * share // 100
        assert self.till.settle(hold_id, nanos, now=self.now, tokens=tokens) == 1
        assert self.till.settle(hold_id, nanos, now=self.now, tokens=tokens) == 0
        self.change(hold_id, [1, tokens, nanos])

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        hold_id = data.draw(st.sampled_from(sorted(self.held)))
        del self.held[hold_id]
        assert self.till.give_up(hold_id, now=self.now) == 1
        self.change(hold_id, [0, 0, 0])

    def change(self, hold_id: str, amounts: list[int]) -> None:
        """In the windows that the call is still in: what has left one stays as it was until it is forgotten."""
        for happened, length in zip(self.happened, self.LENGTHS, strict=True):
            if happened[hold_id].at > self.now - length:
                happened[hold_id].amounts = amounts

    @invariant()
    def no_window_holds_more_than_its_limits(self) -> None:
        for place, window in enumerate(self.windows):
            members = client().zrangebyscore(window.log, f"({self.now - window.ms}", "+inf")
            found = sum_window(cast("list[bytes]", members))
            assert list(found) == self.inside(place)
            assert all(0 <= used <= limit for used, limit in zip(found, self.LIMITS, strict=True)), found
        assert client().scard(self.at_once.log) == len(self.held)


TestSlidingWindow = SlidingWindow.TestCase
TestSlidingWindow.settings = hypothesis_settings(max_examples=examples(60), stateful_step_count=40, deadline=None)
