"""What operators see of spend and budgets: made by the recount, which sums the ledger anyway, and kept in Valkey, so
that a scrape reads one hash however many organisations and calls there are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import orjson
from django.db import connection

from costhub.lib import clock, keyspace
from costhub.lib.moments import from_ms
from costhub.lib.redis import client
from proxy.core.budgets import is_lifted, limit_with, list_own, rolled_over
from proxy.ledger.counts import Count
from proxy.ledger.recount import Recount
from tenants.access import org_scope
from tenants.periods import period_bounds
from tenants.snapshots import OrgSnapshot

#: figures that no recount has renewed for so long say nothing about now
STALE_MS: Final = 900_000


@dataclass(frozen=True, slots=True)
class Figures:
    """Nano-USD: today's spend by organisation, the least that is left by organisation and scope, drift of counters."""

    day_costs: Mapping[str, int] = field(default_factory=dict)
    remaining: Mapping[tuple[str, str], int] = field(default_factory=dict)
    drift: int | None = None


def keep(shard: int, found: Recount) -> None:
    """Store what a shard's recount showed. Raises DatabaseError and RedisError."""
    now_ms = clock.now_ms()
    spent = _sum_days([org for org, _ in found.orgs], now_ms)
    orgs = {
        org.slug: {"day": spent.get(org.id, 0), "left": find_remaining(org, counts, now_ms)}
        for org, counts in found.orgs
        if org.is_active
    }
    client().hset(
        keyspace.FIGURES, str(shard), orjson.dumps({"at_ms": now_ms, "drift": str(found.drift), "orgs": orgs})
    )


def read_figures() -> Figures:
    """What all shards' last recounts showed. Raises RedisError."""
    shards: list[dict[str, Any]] = [orjson.loads(raw) for raw in cast("list[bytes]", client().hvals(keyspace.FIGURES))]
    fresh = [shard for shard in shards if shard["at_ms"] > clock.now_ms() - STALE_MS]
    orgs = {slug: told for shard in fresh for slug, told in shard["orgs"].items()}
    return Figures(
        day_costs={slug: told["day"] for slug, told in orgs.items()},
        remaining={(slug, scope): nanos for slug, told in orgs.items() for scope, nanos in told["left"].items()},
        drift=sum(int(shard["drift"]) for shard in fresh) if fresh else None,
    )


def find_remaining(org: OrgSnapshot, counts: Iterable[Count], now_ms: int) -> dict[str, int]:
    """For each scope with a hard budget the least that is left in one, over all budgets, subjects and periods of now.

    Money that calls in flight hold counts as left. Less than nothing is left where calls cost more than they held.
    """
    known = list(counts)
    settled = {count.scope.counter: count.settled for count in known}
    own = list_own(org.budgets)
    budgets = {budget.id: budget for budget in org.budgets}
    left: dict[str, int] = {}
    for scope in (count.scope for count in known):
        if not (scope.is_hard and scope.starts_ms <= now_ms < scope.ends_ms):
            continue
        if is_lifted(budgets[scope.budget_id], scope.subject, own):
            continue
        before = settled.get(scope.before.counter, 0) if scope.before else 0
        rest = limit_with(scope, rolled_over(scope, before, 0, now_ms)) - settled[scope.counter]
        left[scope.kind] = min(left.get(scope.kind, rest), rest)
    return left


def _sum_days(orgs: list[OrgSnapshot], now_ms: int) -> dict[str, int]:
    """What each organisation has spent today, in its own time zone."""
    if not orgs:
        return {}
    now = from_ms(now_ms)
    starts = [period_bounds("day", now, org.time_zone)[0] for org in orgs]
    with org_scope(*(org.id for org in orgs)), connection.cursor() as cursor:
        cursor.execute(
            "SELECT org_id::text, costhub_whole(sum(effective_cost))"
            " FROM unnest(%s::uuid[], %s::timestamptz[]) AS today (org, starts)"
            " JOIN proxy_ledgerentry ON org_id = org AND started_at >= starts GROUP BY 1",
            [[org.id for org in orgs], starts],
        )
        return dict(cursor.fetchall())
