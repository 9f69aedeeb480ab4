"""Which budgets a call must fit, and the counters that it is held against."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from costhub.lib.keyspace import counter_key
from costhub.lib.moments import from_ms, to_ms
from proxy.types import Scope
from tenants.choices import BudgetAction, BudgetScope
from tenants.periods import period_bounds
from tenants.snapshots import BudgetSnapshot, KeySnapshot, OrgSnapshot

_MINUTE_MS: Final = 60_000


def find_scopes(
    org: OrgSnapshot, key: KeySnapshot, *, end_user: str, model: str, tags: Mapping[str, str], at_ms: int
) -> tuple[Scope, ...]:
    """Every budget on the call's path, with its counter in the period of ``at_ms``."""
    return tuple(
        make_scope(org, budget, subject, at_ms)
        for budget in org.budgets
        for subject in _subjects(budget, org, key, end_user, model, tags)
    )


def make_scope(org: OrgSnapshot, budget: BudgetSnapshot, subject: str, at_ms: int) -> Scope:
    """One budget's scope for one subject, in the period that holds ``at_ms``."""
    starts_ms, ends_ms = _bounds_ms(budget.period, org.time_zone, at_ms // _MINUTE_MS)
    return Scope(
        budget_id=budget.id,
        kind=budget.scope,
        subject=subject,
        period=budget.period,
        counter=counter_key(org.shard, budget.id, subject, starts_ms),
        limit=budget.limit_nanos,
        is_hard=budget.action == BudgetAction.BLOCK,
        is_whole=starts_ms >= budget.created_ms,
        starts_ms=starts_ms,
        ends_ms=ends_ms,
    )


@lru_cache(maxsize=16_384)
def _bounds_ms(period: str, time_zone: str, minute: int) -> tuple[int, int]:
    """The period's bounds in ms. Every bound lies on a whole minute, in every zone since 1972, so a minute has one answer."""
    start, end = period_bounds(period, from_ms(minute * _MINUTE_MS), time_zone)
    return to_ms(start), to_ms(end)


def _subjects(
    budget: BudgetSnapshot, org: OrgSnapshot, key: KeySnapshot, end_user: str, model: str, tags: Mapping[str, str]
) -> Iterator[str]:
    """The subjects of this call that the budget counts: none, one, or one a tag."""
    if budget.scope == BudgetScope.TAG:
        candidates = tuple(f"{name}={value}" for name, value in tags.items())
    else:
        candidates = (
            {
                BudgetScope.ORGANIZATION.value: org.id,
                BudgetScope.PROJECT.value: key.project_id,
                BudgetScope.KEY.value: key.id,
                BudgetScope.END_USER.value: end_user,
                BudgetScope.MODEL.value: model,
            }[budget.scope],
        )
    for subject in candidates:
        if subject and (not budget.subject or budget.subject == subject or budget.scope == BudgetScope.ORGANIZATION):
            yield subject
