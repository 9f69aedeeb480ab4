"""The audit log is written here, in the transaction of the change that it tells of, and its chain counted anew."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from django.db import connections, models

from tenants.access import Actor
from tenants.models import AuditEntry

#: A number that is not the next one, a hash that is not the one of what stands there, or none of both.
_CHAIN = """
    SELECT count(*), (array_agg(hash ORDER BY number DESC NULLS LAST))[1],
           min(place) FILTER (WHERE number IS DISTINCT FROM place OR hash IS DISTINCT FROM wanted)
    FROM (
        SELECT entry.number, entry.hash, row_number() OVER chain AS place,
               costhub_audit_hash(entry, lag(entry.hash) OVER chain) AS wanted
        FROM tenants_auditentry entry WHERE org_id = %s
        WINDOW chain AS (ORDER BY entry.number NULLS LAST, entry.created_at, entry.id)
    ) entries
"""


@dataclass(frozen=True, slots=True)
class AuditChain:
    """An organisation's audit log as it was found: its length, the hexadecimal hash of its newest entry, and the place
    of the first entry that is not what was written, if there is one."""

    entries: int
    hash: str
    first_broken: int | None


def verify_audit_chain(org_id: UUID, using: str = "default") -> AuditChain:
    """Count an organisation's chain anew, over the connection ``using``, which must see its rows."""
    with connections[using].cursor() as cursor:
        cursor.execute(_CHAIN, [org_id])
        entries, newest, broken = cursor.fetchone()
    return AuditChain(entries, bytes(newest or b"").hex(), broken)


def list_audit_hashes(org_id: UUID, numbers: list[int], using: str) -> dict[int, str]:
    """The hexadecimal hashes of these entries, those that are there."""
    rows = AuditEntry.objects.using(using).filter(org_id=org_id, number__in=numbers).values_list("number", "hash")
    return {number: bytes(value).hex() for number, value in rows if number is not None and value is not None}


def record(actor: Actor, verb: str, target: models.Model, **changes: Any) -> None:
    """Append what ``actor`` did to ``target``: ``changes`` holds new values, or (old, new) pairs, and never a
    secret."""
    kind = str(target._meta.verbose_name).replace(" ", "_")
    AuditEntry.objects.create(
        org=actor.org,
        actor=actor.name,
        action=f"{kind}.{verb}",
        target_kind=kind,
        target_id=str(target.pk),
        changes={name: _plain(value) for name, value in changes.items()},
    )


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return str(value) if isinstance(value, UUID) else value
