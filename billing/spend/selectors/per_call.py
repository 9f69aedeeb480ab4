"""What a single call costs at the dear end, which no sum knows: read from the newest calls."""

from collections.abc import Sequence
from typing import Any, Final

from django.db import connection
from psycopg.types.json import Json

from billing.spend.core.cubes import TAG
from billing.spend.core.tiling import Span
from billing.spend.filters import LedgerFilters
from tenants.access import Actor
from tenants.choices import Permission

#: so many calls are looked at, whatever is asked of them: a ledger of millions answers as quickly as a small one
NEWEST: Final = 10_000
_COLUMNS: Final = {
    "model": "request_model",
    "project": "project_id::text",
    "key": "key_id::text",
    "end_user": "end_user",
}
_SQL: Final = """
    SELECT key, percentile_disc(0.95) WITHIN GROUP (ORDER BY effective_cost)
    FROM (SELECT {key} AS key, effective_cost, status, project_id, tags FROM proxy_ledgerentry
          WHERE org_id = %s AND started_at >= %s AND started_at < %s AND kind = 'call'
          ORDER BY started_at DESC LIMIT %s) AS newest
    WHERE status BETWEEN 200 AND 399 AND key = ANY (%s) AND (%s::uuid IS NULL OR project_id = %s::uuid)
      AND tags @> %s::jsonb
    GROUP BY key"""


def find_p95(actor: Actor, group: str, span: Span, filters: LedgerFilters, keys: Sequence[str]) -> dict[str, int]:
    """What the dearest of twenty answered calls costs, in nano-USD before corrections, for each of a group's ``keys``
    among the newest calls of ``span``. Of ``filters`` the project and the tags count. A key without a call among them
    is left out.

    Raises Forbidden if the actor may not see money.
    """
    actor.check(Permission.READ_MONEY)
    values: list[Any] = []
    if group.startswith(TAG):
        key = "coalesce(tags->>%s, '')"
        values.append(group.removeprefix(TAG))
    else:
        key = _COLUMNS[group]
    project, tags = filters.project, Json(dict(filters.tags))
    values += [actor.org.pk, *span, NEWEST, list(keys), project, project, tags]
    with connection.cursor() as cursor:
        cursor.execute(_SQL.format(key=key), values)
        return dict(cursor.fetchall())
