"""What stands until somebody does something: keys that will expire, channels that were switched off, routes that decide
by nothing learned any more, students that were served and do not agree with their teacher any more."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from billing.alerts.actions.alerts import report
from billing.alerts.core.kinds import KINDS, Fact
from billing.alerts.models import Channel
from billing.choices import AlertKind
from proxy.learning.choices import Stage
from proxy.learning.models import ProviderTuning, Student, TunedModel
from proxy.routing.model import DRIFTED_SINCE, REFUSED, LearnedRoute
from tenants.access import job_scope
from tenants.models import ApiKey, Organization, Route

_DAY: Final = timedelta(days=1)


def watch_standing(org_id: UUID, now: datetime) -> None:
    """Report an organisation's expiring keys, dead channels, and routes whose learning has drifted or whose student
    was rolled back."""
    with job_scope(org_id) as actor:
        org = actor.org
        report(org, AlertKind.KEY_EXPIRING, _find_expiring(org, now), now=now, is_complete=True)
        report(org, AlertKind.CHANNEL_OFF, _find_dead_channels(org), now=now, is_complete=True)
        report(org, AlertKind.LEARNED, [*_find_drifted(org), *_find_rolled_back(org)], now=now, is_complete=True)


def _find_expiring(org: Organization, now: datetime) -> list[Fact]:
    """Keys whose last days have come. One that was rotated has a successor already: its end is wanted."""
    keys = ApiKey.objects.filter(
        org=org,
        revoked_at=None,
        rotated_to=None,
        expires_at__gt=now,
        expires_at__lte=now + _DAY * KINDS[AlertKind.KEY_EXPIRING].most,
    )
    return [
        Fact(
            AlertKind.KEY_EXPIRING,
            str(key.pk),
            (key.expires_at - now) // _DAY,
            {"name": key.name, "prefix": key.prefix, "expires": key.expires_at.isoformat()},
            # Another end is another alert.
            window_start=key.expires_at,
        )
        for key in keys.order_by("expires_at", "id")
        if key.expires_at is not None
    ]


def _find_dead_channels(org: Organization) -> list[Fact]:
    channels = Channel.objects.filter(org=org, is_active=False).exclude(disabled_reason="").order_by("created_at", "id")
    return [make_channel_fact(channel.pk, channel.name, channel.disabled_reason) for channel in channels]


def _find_drifted(org: Organization) -> list[Fact]:
    """Routes of which the last that was learned has drifted, as long as they decide by nothing else."""
    made = LearnedRoute.objects.filter(org_id=org.pk).exclude(report__has_key=REFUSED)
    made = made.order_by("route_id", "-made_at").distinct("route_id")
    newest = {learned.route_id: learned for learned in made.defer("packed")}
    drifted = {route_id for route_id, learned in newest.items() if learned.report.get(DRIFTED_SINCE)}
    routes = Route.objects.filter(org=org, pk__in=drifted, learned="").order_by("name")
    return [
        Fact(
            AlertKind.LEARNED,
            str(route.pk),
            1,
            {
                "route": route.name,
                "learned": newest[route.pk].made_at.isoformat(),
                "labels": newest[route.pk].labels,
            },
        )
        for route in routes
    ]


def _find_rolled_back(org: Organization) -> list[Fact]:
    """What was trained and is not trusted any more, where a route that asks it is still there."""
    kinds: tuple[Iterable[ProviderTuning | Student | TunedModel], ...] = (
        Student.objects.filter(org=org, stage=Stage.ROLLED_BACK.value).exclude(route="").defer("weights"),
        TunedModel.objects.filter(org=org, stage=Stage.ROLLED_BACK.value)
        .exclude(route="")
        .defer("adapter", "served", "trials"),
        ProviderTuning.objects.filter(org=org, stage=Stage.ROLLED_BACK.value).exclude(route="").defer("trials"),
    )
    names = set(Route.objects.filter(org=org).values_list("name", flat=True))
    return [
        Fact(AlertKind.LEARNED, str(row.pk), 1, {"route": row.route, "student": row.name, "reason": row.reason})
        for rows in kinds
        for row in rows
        if row.route in names
    ]


def make_channel_fact(channel_id: UUID, name: str, reason: str) -> Fact:
    """That a channel was switched off, and why."""
    return Fact(AlertKind.CHANNEL_OFF, str(channel_id), 1, {"name": name, "reason": reason})
