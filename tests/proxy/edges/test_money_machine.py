"""The money path as a machine with a model beside it: whatever is done in whatever order, both agree after every step.

On real Valkey and PostgreSQL: a hard budget is never overdrawn by honest upstreams, a hold is settled at most once,
counters are what the ledger says, every call has one row. A call may be turned from one model to the other and back:
each model's budget has what its own tries cost.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

import orjson
import pytest
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
from proxy.core.budgets import find_scopes
from proxy.core.row import correction_row
from proxy.edges.settle import correction_id
from proxy.ledger import drain, reaper, recount
from proxy.values.attempt import Usage
from proxy.values.windows import Scope
from tenants.access import org_scope
from tenants.actions.keys import rotate_key
from tenants.actions.orgs import find_or_create_user
from tenants.choices import BudgetAction, BudgetPeriod, BudgetScope
from tenants.models import Budget
from tenants.selectors import load_org_snapshot
from tenants.snapshots import KeySnapshot
from tests.proxy.edges.entries import line_of, make_row, move_to, read_ledger
from tests.proxy.edges.till import Line, Till, next_shard
from tests.sampling import examples
from tests.world import Tenant, make_budget, make_catalog, make_tenant

PICK = st.integers(0, 20)
MOSTLY = st.sampled_from([True, True, True, False])
USERS = ("ann", "bob", "")
MODELS = ("small", "large")
ENDED = {"settled", "given up", "reaped", "late"}


@dataclass
class Call:
    """What the model knows of one call. ``state``: new, open, settled, given up, reaped, lost, late or forgotten."""

    row: dict[str, Any]
    model: str
    # Of now, by model; ``planned`` are those of the version by which it was planned, for the model that is asked.
    now: dict[str, tuple[Scope, ...]]
    planned: tuple[Scope, ...]
    version: int
    state: str = "new"
    attempts: int = 0
    held: int = 0
    # What the tries at models that were asked before cost: model, counters that it was held in, nanos.
    turned: list[tuple[str, tuple[Scope, ...], int]] = field(default_factory=list)
    is_turned: bool = False
    # What the model that was asked last cost, when the call is in the ledger.
    last: int = 0
    is_posted: bool = False
    epoch: str = ""
    reaped: int = 0
    is_corrected: bool = False

    @property
    def id(self) -> str:
        return str(self.row["id"])

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Of now, for the model that is asked."""
        return self.now[self.model]

    @property
    def lines(self) -> tuple[Line, ...]:
        return tuple(line_of(scope) for scope in self.planned)

    @property
    def gone(self) -> int:
        return sum(cost for _, _, cost in self.turned)

    @property
    def posted(self) -> int:
        return self.gone + self.last if self.is_posted else 0

    @property
    def held_row(self) -> dict[str, Any]:
        """The row as the hold keeps it."""
        return self.row | {"model": self.model, "attempts": self.attempts_of(None)}

    def attempts_of(self, last: int | None) -> list[dict[str, Any]]:
        """The attempts as a row has them. A row without any is of the model that was asked for."""
        if not self.turned:
            return []
        costs = [(model, cost) for model, _, cost in self.turned] + ([] if last is None else [(self.model, last)])
        return [{"number": number, "model": model, "cost": cost} for number, (model, cost) in enumerate(costs, 1)]

    def row_at(self, last: int) -> dict[str, Any]:
        """The row when the model that was asked last cost so much."""
        cost = self.gone + last
        return self.row | {"effective_cost": cost, "list_cost": cost, "attempts": self.attempts_of(last)}

    def event(self, last: int) -> bytes:
        return orjson.dumps(self.row_at(last))

    def parts(self) -> list[tuple[str, int, int]]:
        """Model, settled and held nanos of everything that the call has spent or may."""
        before = [(model, cost, 0) if self.is_posted else (model, 0, cost) for model, _, cost in self.turned]
        if self.state in {"lost", "new"}:
            before = []
        return [*before, (self.model, self.last if self.is_posted else 0, self.held)]


