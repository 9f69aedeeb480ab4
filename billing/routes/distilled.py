"""What students that are served did, from the ledger."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import connection

from tenants.access import Actor
from tenants.choices import Permission

_BY_ROUTE: Final = """
    SELECT request_model, count(*),
           count(*) FILTER (WHERE savings ? 'distillation' AND (savings->>'distillation')::bigint > 0),
           coalesce(sum((savings->>'distillation')::bigint), 0)::bigint
    FROM proxy_ledgerentry
    WHERE org_id = %s AND started_at >= %s AND started_at < %s AND kind = 'call' AND route_reason LIKE 'route %%'
      AND status BETWEEN 200 AND 399
    GROUP BY 1"""


@dataclass(frozen=True, slots=True)
class Distilled:
    """Calls of a route, how many of them a student answered, and what that saved in nano-USD, less what its answers
    cost that nobody got."""

    calls: int
    answered: int
    saved: int


def read_distilled(actor: Actor, start: datetime, end: datetime) -> dict[str, Distilled]:
    """By the name of the route. Raises Forbidden for who may not see money."""
    actor.check(Permission.READ_MONEY)
    with connection.cursor() as cursor:
        cursor.execute(_BY_ROUTE, [actor.org.pk, start, end])
        return {name: Distilled(*counts) for name, *counts in cursor.fetchall()}
