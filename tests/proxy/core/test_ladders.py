"""On which rungs of a ladder a call is, and what each does to it."""

from dataclasses import replace
from typing import Any

import pytest

from costhub.lib.money import MAX_LIMIT_NANOS
from proxy.core.bounds import exact_bound
from proxy.core.budgets import find_scopes
from proxy.core.plan import make_plan
from proxy.values.plan import Plan
from proxy.values.windows import NO_LIMIT
from tenants.price_snapshots import make_rates
from tenants.snapshots import BudgetSnapshot, RungSnapshot
from tests.proxy.core.examples import KEY, MODEL, NO_CONTROLS, NOON_MS, ORG, PRICE, make_budget, make_chat

LIMIT = 1_000
DEAR = replace(PRICE, id="dear", rates=make_rates({"input": 1_500_000, "output": 6_000_000}))
LARGE = replace(MODEL, name="large", upstream_model="large-1", prices=(DEAR,))
CHEAPER = RungSnapshot(50, "cheaper_model", model="small")
SHORTER = RungSnapshot(80, "shorter_output", max_tokens=7)
SLOWER = RungSnapshot(90, "slower_lane", delay_ms=250)
BLOCK = RungSnapshot(100, "block")


def ladder(*rungs: RungSnapshot, **changes: Any) -> BudgetSnapshot:
    return make_budget(action="degrade", limit_nanos=LIMIT, ladder=rungs, **changes)


def plan_at(spent: int, *budgets: BudgetSnapshot, key: Any = KEY, **fields: Any) -> Plan:
    org = replace(ORG, budgets=budgets, models={"small": MODEL, "large": replace(LARGE, prices=(DEAR,))})
    org = replace(org, models={**org.models, "free": replace(MODEL, name="free", prices=())})
    scopes = find_scopes(org, KEY, end_user="", model="large", tags={}, session="", at_ms=NOON_MS)
    known = {scope.counter: spent for scope in scopes}
    request = make_chat(**{"model": "large", "max_tokens": 100} | fields)
    return make_plan(request, NO_CONTROLS, key, org, NOON_MS, known)


@pytest.mark.parametrize(
    ("spent", "model", "most", "delay_ms", "rungs", "band"),
    [
        (0, "large", NO_LIMIT, 0, (), (0, 500)),
        (499, "large", NO_LIMIT, 0, (), (0, 500)),
        (500, "small", NO_LIMIT, 0, ("cheaper_model",), (500, 800)),
        (799, "small", NO_LIMIT, 0, ("cheaper_model",), (500, 800)),
        (800, "small", 7, 0, ("cheaper_model", "shorter_output"), (800, 900)),
        (900, "small", 7, 250, ("cheaper_model", "shorter_output", "slower_lane"), (900, 2**53 - 1)),
        (9_999, "small", 7, 250, ("cheaper_model", "shorter_output", "slower_lane"), (900, 2**53 - 1)),
    ],
)
def test_each_rung_joins_those_before_it(
    spent: int, model: str, most: int, delay_ms: int, rungs: tuple[str, ...], band: tuple[int, int]
) -> None:
    plan = plan_at(spent, ladder(CHEAPER, SHORTER, SLOWER, BLOCK))
    assert (plan.first.model.name, plan.most_output, plan.delay_ms, plan.rungs) == (model, most, delay_ms, rungs)
    assert plan.first.bands == ((1, *band),)
    assert (
        plan.first.bound.max_output
        == exact_bound(plan.request, plan.first, plan.most_output).max_output
        == (100 if most == NO_LIMIT else most)
    )
    assert plan.first.list_price == DEAR
    assert plan.first.price == (DEAR if model == "large" else PRICE)


