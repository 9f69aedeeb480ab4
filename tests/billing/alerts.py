"""An alert for tests, and all that stands around one."""

from billing.actions.alerts import report
from billing.choices import AlertKind
from billing.core.alert_kinds import Fact
from billing.models import Delivery
from tenants.access import org_scope
from tests.billing.ledger import NOW
from tests.world import World


def make_alerts(world: World) -> dict[str, list[str]]:
    """An alert of Acme's and all that stands around it."""
    acme = world.acme
    with org_scope(acme.org.pk):
        fact = Fact(AlertKind.UNPRICED, "small", 1, {"model": "small", "refused": 1, "answered": 0}, NOW)
        (alert,) = report(acme.org, AlertKind.UNPRICED, [fact], now=NOW, is_complete=True)
        (delivery,) = Delivery.objects.filter(org=acme.org)
    return {
        "alerts": [str(alert.pk)],
        "alert-rules": [str(alert.rule)],
        "channels": [str(delivery.channel)],
        "deliveries": [str(delivery.pk)],
    }
