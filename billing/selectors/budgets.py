"""Budgets beside what the ledger says was spent from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from billing.filters import LedgerFilters
from billing.selectors.names import NAMED, find_names
from billing.selectors.sums import add_up
from costhub.lib.moments import to_ms
from proxy.core.limits import Place, is_lifted, list_own, whole_limit
from tenants.access import Actor
from tenants.choices import BudgetScope, Permission
from tenants.periods import period_bounds, previous_bounds
from tenants.selectors import read_budgets
from tenants.snapshots import BudgetSnapshot

#: a scope -> the group that its subjects are; the organisation is all of them
_GROUPS: Final[dict[str, str]] = {BudgetScope.ORGANIZATION: "", BudgetScope.PROJECT: "project", BudgetScope.KEY: "key"}


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """A budget and what the ledger says was spent in its current period. ``limit`` has increases and what rolled over. For the default of a scope ``subject`` is
    the subject that has used the most of it."""

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
    spent_before: Mapping[tuple[str, str], Mapping[str, int]]
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
    """The active budgets of the organisation, its projects and keys. Raises Forbidden if the actor may not see money."""
    actor.check(Permission.READ_MONEY)
    budgets = read_budgets(actor, now, _GROUPS)
    rolling = [budget for budget in budgets if _rolls(actor, budget, now)]
    return BudgetBook(
        budgets=tuple(budgets),
        own=list_own(budgets),
        spent_before=_find_spent(actor, rolling, now, is_before=True),
        rolling=frozenset(budget.id for budget in rolling),
        at_ms=to_ms(now),
    )


def list_budget_uses(actor: Actor, now: datetime) -> tuple[BudgetUse, ...]:
    """The active budgets of the organisation, its projects and keys with what was spent, the fullest first.

    Raises Forbidden if the actor may not see money.
    """
    book = read_budget_book(actor, now)
    spent = _find_spent(actor, book.budgets, now)
    uses = [_budget_use(actor, book, budget, spent[budget.scope, budget.period], now) for budget in book.budgets]
    names = {scope: find_names(actor, scope, {use.subject for use in uses if use.scope == scope}) for scope in NAMED}
    named = [replace(use, subject_name=_subject_name(actor, use, names)) for use in uses]
    # Whole millionths, so that no float decides which budget is the fullest.
    return tuple(sorted(named, key=lambda use: -(use.spent * 10**6 // max(use.limit, 1))))


def _rolls(actor: Actor, budget: BudgetSnapshot, now: datetime) -> bool:
    """Whether what was left of the period before counts: the budget did exist all the while."""
    if not budget.rollover:
        return False
    start, _ = period_bounds(budget.period, now, actor.org.time_zone)
    return budget.created_ms <= to_ms(previous_bounds(budget.period, start, actor.org.time_zone)[0])


def _find_spent(
    actor: Actor, budgets: Sequence[BudgetSnapshot], now: datetime, *, is_before: bool = False
) -> dict[tuple[str, str], dict[str, int]]:
    """What each subject of a scope has spent in a period, or in the one before: one reading of the ledger for each period."""
    spent: dict[tuple[str, str], dict[str, int]] = {}
    for period in {budget.period for budget in budgets}:
        scopes = {budget.scope for budget in budgets if budget.period == period}
        spent |= {(scope, period): {} for scope in scopes}
        groups = [_GROUPS[scope] for scope in sorted(scopes) if _GROUPS[scope]]
        start, end = period_bounds(period, now, actor.org.time_zone)
        if is_before:
            start, end = previous_bounds(period, start, actor.org.time_zone)
        for sums in add_up(actor, LedgerFilters(start=start, end=end), groups):
            keys = dict(zip(groups, sums.keys, strict=True))
            for scope in scopes:
                subject = str(keys.get(_GROUPS[scope], actor.org.pk))
                amounts = spent[scope, period]
                amounts[subject] = amounts.get(subject, 0) + sums.amounts["effective_cost"]
    return spent


def _budget_use(
    actor: Actor, book: BudgetBook, budget: BudgetSnapshot, spent: Mapping[str, int], now: datetime
) -> BudgetUse:
    start, end = period_bounds(budget.period, now, actor.org.time_zone)
    subject = str(actor.org.pk) if budget.scope == BudgetScope.ORGANIZATION else budget.subject
    if not subject:
        held = [each for each in spent if book.holds(budget, each)]
        subject = max(held, key=lambda each: spent[each], default="")
    return BudgetUse(
        id=UUID(budget.id),
        name=budget.name,
        scope=budget.scope,
        subject=subject,
        subject_name="",
        is_default=not budget.subject and budget.scope != BudgetScope.ORGANIZATION,
        period=budget.period,
        action=budget.action,
        is_shadow=budget.is_shadow,
        limit=book.limit(budget, subject),
        spent=spent.get(subject, 0),
        start=start,
        end=end,
    )


def _subject_name(actor: Actor, use: BudgetUse, names: Mapping[str, Mapping[Any, str]]) -> str:
    if use.scope == BudgetScope.ORGANIZATION:
        return actor.org.name
    return names[use.scope].get(use.subject, use.subject)
