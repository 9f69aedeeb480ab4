"""Keys of the LLM API. A secret is shown once, by the action that made it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction

from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.secrets import API_KEY, make_secret
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import apply_changes, publish
from tenants.actions.values import check_identifier, check_moment, check_name
from tenants.choices import Permission
from tenants.models import ApiKey, LanguageModel, Project

MAX_GRACE_SECONDS: Final = 30 * 24 * 3600
MAX_MODELS_PER_KEY: Final = 500
MAX_NETWORKS_PER_KEY: Final = 50
MAX_ENDPOINTS_PER_KEY: Final = 50
_ENDPOINT: Final = re.compile(r"/v1(/[a-z0-9_-][a-z0-9_.-]*){1,4}", re.ASCII)


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
    addresses: Sequence[str] = (),
    endpoints: Sequence[str] = (),
    hides_amounts: bool = False,
) -> NewKey:
    """Make a key, in the organisation's oldest project unless another is named. ``addresses`` are the networks that it
    may be used from, ``endpoints`` the paths below /v1 that it may call; none: all. With ``hides_amounts`` its callers
    are told no amounts of money.

    Raises InvalidField for a model that does not exist or an expiry that has passed, Conflict for an archived project.
    """
    project = project or _first_project(actor)
    _check_may_write(actor, project.pk)
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
                allowed_addresses=check_networks(addresses),
                allowed_endpoints=check_endpoints(endpoints),
                hides_amounts=hides_amounts,
                expires_at=expires_at,
            ),
        )


def update_key(
    *,
    actor: Actor,
    key: ApiKey,
    name: str | None = None,
    models: Sequence[str] | None = None,
    addresses: Sequence[str] | None = None,
    endpoints: Sequence[str] | None = None,
    hides_amounts: bool | None = None,
) -> ApiKey:
    """Rename a key, or change which models and paths it may call and from where: an empty sequence means all; or
    whether its callers are told amounts."""
    _check_may_write(actor, key.project_id)
    new: dict[str, object] = {}
    if name is not None:
        new["name"] = check_name(name)
    if models is not None:
        new["allowed_models"] = _check_models(actor, models)
    if addresses is not None:
        new["allowed_addresses"] = check_networks(addresses)
    if endpoints is not None:
        new["allowed_endpoints"] = check_endpoints(endpoints)
    if hides_amounts is not None:
        new["hides_amounts"] = hides_amounts
    apply_changes(actor, key, new, forget_keys=[bytes(key.digest)])
    return key


def rotate_key(*, actor: Actor, key: ApiKey, grace_seconds: int = 0) -> NewKey:
    """Replace a key by a new one with the same rights; the old one works for ``grace_seconds`` more. To budgets and
    rate limits both are one key: the new one goes on with what was spent.

    Raises InvalidField for a grace that is too long, Conflict if the key is dead or was rotated before.
    """
    _check_may_write(actor, key.project_id)
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
                allowed_addresses=key.allowed_addresses,
                allowed_endpoints=key.allowed_endpoints,
                hides_amounts=key.hides_amounts,
                expires_at=key.expires_at,
                lineage=key.root,
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
        record(actor, "rotated", key, rotated_to=new.key.pk, ends_at=ends_at)
        publish(actor.org, forget_keys=[bytes(key.digest)])
    return new


def revoke_key(*, actor: Actor, key: ApiKey) -> ApiKey:
    """End a key now, for ever. Revoking it again changes nothing."""
    # Whoever sees a key in wrong hands need not look for their password first.
    actor.check(Permission.WRITE_KEYS, key.project_id)
    with transaction.atomic():
        if ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=clock.now()):
            record(actor, "revoked", key, name=key.name, prefix=key.prefix)
            publish(actor.org, forget_keys=[bytes(key.digest)])
        key.refresh_from_db()
    return key


def check_networks(texts: Sequence[str]) -> list[str]:
    """Networks as they are stored, such as 10.1.0.0/16; an address is a network of one. Raises InvalidField."""
    if len(texts) > MAX_NETWORKS_PER_KEY:
        raise InvalidField(f"Give at most {MAX_NETWORKS_PER_KEY} networks.", field="addresses")
    found = set()
    for text in texts:
        try:
            found.add(str(ip_network(text.strip(), strict=False)))
        except ValueError as error:
            raise InvalidField(
                f"{text[:60]!r} is no network: give one such as 203.0.113.7, 10.1.0.0/16 or 2001:db8::/32.",
                field="addresses",
            ) from error
    return sorted(found)


def check_endpoints(paths: Sequence[str]) -> list[str]:
    """Paths of the LLM API as they are stored, such as /v1/chat/completions. Raises InvalidField."""
    if len(paths) > MAX_ENDPOINTS_PER_KEY:
        raise InvalidField(f"Give at most {MAX_ENDPOINTS_PER_KEY} paths.", field="endpoints")
    found = {path.strip().rstrip("/") for path in paths}
    if bad := sorted(path for path in found if not _ENDPOINT.fullmatch(path)):
        raise InvalidField(
            f"{bad[0][:60]!r} is no path of the LLM API: give one such as /v1/chat/completions.", field="endpoints"
        )
    return sorted(found)


def _check_may_write(actor: Actor, project_id: UUID) -> None:
    actor.check(Permission.WRITE_KEYS, project_id)
    actor.check_fresh()


def _insert(actor: Actor, key: ApiKey) -> NewKey:
    secret = make_secret(API_KEY, settings.KEY_PEPPER)
    key.prefix, key.digest, key.created_by = secret.prefix, secret.digest, actor.name
    key.save(force_insert=True)
    record(actor, "created", key, name=key.name, prefix=key.prefix, project=key.project_id, models=key.allowed_models)
    # No proxy knows the key yet, so nothing has to be announced.
    return NewKey(key, secret.text)


def _first_project(actor: Actor) -> Project:
    projects = Project.objects.filter(org=actor.org, is_archived=False)
    if (mine := actor.check_anywhere(Permission.WRITE_KEYS)) is not None:
        projects = projects.filter(pk__in=mine)
    project = projects.order_by("created_at", "id").first()
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
