"""Organisations and their members."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

from allauth.mfa.utils import is_mfa_enabled
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.text import slugify

from costhub.lib import clock
from costhub.lib.errors import Conflict, Forbidden, InvalidField
from costhub.lib.keyspace import shard_of
from costhub.lib.secrets import make_data_key
from tenants.access import Actor, org_scope
from tenants.actions.audit import record
from tenants.actions.changes import apply_changes, publish
from tenants.actions.grants import check_may_give, check_projects
from tenants.actions.keys import create_key
from tenants.actions.projects import create_project
from tenants.actions.tokens import create_token
from tenants.actions.values import check_name, check_time_zone
from tenants.choices import PROJECT_ROLES, Permission, Role
from tenants.mails import send_mail
from tenants.models import Budget, ClaimedDomain, Membership, Organization, Project, User

FIRST_PROJECT: Final = "default"
#: answers that callers ask for again are kept for a year at most
MOST_HOURS_KEPT: Final = 8_760
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
    org.data_key = make_data_key(settings.MASTER_KEYS, str(org.pk))
    with org_scope(org.pk):
        _insert_with_free_slug(org)
        actor = Actor(org, Role.OWNER, acting_name)
        record(actor, "created", org, name=org.name)
        if owner is not None:
            insert_member(actor, owner, Role.OWNER)
        token = create_admin_token(actor=actor, name="first token", role=Role.OWNER)
        project = create_project(actor=actor, name=FIRST_PROJECT)
        key = create_key(actor=actor, name="first key", project=project)
        publish(org)
    return NewOrganization(org, project, token, key.secret)


def update_organization(
    *,
    actor: Actor,
    name: str | None = None,
    time_zone: str | None = None,
    answers_kept_hours: int | None = None,
    hides_amounts: bool | None = None,
) -> Organization:
    """Rename the actor's organisation, move its budgets' periods to another time zone, say for how many hours answers
    are kept that callers want to ask for again, or whether callers of all its keys are told no amounts of money.

    Raises InvalidField for what cannot be, and StaleSession for somebody who signed in a while ago and would have
    answers kept longer, or amounts told again.
    """
    actor.check(Permission.WRITE_SETTINGS)
    new: dict[str, Any] = {}
    if name is not None:
        new["name"] = check_name(name)
    if time_zone is not None:
        new["time_zone"] = check_time_zone(time_zone)
    if answers_kept_hours is not None:
        if not 0 <= answers_kept_hours <= MOST_HOURS_KEPT:
            raise InvalidField(
                f"Give a whole number of hours from 0, which keeps none, to {MOST_HOURS_KEPT}.",
                field="answers_kept_hours",
            )
        if answers_kept_hours > actor.org.answers_kept_hours:
            actor.check_fresh()
        new["answers_kept_hours"] = answers_kept_hours
    if hides_amounts is not None:
        if actor.org.hides_amounts and not hides_amounts:
            actor.check_fresh()
        new["hides_amounts"] = hides_amounts
    with transaction.atomic():
        if new.get("time_zone", actor.org.time_zone) != actor.org.time_zone:
            # The periods begin elsewhere: every budget's counters are made anew from the ledger.
            Budget.objects.filter(org=actor.org).update(created_at=clock.now())
        apply_changes(actor, actor.org, new)
    return actor.org


def create_admin_token(*, actor: Actor, name: str, role: Role) -> str:
    """Make a token of the management API with a role's rights. Gives the secret, which is not stored."""
    return create_token(actor=actor, name=name, role=role).secret


def require_second_factor(*, actor: Actor, is_required: bool) -> Organization:
    """Let owners, admins and finance in with a second factor only, or not.

    Raises Conflict if the actor has none and asks for it: they would lock themselves out.
    """
    actor.check(Permission.WRITE_MEMBERS)
    actor.check_fresh()
    person = None if actor.user_id is None else User.objects.get(pk=actor.user_id)
    if is_required and person is not None and not is_mfa_enabled(person):
        raise Conflict("Set up a second factor for yourself first, at /account/2fa/: else you would be locked out.")
    apply_changes(actor, actor.org, {"requires_second_factor": is_required})
    return actor.org


def add_member(
    *, actor: Actor, email: str, role: Role, projects: Sequence[str] = (), is_mailed: bool = True
) -> Membership:
    """Give a person a role in the organisation, or in some of its projects, and mail them so, with the way in. Raises
    Conflict if they are a member already.

    Somebody without an account gets one that has no password yet, so that the answer never tells who else uses this
    installation: the mail says how to choose one. ``is_mailed`` False: by a directory, whose people sign in with it.
    """
    actor.check(Permission.WRITE_MEMBERS)
    actor.check_fresh()
    where = check_projects(actor, role, projects)
    check_may_give(actor, role, projects=where)
    with transaction.atomic():
        membership = insert_member(actor, find_or_create_user(email), role, where)
        if is_mailed:
            welcome = f"/login?next=/o/{actor.org.slug}/welcome"
            told = {"org_name": actor.org.name, "added_by": actor.name, "role": role.value, "path": welcome}
            send_mail("member_added", membership.user.email, told)
        return membership


