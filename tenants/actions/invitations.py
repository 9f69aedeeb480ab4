"""Invitations: a role is offered by mail, and taken by whoever signs in with that address."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import IntegrityError, transaction

from costhub.lib import clock
from costhub.lib.errors import Conflict, Forbidden, InvalidField, NotFound
from costhub.lib.secrets import INVITATION, digest_of, is_well_formed, make_secret
from tenants.access import Actor, find_invitation, org_scope
from tenants.actions.audit import record
from tenants.actions.grants import check_may_give, check_projects
from tenants.actions.orgs import MAX_EMAIL_CHARACTERS, insert_member
from tenants.choices import Permission, Role
from tenants.mails import send_mail
from tenants.models import Invitation, Membership, User

EXPIRES_AFTER: Final = timedelta(days=7)
MAX_OPEN: Final = 500


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """An invitation that was just made. ``path`` leads to it, below the console's address, and is in the mail only."""

    invitation: Invitation
    path: str


def invite(*, actor: Actor, email: str, role: Role, projects: Sequence[str] = ()) -> NewInvitation:
    """Offer somebody a role by mail, for a week. Inviting them again withdraws the first offer.

    Raises Conflict for somebody who is a member already, Forbidden for rights that the actor does not hold, and
    InvalidField for an address that is too long.
    """
    _check_may_write(actor)
    where = check_projects(actor, role, projects)
    check_may_give(actor, role, projects=where)
    address = email.strip().lower()
    if len(address) > MAX_EMAIL_CHARACTERS:
        raise InvalidField(f"Give an e-mail address of at most {MAX_EMAIL_CHARACTERS} characters.", field="email")
    if Membership.objects.filter(org=actor.org, user__email=address, visit_until=None).exists():
        raise Conflict("This person is a member already.", field="email")
    secret = make_secret(INVITATION, settings.KEY_PEPPER)
    now = clock.now()
    invitation = Invitation(
        org=actor.org,
        email=address,
        role=role.value,
        projects=where,
        digest=secret.digest,
        expires_at=now + EXPIRES_AFTER,
        invited_by=actor.name,
    )
    path = f"/invitations/{secret.text}"
    try:
        with transaction.atomic():
            opened = Invitation.objects.filter(org=actor.org, accepted_at=None, withdrawn_at=None)
            opened.filter(email=address).update(withdrawn_at=now)
            if opened.filter(expires_at__gt=now).count() >= MAX_OPEN:
                raise Conflict(f"{MAX_OPEN} invitations are open: withdraw some first.")
            invitation.save(force_insert=True)
            record(actor, "created", invitation, email=address, role=role, projects=where)
            send_mail(
                "invitation",
                address,
                {"org_name": actor.org.name, "invited_by": actor.name, "role": role.value, "path": path},
            )
    except IntegrityError as error:
        raise Conflict("This person is being invited already.", field="email") from error
    return NewInvitation(invitation, path)


def withdraw_invitation(*, actor: Actor, invitation: Invitation) -> Invitation:
    """Take an offer back. Raises Conflict if it was accepted."""
    _check_may_write(actor)
    check_may_give(actor, Role(invitation.role), projects=invitation.projects)
    with transaction.atomic():
        invitation = Invitation.objects.select_for_update().get(pk=invitation.pk)
        if invitation.accepted_at is not None:
            raise Conflict("This invitation was accepted: remove the member instead.")
        if invitation.withdrawn_at is None:
            invitation.withdrawn_at = clock.now()
            invitation.save(update_fields=["withdrawn_at"])
            record(actor, "withdrawn", invitation, email=invitation.email)
    return invitation


def find_open_invitation(secret: str) -> Invitation:
    """The invitation that a link leads to, with its organisation. Raises NotFound unless it can be accepted."""
    gone = NotFound("This invitation has expired, was withdrawn or was used: ask for a new one.")
    if not is_well_formed(secret, INVITATION):
        raise gone
    digest = digest_of(secret, settings.KEY_PEPPER)
    org_id = find_invitation(digest)
    if org_id is None:
        raise gone
    with org_scope(org_id):
        invitation = Invitation.objects.select_related("org").get(digest=digest)
    is_open = invitation.accepted_at is None and invitation.withdrawn_at is None
    if not is_open or invitation.expires_at <= clock.now() or not invitation.org.is_active:
        raise gone
    return invitation


def accept_invitation(*, secret: str, user: User) -> Membership:
    """Take what an invitation offers. Raises NotFound for one that is not open, Forbidden for somebody else's."""
    found = find_open_invitation(secret)
    if user.email.lower() != found.email:
        raise Forbidden(f"This invitation is for {found.email}: sign in with that address to accept it.")
    with org_scope(found.org_id):
        invitation = Invitation.objects.select_for_update().select_related("org").get(pk=found.pk)
        if invitation.accepted_at is not None or invitation.withdrawn_at is not None:
            raise NotFound("This invitation was used or withdrawn a moment ago.")
        invitation.accepted_at = clock.now()
        invitation.save(update_fields=["accepted_at"])
        actor = Actor(invitation.org, Role(invitation.role), user.email, user.pk)
        record(actor, "accepted", invitation, email=user.email)
        existing = Membership.objects.filter(org=invitation.org, user=user, visit_until=None).first()
        return existing or insert_member(actor, user, Role(invitation.role), invitation.projects)


def _check_may_write(actor: Actor) -> None:
    actor.check(Permission.WRITE_MEMBERS)
    actor.check_fresh()
