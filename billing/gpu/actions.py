"""Endpoints on GPUs, and their hours in the ledger: charged when they are over, once, to whom they are of."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID, uuid5

from django.db import IntegrityError, connection, transaction
from django.db.models import F, Max, Q, Value
from django.db.models.functions import Coalesce

from billing.gpu.choices import Basis
from billing.gpu.core import STRETCH_US, Run, Shared, price_stretch, share
from billing.gpu.models import GpuEndpoint
from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.moments import to_ms
from costhub.lib.money import MAX_LIMIT_NANOS
from proxy.ledger.charges import Spending, charge
from proxy.models import LedgerEntry
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.endpoints import forget_ended, list_ended
from tenants.actions.paid_by_hour import check_unpriced, lock_upstream, pay_by_hour
from tenants.actions.values import check_name
from tenants.choices import Permission
from tenants.models import LanguageModel, Project, Upstream, UpstreamEndpoint
from tenants.models.upstreams import FOREVER

#: what the ledger's rows of it say they are
KIND: Final = "gpu"
TIER: Final = "gpu"
#: a stretch is charged by the calls that the ledger has so long after it: always the same ones, whoever looks
LAG: Final = timedelta(minutes=15)
#: rows that were recorded by then are there to be seen
_SEEN: Final = timedelta(minutes=2)
#: a call runs no longer
_LONGEST: Final = timedelta(hours=1)
_FIRST: Final = datetime(2020, 1, 1, tzinfo=UTC)
_MOST_GPUS: Final = Decimal(10_000)
_MILLI: Final = 1_000
#: of an endpoint at a time: two days
_MOST_STRETCHES: Final = 192


def create_endpoint(
    *,
    actor: Actor,
    name: str,
    upstream: Upstream,
    project: Project,
    gpus: Decimal,
    hour_nanos: int,
    basis: Basis,
    starts_at: datetime | None = None,
    server: UpstreamEndpoint | None = None,
) -> GpuEndpoint:
    """Charge an upstream, or one ``server`` of it, by the hours of its GPUs from now or ``starts_at`` on. A server's
    end by themselves when it goes; the same of the same server, said again, is the endpoint that there is.

    Raises InvalidField for amounts, a start or a server that cannot be, Conflict where the upstream's models cost by
    the token too, its calls since then have, or the time is charged already."""
    actor.check(Permission.WRITE_MONEY)
    if not Decimal("0.001") <= gpus <= _MOST_GPUS or gpus != round(gpus, 3):
        raise InvalidField("Give 0.001 to 10,000 GPUs, with at most three decimal places.", field="gpus")
    if not 0 < hour_nanos <= MAX_LIMIT_NANOS:
        raise InvalidField("Give an amount above zero and up to $9,000,000.", field="per_hour")
    begins = starts_at or clock.now()
    if not _FIRST <= begins <= clock.now():
        # Beforehand its calls would still have their prices.
        raise InvalidField("Give a moment from 2020 on that has come.", field="starts_at")
    terms = {"project": project.pk, "gpus": gpus, "hour_nanos": hour_nanos, "basis": basis.value}
    row = GpuEndpoint(
        org=actor.org,
        name=check_name(name),
        upstream=upstream.pk,
        server=server.pk if server is not None else None,
        starts_at=begins,
        charged_until=begins,
        **terms,
    )
    try:
        with transaction.atomic():
            # Whoever gives one of its models a price waits for this.
            locked = lock_upstream(actor, upstream.pk)
            if server is not None and (there := _find_same(actor, locked, server, terms)) is not None:
                return there
            _check_time(actor, locked, server, begins)
            check_unpriced(actor, list(LanguageModel.objects.filter(org=actor.org, upstream=locked)), begins)
            if starts_at is not None:
                _check_calls(actor, locked, begins)
            row.save(force_insert=True)
            record(actor, "created", row, name=row.name, gpus=gpus, hour_nanos=hour_nanos, basis=basis)
            _tell_until(actor, locked)
    except IntegrityError as error:
        raise Conflict("This upstream is charged by the hour already: end that first.") from error
    return row


def end_endpoint(*, actor: Actor, endpoint: GpuEndpoint, at: datetime | None = None) -> GpuEndpoint:
    """The GPUs are given back now or ``at`` a moment. Raises InvalidField for one that is charged already."""
    actor.check(Permission.WRITE_MONEY)
    with transaction.atomic():
        upstream = _find_upstream(actor, endpoint)
        locked = GpuEndpoint.objects.select_for_update().get(pk=endpoint.pk)
        if locked.ends_at is not None:
            return locked
        ends = at or clock.now()
        if ends < locked.charged_until:
            raise InvalidField("Give a moment whose hour is not charged yet.", field="at")
        _end(actor, locked, ends)
        if upstream is not None:
            _tell_until(actor, upstream)
    return locked


def end_gone(actor: Actor) -> int:
    """End the hours of servers that are gone, at the moment in which they went, and forget those servers. Gives the
    number of endpoints that ended. Inside an open organisation, in one transaction."""
    # Read first: one that goes meanwhile is there for the next run, with its moment.
    went = list_ended(actor)
    # Those that were to end later, too: with the server their end has come.
    uncharged = Q(ends_at=None) | Q(charged_until__lt=F("ends_at"))
    rows = GpuEndpoint.objects.filter(uncharged, org=actor.org, server__isnull=False).order_by("pk")
    there = set(UpstreamEndpoint.objects.filter(org=actor.org, ended_at=None).values_list("pk", flat=True))
    ended = 0
    for endpoint in [row for row in rows if row.server not in there]:
        upstream = _find_upstream(actor, endpoint)
        locked = GpuEndpoint.objects.select_for_update().get(pk=endpoint.pk)
        if locked.server is None:
            continue
        # What is charged already stays so, and time before the first moment is none.
        ends = max(went.get(locked.server, clock.now()), locked.charged_until)
        if locked.ends_at is not None and locked.ends_at <= ends:
            continue
        _end(actor, locked, ends)
        if upstream is not None:
            _tell_until(actor, upstream)
        ended += 1
    forget_ended(actor, went)
    return ended


def charge_hours(actor: Actor, now: datetime) -> int:
    """Write the hours that are over into the ledger. Gives how many stretches were charged: each is a quarter of an
    hour of UTC, or the part of it for which the endpoint was there. May be repeated, and stopped anywhere: a stretch
    makes the same rows whenever it is written."""
    end_gone(actor)
    charged = 0
    due = Q(ends_at=None) | Q(charged_until__lt=F("ends_at"))
    for endpoint in GpuEndpoint.objects.select_for_update().filter(due, org=actor.org).order_by("created_at"):
        for _ in range(_MOST_STRETCHES):
            start = endpoint.charged_until
            end = min(_next_stretch(start), endpoint.ends_at or datetime.max.replace(tzinfo=UTC))
            if start >= end or end + LAG + _SEEN > now:
                break
            _charge_stretch(actor, endpoint, start, end)
            endpoint.charged_until = end
            endpoint.save(update_fields=["charged_until"])
            charged += 1
    return charged


def list_orgs_with_gpus(now: datetime) -> list[UUID]:
    """The organisations that have hours to be charged; their rows stay closed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT org_id FROM costhub_orgs_with_gpus(%s) ORDER BY org_id", [now - LAG - _SEEN])
        return [org_id for (org_id,) in cursor.fetchall()]


