"""Alerts that somebody may see, and what their role is told of."""

from typing import Final

from django.db.models import Case, Exists, IntegerField, OuterRef, Q, QuerySet, Value, When

from billing.alerts.core.kinds import KINDS
from billing.alerts.models import Alert, Channel
from billing.choices import KNOWN_KINDS, SHOWS_MONEY, AlertKind, ChannelKind, Severity
from tenants.access import Actor
from tenants.choices import Permission

#: how grave, as a number that sorts
GRAVITY: Final = Case(
    *(When(severity=severity.value, then=Value(place)) for place, severity in enumerate(Severity)),
    output_field=IntegerField(),
)
_FALLING: Final = [kind.value for kind, traits in KINDS.items() if traits.falls]


def list_alerts(actor: Actor) -> QuerySet[Alert]:
    """The organisation's alerts that the actor may see: those that hold amounts are for who may see money."""
    rows = Alert.objects.filter(org=actor.org, kind__in=KNOWN_KINDS)
    if actor.may(Permission.READ_MONEY):
        return rows
    return rows.exclude(kind__in=[kind.value for kind in SHOWS_MONEY])


def list_gravest(actor: Actor) -> QuerySet[Alert]:
    """What stands: of the thresholds of a rule that a subject has crossed the gravest only."""
    same = Alert.objects.filter(
        org=OuterRef("org"), rule=OuterRef("rule"), subject=OuterRef("subject"), ended_at=None
    ).order_by()
    falls = Q(kind__in=_FALLING)
    graver = same.filter(
        falls & Q(threshold__lt=OuterRef("threshold")) | ~falls & Q(threshold__gt=OuterRef("threshold"))
    )
    return list_alerts(actor).filter(~Exists(graver), ended_at=None)


def list_mailed_kinds(actor: Actor) -> set[AlertKind]:
    """The kinds of which some channel mails the actor's role."""
    channels = Channel.objects.filter(
        org=actor.org, kind=ChannelKind.EMAIL.value, is_active=True, roles__contains=[actor.role.value]
    )
    return {AlertKind(kind) for channel in channels for kind in KNOWN_KINDS.intersection(channel.kinds)}
