"""Rows of the ledger for tests, under ids that carry their moment as real ones do."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from uuid_utils import uuid7

from costhub.lib.moments import from_ms, to_ms
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tests.world import Tenant

#: a Sunday, noon
NOW: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)


def record_call(tenant: Tenant, at: datetime, **columns: Any) -> LedgerEntry:
    """One answered call of the tenant's first key; ``cost`` is both its list and its effective cost."""
    call = make_call(tenant, at, **columns)
    with org_scope(tenant.org.pk):
        call.save(force_insert=True)
    return call


def make_call(tenant: Tenant, at: datetime, **columns: Any) -> LedgerEntry:
    """The same, and it is not in the ledger yet."""
    at = from_ms(to_ms(at))
    cost = columns.pop("cost", 0)
    row: dict[str, Any] = {
        "id": make_id(at),
        "started_at": at,
        "org_id": tenant.org.pk,
        "project_id": tenant.project.pk,
        "key_id": tenant.key.pk,
        "endpoint": "chat/completions",
        "request_model": "small",
        "response_model": "small",
        "status": 200,
        "list_cost": cost,
        "effective_cost": cost,
        "recorded_at": at + timedelta(seconds=1),
    }
    if columns.get("status", 200) < 400:
        row["price_id"] = make_id(at)
        row["attempts"] = [{"number": 1, "status": 200, "certainty": "exact", "cost": cost, "error": ""}]
    return LedgerEntry(**{**row, **columns})


def record_correction(tenant: Tenant, call: LedgerEntry, cost: int, **columns: Any) -> LedgerEntry:
    """The difference that a call's truth makes, recorded a minute later."""
    return record_call(
        tenant,
        call.started_at,
        **{
            "kind": "correction",
            "corrects": call.id,
            "cost": cost,
            "request_model": call.request_model,
            "price_id": call.price_id,
            "recorded_at": call.recorded_at + timedelta(minutes=1),
            **columns,
        },
    )


def make_id(at: datetime) -> UUID:
    """A new request id of this millisecond."""
    return UUID(str(uuid7(nanoseconds=to_ms(at) * 1_000_000)))
