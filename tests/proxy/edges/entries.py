"""Ledger rows as a test writes them into a stream and reads them from PostgreSQL."""

from typing import Any

import orjson
from django.db import connections
from django.db.models import Sum

from costhub.lib import clock
from costhub.lib.moments import from_ms
from proxy.core.budgets import make_scope
from proxy.core.row import Row, open_row
from proxy.models import LedgerEntry
from proxy.values.windows import Scope
from tenants.access import org_scope
from tenants.choices import BudgetScope
from tenants.models import Budget, Organization
from tenants.selectors import load_org_snapshot
from tenants.snapshots import KeySnapshot
from tests.proxy.edges.till import Line
from tests.world import Tenant


def make_row(tenant: Tenant, cost: int = 0, *, at_ms: int | None = None, **fields: Any) -> Row:
    """The row of a call of now, or of another moment, that cost so many nanos."""
    request_id, now_ms = clock.new_request_id()
    key = KeySnapshot(str(tenant.key.pk), tenant.org_id, str(tenant.project.pk), 1, None, None, None, False)
    row = open_row(request_id, now_ms if at_ms is None else at_ms, key, "chat/completions")
    if "key_id" in fields:
        row["lineage"] = fields["key_id"]
    return row | {"list_cost": cost, "effective_cost": cost, "status": 200} | fields


def make_event(tenant: Tenant, cost: int = 0, **fields: Any) -> bytes:
    """A call's ledger event."""
    return orjson.dumps(make_row(tenant, cost, **fields))


def read_ledger(tenant: Tenant) -> list[LedgerEntry]:
    """Every row of an organisation, oldest first."""
    with org_scope(tenant.org_id):
        return list(LedgerEntry.objects.filter(org_id=tenant.org_id).order_by("started_at", "id"))


def sum_ledger(tenant: Tenant, **where: Any) -> int:
    """Nano-USD of an organisation's rows."""
    with org_scope(tenant.org_id):
        rows = LedgerEntry.objects.filter(org_id=tenant.org_id, **where)
        return int(rows.aggregate(total=Sum("effective_cost"))["total"] or 0)


def find_partition(tenant: Tenant, at_ms: int) -> list[str]:
    """The tables that hold an organisation's rows of one moment."""
    with org_scope(tenant.org_id), connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT tableoid::regclass::text FROM proxy_ledgerentry WHERE org_id = %s AND started_at = %s",
            [tenant.org.pk, from_ms(at_ms)],
        )
        return [name for (name,) in cursor.fetchall()]


def read_dead_letters(stream: str) -> list[tuple[str, str, str]]:
    """(entry id, event, reason) of what could not be written, as its owner sees it."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT entry_id, event, reason FROM proxy_deadletter WHERE stream = %s ORDER BY entry_id", [stream]
        )
        return list(cursor.fetchall())


def move_to(tenant: Tenant, shard: int) -> None:
    """Let an organisation live on a test's own shard: only before it has spent anything."""
    with org_scope(tenant.org_id):
        Organization.objects.filter(pk=tenant.org.pk).update(shard=shard)
        tenant.org.refresh_from_db()


def find_scope(tenant: Tenant, budget: Budget, subject: str = "", at_ms: int | None = None) -> Scope:
    """The counter of a budget, for one subject, now or at another moment."""
    org = load_org_snapshot(tenant.org_id)
    assert org is not None
    (found,) = (one for one in org.budgets if one.id == str(budget.pk))
    who = org.id if budget.scope == BudgetScope.ORGANIZATION else subject or budget.subject
    return make_scope(org, found, who, clock.now_ms() if at_ms is None else at_ms)


def line_of(scope: Scope) -> Line:
    """A scope's counter, as a till names it."""
    return Line(scope.counter, scope.limit if scope.is_hard else -1, scope.is_whole)
