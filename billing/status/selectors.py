"""How an organisation's upstreams do now, from the ledger's newest rows, its alerts, and what proxies have noted.

As many rows are read for an organisation with ten calls a day as for one with ten million: the newest of the last
minutes, and a few from an hour, six hours and a day ago for what is usual.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection
from redis.exceptions import RedisError

from billing.alerts.models import Alert
from billing.choices import AlertKind
from billing.status.core import RECENT, Figures, Incident, Standing, judge
from costhub.lib.keyspace import cooling_key
from costhub.lib.redis import client
from tenants.access import Actor
from tenants.choices import Permission
from tenants.models import Organization, Upstream, UpstreamEndpoint

_log = logging.getLogger(__name__)

INCIDENTS: Final = 5
INCIDENT_DAYS: Final = 30
_MOST_UPSTREAMS: Final = 200
_MOST_RECENT: Final = 2_000
_MOST_BEFORE: Final = 400
#: moments before which a sample is taken of how long answers usually take to begin
_BEFORE: Final = (RECENT, timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
_DAY: Final = timedelta(hours=24)
#: The newest rows of a stretch. What an upstream is to blame for is as in alerts: its own errors, that it was out of
#: reach, and that it wanted no more.
_ROWS: Final = """(
    SELECT %s::boolean AS is_recent, upstream_id, (status >= 500 OR status = 429) AS is_failed,
           CASE WHEN status BETWEEN 200 AND 299 THEN coalesce(first_byte_us, duration_us) END AS took_us
    FROM proxy_ledgerentry
    WHERE org_id = %s AND kind = 'call' AND upstream_id IS NOT NULL AND attempts <> '[]'
          AND started_at >= %s AND started_at < %s
    ORDER BY started_at DESC LIMIT %s
)"""


class _Seen(NamedTuple):
    """Calls, failed ones, and how long answers took to begin, lately and before."""

    counts: list[int]
    recent_us: list[int]
    before_us: list[int]


def list_standings(actor: Actor, now: datetime) -> list[Standing]:
    """How the organisation's upstreams do, by name. Raises Forbidden."""
    actor.check(Permission.READ)
    return read_standings(actor.org, now)


def read_standings(org: Organization, now: datetime) -> list[Standing]:
    """The same for who has the public page's address. Inside the open organisation."""
    upstreams = list(Upstream.objects.filter(org=org).order_by("name")[:_MOST_UPSTREAMS])
    seen, incidents = _read_calls(org, now), _read_incidents(org, now)
    cooling = _find_cooling(org, [row.pk for row in upstreams])
    return [_stand(row, seen.get(row.pk), incidents.get(str(row.pk), ()), row.pk in cooling) for row in upstreams]


def _stand(row: Upstream, seen: _Seen | None, incidents: Iterable[Incident], is_cooling_down: bool) -> Standing:
    failed_at = tuple(incidents)
    calls, failed = seen.counts if seen else (0, 0)
    figures = Figures(
        calls=calls,
        failed=failed,
        recent_us=seen.recent_us if seen else (),
        before_us=seen.before_us if seen else (),
        is_alerted=any(one.ended_at is None for one in failed_at),
        is_cooling_down=is_cooling_down,
        is_active=row.is_active,
    )
    return Standing(row.name, judge(figures), failed_at[:INCIDENTS])


def _read_calls(org: Organization, now: datetime) -> dict[UUID, _Seen]:
    stretches: list[tuple[bool, datetime, datetime, int]] = [(True, now - RECENT, now + RECENT, _MOST_RECENT)]
    stretches += [(False, now - before - _DAY, now - before, _MOST_BEFORE) for before in _BEFORE]
    values: list[Any] = []
    for is_recent, start, end, most in stretches:
        values += [is_recent, org.pk, start, end, most]
    found: dict[UUID, _Seen] = defaultdict(lambda: _Seen([0, 0], [], []))
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join([_ROWS] * len(stretches)), values)
        for is_recent, upstream_id, is_failed, took_us in cursor.fetchall():
            seen = found[upstream_id]
            if is_recent:
                seen.counts[0] += 1
                seen.counts[1] += is_failed
            if took_us is not None:
                (seen.recent_us if is_recent else seen.before_us).append(took_us)
    return found


def _read_incidents(org: Organization, now: datetime) -> dict[str, list[Incident]]:
    rows = Alert.objects.filter(
        org=org, kind=AlertKind.UPSTREAM.value, created_at__gte=now - timedelta(days=INCIDENT_DAYS)
    )
    found: dict[str, list[Incident]] = defaultdict(list)
    for subject, started_at, ended_at in rows.order_by("-created_at").values_list("subject", "created_at", "ended_at"):
        found[subject].append(Incident(started_at, ended_at))
    return found


def _find_cooling(org: Organization, upstream_ids: list[UUID]) -> set[UUID]:
    """Those that some proxy leaves alone at the moment; one of several servers only where all of them are."""
    servers: dict[UUID, list[UUID]] = defaultdict(list)
    endpoints = UpstreamEndpoint.objects.filter(org=org, ended_at=None, is_draining=False)
    for upstream_id, endpoint_id in endpoints.values_list("upstream_id", "pk"):
        servers[upstream_id].append(endpoint_id)
    try:
        return {each for each in upstream_ids if all(map(_is_cooling, servers.get(each) or [each]))}
    except RedisError:
        _log.warning("cool_downs_unknown")
        return set()


def _is_cooling(place_id: UUID) -> bool:
    return bool(client().exists(cooling_key(str(place_id))))
