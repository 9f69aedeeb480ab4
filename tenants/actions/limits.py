"""Rate limits: how much may happen, within which sliding window."""

from collections.abc import Mapping
from typing import Final

from django.db import transaction

from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.money import MAX_LIMIT_NANOS, format_for_people
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import apply_changes, publish
from tenants.actions.room import check_room, lock_limits
from tenants.actions.subjects import check_subject, check_within
from tenants.choices import BudgetScope, LimitUnit, Permission
from tenants.models import RateLimit

#: every call of a window is remembered until the window has passed: what is longer is a budget's business
MAX_WINDOW_SECONDS: Final = 3_600
MAX_COUNT: Final = 10**12


def create_rate_limit(
    *,
    actor: Actor,
    scope: BudgetScope,
    unit: LimitUnit,
    amount: int,
    window_seconds: int = 0,
    subject: str = "",
    is_shadow: bool = False,
    within: Mapping[str, str] | None = None,
) -> RateLimit:
    """Create a rate limit of ``amount`` calls, tokens or nano-USD. An empty ``subject`` is each subject of the scope;
    ``within`` narrows it to the calls of one project or key, as it does a budget.

    Raises InvalidField for an amount, window, subject or place that cannot be, NotFound for a subject or place that
    does not exist, Conflict where there is one like it, or too many.
    """
    actor.check(Permission.WRITE_MONEY)
    within_scope, place = check_within(actor, scope, within)
    limit = RateLimit(
        org=actor.org,
        scope=scope.value,
        subject=check_subject(actor, scope, subject),
        within_scope=within_scope,
        within=place,
        unit=unit.value,
        amount=_check_amount(unit, amount),
        window_seconds=_check_window(unit, window_seconds),
        is_shadow=is_shadow,
    )
    with transaction.atomic():
        lock_limits(actor)
        check_room(actor)
        _check_new(limit)
        limit.save(force_insert=True)
        record(
            actor,
            "created",
            limit,
            scope=scope,
            subject=limit.subject,
            within=limit.within,
            unit=unit,
            amount=amount,
            window_seconds=window_seconds,
            is_shadow=is_shadow,
        )
        publish(actor.org)
    return limit


def update_rate_limit(
    *,
    actor: Actor,
    limit: RateLimit,
    amount: int | None = None,
    is_shadow: bool | None = None,
    is_active: bool | None = None,
) -> RateLimit:
    """Change a rate limit. What it counts, of whom and in which window stays: another one is another limit. Raises
    Conflict where there is one like it, or, for one that is switched on again, too many."""
    actor.check(Permission.WRITE_MONEY)
    new: dict[str, object] = {}
    if amount is not None:
        new["amount"] = _check_amount(LimitUnit(limit.unit), amount)
    if is_shadow is not None:
        new["is_shadow"] = is_shadow
    if is_active is not None:
        new["is_active"] = is_active
    with transaction.atomic():
        lock_limits(actor)
        changed = RateLimit.objects.get(pk=limit.pk)
        was_active = changed.is_active
        for field, value in new.items():
            setattr(changed, field, value)
        if changed.is_active and not was_active:
            check_room(actor)
        if changed.is_active and {"is_active", "is_shadow"} & new.keys():
            _check_new(changed)
        apply_changes(actor, limit, new)
    return limit


def _check_new(limit: RateLimit) -> None:
    """Raise Conflict where an active rate limit counts the same: of two, only the lower would ever refuse."""
    same = ("org", "scope", "subject", "within", "unit", "window_seconds", "is_shadow")
    place = {field: getattr(limit, field) for field in same}
    found = RateLimit.objects.filter(**place, is_active=True).exclude(pk=limit.pk).first()
    if found is not None:
        amount = format_for_people(found.amount) if found.unit == LimitUnit.USD else f"{found.amount} {found.unit}"
        raise Conflict(
            f"The rate limit {found.pk} of {amount} counts the same: change that one, or switch it off first."
        )


def _check_amount(unit: LimitUnit, amount: int) -> int:
    if unit is LimitUnit.USD:
        if not 0 < amount <= MAX_LIMIT_NANOS:
            raise InvalidField(
                f"Give a limit above zero and up to {format_for_people(MAX_LIMIT_NANOS)}.", field="limit"
            )
    elif not 0 < amount <= MAX_COUNT:
        raise InvalidField(f"Give a whole number from 1 to {MAX_COUNT}.", field="limit")
    return amount


def _check_window(unit: LimitUnit, seconds: int) -> int:
    if unit is LimitUnit.CONCURRENT:
        if seconds:
            raise InvalidField("Calls under way have no window: leave it out.", field="window_seconds")
    elif not 1 <= seconds <= MAX_WINDOW_SECONDS:
        raise InvalidField(
            f"Give a window of 1 to {MAX_WINDOW_SECONDS} seconds. For a longer one, make a budget.",
            field="window_seconds",
        )
    return seconds
