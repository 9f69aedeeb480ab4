"""Consent to keep what is said in calls, to learn from it."""

from typing import Final

from django.db import IntegrityError, transaction

from costhub.lib.errors import Conflict, InvalidField
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import apply_changes, publish
from tenants.choices import Permission
from tenants.models import CapturePolicy, LanguageModel, Route
from tenants.models.capture import KEPT_DAYS, MAX_KEPT_DAYS

ALL: Final = 1_000


def create_capture_policy(
    *, actor: Actor, per_mille: int, model: str = "", kept_days: int = KEPT_DAYS
) -> CapturePolicy:
    """Consent to keep calls of one of the organisation's models or routes, or of every one without a policy of its own.

    Raises InvalidField for what cannot be, Conflict where that model has a policy, and StaleSession for somebody who
    signed in a while ago.
    """
    actor.check(Permission.WRITE_SETTINGS)
    actor.check_fresh()
    named = any(kind.objects.filter(org=actor.org, name=model).exists() for kind in (LanguageModel, Route))
    if model and not named:
        raise InvalidField("Give one of the organisation's models or routes, or leave it out for all.", field="model")
    policy = CapturePolicy(
        org=actor.org, model=model, per_mille=_check_share(per_mille), kept_days=_check_days(kept_days)
    )
    try:
        with transaction.atomic():
            policy.save(force_insert=True)
            record(actor, "created", policy, model=model, per_mille=per_mille, kept_days=kept_days)
            publish(actor.org)
    except IntegrityError as error:
        raise Conflict("There is a capture policy of this model already: change that one.", field="model") from error
    return policy


def update_capture_policy(
    *, actor: Actor, policy: CapturePolicy, per_mille: int | None = None, kept_days: int | None = None
) -> CapturePolicy:
    """Keep more calls or fewer, longer or shorter; those that are kept already stay as long as they were to. Raises
    InvalidField for what cannot be, and StaleSession where more is to be kept, or longer, for somebody who signed in a
    while ago."""
    actor.check(Permission.WRITE_SETTINGS)
    new: dict[str, object] = {}
    if per_mille is not None:
        new["per_mille"] = _check_share(per_mille)
    if kept_days is not None:
        new["kept_days"] = _check_days(kept_days)
    if (per_mille or 0) > policy.per_mille or (kept_days or 0) > policy.kept_days:
        actor.check_fresh()
    apply_changes(actor, policy, new)
    return policy


def delete_capture_policy(*, actor: Actor, policy: CapturePolicy) -> None:
    """Take the consent back: nothing more is kept, and a job erases what was kept under it, out of datasets too."""
    actor.check(Permission.WRITE_SETTINGS)
    with transaction.atomic():
        record(actor, "deleted", policy, model=policy.model)
        policy.delete()
        publish(actor.org)


def _check_share(per_mille: int) -> int:
    if not 0 <= per_mille <= ALL:
        raise InvalidField(f"Give from 0 to {ALL:,} of a thousand calls.", field="per_mille")
    return per_mille


def _check_days(days: int) -> int:
    if not 1 <= days <= MAX_KEPT_DAYS:
        raise InvalidField(f"Give from 1 to {MAX_KEPT_DAYS} days.", field="kept_days")
    return days
