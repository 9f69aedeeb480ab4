"""The money path as a machine with a model beside it: whatever is done in whatever order, both agree after every step.

On real Valkey and PostgreSQL: a hard budget is never overdrawn by honest upstreams, a hold is settled at most once,
counters are what the ledger says, every call has one row.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

import orjson
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pytest_django.plugin import DjangoDbBlocker

from costhub.lib import clock, keyspace
from costhub.lib.money import round_up
from costhub.lib.redis import client
from proxy.core.limits import find_scopes
from proxy.core.row import correction_row
from proxy.edges import drain, reaper, recount
from proxy.edges.ledger import correction_id
from proxy.types import Scope, Usage
from tenants.access import org_scope
from tenants.actions.orgs import find_or_create_user
from tenants.choices import BudgetAction, BudgetPeriod, BudgetScope
from tenants.models import Budget
from tenants.selectors import load_org_snapshot
from tenants.snapshots import KeySnapshot
from tests.proxy.edges.entries import line_of, make_row, move_to, read_ledger
from tests.proxy.edges.till import Line, Till, next_shard
from tests.world import Tenant, make_budget, make_tenant

PICK = st.integers(0, 20)
MOSTLY = st.sampled_from([True, True, True, False])
USERS = ("ann", "bob", "")
ENDED = {"settled", "given up", "reaped", "late"}


@dataclass
class Call:
    """What the model knows of one call. ``state``: new, open, settled, given up, reaped, lost, late or forgotten."""

    row: dict[str, Any]
    scopes: tuple[Scope, ...]
    state: str = "new"
    attempts: int = 0
    held: int = 0
    posted: int = 0
    epoch: str = ""
    reaped: int = 0
    is_corrected: bool = False

    @property
    def id(self) -> str:
        return str(self.row["id"])

    @property
    def lines(self) -> tuple[Line, ...]:
        return tuple(line_of(scope) for scope in self.scopes)

    def event(self, cost: int) -> bytes:
        return orjson.dumps(self.row | {"effective_cost": cost, "list_cost": cost})


def open_house(till: Till) -> Tenant:
    """An organisation with budgets that lie in one another, old and new, hard and soft."""
    tenant = make_tenant(f"House-{token_hex(4)}", find_or_create_user("ada@acme.example"))
    move_to(tenant, till.shard)
    make_budget(tenant, "0.000003000")
    make_budget(tenant, "0.000002000", scope=BudgetScope.KEY, subject=str(tenant.key.pk), period=BudgetPeriod.TOTAL)
    make_budget(tenant, "0.000000010", scope=BudgetScope.PROJECT, action=BudgetAction.WARN)
    old = make_budget(tenant, "0.000000900", scope=BudgetScope.END_USER, period=BudgetPeriod.TOTAL)
    with org_scope(tenant.org_id):
        # Older than its period: a counter of it that does not exist is a true zero.
        Budget.objects.filter(pk=old.pk).update(created_at=datetime(1970, 1, 1, tzinfo=UTC))
    return tenant


class MoneyMachine(RuleBasedStateMachine):
    """Calls of three end users of one key: everything that the hot path and the jobs do."""

    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.till = Till(next_shard())
        self.tenant = open_house(self.till)
        org = load_org_snapshot(self.tenant.org_id)
        assert org is not None
        self.org = org
        self.all: list[Call] = []
        # Somebody was charged more than was held for him: from then on a budget may be overdrawn.
        self.is_honest = True

    # A worker and its calls

    @rule(
        target=calls,
        user=st.sampled_from(USERS),
        wanted=st.integers(1, 300),
        fixed=st.integers(0, 50_000),
        is_exact=MOSTLY,
        heals=MOSTLY,
    )
    def a_call_comes_and_reserves(self, user: str, wanted: int, fixed: int, is_exact: bool, heals: bool) -> Call:
        call = self.make_call(user)
        self.reserve(call, wanted, fixed, is_exact, heals)
        return call

    @rule(target=calls, user=st.sampled_from(USERS))
    def a_call_comes(self, user: str) -> Call:
        return self.make_call(user)

    @rule(
        call=calls,
        wanted=st.integers(0, 800),
        fixed=st.integers(0, 200_000),
        is_exact=st.booleans(),
        heals=MOSTLY,
    )
    def reserve(self, call: Call, wanted: int, fixed: int, is_exact: bool, heals: bool) -> None:
        """A first attempt, or one more of a call that is open; for one that has ended, one that comes too late."""
        if call.state == "forgotten":
            return
        attempt = call.attempts + 1
        terms: dict[str, Any] = {"wanted": wanted, "fixed": fixed, "is_exact": is_exact, "attempt": attempt}
        answer = self.ask(call, terms)
        while answer[0] == -2 and heals:
            missing = [call.scopes[place - 1] for place in answer[1:] if place]
            recount.recount(self.till.shard, self.org.id, missing, only_missing=True)
            answer = self.ask(call, terms)
        if call.state in ENDED or call.state == "lost":
            assert answer == [-1]
        elif answer[0] == 1:
            cost = round_up(fixed + 1_000 * answer[1])
            assert answer[1] <= wanted
            assert answer[2] == call.held + cost
            call.held += cost
            call.state, call.attempts, call.epoch = "open", attempt, answer[4].decode()
        elif answer[0] == 0:
            place, settled, held, least = answer[1:]
            assert is_exact
            assert self.expected(call.scopes[place - 1]) == (settled, held)
            assert settled + held + least > call.scopes[place - 1].limit
        else:
            assert answer == [-3] if answer[0] != -2 else not heals
            assert answer[0] != -3 or not is_exact

    @rule(call=calls, wanted=st.integers(0, 800))
    def the_same_reserve_again(self, call: Call, wanted: int) -> None:
        if call.state == "open":
            answer = self.ask(call, {"wanted": wanted, "attempt": call.attempts})
            assert answer[:1] + answer[2:3] == [1, call.held]

    @precondition(lambda self: self.find("open"))
    @rule(pick=PICK, share=st.integers(0, 100))
    def settle(self, pick: int, share: int) -> None:
        """At most what was held."""
        call = self.pick(pick, "open")
        self.end(call, call.held * share // 100)

    @precondition(lambda self: self.find("open"))
    @rule(pick=PICK, more=st.integers(1, 50))
    def settle_dearer(self, pick: int, more: int) -> None:
        """An upstream that broke its own limit."""
        call = self.pick(pick, "open")
        self.is_honest = False
        self.end(call, call.held + more)

    @precondition(lambda self: self.find("lost", *ENDED))
    @rule(pick=PICK, share=st.integers(0, 100))
    def settle_without_a_hold(self, pick: int, share: int) -> None:
        """Again, because the answer was lost; or late, by a worker that slept or whose hold was lost with the data."""
        call = self.pick(pick, "lost", *ENDED)
        self.end(call, call.posted * share // 100 if call.state == "reaped" else call.posted)

    @precondition(lambda self: self.find("new", "open", "given up"))
    @rule(pick=PICK)
    def give_up(self, pick: int) -> None:
        """The first reserve's answer never came: it may have run, and may yet run."""
        call = self.pick(pick, "new", "open", "given up")
        if call.attempts <= 1:
            given_up = self.till.give_up(call.id, *call.lines, event=call.event(0))
            assert given_up == (0 if call.state == "given up" else 1)
            call.state, call.held = "given up", 0

    @precondition(lambda self: self.find("open"))
    @rule(pick=PICK)
    def die(self, pick: int) -> None:
        """The worker dies, or sleeps too long: the lease ends, and the reaper finds the hold."""
        call = self.pick(pick, "open")
        client().zadd(self.till.leases, {call.id: clock.now_ms() - 1}, xx=True)
        assert reaper.reap(self.till.shard) == 1
        call.state, call.posted, call.reaped, call.held = "reaped", call.held, call.held, 0

    @precondition(lambda self: self.find("reaped"))
    @rule(pick=PICK, cost=st.integers(0, 900))
    def learn_the_truth(self, pick: int, cost: int) -> None:
        """The upstream's bill for an estimated row."""
        call = self.pick(pick, "reaped")
        self.is_honest &= cost <= call.posted
        self.correct(call, cost)

    # Jobs, at any moment

    @rule()
    def drain(self) -> None:
        events = len(self.till.events())
        assert drain.drain(self.till.shard) == events

    @rule()
    def recount_the_shard(self) -> None:
        recount.recount(self.till.shard, "", ())

    @rule(call=calls)
    def recount_a_calls_budgets(self, call: Call) -> None:
        if self.is_open():
            recount.recount(self.till.shard, self.org.id, call.scopes)

    @rule()
    def reap(self) -> None:
        assert reaper.reap(self.till.shard) == 0

    @rule(heals=st.booleans())
    def lose_the_data(self, heals: bool) -> None:
        """Valkey forgets everything that PostgreSQL has not got: open holds, and what became of others."""
        drain.drain(self.till.shard)
        self.till.lose_everything()
        for call in self.all:
            if call.state == "open":
                call.state, call.held = "lost", 0
                self.is_honest = False
            elif call.state in ENDED:
                call.state = "forgotten"
        if heals:
            recount.recount(self.till.shard, "", (), only_missing=True)

    # What must hold after every step

    @invariant()
    def counters_are_the_model(self) -> None:
        if not self.is_open():
            return
        for scope in {scope.counter: scope for call in self.all for scope in call.scopes}.values():
            found = self.till.read(line_of(scope))
            if found is None and not scope.is_whole:
                continue
            assert (found or (0, 0)) == self.expected(scope)

    @invariant()
    def no_hard_budget_is_overdrawn(self) -> None:
        for scope in {scope.counter: scope for call in self.all for scope in call.scopes}.values():
            settled, held = self.till.read(line_of(scope)) or (0, 0)
            assert settled >= 0
            assert held >= 0
            assert settled + held <= scope.limit or not scope.is_hard or not self.is_honest

    @invariant()
    def leases_are_those_of_open_holds(self) -> None:
        assert client().zcard(self.till.leases) == sum(call.state == "open" for call in self.all)

    def teardown(self) -> None:
        """Everybody dies, every job runs: then the books are closed."""
        while self.find("open"):
            self.die(0)
        for call in self.find("lost"):
            self.end(call, 7)
        drain.drain(self.till.shard)
        if not self.is_open():
            recount.recount(self.till.shard, "", (), only_missing=True)
        assert self.till.events() == []
        assert client().zcard(self.till.leases) == 0
        assert recount.find_drift(self.till.shard) == []
        self.counters_are_the_model()
        rows = read_ledger(self.tenant)
        charged = {call.id: call for call in self.all if call.state != "new"}
        assert Counter(str(row.id) for row in rows if row.kind == "call") == Counter(charged.keys())
        by_call: Counter[str] = Counter()
        for row in rows:
            by_call[str(row.corrects or row.id)] += row.effective_cost
        assert by_call == {call_id: call.posted for call_id, call in charged.items()}
        self.till.lose_everything()

    # How it is done

    def make_call(self, user: str) -> Call:
        row = make_row(self.tenant, 0, end_user=user)
        key = KeySnapshot(row["key_id"], self.org.id, row["project_id"], 1, None, None, None, False)
        scopes = find_scopes(self.org, key, end_user=user, model="", tags={}, session="", at_ms=row["started_at_ms"])
        call = Call(row, scopes)
        self.all.append(call)
        return call

    def ask(self, call: Call, terms: dict[str, Any]) -> list[Any]:
        ends = clock.now_ms() + 600_000
        return self.till.reserve(call.id, *call.lines, row=call.row, ends=ends, **terms)

    def end(self, call: Call, cost: int) -> None:
        """The end of a call, as ``edges.ledger`` brings it about."""
        if call.state in {"new", "forgotten"}:
            return
        settled = self.till.settle(call.id, cost, event=call.event(cost))
        assert settled == (call.state == "open")
        if settled:
            call.state, call.posted, call.held = "settled", cost, 0
            return
        word = self.till.late(call.id, call.epoch, cost, *call.lines, event=call.event(cost))
        if call.state == "reaped":
            assert word == b"reaped %d" % call.reaped
            self.correct(call, cost)
        elif call.state in {"given up", "late"}:
            assert word == call.state.encode()
        else:
            assert word == b""
            if call.state == "lost":
                call.posted = cost
            call.state = "late"

    def correct(self, call: Call, cost: int) -> None:
        posted = call.row | {"effective_cost": call.posted, "list_cost": call.posted}
        event = orjson.dumps(correction_row(posted, correction_id(call.id), Usage(), cost, False))
        done = self.till.correct(call.id, cost - call.posted, *call.lines, event=event)
        assert done == (not call.is_corrected)
        if done:
            call.is_corrected, call.posted = True, cost

    def find(self, *states: str) -> list[Call]:
        return [call for call in self.all if call.state in states]

    def pick(self, number: int, *states: str) -> Call:
        found = self.find(*states)
        return found[number % len(found)]

    def is_open(self) -> bool:
        return bool(client().exists(keyspace.epoch_key(self.till.shard)))

    def expected(self, scope: Scope) -> tuple[int, int]:
        inside = [call for call in self.all if any(one.counter == scope.counter for one in call.scopes)]
        return sum(call.posted for call in inside), sum(call.held for call in inside)


def test_money_is_neither_made_nor_lost(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock():
        run_state_machine_as_test(
            MoneyMachine,
            settings=settings(
                max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