def open_house(till: Till) -> Tenant:
    """An organisation with budgets that lie in one another, old and new, hard and soft."""
    # An owner of its own: this is committed, and Ada belongs to who asks for a world.
    name = f"House-{token_hex(4)}"
    tenant = make_tenant(name, find_or_create_user(f"ada@{name.lower()}.example"))
    move_to(tenant, till.shard)
    make_budget(tenant, "0.000003000")
    make_budget(tenant, "0.000002000", scope=BudgetScope.KEY, subject=str(tenant.key.pk), period=BudgetPeriod.TOTAL)
    make_budget(tenant, "0.000000010", scope=BudgetScope.PROJECT, action=BudgetAction.WARN)
    for model in MODELS:
        make_catalog(tenant, model=model)
    make_budget(tenant, "0.000001800", scope=BudgetScope.MODEL)
    make_budget(tenant, "0.000001200", scope=BudgetScope.MODEL, subject="large", period=BudgetPeriod.TOTAL)
    old = make_budget(tenant, "0.000000900", scope=BudgetScope.END_USER, period=BudgetPeriod.TOTAL)
    with org_scope(tenant.org_id):
        # What the key became: to budgets they are one.
        rotate_key(actor=tenant.owner, key=tenant.key, grace_seconds=3600)
        # Older than its period: a counter of it that does not exist is a true zero.
        Budget.objects.filter(pk=old.pk).update(created_at=datetime(1969, 12, 31, tzinfo=UTC))
    return tenant


