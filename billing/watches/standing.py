"""What stands until somebody does something: keys that will expire, channels that were switched off."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from billing.actions.alerts import report
from billing.choices import AlertKind
from billing.core.alert_kinds import KINDS, Fact
from billing.models import Channel
from tenants.access import job_scope
from tenants.models import ApiKey, Organization

_DAY: Final = timedelta(days=1)


def watch_standing(org_id: UUID, now: datetime) -> None:
    """Report an organisation's expiring keys and dead channels."""
    with job_scope(org_id) as actor:
        org = actor.org
        report(org, AlertKind.KEY_EXPIRING, _find_expiring(org, now), now=now, is_complete=True)
        report(org, AlertKind.CHANNEL_OFF, _find_dead_channels(org), now=now, is_complete=True)


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


def make_channel_fact(channel_id: UUID, name: str, reason: str) -> Fact:
    """That a channel was switched off, and why."""
    return Fact(AlertKind.CHANNEL_OFF, str(channel_id), 1, {"name": name, "reason": reason})
