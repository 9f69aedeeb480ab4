"""What an endpoint's hours have come to. The organisation is open."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet, Sum

from billing.gpu.core import price_stretch
from billing.gpu.models import GpuEndpoint
from billing.spend.filters import LedgerFilters
from billing.spend.selectors.usage import add_up_usage
from costhub.lib import clock
from costhub.lib.money import Nanos
from proxy.models import LedgerEntry
from tenants.access import Actor
from tenants.models import Upstream


@dataclass(frozen=True, slots=True)
class EndpointCost:
    """A period's hours that are charged by now. Times are microseconds, money is nano-USD; ``by_allocation`` is what
    all of the time costs, ``by_usage`` what its busy part does. ``tokens`` are all that calls had of it."""

    allocated: int
    busy: int
    by_allocation: int
    by_usage: int
    by_project: Mapping[str, int]
    calls: int
    tokens: int

    @property
    def idle_per_mille(self) -> int:
        """The part of the time in which no call ran."""
        return (self.allocated - self.busy) * 1_000 // self.allocated if self.allocated else 0

    def per_million_tokens(self, nanos: int) -> Nanos | None:
        """What a million tokens came to, where there were any."""
        return Nanos(nanos * 10**6 // self.tokens) if self.tokens else None


def find_hour_costs(actor: Actor) -> dict[UUID, int]:
    """What each upstream's GPUs cost an hour at the moment, in nano-USD, by its id; those that are charged by usage at
    the most."""
    costs: dict[UUID, int] = {}
    for row in _list_charged(actor):
        costs[row.upstream] = costs.get(row.upstream, 0) + int(row.gpus * row.hour_nanos)
    return costs


def find_open_hours(actor: Actor, upstream: Upstream) -> dict[UUID | None, GpuEndpoint]:
    """What is charged by the hour at the moment: an upstream's servers by their ids, and under None the whole of it."""
    return {row.server: row for row in _list_charged(actor).filter(upstream=upstream.pk)}


def _list_charged(actor: Actor) -> QuerySet[GpuEndpoint]:
    """Those of which nobody has said when they end, and those whose end is to come."""
    return GpuEndpoint.objects.filter(Q(ends_at=None) | Q(ends_at__gt=clock.now()), org=actor.org)


def find_endpoint_cost(actor: Actor, endpoint: GpuEndpoint, start: datetime, end: datetime) -> EndpointCost:
    """What the endpoint cost in ``[start, end)``, of the hours that begin there."""
    rows = LedgerEntry.objects.filter(
        org_id=actor.org.pk,
        kind="gpu",
        started_at__gte=start,
        started_at__lt=end,
        route_reason=f"GPU endpoint {endpoint.pk}: used",
    )
    by_project: dict[str, int] = {}
    busy = 0
    for project, nanos, microseconds in rows.values_list("project_id", "effective_cost", "duration_us"):
        by_project[str(project)] = by_project.get(str(project), 0) + nanos
        busy += microseconds
    first, last = max(start, endpoint.starts_at), min(end, endpoint.charged_until)
    allocated = max(int((last - first).total_seconds()) * 10**6, 0)
    calls, tokens = _count_calls(actor, endpoint, start, end)
    return EndpointCost(
        allocated=allocated,
        busy=busy,
        by_allocation=price_stretch(int(endpoint.gpus * 1_000), endpoint.hour_nanos, allocated),
        by_usage=sum(by_project.values()),
        by_project=by_project,
        calls=calls,
        tokens=tokens,
    )


def _count_calls(actor: Actor, endpoint: GpuEndpoint, start: datetime, end: datetime) -> tuple[int, int]:
    """Calls and their tokens: an upstream's, or those whose answer a server gave."""
    if endpoint.server is None:
        sums = add_up_usage(actor, start, end, (), LedgerFilters(upstream=endpoint.upstream))
        return sum(row["calls"] for row in sums), sum(sum(row.tokens.values()) for row in sums)
    rows = LedgerEntry.objects.filter(
        org_id=actor.org.pk,
        kind="call",
        started_at__gte=start,
        started_at__lt=end,
        **{"attempts__-1__endpoint_id": str(endpoint.server)},
    )
    found = rows.aggregate(calls=Count("id"), tokens=Sum(F("input_tokens") + F("output_tokens")))
    return found["calls"], int(found["tokens"] or 0)
