"""Ladders: rungs that there are, in an order that makes sense, and models that make something cheaper."""

from typing import Any

import pytest

from costhub.lib.errors import InvalidField
from costhub.lib.money import Nanos
from tenants.access import enter_org
from tenants.actions.budgets import create_budget, update_budget
from tenants.choices import BudgetAction, BudgetPeriod, BudgetScope
from tenants.models import Budget
from tests.world import World, make_catalog

CHEAPER = {"at": 80, "rung": "cheaper_model", "model": "small"}
SHORT = {"at": 80, "rung": "shorter_output", "max_tokens": 256}
SLOW = {"at": 50, "rung": "slower_lane", "delay_ms": 500}
BLOCK = {"at": 100, "rung": "block"}


@pytest.fixture(autouse=True)
def open_acme(world: World) -> None:
    make_catalog(world.acme)
    make_catalog(world.acme, model="large", input_per_million="1.5", output_per_million="6")
    make_catalog(world.acme, model="middle", input_per_million="0.5", output_per_million="2")
    make_catalog(world.acme, model="unpriced", input_per_million=None)
    make_catalog(world.mallcorp, model="theirs", input_per_million="0.01", output_per_million="0.01")
    enter_org(world.acme.org.pk)


def create(world: World, ladder: Any, action: BudgetAction = BudgetAction.DEGRADE, **more: Any) -> Budget:
    terms: dict[str, Any] = {"scope": BudgetScope.ORGANIZATION, "period": BudgetPeriod.DAY} | more
    return create_budget(actor=world.acme.owner, limit_nanos=Nanos(1_000), action=action, ladder=ladder, **terms)


def refusal(world: World, ladder: Any, **more: Any) -> str:
    with pytest.raises(InvalidField) as caught:
        create(world, ladder, **more)
    assert caught.value.field == "ladder"
    return caught.value.message


def test_every_rung_there_is(world: World) -> None:
    ladder = [SLOW, CHEAPER, SHORT, BLOCK]
    assert create(world, ladder).ladder == ladder


def test_each_of_a_kind_does_more_than_the_one_before(world: World) -> None:
    middle = CHEAPER | {"at": 70, "model": "middle"}
    ladder = [SLOW, middle, SLOW | {"at": 75, "delay_ms": 501}, CHEAPER, SHORT, SHORT | {"at": 90, "max_tokens": 255}]
    assert create(world, ladder).ladder == ladder


@pytest.mark.parametrize(
    ("model", "cheaper", "message"),
    [
        ("small", "small", "Rung 1: small is not cheaper than small, the budget's own."),
        ("small", "middle", "Rung 1: middle is not cheaper than small, the budget's own."),
        ("large", "middle", ""),
        ("unpriced", "small", ""),
    ],
)
def test_a_models_budget_goes_to_one_that_is_cheaper_than_it(
    world: World, model: str, cheaper: str, message: str
) -> None:
    wanted: dict[str, Any] = {"scope": BudgetScope.MODEL, "subject": model}
    ladder = [CHEAPER | {"model": cheaper}]
    if message:
        assert refusal(world, ladder, **wanted) == message
        budget = create(world, [], action=BudgetAction.WARN, **wanted)
        with pytest.raises(InvalidField, match="the budget's own"):
            update_budget(actor=world.acme.owner, budget=budget, action=BudgetAction.DEGRADE, ladder=ladder)
    else:
        assert create(world, ladder, **wanted).ladder == ladder


