"""A counter that does not agree with the ledger is told of, and so is that it agrees again."""

import pytest
from django.db import connections

from billing.alerts.checks.drift import watch_drift
from billing.alerts.models import Alert
from tenants.access import org_scope
from tests.billing.ledger import NOW
from tests.proxy.conftest import acme as acme
from tests.proxy.conftest import till as till
from tests.proxy.edges.entries import find_scope, line_of, make_event
from tests.proxy.edges.till import Till
from tests.world import Tenant, make_budget


@pytest.fixture(autouse=True)
def _close() -> None:
    connections.close_all()


def read_alerts(tenant: Tenant) -> list[Alert]:
    with org_scope(tenant.org.pk):
        return list(Alert.objects.filter(org=tenant.org))


def test_drift_is_told_until_it_is_over(acme: Tenant, till: Till) -> None:
    budget = make_budget(acme, "10.00")
    line = line_of(find_scope(acme, budget))
    till.add_event(make_event(acme, 400))
    till.put(line, 450)
    assert watch_drift(till.shard, NOW) == 1
    (alert,) = read_alerts(acme)
    assert alert.subject == str(budget.pk)
    assert alert.facts == {"who": acme.org.name, "counted": 450, "ledger": 400, "counters": 1}
    till.put(line, 400)
    assert watch_drift(till.shard, NOW) == 0
    assert read_alerts(acme)[0].ended_at == NOW