@pytest.mark.parametrize(
    ("rolled", "spent", "rungs", "band"),
    [
        (0, 499, (), (0, 50)),
        (0, 500, ("cheaper_model",), (50, 80)),
        (1_000, 999, (), (0, 50)),
        (1_000, 1_000, ("cheaper_model",), (50, 80)),
        (1_000, 1_600, ("cheaper_model", "shorter_output"), (80, 2**53 - 1)),
    ],
)
def test_with_a_rollover_it_is_per_cent_of_the_whole(
    rolled: int, spent: int, rungs: tuple[str, ...], band: tuple[int, int]
) -> None:
    org = replace(ORG, budgets=(ladder(CHEAPER, SHORTER, rollover=True),), models={"small": MODEL, "large": LARGE})
    (scope,) = find_scopes(org, KEY, end_user="", model="large", tags={}, session="", at_ms=NOON_MS)
    assert scope.before is not None
    known = {scope.counter: spent, scope.before.counter: rolled}
    plan = make_plan(make_chat(model="large"), NO_CONTROLS, KEY, org, NOON_MS, known)
    assert (plan.rungs, plan.first.bands) == (rungs, ((1, *band),))


def test_what_is_not_known_has_spent_nothing() -> None:
    org = replace(ORG, budgets=(ladder(CHEAPER),), models={"small": MODEL, "large": LARGE})
    plan = make_plan(make_chat(model="large"), NO_CONTROLS, KEY, org, NOON_MS)
    assert (plan.first.model.name, plan.rungs, plan.first.bands) == ("large", (), ((1, 0, 500),))


def test_a_budget_without_a_ladder_has_no_band() -> None:
    plan = plan_at(900, make_budget(), ladder(CHEAPER))
    assert plan.first.bands == ((2, 500, 2**53 - 1),)


def test_block_is_a_limit_like_any_other() -> None:
    (scope,) = plan_at(0, ladder(replace(BLOCK, at=90))).first.scopes
    assert (scope.limit, scope.is_hard, scope.steps) == (900, True, ())


def test_without_block_calls_go_on() -> None:
    plan = plan_at(5 * LIMIT, ladder(CHEAPER))
    assert not plan.first.scopes[0].is_hard


def test_a_shorter_answer_is_told_to_the_upstream() -> None:
    assert plan_at(LIMIT, ladder(SHORTER)).first.is_capped


def test_a_cheaper_model_is_held_to_its_own_limit() -> None:
    """It may write less than the model that was asked for."""
    assert plan_at(LIMIT, ladder(CHEAPER)).first.is_capped


def test_no_step_is_beyond_what_lua_counts() -> None:
    (scope,) = plan_at(
        0, replace(ladder(replace(CHEAPER, at=150), replace(BLOCK, at=200)), limit_nanos=MAX_LIMIT_NANOS)
    ).first.scopes
    assert (scope.limit, scope.steps[0][0]) == (MAX_LIMIT_NANOS, MAX_LIMIT_NANOS)


def test_a_shadow_changes_nothing() -> None:
    plan = plan_at(LIMIT, ladder(CHEAPER, SHORTER, BLOCK, is_shadow=True))
    assert (plan.rungs, plan.first.scopes[0].is_hard, plan.first.scopes[0].is_shadow) == ((), False, True)


@pytest.mark.parametrize(
    ("key", "rung", "asked"),
    [
        (KEY, CHEAPER, "small"),
        (replace(KEY, models=frozenset({"large"})), CHEAPER, "large"),
        (KEY, replace(CHEAPER, model="gone"), "large"),
        (KEY, replace(CHEAPER, model="free"), "large"),
        (KEY, replace(CHEAPER, model="large"), "small"),
    ],
    ids=[
        "it is that model",
        "not this key's",
        "not there any more",
        "without a price",
        "dearer than the one asked for",
    ],
)
def test_a_model_that_is_none_for_this_call_is_left_out(key: Any, rung: RungSnapshot, asked: str) -> None:
    plan = plan_at(LIMIT, ladder(rung), key=key, model=asked)
    assert (plan.first.model.name, plan.rungs) == (asked, ())


def test_of_two_ladders_the_stricter_rung_counts() -> None:
    plan = plan_at(LIMIT, ladder(SHORTER, SLOWER), ladder(replace(SHORTER, max_tokens=3), replace(SLOWER, delay_ms=10)))
    assert (plan.most_output, plan.delay_ms) == (3, 250)
    assert plan.rungs == ("shorter_output", "slower_lane")
