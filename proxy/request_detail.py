"""What a key may ask about one call of its project: its whole cost story, also before its row is in the ledger."""

from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import hiredis
import orjson
from django.db import Error as AnyDatabaseError
from django.db import connection

from costhub.lib import keyspace
from costhub.lib.moments import from_ms
from costhub.lib.money import format_usd
from proxy.call import Call
from proxy.edges.database_threads import DATABASE_THREADS
from proxy.edges.valkey import ValkeyUnavailable
from proxy.errors import AmountsHidden, GovernanceUnavailable, NotFound
from proxy.models import LedgerEntry
from proxy.wiring import Edges
from tenants.access import org_scope
from tenants.snapshots import KeySnapshot, OrgSnapshot

Json = dict[str, Any]

_UNREAD_EVENTS_SEARCHED = 5_000


async def show_request(call: Call, edges: Edges, request_id: str) -> Json:
    """One call's whole cost story.

    Raises AmountsHidden for a key that is told none, NotFound for an unknown call and one of another project alike, and
    GovernanceUnavailable while the ledger cannot be read.
    """
    key, org = await edges.auth.admit(call)
    if key.hides_amounts:
        raise AmountsHidden("This key is told no amounts: ask with another one.")
    return _story(await find_rows(edges, org, key, request_id))


async def find_rows(edges: Edges, org: OrgSnapshot, key: KeySnapshot, request_id: str) -> list[Json]:
    """The rows of one call of the key's project: its own first, then its corrections. Raises NotFound, and
    GovernanceUnavailable while the ledger cannot be read."""
    try:
        wanted = UUID(request_id)
        # The id of a call carries the millisecond under which its row is filed.
        moment = from_ms(wanted.int >> 80)
    except ValueError as error:
        raise _no_such_request() from error
    if wanted.version != 7:
        raise _no_such_request()
    try:
        rows = await DATABASE_THREADS.run(partial(_read_rows, org.id, key.project_id, wanted, moment))
    except AnyDatabaseError as error:
        raise GovernanceUnavailable("The ledger cannot be read at the moment. Try again.") from error
    if not rows:
        rows = await _find_unread(edges, org, key, str(wanted))
    # A key that is bound to an end user sees that one's calls alone.
    if not rows or (key.end_user and rows[0]["end_user"] != key.end_user):
        raise _no_such_request()
    return rows


def _read_rows(org_id: str, project_id: str, request_id: UUID, moment: datetime) -> list[Json]:
    try:
        with org_scope(org_id):
            found = LedgerEntry.objects.filter(org_id=org_id, project_id=project_id, started_at=moment)
            rows = [*found.filter(id=request_id), *found.filter(corrects=request_id)]
            return [_public(row) for row in rows]
    finally:
        connection.close_if_unusable_or_obsolete()


async def _find_unread(edges: Edges, org: OrgSnapshot, key: KeySnapshot, request_id: str) -> list[Json]:
    """The rows of a call that is settled and not drained yet."""
    since = UUID(request_id).int >> 80
    try:
        events = await edges.valkey.send(
            b"XRANGE", keyspace.ledger_key(org.shard), since, b"+", b"COUNT", _UNREAD_EVENTS_SEARCHED
        )
    except (ValkeyUnavailable, hiredis.ReplyError):
        return []
    for _, fields in events:
        row = orjson.loads(fields[1])
        if row["id"] == request_id and row["org_id"] == org.id and row["project_id"] == key.project_id:
            row["started_at"] = from_ms(row["started_at_ms"])
            return [_public_columns(row)]
    return []


_PUBLIC = (
    "id",
    "started_at",
    "kind",
    "endpoint",
    "request_model",
    "response_model",
    "end_user",
    "tags",
    "session",
    "attempts",
    "input_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "is_estimated",
    "is_overrun",
    "cache_status",
    "route_reason",
    "would_refuse",
    "refused_by",
    "status",
    "error_code",
    "finish_reason",
    "duration_us",
    "first_byte_us",
    "overhead_us",
)
_MONEY = ("list_cost", "effective_cost", "held")


def _public(row: LedgerEntry) -> Json:
    return _public_columns({name: getattr(row, name) for name in (*_PUBLIC, *_MONEY, "savings")})


def _public_columns(row: Json) -> Json:
    return {
        **{name: row.get(name, {}) if name == "refused_by" else row[name] for name in _PUBLIC},
        "id": str(row["id"]),
        "started_at": row["started_at"].isoformat(),
        **{name: format_usd(row[name]) for name in _MONEY},
        "nanos": {name: row[name] for name in _MONEY},
        "savings": {name: format_usd(amount) for name, amount in row["savings"].items()},
    }


def _story(rows: list[Json]) -> Json:
    first, *corrections = rows
    net = {name: sum(row["nanos"][name] for row in rows) for name in ("list_cost", "effective_cost")}
    for row in rows:
        del row["nanos"]
    return {
        "object": "costhub.request",
        **first,
        "corrections": corrections,
        "net_list_cost": format_usd(net["list_cost"]),
        "net_effective_cost": format_usd(net["effective_cost"]),
    }


def _no_such_request() -> NotFound:
    return NotFound("There is no such request.", code="request_not_found")
