"""What ends by itself. A key or token is refused from its moment on by whoever checks it; here the audit log is told,
and what is remembered of the key is dropped."""

from uuid import UUID

from django.db.models import CharField, Exists, OuterRef
from django.db.models.functions import Cast

from costhub.lib import clock
from costhub.lib.keyspace import key_snapshot_key
from costhub.lib.redis import client
from tenants.access import Actor, job_scope
from tenants.actions.audit import record
from tenants.models import AdminToken, ApiKey, AuditEntry, Organization


def note_expired(org_id: UUID | str) -> int:
    """Audit every key and token of an organisation that has expired and was not audited so, once. Gives their number.

    The old half of a rotated key is one of them when its grace has ended. Raises RedisError.
    """
    with job_scope(org_id) as actor:
        # Of two jobs at once the second waits, and finds everything told.
        actor.org.refresh_from_db(from_queryset=Organization.objects.select_for_update())
        keys = _note(ApiKey, actor)
        tokens = _note(AdminToken, actor)
        for key in keys:
            client().delete(key_snapshot_key(bytes(key.digest)))
    return len(keys) + len(tokens)


def _note(kind: type[ApiKey] | type[AdminToken], actor: Actor) -> list[ApiKey | AdminToken]:
    action = f"{str(kind._meta.verbose_name).replace(' ', '_')}.expired"
    told = AuditEntry.objects.filter(
        org=actor.org, action=action, target_id=Cast(OuterRef("pk"), CharField(max_length=200))
    )
    found: list[ApiKey | AdminToken] = list(
        kind.objects.filter(
            ~Exists(told), org=actor.org, revoked_at__isnull=True, expires_at__lte=clock.now()
        ).order_by("expires_at", "pk")
    )
    for row in found:
        record(actor, "expired", row, name=row.name, prefix=row.prefix, expires_at=row.expires_at)
    return found
