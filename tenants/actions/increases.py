"""Increases of budgets for a time."""

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.money import MAX_LIMIT_NANOS, Nanos, format_for_people
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import apply_changes, publish
from tenants.actions.room import lock_limits
from tenants.actions.values import check_moment
from tenants.choices import Permission
from tenants.models import Budget, BudgetIncrease

MAX_DAYS: Final = 366
#: in force at once, of one budget
MAX_INCREASES: Final = 20
MAX_REASON_CHARACTERS: Final = 500
_MINUTE: Final = timedelta(minutes=1)


def increase_budget(
    *, actor: Actor, budget: Budget, amount_nanos: Nanos, until: datetime, reason: str = ""
) -> BudgetIncrease:
    """Put so much more into a budget until a moment, which is rounded up to a whole minute.

    Raises InvalidField for an amount, moment or reason that cannot be, Conflict for a budget that is switched off or
    has enough increases.
    """
    actor.check(Permission.WRITE_MONEY)
    actor.check_fresh()
    ends = check_until(until)
    if len(reason) > MAX_REASON_CHARACTERS or not reason.isprintable():
        raise InvalidField(f"Give a reason of at most {MAX_REASON_CHARACTERS} visible characters.", field="reason")
    with transaction.atomic():
        lock_limits(actor)
        budget.refresh_from_db()
        if not budget.is_active:
            raise Conflict("This budget is switched off: switch it on first.")
        if budget.is_managed:
            raise Conflict("This budget follows your prepaid credits: buy more of them to raise it.")
        if len(list_in_force(budget)) >= MAX_INCREASES:
            raise Conflict(f"This budget has {MAX_INCREASES} increases in force: end one first.")
        if amount_nanos <= 0 or find_room(budget) < amount_nanos:
            raise InvalidField(
                f"Give an amount above zero; with it and what may roll over, a limit is at most"
                f" {format_for_people(MAX_LIMIT_NANOS)}.",
                field="amount",
            )
        increase = BudgetIncrease(
            org=actor.org,
            budget=budget,
            amount_nanos=amount_nanos,
            until=ends,
            reason=reason,
            created_by=actor.name,
        )
        increase.save(force_insert=True)
        record(actor, "created", increase, budget=budget.pk, amount_nanos=amount_nanos, until=ends, reason=reason)
        publish(actor.org)
    return increase


def end_increase(*, actor: Actor, increase: BudgetIncrease) -> BudgetIncrease:
    """End an increase now. One that has ended stays as it is."""
    actor.check(Permission.WRITE_MONEY)
    now = clock.now()
    if increase.ended_at is None and increase.until > now:
        apply_changes(actor, increase, {"ended_at": now})
    return increase


def list_in_force(budget: Budget) -> list[BudgetIncrease]:
    """A budget's increases of now. Read from memory where they were fetched with it."""
    now = clock.now()
    return [one for one in budget.increases.all() if one.ended_at is None and one.until > now]


def find_room(budget: Budget) -> int:
    """How many nano-USD more a budget's limit may come to, with all that is and may be added to it; below zero where it
    is too much already."""
    added = sum(one.amount_nanos for one in list_in_force(budget)) if budget.pk else 0
    return MAX_LIMIT_NANOS - budget.limit_nanos * (2 if budget.rollover else 1) - added


def check_until(until: datetime) -> datetime:
    """The moment at which an increase may end, rounded up to a whole minute: what holds within one is computed once.

    Raises InvalidField for one that has passed or lies too far ahead."""
    now = clock.now()
    check_moment(until, "until")
    if not now < until <= now + timedelta(days=MAX_DAYS):
        raise InvalidField(f"Give a moment in the future, and at most {MAX_DAYS} days ahead.", field="until")
    whole = until.replace(second=0, microsecond=0)
    return whole if whole == until else whole + _MINUTE
