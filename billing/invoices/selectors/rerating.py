"""Re-ratings, and those of them that are under way."""

from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from billing.invoices.choices import ReratingState
from billing.invoices.models import Rerating
from tenants.access import Actor


def list_reratings(actor: Actor) -> QuerySet[Rerating]:
    """The organisation's."""
    return Rerating.objects.filter(org=actor.org)


def list_orgs_with_reratings() -> list[UUID]:
    """The organisations that have one to go on with, for jobs; their rows stay closed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT org_id FROM costhub_orgs_with_reratings() ORDER BY org_id")
        return [org_id for (org_id,) in cursor.fetchall()]


def find_next_rerating(actor: Actor) -> Rerating | None:
    """The oldest that is not done. The organisation is open."""
    states = [state.value for state in (ReratingState.COUNTING, ReratingState.APPROVED, ReratingState.POSTING)]
    return Rerating.objects.filter(org=actor.org, state__in=states).order_by("created_at", "id").first()


def is_being_rerated(actor: Actor, end: datetime) -> bool:
    """Whether a re-rating that makes notes has posted a part of what it changes before ``end``."""
    posting = Rerating.objects.filter(org=actor.org, state=ReratingState.POSTING.value, makes_notes=True)
    return posting.filter(start__lt=end).exists()
