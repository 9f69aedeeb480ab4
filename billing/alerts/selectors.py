"""Alerts that somebody may see."""

from uuid import UUID

from django.db.models import QuerySet

from billing.alerts.core.kinds import KINDS
from billing.alerts.models import Alert
from billing.choices import SHOWS_MONEY, AlertKind
from tenants.access import Actor
from tenants.choices import Permission


def list_alerts(actor: Actor) -> QuerySet[Alert]:
    """The organisation's alerts that the actor may see: those that hold amounts are for who may see money."""
    rows = Alert.objects.filter(org=actor.org)
    if actor.may(Permission.READ_MONEY):
        return rows
    return rows.exclude(kind__in=[kind.value for kind in SHOWS_MONEY])


def list_gravest(actor: Actor) -> list[Alert]:
    """What stands, newest first: of the thresholds that a subject has crossed the gravest only."""
    gravest: dict[tuple[UUID, str], Alert] = {}
    for alert in list_alerts(actor).filter(ended_at=None).order_by("-created_at", "-id"):
        known = gravest.setdefault((alert.rule, alert.subject), alert)
        falls = KINDS[AlertKind(alert.kind)].falls
        if (alert.threshold < known.threshold) if falls else (alert.threshold > known.threshold):
            gravest[alert.rule, alert.subject] = alert
    return sorted(gravest.values(), key=lambda alert: alert.created_at, reverse=True)
