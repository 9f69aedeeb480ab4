"""Messages to be sent: put into the log in the transaction of what they tell of, and taken from it to be sent."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import F, Q

from billing.alerts.actions.channels import ensure_channels
from billing.alerts.core.delivery_times import first_due, next_try
from billing.alerts.core.kinds import RuleTerms
from billing.alerts.models import Alert, Channel, Delivery, Mute
from billing.choices import KNOWN_KINDS, AlertEvent, AlertKind, ChannelKind, DeliveryState, Digest, Severity
from costhub.lib.errors import Conflict
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.choices import Permission
from tenants.models import Membership, Organization

#: longer than a turn and the slowest sending after it: whoever took a message and is not done by then is dead
LEASE: Final = timedelta(seconds=180)
_BATCH: Final = 50


def queue(org: Organization, alert: Alert, event: AlertEvent, rule: RuleTerms, now: datetime) -> None:
    """Have an event of an alert told by every channel of the rule that takes its kind; once each, however often it is
    asked."""
    for channel in ensure_channels(org):
        is_wanted = not rule.channels or str(channel.pk) in rule.channels
        if channel.is_active and is_wanted and alert.kind in channel.kinds:
            Delivery.objects.bulk_create(_messages(org, channel, alert, event, now), ignore_conflicts=True)


def queue_test(*, actor: Actor, channel: Channel, now: datetime) -> list[Delivery]:
    """Have a test told by a channel, at once. Raises Conflict where it is switched off, or reaches nobody."""
    actor.check(Permission.WRITE_SETTINGS)
    if not channel.is_active:
        raise Conflict("This channel is switched off: switch it on first.")
    is_mail = channel.kind == ChannelKind.EMAIL
    waiting = Delivery.objects.filter(
        org=actor.org, channel=channel.pk, event=AlertEvent.TEST.value, state__in=["queued", "sending"]
    )
    if waiting.exists():
        raise Conflict("A test of this channel is still on its way: see what becomes of it first.")
    users: Sequence[int | None] = recipients_of(actor.org, channel, None) if is_mail else [None]
    if not users:
        raise Conflict("No member has a role of this channel.")
    return Delivery.objects.bulk_create(
        Delivery(
            org=actor.org, event=AlertEvent.TEST.value, channel=channel.pk, user_id=user, due_at=now, created_at=now
        )
        for user in users
    )


def take_due(org: Organization, now: datetime) -> list[Delivery]:
    """Some messages whose time has come, marked as being sent by the caller until the lease is over: nobody else has
    them.

    In a transaction of its own: the mark is committed before anything is sent. What tells of an alert of an unknown
    kind is left to the release that knows it.
    """
    due = Delivery.objects.filter(
        org=org, state__in=[DeliveryState.QUEUED.value, DeliveryState.SENDING.value], due_at__lte=now
    )
    foreign = Alert.objects.filter(org=org).exclude(kind__in=KNOWN_KINDS)
    due = due.exclude(alert__in=foreign.values("pk"))
    taken = list(due.order_by("due_at", "id").select_for_update(skip_locked=True)[:_BATCH])
    Delivery.objects.filter(org=org, pk__in=[row.pk for row in taken]).update(
        state=DeliveryState.SENDING.value, due_at=now + LEASE, tries=F("tries") + 1
    )
    for row in taken:
        row.tries += 1
    return taken


def give_back(rows: Sequence[Delivery], now: datetime) -> None:
    """They were taken and there was no time to send them: they are due as before."""
    _update(rows, state=DeliveryState.QUEUED.value, due_at=now, tries=F("tries") - 1)


def settle_sent(rows: Sequence[Delivery], now: datetime, message_id: UUID, status: int | None) -> None:
    """They arrived, all in one message."""
    _update(rows, state=DeliveryState.SENT.value, sent_at=now, sent_as=message_id, status=status, error="")


def settle_failed(
    rows: Sequence[Delivery], now: datetime, status: int | None, error: str, *, again_at: datetime | None
) -> None:
    """They did not arrive: to be tried again, or given up when they have been tried often enough."""
    due = next_try(now, max(row.tries for row in rows))
    if due is None:
        _update(rows, state=DeliveryState.FAILED.value, status=status, error=error[:300])
    else:
        due = max(due, again_at) if again_at else due
        _update(rows, state=DeliveryState.QUEUED.value, due_at=due, status=status, error=error[:300])


def drop(rows: Iterable[Delivery], why: str) -> None:
    """They are not to be sent any more."""
    if not (dropped := list(rows)):
        return
    _update(dropped, state=DeliveryState.DROPPED.value, error=why[:300])


def redeliver(*, actor: Actor, delivery: Delivery, now: datetime) -> Delivery:
    """Send a message again that was given up or dropped, under the id that it had. Raises Conflict for any other."""
    actor.check(Permission.WRITE_SETTINGS)
    if delivery.state not in {DeliveryState.FAILED, DeliveryState.DROPPED}:
        raise Conflict("Only a message that was given up or dropped can be sent again.")
    channel = Channel.objects.get(org=actor.org, pk=delivery.channel)
    if not channel.is_active:
        raise Conflict("Its channel is switched off: switch it on first.")
    delivery.state, delivery.due_at, delivery.tries, delivery.error = DeliveryState.QUEUED.value, now, 0, ""
    delivery.save(update_fields=["state", "due_at", "tries", "error"])
    record(actor, "sent_again", delivery)
    return delivery


def recipients_of(org: Organization, channel: Channel, kind: AlertKind | None) -> list[int]:
    """The members who get a channel's mails of a kind: of its roles, and not muted."""
    # What they tell of is the whole organisation's: nothing for members of some projects.
    members = Membership.objects.filter(
        org=org, role__in=channel.roles, user__is_active=True, suspended_at=None, visit_until=None, projects=[]
    )
    if kind is not None:
        members = members.exclude(user__in=Mute.objects.filter(org=org, kind=kind.value).values("user"))
    return list(members.order_by("user_id").values_list("user_id", flat=True))


def _messages(org: Organization, channel: Channel, alert: Alert, event: AlertEvent, now: datetime) -> list[Delivery]:
    is_urgent = alert.severity == Severity.CRITICAL
    digest = Digest(channel.digest)
    due = first_due(now, ZoneInfo(org.time_zone), digest, channel.quiet_from, channel.quiet_until, is_urgent=is_urgent)
    is_mail = channel.kind == ChannelKind.EMAIL
    users: Sequence[int | None] = recipients_of(org, channel, AlertKind(alert.kind)) if is_mail else [None]
    return [
        Delivery(
            org=org,
            alert=alert.pk,
            event=event.value,
            channel=channel.pk,
            user_id=user,
            due_at=due,
            is_digest=digest is not Digest.NONE and not is_urgent,
            created_at=now,
        )
        for user in users
    ]


def _update(rows: Sequence[Delivery], **fields: object) -> None:
    """Only what is still ours: somebody else has it when the lease was over."""
    ids: list[UUID] = [row.pk for row in rows]
    tries = {row.pk: row.tries for row in rows}
    mine = Q()
    for pk in ids:
        mine |= Q(pk=pk, tries=tries[pk])
    Delivery.objects.filter(mine, org=rows[0].org_id, state=DeliveryState.SENDING.value).update(**fields)
