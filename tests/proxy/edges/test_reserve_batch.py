"""Reserves of a tick in one script: what goes together, and that each call has its own answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from proxy.core.budgets import find_scopes
from proxy.core.layout import lay_out
from proxy.edges.reserve_batch import Reserve, Reserves
from proxy.edges.valkey import Valkey, ValkeyUnavailable
from proxy.values.plan import Bound
from proxy.values.windows import Layout
from tests.proxy.core.examples import KEY, NOON_MS, ORG, make_budget
from tests.proxy.edges.till import Till, scripts_run

HELD, OVER_BUDGET, CROSSED = 1, 0, -6
BOUND = Bound(input_tokens=10, fixed_picos=0, output_picos=1_000, choices=1, max_output=100, is_exact=True)


def path_on(till: Till, limit: int, budgets: int = 1) -> Layout:
    """The organisation's budgets, whose counters are on the test's shard."""
    budget = make_budget(limit_nanos=limit, created_ms=-60_000, period="total")
    several = tuple(replace(budget, id=f"{budget.id} {number}") for number in range(1, budgets))
    # What is found for a path is remembered by the organisation's version.
    org = replace(ORG, shard=till.shard, budgets=(budget, *several), version=limit)
    return lay_out(find_scopes(org, KEY, end_user="", model="m", tags={}, session="", at_ms=NOON_MS), ())


def ask_of(name: str) -> Reserve:
    return Reserve(name, 1, BOUND, None, b"{}")


class TestReserves:
    async def test_a_tick_is_one_script_and_every_call_has_its_answer(self, valkey: Valkey, till: Till) -> None:
        reserves, path, before = Reserves(valkey), path_on(till, 350), scripts_run()
        asked = [reserves.send(replace(ORG, shard=till.shard), path, (), ask_of(name)) for name in "abcd"]
        answers: Sequence[list[Any]] = await asyncio.gather(*asked)
        assert [answer[:4] for answer in answers] == [
            [HELD, 100, 100, 250],
            [HELD, 100, 100, 150],
            [HELD, 100, 100, 50],
            [HELD, 50, 50, 0],
        ]
        assert scripts_run() - before == 1

    async def test_what_very_many_budgets_count_goes_in_smaller_parts(self, valkey: Valkey, till: Till) -> None:
        reserves, path, before = Reserves(valkey), path_on(till, 10**6, budgets=250), scripts_run()
        answers = await asyncio.gather(
            *(reserves.send(replace(ORG, shard=till.shard), path, (), ask_of(name)) for name in "abcd")
        )
        assert [answer[0] for answer in answers] == [HELD] * 4
        assert scripts_run() - before == 2

    async def test_what_the_caller_would_pay_at_most_is_his_alone(self, valkey: Valkey, till: Till) -> None:
        reserves, path = Reserves(valkey), path_on(till, 1_000)
        asks = [ask_of("a"), ask_of("b")._replace(max_cost=40), ask_of("c")]
        answers = await asyncio.gather(*(reserves.send(replace(ORG, shard=till.shard), path, (), ask) for ask in asks))
        assert [answer[2] for answer in answers] == [100, 40, 100]

    async def test_other_budgets_and_other_rungs_go_apart(self, valkey: Valkey, till: Till) -> None:
        reserves, before = Reserves(valkey), scripts_run()
        one, other = path_on(till, 1_000), path_on(till, 90)
        sent = [
            reserves.send(replace(ORG, shard=till.shard), one, (), ask_of("a")),
            reserves.send(replace(ORG, shard=till.shard), other, (), ask_of("b")),
            reserves.send(replace(ORG, shard=till.shard), one, ((1, 0, 50),), ask_of("c")),
            reserves.send(replace(ORG, shard=till.shard), one, (), ask_of("d")),
        ]
        first, tight, below, last = await asyncio.gather(*sent)
        assert (first[:3], last[:3]) == ([HELD, 100, 100], [HELD, 100, 100])
        # both of the first path are in the same counter as the tight one's
        assert tight[0] == OVER_BUDGET
        assert below == [CROSSED, 1, 200, 0]
        assert scripts_run() - before == 3

    async def test_a_caller_who_leaves_takes_nobody_along(self, valkey: Valkey, till: Till) -> None:
        reserves, path = Reserves(valkey), path_on(till, 1_000)
        gone, stays = (reserves.send(replace(ORG, shard=till.shard), path, (), ask_of(name)) for name in "ab")
        gone.cancel()
        assert (await stays)[:3] == [HELD, 100, 100]
        # It was sent all the same: its entry gives it up.
        assert till.hold("a")["amount"] == "100"

    async def test_a_connection_that_is_lost_within_the_tick_is_told_to_all(self, valkey: Valkey, till: Till) -> None:
        reserves, path = Reserves(valkey), path_on(till, 1_000)
        asked = [reserves.send(replace(ORG, shard=till.shard), path, (), ask_of(name)) for name in "ab"]
        await valkey.close()
        told = await asyncio.gather(*asked, return_exceptions=True)
        assert [isinstance(each, ValkeyUnavailable) for each in told] == [True, True]
