"""Tokens of the management API, and the service accounts that own them. A secret is shown once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError, transaction

from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.secrets import ADMIN_TOKEN, make_secret
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import store_changes
from tenants.actions.grants import check_may_give, check_projects, read_scopes
from tenants.actions.values import check_moment, check_name
from tenants.choices import PERMISSIONS, Permission, Role
from tenants.models import AdminToken, ServiceAccount

MAX_TOKENS: Final = 1_000


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made, and its secret: the only moment at which that exists in clear."""

    token: AdminToken
    secret: str


def create_service_account(*, actor: Actor, name: str, role: Role, projects: Sequence[str] = ()) -> ServiceAccount:
    """Make a program's account, with a role in the organisation or in some of its projects.

    Raises Forbidden for rights that the actor does not hold, Conflict for a name that is taken.
    """
    _check_may_write(actor)
    where = check_projects(actor, role, projects)
    check_may_give(actor, role, projects=where)
    account = ServiceAccount(
        org=actor.org, name=check_name(name), role=role.value, projects=where, created_by=actor.name
    )
    try:
        with transaction.atomic():
            account.save(force_insert=True)
            record(actor, "created", account, name=account.name, role=role, projects=where)
    except IntegrityError as error:
        raise Conflict("There is a service account of this name: choose another.", field="name") from error
    return account


def update_service_account(*, actor: Actor, account: ServiceAccount, **changes: Any) -> ServiceAccount:
    """Change an account's ``name``, ``role``, ``projects`` (by name or id), or whether it ``is_disabled``.

    Raises Conflict if another account has the name.
    """
    _check_may_write(actor)
    check_may_give(actor, Role(account.role), projects=account.projects)
    role = changes.get("role", Role(account.role))
    where = account.projects
    if "projects" in changes or "role" in changes:
        where = check_projects(actor, role, changes.get("projects", [str(one) for one in account.projects]))
        check_may_give(actor, role, projects=where)
    new: dict[str, Any] = {"role": role.value, "projects": where}
    if "name" in changes:
        new["name"] = check_name(changes["name"])
    if "is_disabled" in changes and changes["is_disabled"] != (account.disabled_at is not None):
        new["disabled_at"] = clock.now() if changes["is_disabled"] else None
    try:
        store_changes(actor, account, new)
    except IntegrityError as error:
        raise Conflict("There is a service account of this name: choose another.", field="name") from error
    return account


def create_token(
    *,
    actor: Actor,
    name: str,
    role: Role | None = None,
    account: ServiceAccount | None = None,
    scopes: Sequence[Permission] = (),
    expires_at: datetime | None = None,
) -> NewToken:
    """Make a token: of a role, or of a service account. ``scopes`` narrow it to some of the role's permissions.

    Raises Forbidden for rights that the actor does not hold, InvalidField for scopes that the role does not have or an
    expiry that has passed, Conflict for a disabled account.
    """
    _check_may_write(actor)
    if (role is None) == (account is None):
        raise InvalidField("Give a role, or a service account: one of the two.", field="role")
    if account is not None and account.disabled_at is not None:
        raise Conflict("This service account is disabled: enable it first.", field="service_account")
    held = Role(account.role) if account is not None else role
    assert held is not None
    if foreign := sorted(set(scopes) - PERMISSIONS[held]):
        raise InvalidField(f"A {held} does not have {foreign[0]}: leave this scope out.", field="scopes")
    if expires_at is not None and check_moment(expires_at, "expires_at") <= clock.now():
        raise InvalidField("Give a moment in the future.", field="expires_at")
    check_may_give(actor, held, projects=account.projects if account is not None else (), scopes=scopes or None)
    secret = make_secret(ADMIN_TOKEN, settings.KEY_PEPPER)
    with transaction.atomic():
        if AdminToken.objects.filter(org=actor.org, revoked_at=None).count() >= MAX_TOKENS:
            raise Conflict(f"There are {MAX_TOKENS} tokens already: revoke one first.")
        token = AdminToken.objects.create(
            org=actor.org,
            name=check_name(name),
            prefix=secret.prefix,
            digest=secret.digest,
            role=held.value,
            account=account,
            scopes=sorted(scopes),
            expires_at=expires_at,
            created_by=actor.name,
        )
        record(actor, "created", token, name=token.name, role=held, prefix=secret.prefix, scopes=token.scopes)
    return NewToken(token, secret.text)


def revoke_admin_token(*, actor: Actor, token: AdminToken) -> AdminToken:
    """End a token now, for ever. Revoking it again changes nothing."""
    _check_may_write(actor)
    account = token.account
    check_may_give(
        actor,
        Role(account.role if account is not None else token.role),
        projects=account.projects if account is not None else (),
        scopes=read_scopes(token.scopes),
    )
    with transaction.atomic():
        if AdminToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=clock.now()):
            record(actor, "revoked", token, name=token.name, prefix=token.prefix)
        token.refresh_from_db()
    return token


def _check_may_write(actor: Actor) -> None:
    actor.check(Permission.WRITE_MEMBERS)
    actor.check_fresh()