@pytest.mark.parametrize(
    ("ladder", "message"),
    [
        ([], 'Give 1 to 10 rungs, such as {"at": 80, "rung": "cheaper_model", "model": "small"}.'),
        ([BLOCK | {"at": at} for at in range(1, 12)], "Give 1 to 10 rungs"),
        (
            [{"at": 50, "rung": "pray"}],
            "Rung 1: give one of cheaper_model, shorter_output, slower_lane, cache_only, compress, route, block as its rung.",
        ),
        ([{"rung": "block"}], "Rung 1: at is a whole number of per cent from 1 to 200."),
        ([BLOCK | {"at": 0}], "Rung 1: at is a whole number of per cent from 1 to 200."),
        ([BLOCK | {"at": 201}], "Rung 1: at is a whole number of per cent from 1 to 200."),
        ([BLOCK | {"at": True}], "Rung 1: at is a whole number of per cent from 1 to 200."),
        ([BLOCK | {"at": 99.5}], "Rung 1: at is a whole number of per cent from 1 to 200."),
        ([BLOCK | {"model": "small"}], "Rung 1: block has no model."),
        ([CHEAPER | {"max_tokens": 5}], "Rung 1: cheaper_model has no max_tokens."),
        ([CHEAPER, {"at": 90, "rung": "shorter_output"}], "Rung 2: max_tokens is a whole number from 1 to 10000000."),
        (
            [{"at": 90, "rung": "slower_lane", "delay_ms": 60_001}],
            "Rung 1: delay_ms is a whole number from 1 to 60000.",
        ),
        ([BLOCK, CHEAPER], "Rung 2 begins before rung 1: put them in rising order."),
        ([BLOCK | {"at": 80}, CHEAPER], "Rung 2 comes after block: no call gets that far."),
        ([CHEAPER, CHEAPER], "Rung 2 is there twice: one of a kind at one per cent."),
        (
            [CHEAPER | {"model": "theirs"}],
            "Rung 1: give one of the organisation's models as its model; 'theirs' is none.",
        ),
        ([CHEAPER | {"model": 7}], "Rung 1: give one of the organisation's models as its model; '7' is none."),
        ([{"at": 80, "rung": "cheaper_model"}], "Rung 1: give one of the organisation's models as its model"),
        (
            [CHEAPER, {"at": 90, "rung": "cheaper_model", "model": "middle"}],
            "Rung 2: middle is not cheaper than small, that of rung 1.",
        ),
        ([CHEAPER, CHEAPER | {"at": 90}], "Rung 2: small is not cheaper than small, that of rung 1."),
        (
            [SHORT, SHORT | {"at": 90}],
            "Rung 2: give fewer max_tokens than the 256 of rung 1.",
        ),
        (
            [SLOW, SLOW | {"at": 90, "delay_ms": 100}],
            "Rung 2: give a longer delay_ms than the 500 of rung 1.",
        ),
        ([CHEAPER | {"model": "unpriced"}], "Rung 1: the model unpriced has no price."),
        (
            [CHEAPER | {"model": "large"}],
            "Rung 1: no model is more expensive than large, so that nothing would become cheaper.",
        ),
    ],
)
def test_what_cannot_be(world: World, ladder: Any, message: str) -> None:
    assert refusal(world, ladder).startswith(message)


@pytest.mark.parametrize("action", [BudgetAction.BLOCK, BudgetAction.WARN])
def test_only_a_budget_that_degrades_has_one(world: World, action: BudgetAction) -> None:
    assert refusal(world, [BLOCK], action=action) == "Only a budget that degrades has a ladder."


def test_a_ladder_comes_and_goes_with_the_action(world: World) -> None:
    budget = create(world, [], action=BudgetAction.BLOCK)
    with pytest.raises(InvalidField):
        update_budget(actor=world.acme.owner, budget=budget, action=BudgetAction.DEGRADE)
    update_budget(actor=world.acme.owner, budget=budget, action=BudgetAction.DEGRADE, ladder=[CHEAPER])
    update_budget(actor=world.acme.owner, budget=budget, ladder=[CHEAPER, BLOCK])
    assert Budget.objects.get(pk=budget.pk).ladder == [CHEAPER, BLOCK]
    update_budget(actor=world.acme.owner, budget=budget, action=BudgetAction.WARN)
    stored = Budget.objects.get(pk=budget.pk)
    assert (stored.action, stored.ladder) == ("warn", [])