class MoneyMachine(RuleBasedStateMachine):
    """Calls of two models by three end users of one key: everything that the hot path and the jobs do."""

    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.till = Till(next_shard())
        self.tenant = open_house(self.till)
        org = load_org_snapshot(self.tenant.org_id)
        assert org is not None
        self.org = org
        self.all: list[Call] = []
        self.begun: set[str] = set()
        # Somebody was charged more than was held for him: from then on a budget may be overdrawn.
        self.is_honest = True

    # A worker and its calls

    @rule(
        target=calls,
        user=st.sampled_from(USERS),
        model=st.sampled_from(MODELS),
        rotated=st.booleans(),
        wanted=st.integers(1, 300),
        fixed=st.integers(0, 50_000),
        is_exact=MOSTLY,
        heals=MOSTLY,
    )
    def a_call_comes_and_reserves(
        self, user: str, model: str, rotated: bool, wanted: int, fixed: int, is_exact: bool, heals: bool
    ) -> Call:
        call = self.make_call(user, model, rotated=rotated)
        self.reserve(call, wanted, fixed, is_exact, heals)
        return call

    @rule(target=calls, user=st.sampled_from(USERS), model=st.sampled_from(MODELS), rotated=st.booleans())
    def a_call_comes(self, user: str, model: str, rotated: bool) -> Call:
        return self.make_call(user, model, rotated=rotated)

    # A budget that begins under a call that was turned knows what that was billed before only from the next recount
    # behind the call's end.
    @precondition(lambda self: len(self.begun) < 4 and not any(call.turned for call in self.find("open")))
    @rule(scope=st.sampled_from((BudgetScope.ORGANIZATION, BudgetScope.KEY, BudgetScope.END_USER)), one=st.booleans())
    def a_budget_begins(self, scope: BudgetScope, one: bool) -> None:
        """While calls are in flight, and others are planned that have yet to reserve."""
        subject = {BudgetScope.KEY: str(self.tenant.key.pk), BudgetScope.END_USER: "ann"}.get(scope, "") if one else ""
        budget = make_budget(self.tenant, "0.000001500", scope=scope, subject=subject, period=BudgetPeriod.TOTAL)
        self.begun.add(str(budget.pk))
        org = load_org_snapshot(self.tenant.org_id)
        assert org is not None
        self.org = org
        for call in self.all:
            call.now = self.find_scopes(call.row)

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
            missing = [call.planned[place - 1] for place in answer[1:] if place]
            recount.recount(self.till.shard, self.org.id, missing, only_missing=True)
            answer = self.ask(call, terms)
        if answer[0] == -7:
            # A budget has begun meanwhile: a first attempt is planned anew, a later one is not made.
            assert call.version < answer[1] <= self.org.version
            if attempt == 1:
                call.planned, call.version = call.scopes, self.org.version
                self.reserve(call, wanted, fixed, is_exact, heals)
        elif call.state in ENDED or call.state == "lost":
            assert answer == [-1]
        elif answer[0] == 1:
            cost = round_up(fixed + 1_000 * answer[1])
            assert answer[1] <= wanted
            assert answer[2] == call.held + cost
            call.held += cost
            call.state, call.attempts, call.epoch = "open", attempt, answer[4].decode()
            call.is_turned = False
            for scope in call.planned:
                assert sum(self.expected(scope)) <= scope.limit or not scope.is_hard
        elif answer[0] == 0:
            place, settled, held, least = answer[1:]
            assert is_exact
            assert self.expected(call.planned[place - 1]) == (settled, held)
            assert settled + held + least > call.planned[place - 1].limit
        else:
            assert answer == [-3] if answer[0] != -2 else not heals
            assert answer[0] != -3 or not is_exact

    @precondition(lambda self: self.find_whole())
    @rule(pick=PICK, share=st.integers(0, 100))
    def another_model_is_asked(self, pick: int, share: int) -> None:
        """The upstream failed, and what it may bill is known: the other model's is next, if its money can be set
        aside."""
        whole = self.find_whole()
        call = whole[pick % len(whole)]
        cost = call.held * share // 100
        assert self.till.turn(call.id, cost, model=call.model) == 1
        call.turned.append((call.model, call.planned, cost))
        call.model = next(model for model in MODELS if model != call.model)
        call.held, call.is_turned, call.planned, call.version = 0, True, call.scopes, self.org.version

    @rule(call=calls, wanted=st.integers(0, 800))
    def the_same_reserve_again(self, call: Call, wanted: int) -> None:
        if call.state == "open" and not call.is_turned:
            answer = self.ask(call, {"wanted": wanted, "attempt": call.attempts})
            assert answer[:1] + answer[2:3] == [1, call.held]

    @precondition(lambda self: self.find("open"))
    @rule(pick=PICK, share=st.integers(0, 100))
    def settle(self, pick: int, share: int) -> None:
        """At most what was held."""
        call = self.pick(pick, "open")
        self.end(call, call.held * share // 100)

    @precondition(lambda self: self.find_whole())
    @rule(pick=PICK, more=st.integers(1, 50))
    def settle_dearer(self, pick: int, more: int) -> None:
        """An upstream that broke its own limit."""
        whole = self.find_whole()
        call = whole[pick % len(whole)]
        self.is_honest = False
        self.end(call, call.held + more)

    @precondition(lambda self: self.find("lost", *ENDED))
    @rule(pick=PICK, share=st.integers(0, 100))
    def settle_without_a_hold(self, pick: int, share: int) -> None:
        """Again, because the answer was lost; or late, by a worker that slept or whose hold was lost with the data."""
        call = self.pick(pick, "lost", *ENDED)
        self.end(call, call.last * share // 100 if call.state == "reaped" else call.last)

    @precondition(lambda self: self.find("new", "open", "given up"))
    @rule(pick=PICK)
    def give_up(self, pick: int) -> None:
        """The first reserve's answer never came: it may have run, and may yet run."""
        call = self.pick(pick, "new", "open", "given up")
        if call.attempts <= 1 and not call.turned:
            given_up = self.till.give_up(call.id, event=call.event(0))
            assert given_up == (0 if call.state == "given up" else 1)
            call.state, call.held = "given up", 0

    @precondition(lambda self: self.find("open"))
    @rule(pick=PICK)
    def give_back(self, pick: int) -> None:
        """A call that was to wait is answered now, and has yet to reserve for that."""
        call = self.pick(pick, "open")
        if call.attempts == 1 and not call.turned and not call.is_turned:
            assert self.till.give_back(call.id) == 1
            call.state, call.attempts, call.held = "new", 0, 0

    @precondition(lambda self: self.find("open"))
    @rule(pick=PICK)
    def die(self, pick: int) -> None:
        """The worker dies, or sleeps too long: the lease ends, and the reaper finds the hold."""
        call = self.pick(pick, "open")
        client().zadd(self.till.leases, {call.id: clock.now_ms() - 1}, xx=True)
        assert reaper.reap(self.till.shard) == 1
        call.state, call.last, call.reaped, call.held, call.is_posted = "reaped", call.held, call.held, 0, True

    @precondition(lambda self: any(not call.is_turned for call in self.find("reaped")))
    @rule(pick=PICK, cost=st.integers(0, 900))
    def learn_the_truth(self, pick: int, cost: int) -> None:
        """The upstream's bill for an estimated row."""
        reaped = [call for call in self.find("reaped") if not call.is_turned]
        call = reaped[pick % len(reaped)]
        self.is_honest &= cost <= call.last
        self.correct(call, cost, call.scopes)

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
        for scope in self.every_scope():
            found = self.till.read(line_of(scope))
            if found is None and not scope.is_whole:
                continue
            assert (found or (0, 0)) == self.expected(scope)

    @invariant()
    def no_hard_budget_is_overdrawn(self) -> None:
        for scope in self.every_scope():
            settled, held = self.till.read(line_of(scope)) or (0, 0)
            assert settled >= 0
            assert held >= 0
            if scope.budget_id in self.begun:
                continue  # more than its limit may have been spent before there was one
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

    def make_call(self, user: str, model: str, *, rotated: bool = False) -> Call:
        row = make_row(self.tenant, 0, end_user=user, request_model=model)
        if rotated:
            row["key_id"] = str(self.tenant.key.rotated_to)
        now = self.find_scopes(row)
        call = Call(row, model, now, now[model], self.org.version)
        self.all.append(call)
        return call

    def find_scopes(self, row: dict[str, Any]) -> dict[str, tuple[Scope, ...]]:
        """By the model that is asked."""
        key = KeySnapshot(
            row["key_id"], self.org.id, row["project_id"], 1, None, None, None, False, str(self.tenant.key.pk)
        )
        whom = {"end_user": row["end_user"], "session": ""}
        return {
            model: find_scopes(self.org, key, **whom, model=model, tags={}, at_ms=row["started_at_ms"])
            for model in MODELS
        }

    def every_scope(self) -> list[Scope]:
        """Each counter once."""
        return list({one.counter: one for call in self.all for scopes in call.now.values() for one in scopes}.values())

    def find_whole(self) -> list[Call]:
        """Open calls whose model has money set aside for it, and whose budgets are those that they were planned by."""
        return [call for call in self.find("open") if not call.is_turned and call.planned == call.scopes]

    def ask(self, call: Call, terms: dict[str, Any]) -> list[Any]:
        ends = clock.now_ms() + 600_000
        return self.till.reserve(
            call.id, *call.lines, row=call.held_row, ends=ends, org_id=self.org.id, version=call.version, **terms
        )

    def end(self, call: Call, last: int) -> None:
        """The end of a call, as ``edges.ledger`` brings it about; what the model that was asked last cost."""
        if call.state in {"new", "forgotten"}:
            return
        settled = self.till.settle(call.id, last, event=call.event(last))
        assert settled == (call.state == "open")
        if settled:
            call.state, call.last, call.held, call.is_posted = "settled", last, 0, True
            return
        parts = [*((scopes, cost) for _, scopes, cost in call.turned), (call.planned, last)]
        costs: Counter[Line] = Counter()
        for scopes, cost in parts:
            for scope in scopes:
                costs[line_of(scope)] += cost
        word = self.till.late(call.id, call.epoch, 0, *costs, event=call.event(last), costs=list(costs.values()))
        if call.state == "reaped":
            assert word == b"reaped %d" % call.reaped
            self.correct(call, last, call.planned)
        elif call.state in {"given up", "late"}:
            assert word == call.state.encode()
        else:
            assert word == b""
            if call.state == "lost":
                call.last, call.is_posted = last, True
            call.state = "late"
            self.heal_what_began_unheard(call)

    def correct(self, call: Call, last: int, scopes: tuple[Scope, ...]) -> None:
        """The last model's part of a reaped call was another: the difference is in its budgets alone."""
        total = call.gone + last
        costs: Counter[str] = Counter({call.model: last})
        for model, _, cost in call.turned:
            costs[model] += cost
        event = orjson.dumps(
            correction_row(call.row_at(call.last), correction_id(call.id), Usage(), total, False, costs)
        )
        done = self.till.correct(call.id, last - call.last, *map(line_of, scopes), event=event)
        assert done == (not call.is_corrected)
        if done:
            call.is_corrected, call.last = True, last
            if scopes != call.scopes:
                self.heal_what_began_unheard(call)

    def heal_what_began_unheard(self, call: Call) -> None:
        """A budget began when the call's hold was gone already, and its worker knew nothing of that: until the next
        recount its counter is wrong by the call."""
        if call.planned != call.scopes and self.is_open():
            self.recount_the_shard()

    def find(self, *states: str) -> list[Call]:
        return [call for call in self.all if call.state in states]

    def pick(self, number: int, *states: str) -> Call:
        found = self.find(*states)
        return found[number % len(found)]

    def is_open(self) -> bool:
        return bool(client().exists(keyspace.epoch_key(self.till.shard)))

    def expected(self, scope: Scope) -> tuple[int, int]:
        settled = held = 0
        for call in self.all:
            for model, spent, reserved in call.parts():
                if any(one.counter == scope.counter for one in call.now[model]):
                    settled, held = settled + spent, held + reserved
        return settled, held


@pytest.mark.hypothesis
def test_money_is_neither_made_nor_lost(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock():
        run_state_machine_as_test(
            MoneyMachine,
            settings=settings(
                max_examples=examples(40),
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
