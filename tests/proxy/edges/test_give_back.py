"""A hold that is given back: nothing stays of it, and the call reserves anew under its own id."""

from typing import cast

import pytest

from costhub.lib.redis import client
from proxy.core.rate_limits import read_total
from tests.proxy.edges.till import NOW, Line, Till, Window

MINUTE = 60_000


@pytest.fixture
def line(till: Till) -> Line:
    till.open()
    return till.line("org", 1_000)


@pytest.fixture
def windows(till: Till) -> tuple[Window, Window]:
    """A minute, and calls under way."""
    name = f"{{s{till.shard}}}:rate:acme"
    return Window(name, MINUTE, requests=3, tokens=1_000, nanos=1_000), Window(f"{name}:now", 0, requests=1)


def in_window(window: Window) -> tuple[tuple[int, ...], int]:
    """Requests, tokens and nanos of a window, and how many entries it has."""
    total = read_total(cast("bytes | None", client().get(window.total)))
    return total, client().zcard(window.log)


def test_nothing_stays_of_it(till: Till, line: Line, windows: tuple[Window, Window]) -> None:
    minute, now = windows
    till.reserve("b", line, wanted=50, windows=(minute,))
    till.reserve("a", line, wanted=400, windows=windows)
    assert (till.read(line), in_window(minute)) == ((0, 450), ((2, 450, 450), 2))
    assert till.give_back("a") == 1
    assert (till.read(line), in_window(minute)) == ((0, 50), ((1, 50, 50), 1))
    assert client().scard(now.log) == 0
    assert (till.hold("a"), till.lease("a"), till.events()) == ({}, None, [])
    # the second time there is nothing to give
    assert till.give_back("a") == 0
    assert till.read(line) == (0, 50)


def test_the_same_call_reserves_anew_and_counts_once(till: Till, line: Line, windows: tuple[Window, Window]) -> None:
    minute, _ = windows
    till.reserve("a", line, wanted=400, windows=windows)
    till.give_back("a")
    # as much as before, in another moment
    assert till.reserve("a", line, wanted=400, windows=windows, now=NOW + 5)[:3] == [1, 400, 400]
    assert (till.read(line), in_window(minute)) == ((0, 400), ((1, 400, 400), 1))
    assert till.settle("a", 300, now=NOW + 10, tokens=300) == 1
    assert (till.read(line), in_window(minute)[0]) == ((300, 0), (1, 300, 300))
    # and all of it leaves the window together
    till.reserve("c", line, wanted=1, windows=(minute,), now=NOW + 5 + MINUTE)
    assert in_window(minute)[0] == (1, 1, 1)


def test_a_window_whose_total_is_something_else_keeps_no_other_from_being_given_back(
    till: Till, line: Line, windows: tuple[Window, Window]
) -> None:
    minute, now = windows
    till.reserve("a", line, wanted=400, windows=windows)
    client().delete(minute.total)
    client().rpush(minute.total, "no total")
    assert till.give_back("a") == 1
    assert (till.read(line), client().scard(now.log)) == ((0, 0), 0)


def test_what_was_settled_meanwhile_is_not_given_back(till: Till, line: Line) -> None:
    till.reserve("a", line, wanted=400)
    till.settle("a", 400, mark="reaped 400")
    assert till.give_back("a") == 0
    assert till.read(line) == (400, 0)
    assert till.reserve("a", line, wanted=400) == [-1]
