"""What somebody has changed, told to the webhooks that want to hear of it. The audit log is the outbox: its entries are
written in the transaction of the change, and numbered without a gap."""

from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import connection
from django.db.models import Max

from billing.alerts.channels.message import ChangeTold
from billing.alerts.models import Channel, Delivery
from billing.choices import AlertEvent, ChannelKind
from tenants.access import org_scope
from tenants.models import AuditEntry, Organization

_BATCH: Final = 500


def find_newest(org: Organization) -> int:
    """The number of the newest entry of an organisation's audit log; 0 without any."""
    return AuditEntry.objects.filter(org=org).aggregate(newest=Max("number"))["newest"] or 0


def list_orgs_with_untold_changes() -> list[UUID]:
    """The organisations with a channel that is to be told of something."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT org_id FROM costhub_orgs_with_untold_changes()")
        return [row[0] for row in cursor.fetchall()]


def queue_changes(org_id: UUID, now: datetime) -> int:
    """Have every channel that wants changes told of those that it was not told of, in their order; gives how many
    messages there are of it.

    The number up to which a channel is told and the messages are one transaction: who dies in it has told nobody, and
    the next one begins anew.
    """
    queued = 0
    with org_scope(org_id):
        wanting = Channel.objects.filter(org=org_id, kind=ChannelKind.WEBHOOK.value, gets_changes=True, is_active=True)
        for channel in wanting.select_for_update(skip_locked=True):
            newer = AuditEntry.objects.filter(org=org_id, number__gt=channel.changes_told).order_by("number")
            rows = list(newer.values_list("pk", "number")[:_BATCH])
            if not rows:
                continue
            Delivery.objects.bulk_create(
                (
                    Delivery(
                        org_id=org_id,
                        change=entry_id,
                        event=AlertEvent.CHANGED.value,
                        channel=channel.pk,
                        due_at=now,
                        created_at=now,
                    )
                    for entry_id, _ in rows
                ),
                ignore_conflicts=True,
            )
            Channel.objects.filter(org=org_id, pk=channel.pk).update(changes_told=rows[-1][1])
            queued += len(rows)
    return queued


def describe_change(told: Delivery) -> ChangeTold:
    """The entry of a message. Inside an open organisation."""
    assert told.change is not None, "it tells of a change"
    entry = AuditEntry.objects.get(org=told.org_id, pk=told.change)
    return ChangeTold(
        id=str(entry.pk),
        number=entry.number or 0,
        action=entry.action,
        actor=entry.actor,
        kind=entry.target_kind,
        target_id=entry.target_id,
        changes=entry.changes,
        at=entry.created_at,
    )
