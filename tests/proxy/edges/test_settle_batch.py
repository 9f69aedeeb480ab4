"""A tick's settles in one script: one command for many, an answer for each."""

import asyncio

import hiredis
import pytest

from costhub.lib import keyspace
from costhub.lib.redis import client
from proxy.edges.settle_batch import Settle, Settles
from proxy.edges.valkey import Valkey, ValkeyUnavailable
from tests.proxy.edges.till import Till, next_shard, scripts_run


def end_of(number: int) -> Settle:
    return Settle(f"h{number}", 60, b"%d" % number, b"")


class TestSettles:
    async def test_a_tick_is_one_script_and_every_hold_has_its_answer(self, valkey: Valkey, till: Till) -> None:
        line = till.line("org")
        for number in range(5):
            till.reserve(f"h{number}", line, wanted=100)
        settles = Settles(valkey)
        before = scripts_run()
        answers = [settles.send(till.shard, end_of(number), 1) for number in (0, 1, 99, 2, 3)]
        assert await asyncio.gather(*answers) == [1, 1, 0, 1, 1]
        assert scripts_run() - before == 1
        assert till.read(line) == (240, 100)
        assert await settles.send(till.shard, end_of(4), 1) == 1

    async def test_those_of_very_many_counters_go_in_smaller_parts(self, valkey: Valkey, till: Till) -> None:
        for number in range(4):
            till.reserve(f"h{number}", till.line("org"), wanted=100)
        settles, before = Settles(valkey), scripts_run()
        answers = await asyncio.gather(*(settles.send(till.shard, end_of(number), 250) for number in range(4)))
        assert answers == [1] * 4
        assert scripts_run() - before == 2
        assert till.events() == [b"%d" % number for number in range(4)]

    async def test_each_shard_has_its_own(self, valkey: Valkey, till: Till) -> None:
        other = Till(next_shard())
        other.open()
        settles = Settles(valkey)
        for each in (till, other):
            each.reserve("h1", each.line("org"), wanted=100)
        assert await asyncio.gather(*(settles.send(each.shard, end_of(1), 1) for each in (till, other))) == [1, 1]
        assert [each.read(each.line("org")) for each in (till, other)] == [(60, 0)] * 2
        other.lose_everything()

    async def test_one_that_cannot_be_settled_keeps_no_other_waiting(self, valkey: Valkey, till: Till) -> None:
        for number in range(3):
            till.reserve(f"h{number}", till.line("org"), wanted=100)
        client().delete(keyspace.hold_key(till.shard, "h1"))
        client().set(keyspace.hold_key(till.shard, "h1"), "no hold")
        settles = Settles(valkey)
        first, bad, last = (settles.send(till.shard, end_of(number), 1) for number in range(3))
        assert (await first, await last) == (1, 1)
        with pytest.raises(hiredis.ReplyError, match="WRONGTYPE"):
            await bad
        assert till.read(till.line("org")) == (120, 100)

    async def test_a_connection_that_is_lost_within_the_tick_is_told_to_all(self, valkey: Valkey, till: Till) -> None:
        settles = Settles(valkey)
        answers = [settles.send(till.shard, end_of(number), 1) for number in range(2)]
        await valkey.close()
        told = await asyncio.gather(*answers, return_exceptions=True)
        assert [isinstance(each, ValkeyUnavailable) for each in told] == [True, True]