def share_stretch(actor: Actor, endpoint: GpuEndpoint, start: datetime, end: datetime) -> Shared:
    """What a stretch costs, and whom, by the calls that the ledger had when it was due: all of the upstream's, or those
    that its server has answered or failed."""
    calls = LedgerEntry.objects.filter(
        org_id=actor.org.pk,
        kind="call",
        started_at__gte=start - _LONGEST,
        started_at__lt=end,
        recorded_at__lte=end + LAG,
        duration_us__gt=0,
    )
    if endpoint.server is None:
        calls = calls.filter(upstream_id=endpoint.upstream).exclude(attempts=[])
    else:
        calls = calls.filter(attempts__contains=[{"endpoint_id": str(endpoint.server)}])
    runs = [
        Run(_micros(began), _micros(began) + took, str(project))
        for began, took, project in calls.values_list("started_at", "duration_us", "project_id")
    ]
    first, last = _micros(start), _micros(end)
    nanos = price_stretch(int(endpoint.gpus * _MILLI), endpoint.hour_nanos, last - first)
    return share(runs, first, last, nanos)


def _charge_stretch(actor: Actor, endpoint: GpuEndpoint, start: datetime, end: datetime) -> None:
    found = share_stretch(actor, endpoint, start, end)
    parts = [
        (UUID(project), "used", nanos, found.busy_by_project[project]) for project, nanos in found.by_project.items()
    ]
    if endpoint.basis == Basis.ALLOCATION and found.idle:
        parts.append((endpoint.project, "idle", found.idle_nanos, found.idle))
    for project, how, nanos, microseconds in parts:
        spending = Spending(
            actor.org.pk,
            project,
            str(uuid5(endpoint.pk, f"{start.isoformat()} {project} {how}")),
            KIND,
            endpoint.name,
            f"GPU endpoint {endpoint.pk}: {how}",
            to_ms(start),
        )
        charge(spending, nanos, microseconds, upstream_id=str(endpoint.upstream), service_tier=TIER)


