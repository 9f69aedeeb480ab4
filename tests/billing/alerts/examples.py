"""An alert for tests, and all that stands around one."""

from billing.alerts.actions.alerts import report
from billing.alerts.actions.mutes import set_muted
from billing.alerts.core.kinds import Fact
from billing.alerts.models import Delivery
from billing.choices import AlertKind
from tenants.access import org_scope
from tests.billing.ledger import NOW
from tests.world import Tenant


def make_alerts(tenant: Tenant) -> dict[str, list[str]]:
    """An alert of a tenant's and all that stands around it, by resource of the API; its owner wants no mails of
    drift."""
    org, user_id = tenant.org, tenant.owner.user_id
    assert user_id is not None
    with org_scope(org.pk):
        set_muted(actor=tenant.owner, user_id=user_id, kinds=[AlertKind.DRIFT], is_muted=True)
        fact = Fact(AlertKind.UNPRICED, "small", 1, {"model": "small", "refused": 1, "answered": 0}, NOW)
        (alert,) = report(org, AlertKind.UNPRICED, [fact], now=NOW, is_complete=True)
        (delivery,) = Delivery.objects.filter(org=org)
    return {
        "alerts": [str(alert.pk)],
        "alert-rules": [str(alert.rule)],
        "channels": [str(delivery.channel)],
        "deliveries": [str(delivery.pk)],
    }
