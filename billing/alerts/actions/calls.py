"""Calls with deadlines that are out: told to the webhooks that want to hear of them."""

from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import connection

from billing.alerts.channels.message import CallTold
from billing.alerts.models import Channel, Delivery
from billing.choices import AlertEvent, ChannelKind
from proxy.batches.ids import name_response
from proxy.models import BatchLine
from tenants.access import org_scope

_DONE: Final = "done"
_BATCH: Final = 500


def list_orgs_with_ended_calls() -> list[UUID]:
    """The organisations that have calls of which nobody has been told."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT org_id FROM costhub_orgs_with_ended_calls()")
        return [row[0] for row in cursor.fetchall()]


def queue_ended(org_id: UUID, now: datetime) -> int:
    """Have every channel that wants calls told of those that are out, once each. Gives how many calls there were.

    The mark and the messages are one transaction: who dies in it has told nobody, and the next one begins anew.
    """
    with org_scope(org_id):
        ended = BatchLine.objects.filter(
            org_id=org_id, deadline_at__isnull=False, answer__isnull=False, told_at__isnull=True
        )
        locked = ended.select_for_update(skip_locked=True).values_list("batch_id", "number", "custom_id", "state")
        rows = list(locked[:_BATCH])
        channels = list(
            Channel.objects.filter(org=org_id, kind=ChannelKind.WEBHOOK.value, gets_calls=True, is_active=True)
        )
        Delivery.objects.bulk_create(
            (
                Delivery(
                    org_id=org_id,
                    call=UUID(custom_id),
                    event=(AlertEvent.ANSWERED if state == _DONE else AlertEvent.UNANSWERED).value,
                    channel=channel.pk,
                    due_at=now,
                    created_at=now,
                )
                for channel in channels
                for _, _, custom_id, state in rows
            ),
            ignore_conflicts=True,
        )
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE proxy_batchline AS line SET told_at = %s FROM unnest(%s::uuid[], %s::int[]) AS ended"
                " (batch_id, number) WHERE line.batch_id = ended.batch_id AND line.number = ended.number",
                [now, [row[0] for row in rows], [row[1] for row in rows]],
            )
    return len(rows)


def describe_call(told: Delivery) -> CallTold:
    """The call of a message as its caller knows it. Inside an open organisation."""
    status = "completed" if told.event == AlertEvent.ANSWERED else "failed"
    lines = BatchLine.objects.filter(org_id=told.org_id, custom_id=str(told.call), deadline_at__isnull=False)
    line = lines.defer("body", "answer").first()
    if line is None or not line.is_background:
        is_late = line is not None and line.is_late
        return CallTold(str(told.call), "deferred", status, f"/v1/costhub/deferred/{told.call}", is_late)
    name = name_response(line.custom_id)
    return CallTold(name, "response", "cancelled" if line.cancelled_at else status, f"/v1/responses/{name}")