def _find_same(
    actor: Actor, upstream: Upstream, server: UpstreamEndpoint, terms: dict[str, object]
) -> GpuEndpoint | None:
    """The open endpoint of a server, whose row is locked now: the same as asked for, None where it has none. Raises
    InvalidField for a server that cannot be, and Conflict for one of other terms."""
    known = UpstreamEndpoint.objects.select_for_update().filter(org=actor.org, upstream=upstream, pk=server.pk)
    if (row := known.first()) is None or row.ended_at is not None:
        raise InvalidField("Give a server of this upstream that is there.", field="server")
    there = GpuEndpoint.objects.filter(org=actor.org, server=server.pk, ends_at=None).first()
    if there is not None and any(getattr(there, field) != value for field, value in terms.items()):
        raise Conflict("This server is charged by the hour already, on other terms: end that first.", field="server")
    return there


def _check_time(actor: Actor, upstream: Upstream, server: UpstreamEndpoint | None, begins: datetime) -> None:
    """Raises Conflict where time from ``begins`` on is charged already: an upstream's beside that of any of its
    servers', too."""
    rows = GpuEndpoint.objects.filter(org=actor.org, upstream=upstream.pk)
    if server is not None:
        rows = rows.filter(server=None) | rows.filter(server=server.pk)
    if rows.filter(ends_at=None).exists():
        raise Conflict("This upstream is charged by the hour already: end that first.")
    if (last := rows.filter(ends_at__gt=begins).order_by("-ends_at").first()) is not None:
        raise Conflict(
            f"This upstream is charged by the hour until {last.ends_at:%Y-%m-%d %H:%M} UTC already: begin then.",
            field="starts_at",
        )


def _check_calls(actor: Actor, upstream: Upstream, begins: datetime) -> None:
    """Raises Conflict where a call from ``begins`` on was paid for by the token, as by a list price."""
    rows = LedgerEntry.objects.filter(
        org_id=actor.org.pk, kind="call", upstream_id=upstream.pk, started_at__gte=begins, effective_cost__gt=0
    )
    # Without an attempt nobody asked the upstream: a kept answer was looked for.
    if (last := rows.exclude(attempts=[]).order_by("-started_at").first()) is not None:
        raise Conflict(
            f"Calls until {last.started_at:%Y-%m-%d %H:%M} UTC are paid for by the token: begin after that.",
            field="starts_at",
        )


def _end(actor: Actor, locked: GpuEndpoint, ends: datetime) -> None:
    locked.ends_at = ends
    locked.save(update_fields=["ends_at"])
    record(actor, "ended", locked, ends_at=ends)


def _find_upstream(actor: Actor, endpoint: GpuEndpoint) -> Upstream | None:
    """Its upstream, locked before the endpoint is: so does whoever makes one."""
    return Upstream.objects.select_for_update().filter(org=actor.org, pk=endpoint.upstream).first()


def _tell_until(actor: Actor, upstream: Upstream) -> None:
    """Until when its hours pay for its calls."""
    rows = GpuEndpoint.objects.filter(org=actor.org, upstream=upstream.pk)
    last = rows.aggregate(last=Max(Coalesce("ends_at", Value(FOREVER))))["last"]
    pay_by_hour(actor, upstream, last)


def _next_stretch(moment: datetime) -> datetime:
    since = _micros(moment)
    return moment.astimezone(UTC) + timedelta(microseconds=STRETCH_US - since % STRETCH_US)


def _micros(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 10**6 + since.microseconds
