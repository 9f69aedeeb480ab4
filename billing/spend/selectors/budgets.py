"""Budgets beside what the ledger says was spent from them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from billing.spend.filters import LedgerFilters
from billing.spend.selectors.names import find_names, plain_name
from billing.spend.selectors.sums import Question, Sums, add_up
from costhub.lib.moments import to_ms
from proxy.core.budgets import KNOWN_AFTER_MS, Place, is_lifted, list_own, whole_limit
from tenants.access import Actor
from tenants.choices import BudgetScope, Permission
from tenants.periods import period_bounds, previous_bounds
from tenants.selectors import read_budgets, read_lineages
from tenants.snapshots import BudgetSnapshot

#: a scope -> the group that its subjects are; the organisation is all of them
_GROUPS: Final[dict[str, tuple[str, ...]]] = {
    BudgetScope.ORGANIZATION: (),
    BudgetScope.PROJECT: ("project",),
    BudgetScope.KEY: ("key",),
}
#: what is spent in a period by each subject of a scope: one question for each (scope, period)
SpentQuestions = Mapping[tuple[str, str], Question]
_Spent = Mapping[tuple[str, str], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """A budget and what the ledger says was spent in its current period. ``limit`` has increases and what rolled
    over. For the default of a scope ``subject`` is the subject that has used the most of it."""

    id: UUID
    name: str
    scope: str
    subject: str
    subject_name: str
    is_default: bool
    period: str
    action: str
    is_shadow: bool
    limit: int
    spent: int
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class BudgetBook:
    """Budgets as they hold now. ``spent_before`` is what was spent in the period before, where that counts: nano-USD by
    (scope, period) and subject."""

    budgets: tuple[BudgetSnapshot, ...]
    own: frozenset[Place]
    spent_before: _Spent
    rolling: frozenset[str]
    at_ms: int

    def holds(self, budget: BudgetSnapshot, subject: str) -> bool:
        """Whether a budget is what holds a subject: not where it is a default and the subject has its own."""
        return not is_lifted(budget, subject, self.own)

    def limit(self, budget: BudgetSnapshot, subject: str) -> int:
        """With increases in force and what was left of the period before."""
        before = self.spent_before.get((budget.scope, budget.period), {}).get(subject, 0)
        rolled = max(budget.limit_nanos - before, 0) if budget.id in self.rolling else 0
        return whole_limit(budget, self.at_ms, rolled)


def read_budget_book(actor: Actor, now: datetime) -> BudgetBook:
    """The active budgets of the organisation, its projects and keys. Raises Forbidden if the actor may not see
    money."""
    actor.check(Permission.READ_MONEY)
    budgets = read_budgets(actor, now, _GROUPS)
    rolling = [budget for budget in budgets if _rolls(actor, budget, now)]
    before = _ask_spent(actor, rolling, now, is_before=True)
    return BudgetBook(
        budgets=tuple(budgets),
        own=list_own(budgets),
        spent_before=_read_spent(actor, before, add_up(actor, before.values())),
        rolling=frozenset(budget.id for budget in rolling),
        at_ms=to_ms(now),
    )


def list_budget_uses(actor: Actor, now: datetime) -> tuple[BudgetUse, ...]:
    """The active budgets of the organisation, its projects and keys with what was spent, the fullest first.

    Raises Forbidden if the actor may not see money.
    """
    book = read_budget_book(actor, now)
    asked = ask_uses(actor, book, now)
    return read_uses(actor, book, now, asked, add_up(actor, asked.values()))


def ask_uses(actor: Actor, book: BudgetBook, now: datetime) -> SpentQuestions:
    """What is to be summed for ``read_uses``."""
    return _ask_spent(actor, book.budgets, now)


def read_uses(
    actor: Actor, book: BudgetBook, now: datetime, asked: SpentQuestions, sums: Mapping[Question, Sequence[Sums]]
) -> tuple[BudgetUse, ...]:
    """The budgets with what was spent, the fullest first."""
    spent = _read_spent(actor, asked, sums)
    subjects = [_find_subject(actor, book, budget, spent[budget.scope, budget.period]) for budget in book.budgets]
    names = find_names(actor.org, subjects)
    uses = [
        BudgetUse(
            id=UUID(budget.id),
            name=budget.name,
            scope=budget.scope,
            subject=subject,
            subject_name=plain_name(actor.org, budget.scope, subject, names),
            is_default=not budget.subject and budget.scope != BudgetScope.ORGANIZATION,
            period=budget.period,
            action=budget.action,
            is_shadow=budget.is_shadow,
            limit=book.limit(budget, subject),
            spent=spent[budget.scope, budget.period].get(subject, 0),
            start=start,
            end=end,
        )
        for budget, subject in zip(book.budgets, subjects, strict=True)
        for start, end in [period_bounds(budget.period, now, actor.org.time_zone)]
    ]
    # Whole millionths, so that no float decides which budget is the fullest.
    return tuple(sorted(uses, key=lambda use: -(use.spent * 10**6 // max(use.limit, 1))))


def _rolls(actor: Actor, budget: BudgetSnapshot, now: datetime) -> bool:
    """Whether what was left of the period before counts: the budget did exist all the while."""
    if not budget.rollover:
        return False
    start, _ = period_bounds(budget.period, now, actor.org.time_zone)
    return budget.created_ms + KNOWN_AFTER_MS <= to_ms(previous_bounds(budget.period, start, actor.org.time_zone)[0])


def _ask_spent(
    actor: Actor, budgets: Sequence[BudgetSnapshot], now: datetime, *, is_before: bool = False
) -> SpentQuestions:
    """Of each period of the budgets, or of the one before."""
    asked = {}
    for scope, period in dict.fromkeys((budget.scope, budget.period) for budget in budgets):
        start, end = period_bounds(period, now, actor.org.time_zone)
        if is_before:
            start, end = previous_bounds(period, start, actor.org.time_zone)
        asked[scope, period] = Question(LedgerFilters(start=start, end=end), _GROUPS[scope])
    return asked


def _read_spent(actor: Actor, asked: SpentQuestions, sums: Mapping[Question, Sequence[Sums]]) -> _Spent:
    """By (scope, period) and subject; the organisation is its own subject, and a key's is the first of its line."""
    lineages = read_lineages(str(actor.org.pk)) if any(scope == BudgetScope.KEY for scope, _ in asked) else {}
    spent: dict[tuple[str, str], Counter[str]] = {place: Counter() for place in asked}
    for place, question in asked.items():
        for each in sums[question]:
            subject = str(each.keys[0] if each.keys else actor.org.pk)
            if place[0] == BudgetScope.KEY:
                subject = lineages.get(subject, subject)
            spent[place][subject] += each.amounts["effective_cost"]
    return spent


def _find_subject(actor: Actor, book: BudgetBook, budget: BudgetSnapshot, spent: Mapping[str, int]) -> str:
    """Whose use is shown: of a default that of the subject which has spent the most under it."""
    if budget.scope == BudgetScope.ORGANIZATION:
        return str(actor.org.pk)
    held = [each for each in spent if book.holds(budget, each)]
    return budget.subject or max(held, key=lambda each: spent[each], default="")
