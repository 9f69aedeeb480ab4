"""Budgets: how much may be spent, by whom, in which window."""

import copy
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from django.db import transaction

from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.money import MAX_LIMIT_NANOS, Nanos, format_for_people
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import apply_changes, publish
from tenants.actions.increases import find_room
from tenants.actions.ladders import check_ladder
from tenants.actions.room import check_room, lock_limits
from tenants.actions.subjects import check_subject, check_within
from tenants.actions.values import check_name
from tenants.choices import ROLLING, BudgetAction, BudgetPeriod, BudgetScope, Permission, RungKind
from tenants.models import Budget
from tenants.models.budgets import default_thresholds

MAX_THRESHOLDS: Final = 10
#: above 100: how far a budget that only warns was exceeded
MAX_THRESHOLD_PERCENT: Final = 200


def create_budget(
    *,
    actor: Actor,
    scope: BudgetScope,
    period: BudgetPeriod,
    limit_nanos: Nanos,
    action: BudgetAction = BudgetAction.BLOCK,
    subject: str = "",
    name: str = "",
    thresholds: Sequence[int] | None = None,
    is_shadow: bool = False,
    ladder: Sequence[Mapping[str, Any]] = (),
    within: Mapping[str, str] | None = None,
    rollover: bool = False,
    is_managed: bool = False,
) -> Budget:
    """Create a budget. An empty ``subject`` makes it the default of each subject of its scope. One that degrades has a
    ``ladder``. ``within`` one project or key, it counts their calls only: ``{"project": ...}`` or ``{"key": ...}``.
    With ``rollover``, what was left of one period's limit is added to the next one's. One that ``is_managed`` follows
    prepaid credits, and finds room however many limits there are.

    Projects, keys and models are named by id or name (a key by id only). Raises InvalidField for a limit, subject,
    place or threshold that cannot be, NotFound for a subject or place that does not exist, Conflict where there are
    too many, StaleSession for somebody who signed in a while ago and would lift a default that holds the subject to
    less.
    """
    actor.check(Permission.WRITE_MONEY)
    if scope is BudgetScope.SESSION and period is BudgetPeriod.TOTAL:
        raise InvalidField("Runs come and go, and are not counted for ever: give another period.", field="period")
    within_scope, place = check_within(actor, scope, within)
    budget = Budget(
        org=actor.org,
        name=check_name(name) if name else "",
        scope=scope.value,
        subject=check_subject(actor, scope, subject),
        within_scope=within_scope,
        within=place,
        period=period.value,
        limit_nanos=_check_limit(limit_nanos),
        action=action.value,
        is_shadow=is_shadow,
        ladder=_check_ladder(actor, action, ladder, scope, subject),
        rollover=rollover,
        is_managed=is_managed,
        thresholds=default_thresholds() if thresholds is None else _check_thresholds(thresholds),
    )
    _check_whole(budget)
    with transaction.atomic():
        lock_limits(actor)
        if not is_managed:
            check_room(actor)
        if _lifts_more(budget):
            actor.check_fresh()
        budget.save(force_insert=True)
        record(
            actor,
            "created",
            budget,
            scope=scope,
            subject=budget.subject,
            within=budget.within,
            period=period,
            limit_nanos=limit_nanos,
            action=action,
            rollover=rollover,
        )
        publish(actor.org)
    return budget


def update_budget(
    *,
    actor: Actor,
    budget: Budget,
    limit_nanos: Nanos | None = None,
    action: BudgetAction | None = None,
    name: str | None = None,
    thresholds: Sequence[int] | None = None,
    is_shadow: bool | None = None,
    ladder: Sequence[Mapping[str, Any]] | None = None,
    rollover: bool | None = None,
    is_active: bool | None = None,
) -> Budget:
    """Change a budget. What it counts and in which window stays: another one is another budget. Raises InvalidField for
    what cannot be, StaleSession for somebody who signed in a while ago and would loosen it."""
    actor.check(Permission.WRITE_MONEY)
    check_not_managed(budget)
    new: dict[str, Any] = {}
    if limit_nanos is not None:
        new["limit_nanos"] = _check_limit(limit_nanos)
    if action is not None or ladder is not None:
        action = action or BudgetAction(budget.action)
        # A ladder goes with its action: another action has none.
        given = budget.ladder if ladder is None and action is BudgetAction.DEGRADE else ladder or ()
        new |= {"action": action.value, "ladder": _check_ladder(actor, action, given, budget.scope, budget.subject)}
    if name is not None:
        new["name"] = check_name(name) if name else ""
    if thresholds is not None:
        new["thresholds"] = _check_thresholds(thresholds)
    if is_shadow is not None:
        new["is_shadow"] = is_shadow
    if rollover is not None:
        new["rollover"] = rollover
    if is_active is not None:
        new["is_active"] = is_active
        if is_active and not budget.is_active:
            # Nobody counted meanwhile: its counters are made anew from the ledger.
            new["created_at"] = clock.now()
    with transaction.atomic():
        lock_limits(actor)
        before = Budget.objects.get(pk=budget.pk)
        changed = copy.copy(before)
        for field, value in new.items():
            setattr(changed, field, value)
        if _is_looser(changed, before) or (_lifts_more(changed) and not _is_own(before)):
            actor.check_fresh()
        if is_active and not budget.is_active:
            check_room(actor)
        if {"limit_nanos", "rollover"} & new.keys():
            _check_whole(changed)
        apply_changes(actor, budget, new)
    return budget


