"""How long alerts and messages are kept."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from billing.alerts.models import Alert, Delivery
from billing.choices import DeliveryState
from tenants.access import org_scope

#: messages are a log; alerts are also what says that something was told already
DELIVERIES_KEPT: Final = timedelta(days=90)
ALERTS_KEPT: Final = timedelta(days=400)


def forget_old(org_id: UUID, now: datetime) -> None:
    """Delete an organisation's old messages, but for those still to be sent, and alerts that ended long ago."""
    waiting = [DeliveryState.QUEUED.value, DeliveryState.SENDING.value]
    with org_scope(org_id):
        Delivery.objects.filter(org=org_id, created_at__lt=now - DELIVERIES_KEPT).exclude(state__in=waiting).delete()
        Alert.objects.filter(org=org_id, ended_at__lt=now - ALERTS_KEPT).delete()
