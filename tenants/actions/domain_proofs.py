"""Domains are proved again and again: one that changes hands must not go on letting its former owner's people in.

A domain whose challenge is found no more stays proved for ``GRACE``, because records are lost by accident too; then its
proof lapses, and nobody is let in for it until somebody proves it anew. The audit log and a mail tell of both.
"""

from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import transaction

from costhub.lib import clock
from tenants.access import Actor, job_scope, org_scope
from tenants.actions.audit import record
from tenants.actions.sign_on import ChallengeMissing, check_challenge
from tenants.choices import PERMISSIONS, Permission
from tenants.mails import send_mail
from tenants.models import ClaimedDomain, Membership

#: a domain is looked at again after so long
AGAIN_AFTER: Final = timedelta(hours=20)
GRACE: Final = timedelta(days=14)


def prove_again(org_id: UUID | str, *, ends_at_ns: int) -> int:
    """Look for the challenges of an organisation's domains that were not looked for since a day, until a moment of the
    monotonic clock. Gives how many it was. What is looked for is on the network: no transaction waits for it."""
    with org_scope(org_id):
        due = list(
            ClaimedDomain.objects.filter(
                org_id=UUID(str(org_id)), verified_at__isnull=False, checked_at__lte=clock.now() - AGAIN_AFTER
            ).order_by("checked_at")
        )
    looked = 0
    for claim in due:
        if clock.monotonic_ns() >= ends_at_ns:
            break
        _note(org_id, claim, is_there=_is_there(claim))
        looked += 1
    return looked


def _is_there(claim: ClaimedDomain) -> bool:
    try:
        check_challenge(claim)
    except ChallengeMissing:
        return False
    return True


def _note(org_id: UUID | str, seen: ClaimedDomain, *, is_there: bool) -> None:
    now = clock.now()
    with job_scope(org_id) as actor, transaction.atomic():
        # Somebody may have given it up meanwhile, or proved it anew.
        claim = ClaimedDomain.objects.select_for_update().filter(pk=seen.pk, verified_at=seen.verified_at).first()
        if claim is None:
            return
        claim.checked_at = now
        if is_there:
            if claim.missing_since is not None:
                record(actor, "found", claim, name=claim.name)
            claim.missing_since = None
        elif claim.missing_since is None:
            claim.missing_since = now
            record(actor, "missed", claim, name=claim.name, lapses_at=now + GRACE)
            _tell(actor, claim, is_lapsed=False)
        elif now - claim.missing_since >= GRACE:
            _lapse(actor, claim)
        claim.save(update_fields=["checked_at", "missing_since", "verified_at"])


def _lapse(actor: Actor, claim: ClaimedDomain) -> None:
    claim.verified_at = claim.missing_since = None
    record(actor, "lapsed", claim, name=claim.name)
    _tell(actor, claim, is_lapsed=True)


def _tell(actor: Actor, claim: ClaimedDomain, *, is_lapsed: bool) -> None:
    """Mail those who can put the challenge back, once what they are told is committed."""
    context = {
        "org_name": actor.org.name,
        "domain": claim.name,
        "days": GRACE.days,
        "is_lapsed": is_lapsed,
        "path": f"/o/{actor.org.slug}/sign-ons",
    }
    roles = [role.value for role, granted in PERMISSIONS.items() if Permission.WRITE_MEMBERS in granted]
    members = Membership.objects.filter(org=actor.org, role__in=roles, suspended_at=None, visit_until=None)
    for address in members.order_by("user__email").values_list("user__email", flat=True):
        send_mail("domain_proof", address, context)