def follow_credits(*, actor: Actor, budget: Budget | None, limit_nanos: Nanos) -> Budget:
    """Hold all calls of the organisation to prepaid credits by the managed budget, which counts what was ever spent.
    Made where there is none yet; 1 nano-USD stands for nothing left."""
    limit = Nanos(min(max(limit_nanos, 1), MAX_LIMIT_NANOS))
    if budget is None:
        budget = create_budget(
            actor=actor,
            scope=BudgetScope.ORGANIZATION,
            period=BudgetPeriod.TOTAL,
            limit_nanos=limit,
            name="Prepaid credits",
            is_managed=True,
        )
    else:
        new: dict[str, Any] = {"limit_nanos": limit}
        if not budget.is_active:
            # Nobody counted meanwhile: its counters are made anew from the ledger.
            new |= {"is_active": True, "created_at": clock.now()}
        apply_changes(actor, budget, new)
    return budget


def check_not_managed(budget: Budget) -> None:
    """Raise Conflict for a budget that follows prepaid credits."""
    if budget.is_managed:
        raise Conflict("This budget follows your prepaid credits: buy more of them to raise it.")


def _is_looser(budget: Budget, other: Budget) -> bool:
    """Whether calls may go through under one budget that would not, or not as they are, go through under the other."""
    rungs = _rungs_of(budget)
    return (
        budget.limit_nanos > other.limit_nanos
        or not all(any(_covers(rung, each) for rung in rungs) for each in _rungs_of(other))
        or (budget.is_shadow and not other.is_shadow)
        or (budget.rollover and not other.rollover)
        or (other.is_active and not budget.is_active)
    )


def _rungs_of(budget: Budget) -> Sequence[Mapping[str, Any]]:
    """What a budget does to calls, as a ladder."""
    if budget.action == BudgetAction.BLOCK:
        return ({"at": 100, "rung": RungKind.BLOCK},)
    return tuple(budget.ladder) if budget.action == BudgetAction.DEGRADE else ()


def _covers(rung: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether a rung begins as early as another one, and is as strict."""
    if rung["at"] > other["at"]:
        return False
    if rung["rung"] != other["rung"]:
        return bool(rung["rung"] == RungKind.BLOCK)
    return (
        rung.get("max_tokens", 0) <= other.get("max_tokens", 0)
        and rung.get("delay_ms", 0) >= other.get("delay_ms", 0)
        and all(rung.get(name) == other.get(name) for name in ("model", "route"))
    )


def _is_own(budget: Budget) -> bool:
    """Whether defaults give way to it: one subject's, and hard."""
    is_hard = any(rung["rung"] == RungKind.BLOCK for rung in _rungs_of(budget))
    return bool(budget.subject) and budget.is_active and not budget.is_shadow and is_hard


def _lifts_more(budget: Budget) -> bool:
    """Whether a default gives way to it that holds the subject to less. One that is narrowed lifts its like only."""
    if not _is_own(budget):
        return False
    defaults = Budget.objects.filter(
        org=budget.org_id, scope=budget.scope, period=budget.period, subject="", is_active=True, is_shadow=False
    )
    if budget.within:
        defaults = defaults.filter(within=budget.within)
    return any(_rungs_of(each) and _is_looser(budget, each) for each in defaults)


def _check_ladder(
    actor: Actor, action: BudgetAction, ladder: Sequence[Mapping[str, Any]], scope: str, subject: str
) -> list[dict[str, Any]]:
    if action is BudgetAction.DEGRADE:
        return check_ladder(actor, ladder, subject if scope == BudgetScope.MODEL else "")
    if ladder:
        raise InvalidField("Only a budget that degrades has a ladder.", field="ladder")
    return []


def _check_limit(limit: Nanos) -> Nanos:
    if not 0 < limit <= MAX_LIMIT_NANOS:
        raise InvalidField(f"Give a limit above zero and up to {format_for_people(MAX_LIMIT_NANOS)}.", field="limit")
    return limit


def _check_whole(budget: Budget) -> None:
    """Raise InvalidField where a period knows no rollover, or the limit with all that may be added to it is too
    much."""
    if budget.rollover and budget.period not in ROLLING:
        raise InvalidField(f"What is left rolls over from one {', '.join(ROLLING)} to the next only.", field="rollover")
    if find_room(budget) < 0:
        raise InvalidField(
            f"With what may roll over and the increases in force, a limit is at most"
            f" {format_for_people(MAX_LIMIT_NANOS)}: give a lower one.",
            field="limit",
        )


def _check_thresholds(thresholds: Sequence[int]) -> list[int]:
    rising = all(low < high for low, high in pairwise(thresholds))
    inside = all(1 <= percent <= MAX_THRESHOLD_PERCENT for percent in thresholds)
    if not rising or not inside or len(thresholds) > MAX_THRESHOLDS:
        raise InvalidField(
            f"Give up to {MAX_THRESHOLDS} rising whole numbers of per cent from 1 to {MAX_THRESHOLD_PERCENT}, "
            "such as 50, 80, 100.",
            field="thresholds",
        )
    return list(thresholds)
