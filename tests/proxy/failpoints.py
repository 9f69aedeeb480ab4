"""Where a process may be killed on the money path, the tenant whose calls are on it, and a worker that dies when a
test says so."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tenants.access import org_scope
from tenants.actions.upstreams import update_upstream
from tests.bank import Bank
from tests.proxy.deployment import Deployment, deploy
from tests.world import Tenant, World, make_budget, make_catalog

#: many at once: a death takes them all, and the process that follows takes seconds to start
CALLS = 40
CLIENTS = 16

APP = "tests.proxy.armed:application"

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
#: tests/proxy/batches/test_dying_workers.py: where batches and calls with deadlines come, where they are handed on, and
#: where lines are asked
WHERE_BATCHES_COME = ("batch_held", "batch_taken", "call_pooled")
WHERE_BATCHES_GO = ("batch_handed_on",)
IN_BATCHES = ("line_answered", "line_saved", "batch_written", "batch_settled")
#: off the money path: tests/billing/alerts/test_sender.py, tests/billing/spend/test_rollups.py
IN_BILLING = ("delivery_taken", "delivery_sent", "rollup_computed")
#: tests/proxy/ledger/test_retention.py
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


@dataclass(frozen=True)
class Mortal:
    """One worker, and one more whenever it has died."""

    proxy: Deployment
    order: Path

    def dies_at(self, place: str, visit: int) -> None:
        """The next one dies there at its so many-th visit, counted from its next request on."""
        self.proxy.wait_until_it_answers()
        self.order.write_text(f"{place}:{visit}")


@contextmanager
def deploy_mortal(directory: Path) -> Iterator[Mortal]:
    """Processes whose one worker can be told where to die."""
    order = directory / "dies-at"
    with deploy(directory, app=APP, TEST_FAILPOINT=str(order)) as proxy:
        yield Mortal(proxy, order)
