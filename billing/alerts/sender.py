"""Sends what is due: marked first, sent then, noted last, so that nobody sends the same message at the same time.

A sender that dies between sending and noting is followed by another when its lease is over, with the same message under
the same id (``Message-ID``, ``webhook-id``), by which a receiver knows it: nothing is lost, and nothing is new twice.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction
from django.urls import reverse

from billing.alerts.actions.alerts import report
from billing.alerts.actions.calls import describe_call
from billing.alerts.actions.changes import describe_change
from billing.alerts.actions.channels import note_failure, note_success, reveal_secrets
from billing.alerts.actions.deliveries import drop, give_back, recipients_of, settle_failed, settle_sent, take_due
from billing.alerts.actions.mutes import make_mute_token
from billing.alerts.channels import mail, slack, webhook
from billing.alerts.channels.message import Item, Message, Outcome
from billing.alerts.checks.standing import make_channel_fact
from billing.alerts.core.texts import AlertText, describe
from billing.alerts.models import Alert, Channel, Delivery
from billing.choices import AlertEvent, AlertKind, ChannelKind
from costhub.lib import clock, failpoints
from costhub.lib.net import Gate
from tenants.access import job_scope, org_scope
from tenants.models import Organization

_log = logging.getLogger(__name__)

#: an organisation whose receivers are slow has so long at a time; one sending more takes less than the lease's rest
TURN_SECONDS: Final = 10
_CALL: Final = AlertText("A call with a deadline is out", (), "Ask for its answer by its id.")
_CHANGE: Final = AlertText("Something was changed", (), "The audit log has by whom.")
_TEST: Final = AlertText("This is a test", (), "The channel works: alerts will come like this.")


def list_due_orgs(now: datetime) -> list[UUID]:
    """The organisations that have a message to send."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT org_id FROM costhub_due_orgs(%s)", [now])
        return [row[0] for row in cursor.fetchall()]


def send_due(org_id: UUID, gate: Gate) -> int:
    """Send some of an organisation's messages that are due. Gives how many it sent: 0 means that none is left."""
    with job_scope(org_id) as actor:
        org = actor.org
        taken = take_due(org, clock.now())
    failpoints.reach("delivery_taken")
    ends = clock.ends_in(TURN_SECONDS)
    groups = _group(taken)
    sent = 0
    for place, rows in enumerate(groups):
        if place and clock.monotonic_ns() > ends:
            # A receiver that is slow must not outlast the lease, nor keep others waiting.
            with org_scope(org_id):
                give_back([row for rest in groups[place:] for row in rest], clock.now())
            return sent
        _send_together(org, rows, gate)
        sent += len(rows)
    return sent


def _group(taken: Sequence[Delivery]) -> list[list[Delivery]]:
    """What goes in one message: each by itself, but those of a digest to one recipient."""
    groups: dict[object, list[Delivery]] = {}
    for row in taken:
        key: object = (row.channel, row.user_id) if row.is_digest else row.pk
        groups.setdefault(key, []).append(row)
    return list(groups.values())


def _send_together(org: Organization, rows: list[Delivery], gate: Gate) -> None:
    with org_scope(org.pk):
        channel = Channel.objects.get(org=org, pk=rows[0].channel)
        rows = _drop_unwanted(org, channel, rows)
        message = _try_to_make(org, channel, rows)
    if message is None:
        return
    outcome = _send(channel, message, gate)
    failpoints.reach("delivery_sent")
    with org_scope(org.pk):
        _note(org, channel, rows, message, outcome)


def _drop_unwanted(org: Organization, channel: Channel, rows: list[Delivery]) -> list[Delivery]:
    """What is still to be sent: not by a channel that was switched off, nor to who wants no such mails any more."""
    if not channel.is_active:
        drop(rows, "The channel is switched off.")
        return []
    if channel.kind != ChannelKind.EMAIL:
        if not channel.gets_calls:
            drop([row for row in rows if row.call is not None], "The channel is no longer sent calls.")
            rows = [row for row in rows if row.call is None]
        if not channel.gets_changes:
            drop([row for row in rows if row.change is not None], "The channel is no longer sent changes.")
            rows = [row for row in rows if row.change is None]
        return rows
    kinds = dict(
        Alert.objects.filter(org=org, pk__in=[row.alert for row in rows if row.alert]).values_list("pk", "kind")
    )
    wanted: list[Delivery] = []
    for row in rows:
        kind = AlertKind(kinds[row.alert]) if row.alert else None
        if row.user_id in recipients_of(org, channel, kind):
            wanted.append(row)
        else:
            drop([row], "The member wants no such mails any more, or has another role.")
    return wanted


