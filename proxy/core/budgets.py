"""Which budgets a call must fit, and the counters that it is held against."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from costhub.lib.keyspace import counter_key
from costhub.lib.moments import from_ms, to_ms
from costhub.lib.money import MAX_LIMIT_NANOS, format_usd
from proxy.values.windows import Rate, Scope
from tenants.choices import BudgetAction, BudgetScope, RungKind
from tenants.periods import period_bounds
from tenants.snapshots import BudgetSnapshot, KeySnapshot, OrgSnapshot, RateLimitSnapshot, RungSnapshot

_MINUTE_MS: Final = 60_000
#: a call belongs to the period in which it came, and may still be sending its body when that is over
ADMISSION_MS: Final = 60_000
#: from so long after a period's start on it has what was left of the one before; the second minute is for clocks that
#: differ
ROLLS_AFTER_MS: Final = 2 * ADMISSION_MS
#: a budget that is younger may not be known to every process that plans calls of the period
KNOWN_AFTER_MS: Final = 60_000
_BLOCK: Final = BudgetAction.BLOCK.value
_ORGANIZATION: Final = BudgetScope.ORGANIZATION.value
_PROJECT: Final = BudgetScope.PROJECT.value
_KEY: Final = BudgetScope.KEY.value
_END_USER: Final = BudgetScope.END_USER.value
_MODEL: Final = BudgetScope.MODEL.value
_TAG: Final = BudgetScope.TAG.value
_SESSION: Final = BudgetScope.SESSION.value


def find_scopes(
    org: OrgSnapshot,
    key: KeySnapshot,
    *,
    end_user: str,
    model: str,
    tags: Mapping[str, str],
    session: str,
    at_ms: int,
) -> tuple[Scope, ...]:
    """Every budget on the call's path, with its counter in the period of ``at_ms``.

    Where a subject has a hard budget of its own, the default of the same scope and period goes on counting and refuses
    nothing.
    """
    minute = at_ms // _MINUTE_MS
    return _scopes_in_minute(org, key, end_user, model, tuple(tags.items()) if tags else (), session, minute)


@lru_cache(maxsize=4_096)
def _scopes_in_minute(
    org: OrgSnapshot,
    key: KeySnapshot,
    end_user: str,
    model: str,
    tags: tuple[tuple[str, str], ...],
    session: str,
    minute: int,
) -> tuple[Scope, ...]:
    """Every bound of a period lies on a whole minute, in every zone since 1972: within a minute nothing changes."""
    subjects = subjects_of(org, key, end_user, model, tags, session)
    own = list_own(org.budgets)
    scopes = []
    for budget in org.budgets:
        if not is_within(budget, key):
            continue
        for subject in subjects[budget.scope]:
            if not budget.subject or budget.subject == subject or budget.scope == _ORGANIZATION:
                scope = make_scope(org, budget, subject, minute * _MINUTE_MS)
                if is_lifted(budget, subject, own):
                    scope = scope._replace(is_hard=False, is_shadow=False, is_lifted=True, steps=(), before=None)
                scopes.append(scope)
    return tuple(scopes)


def forget_scopes() -> None:
    """Let go of what was found in the minutes before."""
    _scopes_in_minute.cache_clear()


#: scope, subject, period, and the project or key that is counted alone
Place = tuple[str, str, str, str]


def list_own(budgets: Iterable[BudgetSnapshot]) -> frozenset[Place]:
    """Where a subject has a hard budget of its own: one that blocks, or whose ladder does."""
    return frozenset(
        (budget.scope, budget.subject, budget.period, budget.within)
        for budget in budgets
        if budget.subject and not budget.is_shadow and _hard_share(budget) is not None
    )


def is_lifted(budget: BudgetSnapshot, subject: str, own: frozenset[Place]) -> bool:
    """Whether a default does not hold a subject, which has its own. One of its own that counts everywhere lifts
    narrowed defaults too; a narrowed one lifts its like only."""
    if budget.subject:
        return False
    return any((budget.scope, subject, budget.period, within) in own for within in ("", budget.within))


def is_within(limit: BudgetSnapshot | RateLimitSnapshot, key: KeySnapshot) -> bool:
    """Whether a budget or rate limit counts the calls of this key: a narrowed one those of one project or key only."""
    return limit.within in {"", key.project_id, key.root}


def show_within(place: Scope | Rate) -> dict[str, str] | None:
    """The one project or key whose calls are counted, as answers show it."""
    return {place.within_scope: place.within} if place.within else None


def show_parts(scope: Scope, rolled: int) -> dict[str, str]:
    """What a limit is made of, as answers show it. A ladder's block is its share of their sum."""
    parts = {"own": scope.own, "increases": scope.increased, "rollover": rolled}
    return {name: format_usd(nanos) for name, nanos in parts.items()}


def subjects_of(
    org: OrgSnapshot, key: KeySnapshot, end_user: str, model: str, tags: tuple[tuple[str, str], ...], session: str
) -> dict[str, tuple[str, ...]]:
    """Whom a call is charged to, for each scope that a budget or a rate limit may have."""
    return {
        _ORGANIZATION: (org.id,),
        _PROJECT: (key.project_id,),
        _KEY: (key.root,),
        _END_USER: (end_user,) if end_user else (),
        _MODEL: (model,) if model else (),
        _TAG: tuple(f"{name}={value}" for name, value in tags),
        _SESSION: (session,) if session else (),
    }


