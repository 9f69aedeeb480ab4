"""Increases of budgets: how much more, for how long, and what the sum may come to."""

from datetime import datetime, timedelta

import pytest
import time_machine

from costhub.lib import clock
from costhub.lib.errors import Conflict, Forbidden, InvalidField
from costhub.lib.money import MAX_LIMIT_NANOS, Nanos
from tenants.access import enter_org
from tenants.actions.budgets import create_budget, update_budget
from tenants.actions.increases import MAX_INCREASES, end_increase, increase_budget, list_in_force
from tenants.actions.keys import rotate_key
from tenants.choices import BudgetPeriod, BudgetScope
from tenants.models import AuditEntry, Budget, BudgetIncrease
from tenants.selectors import load_org_snapshot
from tenants.snapshots import IncreaseSnapshot, OrgSnapshot
from tests.audit import read_audit
from tests.world import World, make_budget

NOW = datetime.fromisoformat("2026-03-01T12:00:30+00:00")
NOON_MS = 1_772_366_400_000


@pytest.fixture(autouse=True)
def open_acme(world: World) -> None:
    enter_org(world.acme.org.pk)


@pytest.fixture
def budget(world: World) -> Budget:
    return make_budget(world.acme, "10", scope=BudgetScope.KEY, subject=str(world.acme.key.pk))


def add(
    world: World, budget: Budget, amount: int = 5, until: datetime = NOW + timedelta(hours=1), reason: str = ""
) -> BudgetIncrease:
    return increase_budget(
        actor=world.acme.owner, budget=budget, amount_nanos=Nanos(amount), until=until, reason=reason
    )


@time_machine.travel(NOW, tick=False)
def test_it_ends_with_a_whole_minute_and_has_an_author(world: World, budget: Budget) -> None:
    one = add(world, budget, until=NOW + timedelta(minutes=1, microseconds=1), reason="the launch")
    assert one.until == NOW.replace(minute=2, second=0)
    assert add(world, budget, until=NOW.replace(minute=2, second=0)).until == one.until
    assert one.created_by == "ada@acme.example"
    entry = read_audit(world.acme.org, action="budget_increase.created")[0]
    assert (entry.changes["amount_nanos"], entry.changes["reason"]) == (5, "the launch")


@time_machine.travel(NOW, tick=False)
def test_the_hot_path_knows_those_in_force(world: World, budget: Budget) -> None:
    add(world, budget, 7, NOW + timedelta(minutes=1))
    end_increase(actor=world.acme.owner, increase=add(world, budget, 8))
    snapshot = load_org_snapshot(world.acme.org_id)
    assert snapshot is not None
    assert snapshot.budgets[0].increases == (IncreaseSnapshot(7, NOON_MS + 30_000, NOON_MS + 120_000),)
    assert OrgSnapshot.from_json(snapshot.to_json()) == snapshot


@pytest.mark.parametrize(
    "until",
    [NOW, NOW - timedelta(seconds=1), NOW + timedelta(days=366, seconds=1), datetime.fromisoformat("9999-01-01T00Z")],
)
@time_machine.travel(NOW, tick=False)
def test_moments_that_cannot_be(world: World, budget: Budget, until: datetime) -> None:
    with pytest.raises(InvalidField) as caught:
        add(world, budget, until=until)
    assert caught.value.field == "until"


@pytest.mark.parametrize("amount", [0, -1, MAX_LIMIT_NANOS - 10**10 + 1])
@time_machine.travel(NOW, tick=False)
def test_amounts_that_cannot_be(world: World, budget: Budget, amount: int) -> None:
    with pytest.raises(InvalidField) as caught:
        add(world, budget, amount)
    assert caught.value.field == "amount"


@time_machine.travel(NOW, tick=False)
def test_all_that_may_be_added_is_at_most_nine_million(world: World, budget: Budget) -> None:
    update_budget(actor=world.acme.owner, budget=budget, limit_nanos=Nanos(MAX_LIMIT_NANOS // 2), rollover=True)
    with pytest.raises(InvalidField) as caught:
        add(world, budget, 1)
    assert caught.value.field == "amount"
    update_budget(actor=world.acme.owner, budget=budget, rollover=False)
    add(world, budget, MAX_LIMIT_NANOS // 2)
    for change in ({"rollover": True}, {"limit_nanos": Nanos(MAX_LIMIT_NANOS // 2 + 1)}):
        with pytest.raises(InvalidField, match="at most"):
            update_budget(actor=world.acme.owner, budget=budget, **change)
    with time_machine.travel(NOW + timedelta(hours=2), tick=False):
        update_budget(actor=world.acme.owner, budget=budget, rollover=True)


@time_machine.travel(NOW, tick=False)
def test_a_reason_is_one_line(world: World, budget: Budget) -> None:
    for reason in ("x" * 501, "a\nb"):
        with pytest.raises(InvalidField) as caught:
            add(world, budget, reason=reason)
        assert caught.value.field == "reason"


@time_machine.travel(NOW, tick=False)
def test_one_ends_early_and_once(world: World, budget: Budget) -> None:
    one = add(world, budget)
    end_increase(actor=world.acme.owner, increase=one)
    assert one.ended_at == clock.now()
    with time_machine.travel(NOW + timedelta(minutes=5), tick=False):
        end_increase(actor=world.acme.owner, increase=one)
    one.refresh_from_db()
    assert one.ended_at == NOW
    assert list_in_force(budget) == []
    assert AuditEntry.objects.filter(action="budget_increase.updated").count() == 1


@time_machine.travel(NOW, tick=False)
def test_there_are_so_many_at_once(world: World, budget: Budget) -> None:
    several = [add(world, budget, 1) for _ in range(MAX_INCREASES)]
    with pytest.raises(Conflict):
        add(world, budget, 1)
    end_increase(actor=world.acme.owner, increase=several[0])
    add(world, budget, 1)


@time_machine.travel(NOW, tick=False)
def test_a_budget_that_is_off_has_none(world: World, budget: Budget) -> None:
    update_budget(actor=world.acme.owner, budget=budget, is_active=False)
    with pytest.raises(Conflict, match="switched off"):
        add(world, budget)


@time_machine.travel(NOW, tick=False)
def test_a_keys_successor_has_them_too(world: World, budget: Budget) -> None:
    add(world, budget, 7, reason="the launch")
    end_increase(actor=world.acme.owner, increase=add(world, budget, 8))
    rotate_key(actor=world.acme.owner, key=world.acme.key)
    org = load_org_snapshot(world.acme.org_id)
    assert org is not None
    (snapshot,) = org.budgets
    assert (snapshot.subject, [one.amount for one in snapshot.increases]) == (str(world.acme.key.pk), [7])
    assert BudgetIncrease.objects.filter(budget=budget).count() == 2


def test_a_developer_may_not(world: World, budget: Budget) -> None:
    with pytest.raises(Forbidden):
        increase_budget(actor=world.ben_actor, budget=budget, amount_nanos=Nanos(1), until=clock.now())


@pytest.mark.parametrize("period", ["minute", "hour", "total"])
def test_some_periods_know_no_rollover(world: World, period: str) -> None:
    given = {"actor": world.acme.owner, "scope": BudgetScope.ORGANIZATION, "limit_nanos": Nanos(1)}
    with pytest.raises(InvalidField) as caught:
        create_budget(period=BudgetPeriod(period), rollover=True, **given)  # type: ignore[arg-type]
    assert caught.value.field == "rollover"
