"""Calls by what no index of the ledger knows: the newest of those that match, put in order by PostgreSQL, so that only
those that are shown are sent."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from billing.spend.filters import LedgerFilters
from proxy.models import LedgerEntry
from tenants.periods import END_OF_TIME, EPOCH

#: so many of the newest are put in order: what takes a tenth of a second
MOST: Final = 100_000
#: net of a call's corrections, or its own
_BY: Final = {"cost": "newest.effective_cost + coalesce(corrected.cost, 0)", "duration": "coalesce(duration_us, 0)"}
#: Corrections stand under their calls' moments, so those of the calls alone are summed, however long the range is; the
#: range itself tells the planner which partitions there may be. Without OFFSET they would be looked for a call at a
#: time.
_CORRECTED: Final = """LEFT JOIN (
    SELECT corrects, sum(effective_cost) AS cost FROM proxy_ledgerentry
    WHERE corrects IS NOT NULL AND kind = 'correction' AND org_id = %s AND started_at >= %s AND started_at < %s
        AND started_at >= (SELECT first FROM seen) AND started_at <= (SELECT last FROM seen)
    GROUP BY corrects OFFSET 0) AS corrected ON corrected.corrects = newest.id"""
_SQL: Final = """WITH newest AS MATERIALIZED ({newest}),
seen AS MATERIALIZED (SELECT count(*) AS calls, min(started_at) AS first, max(started_at) AS last FROM newest)
SELECT newest.started_at, newest.id, (SELECT calls FROM seen), (SELECT first FROM seen)
FROM newest {corrected} ORDER BY {by} {way}, newest.started_at DESC, newest.id DESC LIMIT %s"""


@dataclass(frozen=True, slots=True)
class Ranked:
    """The first calls in their order, each by its moment and id. ``since``: the moment of the oldest call that was
    looked at, where there were ``MOST`` and older ones may match, too; else None."""

    calls: tuple[tuple[datetime, UUID], ...]
    since: datetime | None


def rank_calls(org_id: UUID, rows: QuerySet[LedgerEntry], filters: LedgerFilters, order: str, size: int) -> Ranked:
    """The first ``size`` of the ``MOST`` newest of ``rows``, calls within ``filters``, by ``cost`` or ``duration``,
    with a minus before it for falling. The caller has checked who is asking."""
    name = order.removeprefix("-")
    columns = "started_at", "id", "effective_cost", "duration_us"
    newest = rows.order_by("-started_at", "-id").values(*columns)[:MOST].query
    sql, values = newest.sql_with_params()
    corrections: list[Any] = [org_id, filters.start or EPOCH, filters.end or END_OF_TIME] if name == "cost" else []
    way = "DESC" if order.startswith("-") else "ASC"
    statement = _SQL.format(newest=sql, corrected=_CORRECTED if corrections else "", by=_BY[name], way=way)
    with connection.cursor() as cursor:
        cursor.execute(statement, [*values, *corrections, size])
        found = cursor.fetchall()
    is_cut = bool(found) and found[0][2] >= MOST
    return Ranked(tuple((started_at, call_id) for started_at, call_id, _, _ in found), found[0][3] if is_cut else None)
