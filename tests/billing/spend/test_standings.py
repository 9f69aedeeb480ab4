"""Where every budget stands, and /budget-use."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.spend.actions.rollups import roll_up
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
    make_budget(acme, "1.00", scope=BudgetScope.SESSION, action=BudgetAction.WARN)
    make_budget(acme, "1.00", scope=BudgetScope.END_USER, within={"key": str(acme.key.pk)})
    record_call(acme, NOW - HOUR, cost=DOLLAR // 4, end_user="mia", tags={"team": "blue"})
    shown = {(each.budget.scope, each.subject_name): (each.spent, each.within_name) for each in standings(acme)}
    assert shown == {
        ("project", "default"): (DOLLAR // 4, ""),
        ("key", "first key"): (DOLLAR // 4, ""),
        ("model", "small"): (DOLLAR // 4, ""),
        ("tag", "team=blue"): (DOLLAR // 4, ""),
        ("session", ""): (0, ""),
        ("end_user", "mia"): (DOLLAR // 4, "first key"),
    }


def test_the_default_of_tags_stands_for_each_value(world: World) -> None:
    """So are calls held to it: a value that is used up refuses, whatever the others have left."""
    make_budget(world.acme, "3.00", scope=BudgetScope.TAG)
    make_budget(world.acme, "9.00", scope=BudgetScope.TAG, subject="team=red")
    for tags, dollars in (({"team": "blue", "app": "x"}, 2), ({"team": "red"}, 4), ({"app": "x"}, 1), ({}, 8)):
        record_call(world.acme, NOW - HOUR, cost=dollars * DOLLAR, tags=tags)
    record_call(world.acme, NOW - timedelta(days=1), cost=DOLLAR, tags={"team": "blue"})
    assert stand(world.acme) == [
        ("app=x", 3 * DOLLAR, 0, 0),
        ("team=blue", 2 * DOLLAR, 0, DOLLAR),
        ("team=red", 4 * DOLLAR, 0, 5 * DOLLAR),
    ]


@pytest.mark.parametrize("within", [None, "project", "key"])
@pytest.mark.parametrize("is_rolled_up", [False, True])
def test_tags_are_summed_in_one_statement_however_many_names_they_have(
    world: World, within: str | None, is_rolled_up: bool
) -> None:
    place = {"project": world.acme.project, "key": world.acme.key}
    narrowed = {within: str(place[within].pk)} if within else None
    make_budget(world.acme, "3.00", scope=BudgetScope.TAG, period=BudgetPeriod.MONTH, within=narrowed)
    for number in range(MOST_SUBJECTS + 2):
        tags = {f"name-{number:02d}": "x=y", "team": "blue"}
        record_call(world.acme, NOW - timedelta(days=2), cost=number + 1, tags=tags)
    if is_rolled_up:
        roll_up()
    with CaptureQueriesContext(connection) as asked:
        found = standings(world.acme)
    assert sum("jsonb_each_text" in each["sql"] for each in asked) == 1
    spent = {each.subject: each.spent for each in found}
    assert (len(found), {each.more for each in found}) == (MOST_SUBJECTS, {3})
    assert (spent["team=blue"], spent["name-51=x=y"], "name-02=x=y" in spent) == (sum(range(53)), 52, False)


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
                "more": 0,
                "burn_per_day": "8.000000000",
                "empty_at": None,
            }
        ],
    }
    assert len(api.get("/budget-use").json()["data"]) == 2
    assert api.get("/budget-use", scope="x").status_code == 400
    assert Api(token=world.mallcorp.admin_token).get("/budget-use").json()["data"] == []
