"""The audit log is written here, in the transaction of the change that it tells of."""

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from django.db import models

from tenants.access import Actor
from tenants.models import AuditEntry


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
