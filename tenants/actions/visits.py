"""Visits: an operator of the installation looks into an organisation that has asked for it.

An organisation allows visits for a time. While it does, an operator may begin one, with a reason: for an hour at most
they see what a member sees, money too, and change nothing. It ends by itself, with the permission, or when the
operator ends it; beginning and end stand in the organisation's audit log.
"""

from datetime import timedelta
from typing import Final

from allauth.mfa.utils import is_mfa_enabled
from django.db import transaction

from costhub.lib import clock
from costhub.lib.errors import Conflict, Forbidden, InvalidField
from tenants.access import Actor, org_scope
from tenants.actions.audit import record
from tenants.actions.changes import apply_changes
from tenants.choices import Permission, Role
from tenants.models import Membership, Organization, User

MOST_HOURS: Final = 168
VISIT: Final = timedelta(hours=1)
MAX_REASON_CHARACTERS: Final = 200


def allow_visits(*, actor: Actor, hours: int) -> Organization:
    """Let operators look for so many hours from now; 0 ends it at once, their visits too. Raises InvalidField."""
    actor.check(Permission.WRITE_MEMBERS)
    actor.check_fresh()
    if not 0 <= hours <= MOST_HOURS:
        raise InvalidField(
            f"Give a whole number of hours from 0, which allows none, to {MOST_HOURS}.", field="visits_allowed_hours"
        )
    until = clock.now() + timedelta(hours=hours) if hours else None
    apply_changes(actor, actor.org, {"visits_allowed_until": until})
    return actor.org


def begin_visit(*, user: User, org: Organization, reason: str) -> Membership:
    """Let an operator look into an organisation for an hour.

    Raises Forbidden for who is no operator, or has no second factor, or where the organisation allows no visits,
    InvalidField without a reason, Conflict for a member.
    """
    actor, why = act_as_operator(user, org), check_reason(reason, org)
    now = clock.now()
    with org_scope(org.pk), transaction.atomic():
        found = Organization.objects.select_for_update().get(pk=org.pk)
        if not found.is_active or found.visits_allowed_until is None or found.visits_allowed_until <= now:
            raise Forbidden(f"{found.name} allows no visits: an owner or admin allows them on the page of settings.")
        there = Membership.objects.filter(org=found, user=user).first()
        if there is not None and there.visit_until is None:
            raise Conflict(f"You are a member of {found.name}: look at it as one.")
        until = min(now + VISIT, found.visits_allowed_until)
        visit, _ = Membership.objects.update_or_create(
            org=found, user=user, defaults={"role": Role.VIEWER.value, "visit_until": until, "wants_summaries": False}
        )
        record(actor, "visited", found, reason=why, until=until)
    return visit


def end_visit(*, user: User, org: Organization) -> None:
    """End one's visit. Nothing happens where there is none."""
    with org_scope(org.pk), transaction.atomic():
        visit = Membership.objects.filter(org=org, user=user, visit_until__isnull=False).first()
        if visit is not None:
            visit.delete()
            record(_as_visitor(org, user), "left", org)


def act_as_operator(user: User, org: Organization) -> Actor:
    """An operator, as an organisation's audit log names them. Raises Forbidden for anybody else."""
    if not user.is_platform_operator or not is_mfa_enabled(user):
        raise Forbidden("Only an operator of this installation with a second factor may do this.")
    return _as_visitor(org, user)


def check_reason(reason: str, org: Organization) -> str:
    """Why an operator does something to an organisation, which reads it. Raises InvalidField."""
    why = reason.strip()
    if not why or len(why) > MAX_REASON_CHARACTERS or not why.isprintable():
        raise InvalidField(
            f"Say in one line of at most {MAX_REASON_CHARACTERS} characters why: {org.name} reads it.", field="reason"
        )
    return why


def name_operator(user: User) -> str:
    """How audit logs name an operator."""
    return f"operator {user.email}"[:254]


def _as_visitor(org: Organization, user: User) -> Actor:
    return Actor(org, Role.VIEWER, name_operator(user), user.pk)
