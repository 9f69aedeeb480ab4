"""Organisations and their members."""

import secrets
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.text import slugify

from costhub.lib import clock
from costhub.lib.errors import Conflict, Forbidden, InvalidField
from costhub.lib.keyspace import shard_of
from costhub.lib.secrets import ADMIN_TOKEN, make_data_key, make_secret
from tenants.access import Actor, org_scope
from tenants.actions.audit import record
from tenants.actions.changes import apply_changes, publish
from tenants.actions.keys import create_key
from tenants.actions.projects import create_project
from tenants.actions.values import check_name, check_time_zone
from tenants.choices import Permission, Role
from tenants.models import AdminToken, Budget, Membership, Organization, Project, User

FIRST_PROJECT: Final = "default"
#: RFC 5321's longest path, without its brackets
MAX_EMAIL_CHARACTERS: Final = 254
_SLUG_CHARACTERS: Final = 50
_SLUG_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class NewOrganization:
    """An organisation that was just made, with its first secrets: the only moment at which these exist in clear."""

    org: Organization
    project: Project
    admin_token: str
    api_key: str


def create_organization(
    *, name: str, acting_name: str, owner: User | None = None, time_zone: str = "UTC"
) -> NewOrganization:
    """Create an organisation with its data key, first owner, project, admin token and API key.

    Nobody is an actor in it yet, so the caller (a platform operator, or a command) says who is acting. The
    organisation is not left open. Raises InvalidField for a bad name or time zone.
    """
    org = Organization(
        id=uuid4(), name=check_name(name), time_zone=check_time_zone(time_zone), slug=slugify(name)[:_SLUG_CHARACTERS]
    )
    org.shard = shard_of(str(org.pk))
    org.data_key = make_data_key(settings.MASTER_KEY, str(org.pk))
    with org_scope(org.pk):
        _insert_with_free_slug(org)
        actor = Actor(org, Role.OWNER, acting_name)
        record(actor, "created", org, name=org.name)
        if owner is not None:
            _insert_member(actor, owner, Role.OWNER)
        token = create_admin_token(actor=actor, name="first token", role=Role.OWNER)
        project = create_project(actor=actor, name=FIRST_PROJECT)
        key = create_key(actor=actor, name="first key", project=project)
        publish(org)
    return NewOrganization(org, project, token, key.secret)


def update_organization(*, actor: Actor, name: str | None = None, time_zone: str | None = None) -> Organization:
    """Rename the actor's organisation, or move its budgets' periods to another time zone."""
    actor.check(Permission.WRITE_SETTINGS)
    new: dict[str, Any] = {}
    if name is not None:
        new["name"] = check_name(name)
    if time_zone is not None:
        new["time_zone"] = check_time_zone(time_zone)
    with transaction.atomic():
        if new.get("time_zone", actor.org.time_zone) != actor.org.time_zone:
            # The periods begin elsewhere: every budget's counters are made anew from the ledger.
            Budget.objects.filter(org=actor.org).update(created_at=clock.now())
        apply_changes(actor, actor.org, new)
    return actor.org


def create_admin_token(*, actor: Actor, name: str, role: Role) -> str:
    """Make a token of the management API with a role's rights. Gives the secret, which is not stored."""
    actor.check(Permission.WRITE_MEMBERS)
    _check_may_give(actor, role)
    secret = make_secret(ADMIN_TOKEN, settings.KEY_PEPPER)
    with transaction.atomic():
        token = AdminToken.objects.create(
            org=actor.org, name=check_name(name), prefix=secret.prefix, digest=secret.digest, role=role.value
        )
        record(actor, "created", token, name=token.name, role=role, prefix=secret.prefix)
    return secret.text


def add_member(*, actor: Actor, email: str, role: Role) -> Membership:
    """Give a person a role in the organisation. Raises Conflict if they are a member already.

    Somebody without an account gets one that has no password yet, so that the answer never tells who else uses this
    installation.
    """
    actor.check(Permission.WRITE_MEMBERS)
    _check_may_give(actor, role)
    with transaction.atomic():
        return _insert_member(actor, find_or_create_user(email), role)


def set_role(*, actor: Actor, membership: Membership, role: Role) -> Membership:
    """Change a member's role. Raises Conflict for the last owner."""
    actor.check(Permission.WRITE_MEMBERS)
    _check_may_give(actor, role)
    _check_may_give(actor, Role(membership.role))
    with transaction.atomic():
        if role != Role.OWNER:
            _check_other_owner(membership)
        old, membership.role = membership.role, role.value
        membership.save(update_fields=["role"])
        record(actor, "updated", membership, email=membership.user.email, role=(old, role))
    return membership


def remove_member(*, actor: Actor, membership: Membership) -> None:
    """End a membership. Anybody may leave; removing others needs the right to. Raises Conflict for the last owner."""
    if membership.user_id != actor.user_id:
        actor.check(Permission.WRITE_MEMBERS)
        _check_may_give(actor, Role(membership.role))
    with transaction.atomic():
        _check_other_owner(membership)
        record(actor, "removed", membership, email=membership.user.email, role=membership.role)
        membership.delete()


def find_or_create_user(email: str) -> User:
    """The person with this address, made without a password if there is none.

    Raises InvalidField for an address that is too long for anybody's.
    """
    address = email.strip().lower()
    if len(address) > MAX_EMAIL_CHARACTERS:
        raise InvalidField(f"Give an e-mail address of at most {MAX_EMAIL_CHARACTERS} characters.", field="email")
    found = User.objects.filter(email=address).first()
    if found is not None:
        return found
    try:
        with transaction.atomic():
            return User.objects.create_user(address)
    except IntegrityError:
        return User.objects.get(email=address)


def _insert_with_free_slug(org: Organization) -> None:
    # Other organisations are out of sight, so whether a slug is free shows only when it is taken.
    base = org.slug or "org"
    for attempt in range(_SLUG_TRIES):
        org.slug = base if attempt == 0 else f"{base}-{secrets.token_hex(3)}"
        try:
            with transaction.atomic():
                org.save(force_insert=True)
        except IntegrityError:
            continue
        return
    raise Conflict("No free short name was found for this organisation: choose another name.", field="name")


def _insert_member(actor: Actor, user: User, role: Role) -> Membership:
    try:
        with transaction.atomic():
            membership = Membership.objects.create(org=actor.org, user=user, role=role.value)
    except IntegrityError as error:
        raise Conflict("This person is a member already.", field="email") from error
    record(actor, "added", membership, email=user.email, role=role)
    return membership


def _check_may_give(actor: Actor, role: Role) -> None:
    if role == Role.OWNER and actor.role != Role.OWNER:
        raise Forbidden("Only an owner may make or change an owner.")


def _check_other_owner(leaving: Membership) -> None:
    # Locked, so that two owners who leave at once cannot each count on the other.
    owners = Membership.objects.filter(org=leaving.org_id, role=Role.OWNER.value).select_for_update()
    if leaving.role == Role.OWNER and {owner.pk for owner in owners} <= {leaving.pk}:
        raise Conflict("The last owner cannot leave: make somebody else an owner first.", field="role")
