"""When keys were used last."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db.models import OuterRef, Subquery

from proxy.models import LedgerEntry
from tenants.access import Actor
from tenants.models import ApiKey


def find_last_uses(actor: Actor, keys: Iterable[UUID]) -> dict[UUID, datetime]:
    """The moment of each key's newest call, by the key's id; one that was never used has none. The index of a key's
    calls answers, a look a key."""
    newest = LedgerEntry.objects.filter(org_id=actor.org.pk, key_id=OuterRef("pk")).order_by("-started_at")
    rows = ApiKey.objects.filter(org=actor.org, pk__in=list(keys)).annotate(
        used_at=Subquery(newest.values("started_at")[:1])
    )
    return {pk: used_at for pk, used_at in rows.values_list("pk", "used_at") if used_at is not None}
