"""Of many groups only the dearest are told apart: each as in the whole list, and the others together what is left."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
import time_machine

from billing.spend.actions.rollups import roll_up
from billing.spend.core.ranges import read_range
from billing.spend.core.ranking import REST
from billing.spend.filters import LedgerFilters
from billing.spend.selectors import find_spend, read_budget_book, read_first_page
from billing.spend.selectors.spend import Spend, ask_spend, read_spend
from billing.spend.selectors.sums import Question, add_up
from tenants.access import org_scope
from tests.billing.ledger import NOW, record_call
from tests.world import World

START: Final = datetime(2026, 11, 1, tzinfo=UTC)
#: what each end user costs on each of four days; the third and the fourth of them cost the same
COSTS: Final = {"": 5, "ada": 70, "ben": 40, "cyd": 40, "dee": 9, "\u00e9lo": 1}
GROUPINGS: Final = (("end_user",), ("day", "end_user"), ("model",), ("day", "key"), ("hour", "model"), ("upstream",))


@pytest.fixture
def spent(world: World) -> Iterator[World]:
    with time_machine.travel(NOW, tick=False):
        for day in range(1, 5):
            for end_user, cost in COSTS.items():
                moment = NOW - timedelta(days=day, minutes=cost)
                record_call(world.acme, moment, cost=cost, end_user=end_user, request_model=f"model {cost % 3}")
        yield world


def ask(world: World, groups: tuple[str, ...], top: int) -> Question:
    return ask_spend(world.acme.owner, start=START, end=NOW, group_by=groups, top=top)


def read(world: World, question: Question) -> Spend:
    return read_spend(world.acme.owner, question, add_up(world.acme.owner, [question])[question])


def cut(whole: Spend, top: int) -> dict[tuple[str, ...], int]:
    """What the ranked answer should be, made of the whole one."""
    *_, name = whole.rows[0].group
    costs: Counter[str] = Counter()
    for row in whole.rows:
        costs[row.group[name]] += row.totals.effective_cost
    shown = set(sorted(costs, key=lambda group: (-costs[group], group))[:top])
    found: dict[tuple[str, ...], int] = {}
    for row in whole.rows:
        key = (*list(row.group.values())[:-1], row.group[name] if row.group[name] in shown else REST)
        found[key] = found.get(key, 0) + row.totals.effective_cost
    return found


@pytest.mark.parametrize("is_rolled_up", [False, True])
@pytest.mark.parametrize("groups", GROUPINGS)
def test_the_dearest_are_as_they_were_and_the_others_are_one(
    spent: World, groups: tuple[str, ...], is_rolled_up: bool
) -> None:
    while is_rolled_up and roll_up():
        pass
    with org_scope(spent.acme.org.pk):
        whole = read(spent, ask(spent, groups, 0))
        for top in (1, 2, 3, 6, 50):
            ranked = read(spent, ask(spent, groups, top))
            assert {tuple(row.group.values()): row.totals.effective_cost for row in ranked.rows} == cut(whole, top)
            assert (ranked.total, ranked.groups, ranked.as_of) == (whole.total, whole.groups, whole.as_of)


def test_the_others_come_last_and_of_equals_the_first_by_name_is_shown(spent: World) -> None:
    with org_scope(spent.acme.org.pk):
        ranked = read(spent, ask(spent, ("end_user",), 2))
    assert [(row.group["end_user"], row.totals.requests, row.is_rest) for row in ranked.rows] == [
        ("ada", 4, False),
        ("ben", 4, False),
        (REST, 16, True),
    ]
    assert ranked.groups == 6


def test_questions_that_share_a_statement_each_get_their_own(spent: World) -> None:
    questions = [ask(spent, groups, top) for groups in (("model",), ("day", "model")) for top in (0, 1, 2)]
    with org_scope(spent.acme.org.pk):
        together = add_up(spent.acme.owner, questions)
        for question in questions:
            assert read_spend(spent.acme.owner, question, together[question]) == read(spent, question)


def test_without_rows_there_is_no_other(world: World) -> None:
    with org_scope(world.acme.org.pk):
        assert read(world, ask(world, ("end_user",), 2)).rows == ()


@pytest.mark.parametrize("is_rolled_up", [False, True])
@pytest.mark.parametrize("groups", [("end_user",), ("day", "end_user"), ("hour", "end_user")])
def test_those_that_are_named_are_told_apart_and_the_others_are_one(
    spent: World, groups: tuple[str, ...], is_rolled_up: bool
) -> None:
    while is_rolled_up and roll_up():
        pass
    with org_scope(spent.acme.org.pk):
        whole = read(spent, ask(spent, groups, 0))
        named = read(spent, replace(ask(spent, groups, 0), among=("ada", "ben")))
    assert {tuple(row.group.values()): row.totals.effective_cost for row in named.rows} == cut(whole, 2)
    assert named.total == whole.total


@pytest.mark.parametrize("top", [2, 20])
def test_the_first_page_by_end_user_shows_the_dearest_by_day(spent: World, top: int) -> None:
    span = read_range({}, NOW, spent.acme.org.time_zone)
    with org_scope(spent.acme.org.pk):
        book = read_budget_book(spent.acme.owner, NOW)
        page = read_first_page(spent.acme.owner, NOW, book, span, LedgerFilters(), stack="end_user", top=top)
        whole = find_spend(spent.acme.owner, start=span.start, end=span.end, group_by=["day", "end_user"])
    assert {tuple(row.group.values()): row.totals.effective_cost for row in page.spend.rows} == cut(whole, top)
    assert (page.spend.groups, page.spend.total.effective_cost) == (len(COSTS), whole.total.effective_cost)
