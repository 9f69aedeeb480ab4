"""Where every budget stands, and /budget-use."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine

from billing.spend.selectors.standings import MOST_SUBJECTS, Standing, list_standings
from costhub.lib.moments import to_ms
from costhub.lib.redis import client
from proxy.core.budgets import make_scope
from tenants.access import org_scope
from tenants.choices import BudgetAction, BudgetPeriod, BudgetScope
from tenants.models import Budget
from tenants.selectors import load_org_snapshot
from tests.billing.ledger import NOW, record_call
from tests.world import Api, Tenant, World, make_budget

HOUR = timedelta(hours=1)
DOLLAR = 10**9


@pytest.fixture(autouse=True)
def _at_noon() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def stand(tenant: Tenant, scope: str | None = None) -> list[tuple[str, int, int | None, int]]:
    return [(each.subject_name, each.spent, each.held, each.left) for each in standings(tenant, scope)]


def standings(tenant: Tenant, scope: str | None = None) -> tuple[Standing, ...]:
    with org_scope(tenant.org.pk):
        return list_standings(tenant.owner, NOW, scope)


def count(tenant: Tenant, budget: Budget, subject: str, spent: int, held: int) -> None:
    """Write a budget's counter as calls would."""
    org = load_org_snapshot(tenant.org_id)
    assert org is not None
    snapshot = next(each for each in org.budgets if each.id == str(budget.pk))
    client().hset(make_scope(org, snapshot, subject, to_ms(NOW)).counter, mapping={"s": spent, "h": held})


def test_a_budget_that_nobody_counted_stands_where_the_ledger_does(world: World) -> None:
    make_budget(world.acme, "10.00")
    record_call(world.acme, NOW - HOUR, cost=4 * DOLLAR)
    record_call(world.acme, NOW - timedelta(days=1), cost=DOLLAR)
    assert stand(world.acme) == [("Acme", 4 * DOLLAR, 0, 6 * DOLLAR)]
    (found,) = standings(world.acme)
    assert (found.per_mille, found.burn.per_day, found.end) == (400, 8 * DOLLAR, NOW + 12 * HOUR)


def test_the_counter_has_the_word_and_knows_what_is_held(world: World) -> None:
    budget = make_budget(world.acme, "10.00")
    record_call(world.acme, NOW - HOUR, cost=4 * DOLLAR)
    count(world.acme, budget, world.acme.org_id, 5 * DOLLAR, 2 * DOLLAR)
    assert stand(world.acme) == [("Acme", 5 * DOLLAR, 2 * DOLLAR, 3 * DOLLAR)]


def test_a_default_has_a_row_for_each_who_has_spent_under_it(world: World) -> None:
    make_budget(world.acme, "1.00", scope=BudgetScope.END_USER)
    make_budget(world.acme, "5.00", scope=BudgetScope.END_USER, subject="mia")
    for user, dollars in (("mia", 4), ("tom", 2), ("lea", 1), ("", 7)):
        record_call(world.acme, NOW - HOUR, cost=dollars * DOLLAR, end_user=user)
    assert stand(world.acme) == [
        ("tom", 2 * DOLLAR, 0, -DOLLAR),
        ("lea", DOLLAR, 0, 0),
        ("mia", 4 * DOLLAR, 0, DOLLAR),
    ]
    assert [each.is_default for each in standings(world.acme)] == [True, True, False]


def test_a_default_lists_the_dearest_and_says_how_many_more_there_are(world: World) -> None:
    make_budget(world.acme, "1.00", scope=BudgetScope.END_USER)
    for number in range(MOST_SUBJECTS + 2):
        record_call(world.acme, NOW - HOUR, cost=number + 1, end_user=f"user-{number:02d}")
    found = standings(world.acme)
    assert (len(found), found[0].more) == (MOST_SUBJECTS, 2)
    assert "user-00" not in [each.subject for each in found]


def test_every_scope_stands_and_a_place_narrows_it(world: World) -> None:
    acme = world.acme
    make_budget(acme, "1.00", scope=BudgetScope.PROJECT)
    make_budget(acme, "1.00", scope=BudgetScope.KEY, subject=str(acme.key.pk), period=BudgetPeriod.TOTAL)
    make_budget(acme, "1.00", scope=BudgetScope.MODEL)
    make_budget(acme, "1.00", scope=BudgetScope.TAG, subject="team=blue", period=BudgetPeriod.MONTH)
    make_budget(acme, "1.00", scope=BudgetScope.TAG)
    make_budget(acme, "1.00", scope=BudgetScope.SESSION, action=BudgetAction.WARN)
    make_budget(acme, "1.00", scope=BudgetScope.END_USER, within={"key": str(acme.key.pk)})
    record_call(acme, NOW - HOUR, cost=DOLLAR // 4, end_user="mia", tags={"team": "blue"})
    shown = {(each.budget.scope, each.subject_name): (each.spent, each.within_name) for each in standings(acme)}
    assert shown == {
        ("project", "default"): (DOLLAR // 4, ""),
        ("key", "first key"): (DOLLAR // 4, ""),
        ("model", "small"): (DOLLAR // 4, ""),
        ("tag", "team=blue"): (DOLLAR // 4, ""),
        ("tag", ""): (0, ""),
        ("session", ""): (0, ""),
        ("end_user", "mia"): (DOLLAR // 4, "first key"),
    }


def test_what_was_left_of_yesterday_is_in_the_limit(world: World) -> None:
    with time_machine.travel(NOW - timedelta(days=3), tick=False):
        budget = make_budget(world.acme, "10.00", rollover=True)
    org = load_org_snapshot(world.acme.org_id)
    assert org is not None
    scope = make_scope(org, org.budgets[0], world.acme.org_id, to_ms(NOW))
    assert scope.before is not None
    client().hset(scope.before.counter, mapping={"s": 7 * DOLLAR, "h": 0})
    (found,) = standings(world.acme)
    assert (str(budget.pk), found.limit) == (found.budget.id, 13 * DOLLAR)


def test_the_api_says_the_same(world: World) -> None:
    budget = make_budget(world.acme, "10.00", name="Day")
    record_call(world.acme, NOW - HOUR, cost=4 * DOLLAR)
    make_budget(world.acme, "1.00", scope=BudgetScope.MODEL)
    api = Api(token=world.acme.admin_token)
    body = api.get("/budget-use", scope="organization").json()
    assert body == {
        "as_of": "2026-11-22T12:00:00Z",
        "data": [
            {
                "budget": str(budget.pk),
                "name": "Day",
                "scope": "organization",
                "subject": world.acme.org_id,
                "subject_name": "Acme",
                "within": None,
                "period": "day",
                "action": "block",
                "is_shadow": False,
                "is_default": False,
                "limit": "10.000000000",
                "spent": "4.000000000",
                "held": "0.000000000",
                "left": "6.000000000",
                "used_percent": "40.0",
                "resets_at": "2026-11-23T00:00:00Z",
                "burn_per_day": "8.000000000",
                "empty_at": None,
            }
        ],
    }
    assert len(api.get("/budget-use").json()["data"]) == 2
    assert api.get("/budget-use", scope="x").status_code == 400
    assert Api(token=world.mallcorp.admin_token).get("/budget-use").json()["data"] == []
