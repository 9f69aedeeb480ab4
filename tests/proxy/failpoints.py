"""Where a process may be killed on the money path, and the tenant whose calls are on it."""

import pytest

from tenants.access import org_scope
from tenants.actions.upstreams import update_upstream
from tests.bank import Bank
from tests.world import Tenant, World, make_budget, make_catalog

#: many at once: a death takes them all, and the process that follows takes seconds to start
CALLS = 40
CLIENTS = 16

IN_THE_PROXY = (
    "before_reserve",
    "after_reserve",
    "before_upstream",
    "upstream_connected",
    "first_chunk_received",
    "chunk_sent",
    "answer_received",
    "answer_sent",
    "before_settle",
    "settle_sent",
    "settle_answered",
)
IN_THE_JOBS = {
    "drain_inserted": "drain_ledger",
    "drain_committed": "drain_ledger",
    "drain_acknowledged": "drain_ledger",
    "reap_found": "reap_reservations",
    "reap_settled": "reap_reservations",
    "correct_asked": "correct_estimates",
    "correct_posted": "correct_estimates",
}
#: off the money path: tests/billing/test_sender.py, tests/billing/test_rollups.py
IN_BILLING = ("delivery_taken", "delivery_sent", "rollup_computed")
#: tests/proxy/edges/test_retention.py
IN_RETENTION = ("month_carried", "month_dropped")


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """Acme with a model at the bank, whose bill can be read, and a budget."""
    acme = committed_world.acme
    catalog = make_catalog(acme, base_url=bank.base_url)
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=catalog.upstream, bill_path="/costhub/bill")
    make_budget(acme, "100.00")
    return acme
