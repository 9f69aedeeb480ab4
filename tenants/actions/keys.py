"""Keys of the LLM API. A secret is shown once, by the action that made it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.secrets import API_KEY, make_secret
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import apply_changes, publish
from tenants.actions.increases import list_in_force
from tenants.actions.room import check_room, lock_limits
from tenants.actions.values import check_identifier, check_moment, check_name
from tenants.choices import BudgetScope, Permission
from tenants.models import ApiKey, Budget, LanguageModel, Project, RateLimit

MAX_GRACE_SECONDS: Final = 30 * 24 * 3600
MAX_MODELS_PER_KEY: Final = 500


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made, and its secret: the only moment at which that exists in clear."""

    key: ApiKey
    secret: str


def create_key(
    *,
    actor: Actor,
    name: str,
    project: Project | None = None,
    end_user: str = "",
    models: Sequence[str] = (),
    expires_at: datetime | None = None,
) -> NewKey:
    """Make a key, in the organisation's oldest project unless another is named.

    Raises InvalidField for a model that does not exist or an expiry that has passed, Conflict for an archived project.
    """
    actor.check(Permission.WRITE_KEYS)
    project = project or _first_project(actor)
    if project.is_archived:
        raise Conflict("This project is archived: choose another, or take it back first.", field="project")
    if end_user:
        check_identifier(end_user, "end_user")
    if expires_at is not None and check_moment(expires_at, "expires_at") <= clock.now():
        raise InvalidField("Give a moment in the future.", field="expires_at")
    with transaction.atomic():
        return _insert(
            actor,
            ApiKey(
                org=actor.org,
                name=check_name(name),
                project=project,
                end_user=end_user,
                allowed_models=_check_models(actor, models),
                expires_at=expires_at,
            ),
        )


def update_key(*, actor: Actor, key: ApiKey, name: str | None = None, models: Sequence[str] | None = None) -> ApiKey:
    """Rename a key, or change which models it may call: an empty sequence means all of them."""
    actor.check(Permission.WRITE_KEYS)
    new: dict[str, object] = {}
    if name is not None:
        new["name"] = check_name(name)
    if models is not None:
        new["allowed_models"] = _check_models(actor, models)
    apply_changes(actor, key, new, forget_keys=[bytes(key.digest)])
    return key


def rotate_key(*, actor: Actor, key: ApiKey, grace_seconds: int = 0) -> NewKey:
    """Replace a key by a new one with the same rights and budgets; the old one works for ``grace_seconds`` more.

    Raises InvalidField for a grace that is too long, Conflict if the key is dead or was rotated before, or if its
    limits, copied, are too many.
    """
    actor.check(Permission.WRITE_KEYS)
    if not 0 <= grace_seconds <= MAX_GRACE_SECONDS:
        raise InvalidField(f"Give a grace of 0 to {MAX_GRACE_SECONDS} seconds.", field="grace_seconds")
    now = clock.now()
    if key.expires_at is not None and key.expires_at <= now:
        raise Conflict("This key has expired: make a new one.")
    with transaction.atomic():
        new = _insert(
            actor,
            ApiKey(
                org=actor.org,
                name=key.name,
                project_id=key.project_id,
                end_user=key.end_user,
                allowed_models=key.allowed_models,
                expires_at=key.expires_at,
            ),
        )
        ends_at = now + timedelta(seconds=grace_seconds)
        ends_at = min(ends_at, key.expires_at) if key.expires_at else ends_at
        # Claimed by a condition: of two rotations at once, one changes no row and is undone.
        claimed = ApiKey.objects.filter(pk=key.pk, rotated_to__isnull=True, revoked_at__isnull=True).update(
            rotated_to=new.key.pk, expires_at=ends_at, revoked_at=None if grace_seconds else now
        )
        if not claimed:
            raise Conflict("This key was revoked, or rotated before: rotate the key that replaced it.")
        key.refresh_from_db()
        if key.is_stopped:  # also by somebody who pulled the emergency stop a moment ago
            ApiKey.objects.filter(pk=new.key.pk).update(is_stopped=True)
            new.key.is_stopped = True
        _copy_limits(actor, key, new.key)
        record(actor, "rotated", key, rotated_to=new.key.pk, ends_at=ends_at)
        publish(actor.org, forget_keys=[bytes(key.digest)])
    return new


def revoke_key(*, actor: Actor, key: ApiKey) -> ApiKey:
    """End a key now, for ever. Revoking it again changes nothing."""
    actor.check(Permission.WRITE_KEYS)
    with transaction.atomic():
        if ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=clock.now()):
            record(actor, "revoked", key, name=key.name, prefix=key.prefix)
            publish(actor.org, forget_keys=[bytes(key.digest)])
        key.refresh_from_db()
    return key


def _insert(actor: Actor, key: ApiKey) -> NewKey:
    secret = make_secret(API_KEY, settings.KEY_PEPPER)
    key.prefix, key.digest, key.created_by = secret.prefix, secret.digest, actor.name
    key.save(force_insert=True)
    record(actor, "created", key, name=key.name, prefix=key.prefix, project=key.project_id, models=key.allowed_models)
    # No proxy knows the key yet, so nothing has to be announced.
    return NewKey(key, secret.text)


def _first_project(actor: Actor) -> Project:
    project = Project.objects.filter(org=actor.org, is_archived=False).order_by("created_at", "id").first()
    if project is None:
        raise Conflict("There is no open project for this key: create one first.", field="project")
    return project


def _check_models(actor: Actor, names: Sequence[str]) -> list[str]:
    """Names of models as they are stored; an id of a model is taken for its name."""
    if len(names) > MAX_MODELS_PER_KEY:
        raise InvalidField(f"Name at most {MAX_MODELS_PER_KEY} models.", field="models")
    known = {str(pk): name for pk, name in LanguageModel.objects.filter(org=actor.org).values_list("pk", "name")}
    known |= {name: name for name in known.values()}
    if any(name not in known for name in names):
        raise InvalidField("One of these models does not exist: create it first, or leave it out.", field="models")
    return sorted({known[name] for name in names})


def _copy_limits(actor: Actor, old: ApiKey, new: ApiKey) -> None:
    """A key must not get rid of its limits by being rotated: its budgets and rate limits, and those within it, again,
    whole, from now on; and what was put into them for a time."""
    own = Q(scope=BudgetScope.KEY.value, subject=str(old.pk)) | Q(within=str(old.pk))
    rows: list[Budget | RateLimit] = [
        *Budget.objects.filter(own, org=actor.org, is_active=True),
        *RateLimit.objects.filter(own, org=actor.org, is_active=True),
    ]
    lock_limits(actor)
    check_room(actor, more=len(rows))
    for row in rows:
        copied_from = row.pk
        increases = list_in_force(row) if isinstance(row, Budget) else []
        row.pk, row.created_at = uuid4(), clock.now()
        if row.within:
            row.within = str(new.pk)
        else:
            row.subject = str(new.pk)
        row.save(force_insert=True)
        record(actor, "created", row, scope=row.scope, subject=row.subject, within=row.within, copied_from=copied_from)
        for increase in increases:
            increase.pk, increase.budget_id, increase.created_at = uuid4(), row.pk, clock.now()
            increase.save(force_insert=True)
