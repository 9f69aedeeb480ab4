"""Money set aside before a call and given back after it, in Valkey, by scripts that do it whole or not at all.

What happens to money when Valkey cannot be asked:

=====================  =========  ==================================================================
what                   when       then
=====================  =========  ==================================================================
reserve                not sent   closed: GovernanceUnavailable, nothing held
reserve                unknown    closed: GovernanceUnavailable, given up as soon as Valkey is back
settle, give up, row   any        kept in memory and sent again until it is known to have happened
give back              any        closed: GovernanceUnavailable, and what is held is settled at the call's end
counter unknown        cold       counted anew from the ledger; closed while that fails
=====================  =========  ==================================================================
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import IntEnum
from functools import partial
from typing import Any, Final, NamedTuple

import hiredis
from django.db import connections

from costhub.lib import clock, failpoints, keyspace
from proxy.core.bounds import exact_bound, loose_bound
from proxy.core.budgets import list_rolling
from proxy.core.layout import NEVER_MS
from proxy.core.refusals import refuse_budget, refuse_rate, shadow_id
from proxy.core.row import dump_row, held_row
from proxy.edges.counting import Counting
from proxy.edges.entry import Entry
from proxy.edges.reserve_batch import RESERVATION_LEASE_SECONDS, Reserve, Reserves
from proxy.edges.standing_tasks import start_standing
from proxy.edges.valkey import Argument, OutcomeUnknown, Script, Valkey, ValkeyUnavailable
from proxy.errors import BudgetExceeded, GovernanceUnavailable, ModelNotFound
from proxy.ledger import recount
from proxy.values.attempt import RESERVED
from proxy.values.plan import Bound, Candidate, Hold, Plan
from proxy.values.windows import Layout, Scope

_log = logging.getLogger(__name__)

TURN: Final = Script("turn", shares="rates")
GIVE_BACK: Final = Script("give_back", shares="rates")
RENEWAL_SECONDS: Final = 10
_CLOSING_SECONDS: Final = 2.0
_TRIES: Final = 4
#: so often a call is planned while budgets cross steps of their ladders
_PLANS: Final = 20
#: counters of budgets that degrade
_MOST_COUNTERS_KNOWN: Final = 50_000


class _Verdict(IntEnum):
    """What reserve.lua answers first; the script says what follows each."""

    HELD = 1
    OVER_BUDGET = 0
    GIVEN_UP = -1
    UNKNOWN = -2
    COUNT_EXACTLY = -3
    OVER_MAX_COST = -4
    OVER_RATE = -5
    CROSSED = -6
    OUTDATED = -7


class _Crossed(Exception):
    """Budgets that degrade are on other rungs than the plan assumes. ``spent``: nano-USD by counter."""

    def __init__(self, spent: dict[str, int]) -> None:
        super().__init__("a step of a ladder was crossed")
        self.spent = spent


class _Outdated(Exception):
    """A budget has begun that the plan does not know: organisations are known by ``version`` or a later one."""

    def __init__(self, version: int) -> None:
        super().__init__("the plan is of an older version of its organisation")
        self.version = version


class Replan(NamedTuple):
    """How a call is planned anew: ``decide`` plans for the entry's organisation with what is known of spend, nano-USD
    by counter; ``renew`` brings that to a version first."""

    decide: Callable[[Mapping[str, int]], Awaitable[Plan]]
    renew: Callable[[int], Awaitable[None]]


class Reservations:
    """Reserves, and keeps alive what it reserved, every so many seconds."""

    def __init__(
        self, valkey: Valkey, counting: Counting | None = None, *, renewal_seconds: float = RENEWAL_SECONDS
    ) -> None:
        self._valkey = valkey
        self._renewal_seconds = renewal_seconds
        self._counting_tokens = counting or Counting()
        self._reserves = Reserves(valkey)
        self._open: dict[str, int] = {}
        self._spent: dict[str, int] = {}
        self._renewals: asyncio.Task[None] | None = None
        self._counting: dict[str, asyncio.Future[recount.Recount]] = {}
        self._database = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recount")

    async def open(self) -> None:
        """Begin to renew leases."""
        self._renewals = start_standing("leases", self._renew_leases)

    async def close(self) -> None:
        """Stop renewing: what is still held expires with its lease."""
        if self._renewals:
            self._renewals.cancel()
        with suppress(TimeoutError):
            # That thread's connection: `connection.close` would be this thread's.
            closing = asyncio.get_running_loop().run_in_executor(self._database, connections.close_all)
            await asyncio.wait_for(closing, _CLOSING_SECONDS)
        self._database.shutdown(wait=False, cancel_futures=True)

    @property
    def spent(self) -> Mapping[str, int]:
        """What this process knows of the spend of budgets that degrade: nano-USD by counter, as it was when a step of
        the ladder was crossed last."""
        return self._spent

    async def admit(self, plan: Plan, entry: Entry, replan: Replan) -> tuple[Plan, Hold]:
        """Set aside what a first attempt at the first candidate of ``plan`` may cost: in every budget on its path, or
        in none. The hold becomes the entry's. Where a budget has crossed a step of its ladder since the call was
        planned, or has begun, it is planned anew with what is known now: gives the plan that holds, too.

        Raises BudgetExceeded, naming the budget that cannot take it, RateLimited, saying when there is room, and
        GovernanceUnavailable when that cannot be known.
        """
        for _ in range(_PLANS):
            try:
                return plan, await self._reserve(plan, entry, 1, plan.candidates[0])
            except (_Crossed, _Outdated) as change:
                plan = await self._plan_anew(change, replan)
                entry.note_plan(plan)
        raise GovernanceUnavailable("Budgets move too fast to be checked, so nothing was spent. Try again.")

    async def readmit(
        self, plan: Plan, entry: Entry, candidate: Candidate, replan: Replan
    ) -> tuple[Plan, Candidate, Hold]:
        """As ``admit``, for a further attempt, which adds to the hold. Where budgets have changed since the call was
        planned, the candidate is the one of the same model in a plan that knows of it: gives that plan, too, because
        the hold is for its request.

        Raises ModelNotFound, too, where there is none any more.
        """
        for _ in range(_PLANS):
            # What was reserved for an attempt that was never made, because its time was over, has its number.
            attempt = max(len(entry.attempts), entry.reserved) + 1
            try:
                return plan, candidate, await self._reserve(plan, entry, attempt, candidate)
            except (_Crossed, _Outdated) as change:
                plan = await self._plan_anew(change, replan)
                candidate = _same_model(plan, candidate)
        raise GovernanceUnavailable("Budgets move too fast to be checked, so nothing was spent. Try again.")

    async def _plan_anew(self, change: "_Crossed | _Outdated", replan: Replan) -> Plan:
        if isinstance(change, _Outdated):
            await replan.renew(change.version)
        else:
            if len(self._spent) >= _MOST_COUNTERS_KNOWN:
                self._spent.clear()
            self._spent |= change.spent
        return await replan.decide(self._spent)

    async def _reserve(self, plan: Plan, entry: Entry, attempt: int, candidate: Candidate) -> Hold:
        if failpoints.ARMED:
            failpoints.reach("before_reserve")
        bound = candidate.bound
        for _ in range(_TRIES):
            answer = await self._ask(plan, candidate, bound, entry, attempt)
            verdict = answer[0]
            if verdict == _Verdict.HELD:
                if failpoints.ARMED:
                    failpoints.reach("after_reserve")
                return self._take(answer, candidate.layout, entry, attempt)
            if verdict == _Verdict.COUNT_EXACTLY:
                bound = await self._counting_tokens.run(
                    plan.request.body_bytes,
                    partial(exact_bound, plan.request, candidate, plan.most_output),
                    partial(loose_bound, plan.request, candidate, plan.most_output),
                    whose=entry.org.id,
                    vocabulary=candidate.model.tokenizer,
                )
            elif verdict == _Verdict.UNKNOWN:
                await self._count_anew(candidate.scopes, entry, answer[1:])
            elif verdict == _Verdict.OVER_MAX_COST:
                raise BudgetExceeded(
                    "The call may cost more than x-costhub-max-cost allows.",
                    code="max_cost_exceeded",
                    param="x-costhub-max-cost",
                    headers={"x-should-retry": "false"},
                )
            elif verdict == _Verdict.OVER_BUDGET:
                raise refuse_budget(candidate.scopes[answer[1] - 1], answer, entry.key)
            elif verdict == _Verdict.OVER_RATE:
                raise refuse_rate(candidate.layout, answer, entry.key)
            elif verdict == _Verdict.CROSSED:
                raise _Crossed(_read_crossed(candidate.scopes, answer))
            elif verdict == _Verdict.OUTDATED:
                raise _Outdated(answer[1])
            else:
                break
        raise GovernanceUnavailable("Budgets cannot be checked at the moment, so nothing was spent. Try again.")

    def turn(self, entry: Entry) -> None:
        """Make ready for another candidate. So much stays held as the tries so far may have been billed, in the budgets
        of the model that was asked. Sent before the next reserve. Where Valkey is away that reserve fails too, and the
        settle gives everything back."""
        hold, candidate = entry.hold, entry.candidate
        if hold is None or candidate is None:
            return
        if entry.is_hold_unknown:
            # The next number may be that of a reserve whose answer never came: it was for the model before.
            entry.reserved = max(len(entry.attempts), entry.reserved) + 1
        cost = entry.cost - entry.earlier_models_cost
        tokens = (
            sum(one.usage.input_tokens + one.usage.output_tokens for one in entry.attempts)
            - entry.earlier_models_tokens
        )
        arguments: list[Argument] = [hold.id, cost, tokens, clock.now_ms(), candidate.model.name]
        try:
            answer = self._valkey.run(TURN, [keyspace.hold_key(entry.org.shard, hold.id)], arguments)
        except ValkeyUnavailable:
            return
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        if cost:
            entry.earlier_models = (*entry.earlier_models, (candidate.layout, cost))
        entry.earlier_models_tokens += tokens
        entry.hold = hold._replace(amount=0, for_attempt=0)

    def take_over(self, entry: Entry, candidate: Candidate, amount: int, max_output: int, epoch: bytes) -> Hold:
        """Renew the lease of a hold that is there already, in the candidate's budgets, from now on. It becomes the
        entry's."""
        hold = Hold(entry.request_id, amount, max_output, None)
        entry.hold, entry.epoch, entry.counters = hold, epoch, candidate.layout.counters
        self._open[hold.id] = entry.org.shard
        return hold

    async def give_back(self, entry: Entry) -> None:
        """Undo what was reserved for a call that nobody was asked with, as if it had never been: it is served in
        another way, and reserves anew. Raises GovernanceUnavailable where it is not known to be undone: then the
        entry's end settles it."""
        hold, shard = entry.hold, entry.org.shard
        assert hold is not None, "held"
        try:
            answer = await self._valkey.run(
                GIVE_BACK, [keyspace.hold_key(shard, hold.id), keyspace.leases_key(shard)], [hold.id]
            )
        except (OutcomeUnknown, ValkeyUnavailable, hiredis.ReplyError):
            answer = 0
        if answer != 1:
            raise GovernanceUnavailable(
                "Budgets cannot be checked at the moment, so nothing was spent. Try again.",
                headers={"retry-after": "1"},
            )
        self.forget(hold.id)
        entry.hold, entry.counters = None, ()

    def forget(self, hold_id: str) -> None:
        """Stop renewing the lease of a hold that is settled."""
        self._open.pop(hold_id, None)

    async def _ask(self, plan: Plan, candidate: Candidate, bound: Bound, entry: Entry, attempt: int) -> list[Any]:
        layout = candidate.layout
        if attempt == 1 and layout.closes_ms != NEVER_MS:
            _check_admission(layout)
        row = dump_row(held_row(entry.row, candidate, entry.attempts))
        reserve = Reserve(entry.request_id, attempt, bound, plan.controls.max_cost, row)
        began = clock.monotonic_ns()
        try:
            answer: list[Any] = await self._reserves.send(entry.org, layout, candidate.bands, reserve)
        except asyncio.CancelledError:
            # The caller left while the script ran, or is yet to run: what it holds is given up with the entry.
            entry.is_hold_unknown = True
            raise
        except OutcomeUnknown as error:
            entry.is_hold_unknown = True
            raise GovernanceUnavailable(
                "Budgets could not be checked in time, so nothing was spent. Try again.",
                headers={"retry-after": "1"},
            ) from error
        except (ValkeyUnavailable, hiredis.ReplyError) as error:
            if isinstance(error, hiredis.ReplyError):
                # Perhaps it stumbled over a damaged key after it had written others.
                entry.is_hold_unknown = True
                _log.error("reserve failed in Valkey", extra={"reply": str(error)})
            raise GovernanceUnavailable(
                "Budgets cannot be checked at the moment, so nothing was spent. Try again.",
                headers={"retry-after": "1"},
            ) from error
        finally:
            entry.timings.append((RESERVED, attempt, began, clock.monotonic_ns()))
        return answer

    def _take(self, answer: Sequence[Any], layout: Layout, entry: Entry, attempt: int) -> Hold:
        _, granted, amount, left, entry.epoch, used, shadows = answer
        before = entry.hold.amount if entry.hold else 0
        hold = Hold(entry.request_id, amount, granted, None if left < 0 else left, amount - before, used)
        if shadows:
            ids = (shadow_id(layout, place - 1) for place in shadows)
            entry.note_would_refuse(ids)
        entry.hold, entry.reserved = hold, attempt
        entry.counters = layout.counters
        self._open[hold.id] = entry.org.shard
        return hold

    async def _count_anew(self, scopes: Sequence[Scope], entry: Entry, places: Sequence[int]) -> None:
        """Have counters that are missing, or those of a whole shard, counted again: nothing is spent before they agree
        with the ledger."""
        # After the candidate's own scopes come the periods before them that limits depend on.
        counted = (*scopes, *(before for _, _, before in list_rolling(scopes)))
        missing = tuple(counted[place - 1] for place in places if place)
        shard = entry.org.shard
        what = "\n".join(scope.counter for scope in missing) or keyspace.epoch_key(shard)
        # Many calls find the same counters missing at once: one of them counts.
        counting = self._counting.get(what)
        if counting is None:
            counting = asyncio.get_running_loop().run_in_executor(
                self._database, partial(recount.recount, shard, entry.org.id, missing, only_missing=True)
            )
            self._counting[what] = counting
            counting.add_done_callback(lambda _: self._counting.pop(what, None))
        try:
            await asyncio.shield(counting)
        except recount.RecountFailed as error:
            raise GovernanceUnavailable(
                "A budget's spend is not known at the moment, so nothing was spent. Try again.",
                headers={"retry-after": "1"},
            ) from error

    async def _renew_leases(self) -> None:
        await asyncio.sleep(self._renewal_seconds)
        ends = clock.now_ms() + RESERVATION_LEASE_SECONDS * 1000
        by_shard: dict[int, list[Argument]] = {}
        for hold_id, shard in self._open.items():
            by_shard.setdefault(shard, []).extend((ends, hold_id))
        # Together: one shard that fails, or is slow, keeps no other's leases from being renewed.
        await asyncio.gather(*(self._renew_shard(shard, members) for shard, members in by_shard.items()))

    async def _renew_shard(self, shard: int, members: Sequence[Argument]) -> None:
        try:
            # XX: a hold that was reaped meanwhile stays reaped
            await self._valkey.send(b"ZADD", keyspace.leases_key(shard), b"XX", *members)
        except (ValkeyUnavailable, hiredis.ReplyError):
            _log.warning("leases could not be renewed")


def _check_admission(layout: Layout) -> None:
    """Raise GovernanceUnavailable for a call of a period that budgets of the next one may have counted as over."""
    if clock.now_ms() >= layout.closes_ms:
        raise GovernanceUnavailable("The call took too long to arrive, so nothing was spent. Send it again.")


def _same_model(plan: Plan, candidate: Candidate) -> Candidate:
    for other in plan.candidates:
        if other.model.name == candidate.model.name:
            return other
    raise ModelNotFound(f"The model `{candidate.model.name}` is not asked for this call any more.", param="model")


def _read_crossed(scopes: Sequence[Scope], answer: Sequence[int]) -> dict[str, int]:
    """What is spent of each budget that is on another rung than planned, and what rolled over into it."""
    known: dict[str, int] = {}
    for place, spend, rolled in zip(answer[1::3], answer[2::3], answer[3::3], strict=True):
        scope = scopes[place - 1]
        known[scope.counter] = spend
        if scope.before is not None:
            known[scope.before.counter] = rolled
    return known
