"""Old messages and alerts go; what is still to be sent, and what still stands, does not."""

from datetime import timedelta

from billing.alerts.actions.retention import ALERTS_KEPT, DELIVERIES_KEPT, forget_old
from billing.alerts.models import Alert, Delivery
from billing.choices import DeliveryState
from tenants.access import org_scope
from tests.billing.alerts.examples import make_alerts
from tests.billing.ledger import NOW
from tests.world import World


def test_messages_and_alerts_have_their_time(world: World) -> None:
    acme = world.acme
    make_alerts(acme)
    old = NOW + DELIVERIES_KEPT + timedelta(seconds=1)
    forget_old(acme.org.pk, old)
    with org_scope(acme.org.pk):
        assert Delivery.objects.count() == 1, "it is still to be sent"
        Delivery.objects.update(state=DeliveryState.SENT.value)
    forget_old(acme.org.pk, NOW + DELIVERIES_KEPT)
    with org_scope(acme.org.pk):
        assert Delivery.objects.count() == 1
    forget_old(acme.org.pk, old)
    with org_scope(acme.org.pk):
        assert Delivery.objects.count() == 0
        assert Alert.objects.count() == 1
        Alert.objects.update(ended_at=NOW)
    forget_old(acme.org.pk, NOW + ALERTS_KEPT)
    with org_scope(acme.org.pk):
        assert Alert.objects.count() == 1
    forget_old(acme.org.pk, NOW + ALERTS_KEPT + timedelta(seconds=1))
    with org_scope(acme.org.pk):
        assert Alert.objects.count() == 0
