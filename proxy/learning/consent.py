"""Consent, and what becomes of what was kept when it is taken back.

A capture policy covers the calls of its model made since it was given. What no policy covers any more is erased: a
captured call goes, an example of a dataset leaves a tombstone, and no later version has it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from costhub.lib import clock
from costhub.lib.errors import InvalidField
from proxy.learning.choices import ExampleKind
from proxy.learning.models import CapturedCall, LearnedExample
from tenants.access import Actor, job_scope
from tenants.actions.audit import record
from tenants.choices import Permission
from tenants.models import CapturePolicy, Organization


class Consent(NamedTuple):
    """Calls of a model, or of every model where it is empty, may be kept if they were made since."""

    model: str
    since: datetime


class Erased(NamedTuple):
    """How much went."""

    calls: int
    examples: int


def list_consents(org: Organization) -> list[Consent]:
    """What the organisation consents to now. Inside an open organisation."""
    return [Consent(row.model, row.created_at) for row in CapturePolicy.objects.filter(org=org)]


def is_covered(consents: Iterable[Consent], model: str, at: datetime) -> bool:
    """Whether a call may be kept."""
    return any(consent.model in ("", model) and consent.since <= at for consent in consents)


def forget_uncovered(org_id: UUID) -> Erased:
    """Erase what no consent covers any more, and captured calls whose time is over."""
    with job_scope(org_id) as actor:
        org, now = actor.org, clock.now()
        covered = _covered_by(list_consents(org), "at")
        calls, _ = CapturedCall.objects.filter(org=org).filter(~covered | Q(expires_at__lte=now)).delete()
        examples = LearnedExample.objects.filter(org=org, kind=ExampleKind.CALL.value, withdrawn_at=None)
        return Erased(calls, _erase(examples.filter(~covered).values_list("pk", flat=True), now))


def withdraw_end_user(*, actor: Actor, end_user: str) -> Erased:
    """Erase all that was kept of one end user's calls, at once. Calls of theirs that come later are kept as before:
    have them sent with ``x-costhub-cache-control: no-store``. Raises InvalidField for an empty name."""
    actor.check(Permission.WRITE_SETTINGS)
    if not end_user:
        raise InvalidField("Say whose calls are meant.", field="end_user")
    with transaction.atomic():
        calls, _ = CapturedCall.objects.filter(org=actor.org, end_user=end_user).delete()
        theirs = LearnedExample.objects.filter(org=actor.org, end_user=end_user, withdrawn_at=None)
        examples = _erase(theirs.values_list("pk", flat=True), clock.now())
        record(actor, "withdrew_consent", actor.org, end_user=end_user, calls=calls, examples=examples)
    return Erased(calls, examples)


def _covered_by(consents: Sequence[Consent], field: str) -> Q:
    covered = Q(pk__in=[])
    for consent in consents:
        since = Q(**{f"{field}__gte": consent.since})
        covered |= since & Q(model=consent.model) if consent.model else since
    return covered


def _erase(ids: Iterable[UUID], now: datetime) -> int:
    return LearnedExample.objects.filter(pk__in=list(ids)).update(
        sealed=None, end_user="", scrubbed={}, verdict="", withdrawn_at=now
    )