def share_of(nanos: int, percent: int) -> int:
    """Nano-USD; no more than a Lua number counts exactly. As lua/reserve.lua has it."""
    return min(nanos * percent // 100, MAX_LIMIT_NANOS)


def rolled_over(scope: Scope, spent: int, held: int, at_ms: int) -> int:
    """What is added to a scope's limit of the period before, of which so much is spent and held, in nano-USD.

    Nothing before every call of that period has come and ended, so that what is added can be spent there by nobody any
    more. As lua/reserve.lua has it.
    """
    if scope.before is None or held or at_ms < scope.starts_ms + ROLLS_AFTER_MS:
        return 0
    return max(scope.own - spent, 0)


def whole_limit(budget: BudgetSnapshot, at_ms: int, rolled: int = 0) -> int:
    """A budget's limit with the increases in force and so much of the period before, in nano-USD."""
    return _whole(budget.limit_nanos, _increase_of(budget, at_ms // _MINUTE_MS), rolled)


def whole_with(scope: Scope, rolled: int) -> int:
    """The same of a scope, of which a ladder's block is a share."""
    return _whole(scope.own, scope.increased, rolled)


def limit_with(scope: Scope, rolled: int) -> int:
    """From where on a scope refuses, with so much of the period before, in nano-USD."""
    return share_of(whole_with(scope, rolled), scope.share)


def steps_with(scope: Scope, rolled: int) -> tuple[tuple[int, RungSnapshot], ...]:
    """A scope's steps with so much of the period before."""
    if not rolled:
        return scope.steps
    whole = whole_with(scope, rolled)
    return tuple((share_of(whole, rung.at), rung) for _, rung in scope.steps)


def list_rolling(scopes: Sequence[Scope]) -> list[tuple[int, Scope, Scope]]:
    """The place from 1, the scope and the one before it, of each whose limit depends on what was left there."""
    return [
        (place, scope, scope.before)
        for place, scope in enumerate(scopes, 1)
        if scope.before is not None and (scope.is_hard or scope.is_shadow or scope.steps)
    ]


def _whole(own: int, increased: int, rolled: int) -> int:
    return min(own + increased + rolled, MAX_LIMIT_NANOS)


def _increase_of(budget: BudgetSnapshot, minute: int) -> int:
    """Nano-USD of the increases that are in force in a minute: each from the minute in which it was made."""
    return sum(
        one.amount for one in budget.increases if one.from_ms // _MINUTE_MS <= minute < one.until_ms // _MINUTE_MS
    )


def _hard_share(budget: BudgetSnapshot) -> int | None:
    """The per cent of a budget from which on it refuses; None for one that never does. A ladder's block is a limit
    like any other; its other rungs say from when on calls are made cheaper."""
    if budget.action == _BLOCK:
        return 100
    return next((rung.at for rung in budget.ladder if rung.rung == RungKind.BLOCK), None)


def make_scope(org: OrgSnapshot, budget: BudgetSnapshot, subject: str, at_ms: int) -> Scope:
    """One budget's scope for one subject, in the period that holds ``at_ms``, with the increases in force then."""
    scope = _make_scope(org, budget, subject, at_ms)
    if not scope.has_rollover:
        return scope
    before = _make_scope(org, budget, subject, scope.starts_ms - 1)
    # Of a period in which the budget did not exist, or not from the start, nothing is left.
    return scope._replace(before=before) if before.is_whole else scope


def _make_scope(org: OrgSnapshot, budget: BudgetSnapshot, subject: str, at_ms: int) -> Scope:
    minute = at_ms // _MINUTE_MS
    starts_ms, ends_ms = _bounds_ms(budget.period, org.time_zone, minute)
    share = _hard_share(budget)
    increased = _increase_of(budget, minute)
    whole = _whole(budget.limit_nanos, increased, 0)
    return Scope(
        budget_id=budget.id,
        kind=budget.scope,
        subject=subject,
        period=budget.period,
        # A budget that counts anew from some moment on has a new counter.
        counter=counter_key(org.shard, f"{budget.id}.{budget.created_ms}", subject, starts_ms),
        limit=share_of(whole, share or 100),
        is_hard=share is not None and not budget.is_shadow,
        is_whole=starts_ms >= budget.created_ms + KNOWN_AFTER_MS,
        starts_ms=starts_ms,
        ends_ms=ends_ms,
        within_scope=budget.within_scope,
        within=budget.within,
        is_shadow=share is not None and budget.is_shadow,
        steps=()
        if budget.is_shadow
        else tuple((share_of(whole, rung.at), rung) for rung in budget.ladder if rung.rung != RungKind.BLOCK),
        own=budget.limit_nanos,
        increased=increased,
        share=share or 100,
        has_rollover=budget.rollover,
        name=budget.name,
    )


@lru_cache(maxsize=16_384)
def _bounds_ms(period: str, time_zone: str, minute: int) -> tuple[int, int]:
    """The period's bounds in ms. Every bound lies on a whole minute, in every zone since 1972, so a minute has one
    answer."""
    start, end = period_bounds(period, from_ms(minute * _MINUTE_MS), time_zone)
    return to_ms(start), to_ms(end)
