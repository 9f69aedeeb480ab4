"""A limit is lowered: what it falls by is kept from calls until the lower one is in force, or not taken at all."""

from datetime import timedelta

import pytest
import time_machine

from costhub.lib import clock, keyspace
from costhub.lib.redis import client
from proxy.ledger import reaper
from proxy.ledger.set_aside import NoRoom, let_go, set_aside
from tests.proxy.edges.till import Line, Till

ORG = "00000000-0000-0000-0000-000000000001"


@pytest.fixture
def line(till: Till) -> Line:
    """1,000 nanos, of which 300 are spent and 100 held."""
    line = till.line("credits", 1_000)
    till.put(line, 300, 100)
    return line


def test_no_call_takes_it_and_none_is_planned_by_the_old_limit_afterwards(till: Till, line: Line) -> None:
    hold_id = set_aside(till.shard, line.key, 580, limit=1_000)
    assert till.read(line) == (300, 680)
    assert till.reserve("a", line, wanted=21, fewest=21)[:4] == [0, 1, 300, 680]
    assert till.reserve("b", line, wanted=20, fewest=20)[0] == 1
    let_go(till.shard, ORG, 7, hold_id)
    assert till.read(line) == (300, 120)
    assert till.reserve("c", line, org_id=ORG, version=6, wanted=1) == [-7, 7]
    assert till.reserve("c", line, org_id=ORG, version=7, wanted=1)[0] == 1


def test_a_later_version_stays_the_oldest(till: Till, line: Line) -> None:
    client().set(keyspace.oldest_version_key(till.shard, ORG), 9)
    let_go(till.shard, ORG, 7, set_aside(till.shard, line.key, 1, limit=1_000))
    assert till.reserve("a", line, org_id=ORG, version=8, wanted=1) == [-7, 9]


def test_what_is_spent_or_held_is_not_taken(till: Till, line: Line) -> None:
    with pytest.raises(NoRoom) as refused:
        set_aside(till.shard, line.key, 601, limit=1_000)
    assert refused.value.left == 600
    assert till.read(line) == (300, 100)
    assert client().zcard(till.leases) == 0
    assert set_aside(till.shard, line.key, 600, limit=1_000)


def test_more_than_a_float_of_picos_could_say_is_exact(till: Till, line: Line) -> None:
    most = 9 * 10**15
    assert set_aside(till.shard, line.key, most - 400, limit=most)
    assert till.read(line) == (300, most - 300)


def test_where_nobody_has_been_held_to_the_budget_nothing_is_kept(till: Till) -> None:
    line = till.line("new", 1_000)
    assert set_aside(till.shard, line.key, 5, limit=1_000) == ""
    assert till.read(line) is None


def test_a_recount_in_between_keeps_it(till: Till, line: Line) -> None:
    till.put(line, 300)
    hold_id = set_aside(till.shard, line.key, 600, limit=1_000)
    till.rebuild((line, 300))
    assert till.read(line) == (300, 600)
    let_go(till.shard, ORG, 7, hold_id)
    assert till.read(line) == (300, 0)


def test_of_whoever_died_before_letting_go_nothing_is_spent(till: Till, line: Line) -> None:
    set_aside(till.shard, line.key, 600, limit=1_000)
    assert reaper.reap(till.shard) == 0
    with time_machine.travel(clock.now() + timedelta(seconds=46), tick=False):
        assert reaper.reap(till.shard) == 1
    assert till.read(line) == (300, 100)
    assert till.events() == []