def _try_to_make(org: Organization, channel: Channel, rows: list[Delivery]) -> Message | None:
    if not rows:
        return None
    try:
        with transaction.atomic():
            return _make_message(org, channel, rows)
    except Exception:  # noqa: BLE001 - one message that cannot be made must not keep the others waiting
        _log.exception("a message cannot be made", extra={"channel": str(channel.pk)})
        settle_failed(
            rows, clock.now(), None, "CostHub failed to make this message. It is in the operator's log.", again_at=None
        )
        return None


def _make_message(org: Organization, channel: Channel, rows: list[Delivery]) -> Message:
    alerts = {
        alert.pk: alert for alert in Alert.objects.filter(org=org, pk__in=[row.alert for row in rows if row.alert])
    }
    items = tuple(_make_item(org, row, alerts[row.alert] if row.alert else None) for row in rows)
    now = clock.now()
    # A digest of other alerts is another message: whoever got the first must not take it for the same.
    one = rows[0].pk if len(rows) == 1 else uuid5(NAMESPACE_URL, " ".join(sorted(str(row.pk) for row in rows)))
    page = settings.PUBLIC_URL and settings.PUBLIC_URL + reverse("alerts", args=[org.slug])
    if channel.kind == ChannelKind.EMAIL:
        kinds = {item.kind for item in items if item.kind}
        kind = AlertKind(next(iter(kinds))) if len(kinds) == 1 else None
        user = rows[0].user
        assert user is not None, "a mail's message names its member"
        token = make_mute_token(str(org.pk), user.pk, kind)
        mute = settings.PUBLIC_URL and settings.PUBLIC_URL + reverse("unsubscribe", args=[token])
        return Message(str(one), org.name, user.email, items, now, page=page, mute=mute)
    secrets = reveal_secrets(org, channel, now)
    if channel.kind == ChannelKind.SLACK:
        return Message(str(one), org.name, secrets[0], items, now, page=page)
    return Message(str(one), org.name, channel.url, items, now, tuple(secrets), page)


def _make_item(org: Organization, row: Delivery, alert: Alert | None) -> Item:
    event = AlertEvent(row.event)
    if row.call is not None:
        return Item(event, "", "info", _CALL, row.created_at, call=describe_call(row))
    if row.change is not None:
        return Item(event, "", "info", _CHANGE, row.created_at, change=describe_change(row))
    if alert is None:
        return Item(event, "", "info", _TEST, row.created_at)
    return Item(
        event=event,
        kind=alert.kind,
        severity=alert.severity,
        text=describe(AlertKind(alert.kind), alert.facts, event, ZoneInfo(org.time_zone)),
        at=row.created_at,
        alert_id=str(alert.pk),
        subject=alert.subject,
        threshold=alert.threshold,
        facts=alert.facts,
    )


def _send(channel: Channel, message: Message, gate: Gate) -> Outcome:
    try:
        if channel.kind == ChannelKind.EMAIL:
            return mail.send(message)
        send = slack.send if channel.kind == ChannelKind.SLACK else webhook.send
        return send(message, gate)
    except Exception:  # noqa: BLE001 - one message that cannot be made must not keep the others waiting
        _log.exception("a message cannot be sent", extra={"channel": str(channel.pk), "message": message.id})
        return Outcome(False, None, "CostHub failed to make this message. It is in the operator's log.")


def _note(org: Organization, channel: Channel, rows: list[Delivery], message: Message, outcome: Outcome) -> None:
    now = clock.now()
    if outcome.is_sent:
        settle_sent(rows, now, UUID(message.id), outcome.status)
        note_success(channel)
        return
    _log.warning("a message did not arrive", extra={"channel": str(channel.pk), "status": outcome.status})
    settle_failed(rows, now, outcome.status, outcome.error, again_at=outcome.again_at)
    # A mail server is the operator's: that it is away says nothing of the channel.
    if channel.kind != ChannelKind.EMAIL and note_failure(channel, now, outcome.error, is_gone=outcome.is_gone):
        fact = make_channel_fact(channel.pk, channel.name, outcome.error)
        report(org, AlertKind.CHANNEL_OFF, [fact], now=now, is_complete=False)