def set_role(*, actor: Actor, membership: Membership, role: Role, projects: Sequence[str] | None = None) -> Membership:
    """Change a member's role, and where it holds: an empty ``projects`` is everywhere, None where it held before, if
    the new role can be held by project. Raises Conflict for the last owner."""
    actor.check(Permission.WRITE_MEMBERS)
    actor.check_fresh()
    if projects is None:
        where = list(membership.projects) if role in PROJECT_ROLES else []
    else:
        where = check_projects(actor, role, projects)
    check_may_give(actor, role, projects=where)
    check_may_give(actor, Role(membership.role), projects=membership.projects)
    if membership.visit_until is not None:
        # With a role it would count as an owner, or get the members' mails, when the visit is long over.
        raise Conflict("This is an operator's visit, which has no role to change: end it, or add them as a member.")
    with transaction.atomic():
        if role != Role.OWNER:
            _check_other_owner(membership)
        old, membership.role = membership.role, role.value
        before, membership.projects = membership.projects, where
        membership.save(update_fields=["role", "projects"])
        changes: dict[str, Any] = {"role": (old, role)} | ({"projects": (before, where)} if before != where else {})
        record(actor, "updated", membership, email=membership.user.email, **changes)
    return membership


def suspend_member(*, actor: Actor, membership: Membership, is_suspended: bool) -> Membership:
    """End a member's access, or give it back. The membership and its role stay. Somebody of a domain that the
    organisation has verified is signed out everywhere: it answers for them, and for nobody else's sessions.

    Raises Conflict for the last owner."""
    actor.check(Permission.WRITE_MEMBERS)
    actor.check_fresh()
    check_may_give(actor, Role(membership.role), projects=membership.projects)
    if is_suspended == (membership.suspended_at is not None):
        return membership
    with transaction.atomic():
        if is_suspended:
            _check_other_owner(membership)
        membership.suspended_at = clock.now() if is_suspended else None
        membership.save(update_fields=["suspended_at"])
        record(actor, "suspended" if is_suspended else "restored", membership, email=membership.user.email)
        if is_suspended and answers_for(actor.org, membership.user.email):
            end_sessions(membership.user)
    return membership


def set_wants_summaries(*, actor: Actor, user_id: int, is_wanted: bool) -> None:
    """Whether a member gets the mails that sum up a week and a month. No permission is needed for one's own; raises
    Forbidden for anybody else's."""
    if user_id != actor.user_id:
        raise Forbidden("Everybody chooses their own mails.")
    Membership.objects.filter(org=actor.org, user=user_id).update(wants_summaries=is_wanted)


def remove_member(*, actor: Actor, membership: Membership) -> None:
    """End a membership. Anybody may leave; removing others needs the right to. Raises Conflict for the last owner."""
    if membership.user_id != actor.user_id:
        actor.check(Permission.WRITE_MEMBERS)
        actor.check_fresh()
        check_may_give(actor, Role(membership.role), projects=membership.projects)
    with transaction.atomic():
        _check_other_owner(membership)
        record(actor, "removed", membership, email=membership.user.email, role=membership.role)
        membership.delete()


def answers_for(org: Organization, email: str) -> bool:
    """Whether the organisation has verified the domain of this address."""
    domain = email.rpartition("@")[2].lower()
    return ClaimedDomain.objects.filter(org=org, name=domain, verified_at__isnull=False).exists()


def end_sessions(user: User) -> None:
    """Sign a person out everywhere."""
    for session in UserSession.objects.filter(user=user):
        session.end()


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


def insert_member(actor: Actor, user: User, role: Role, projects: Sequence[UUID] = ()) -> Membership:
    """Store a membership. Raises Conflict if there is one."""
    try:
        with transaction.atomic():
            Membership.objects.filter(org=actor.org, user=user, visit_until__isnull=False).delete()
            membership = Membership.objects.create(org=actor.org, user=user, role=role.value, projects=list(projects))
    except IntegrityError as error:
        raise Conflict("This person is a member already.", field="email") from error
    where = {"projects": list(projects)} if projects else {}
    record(actor, "added", membership, email=user.email, role=role, **where)
    return membership


def _check_other_owner(leaving: Membership) -> None:
    # Locked, so that two owners who leave at once cannot each count on the other.
    owners = Membership.objects.filter(org=leaving.org_id, role=Role.OWNER.value, suspended_at=None).select_for_update()
    if leaving.role == Role.OWNER and {owner.pk for owner in owners} <= {leaving.pk}:
        raise Conflict("The last owner cannot leave: make somebody else an owner first.", field="role")
