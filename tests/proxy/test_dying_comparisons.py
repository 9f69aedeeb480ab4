"""kill -9 of a worker in the middle of a comparison: the call beside it was answered, what the comparison cost is what
its bank billed, to the nano, and nothing of its month's money stays held."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from proxy.ledger import recount
from proxy.ledger.model import LedgerEntry
from tenants.access import org_scope
from tenants.actions.upstreams import update_upstream
from tests.bank import Bank
from tests.patience import wait_until
from tests.proxy.books import close_the_day, open_holds
from tests.proxy.deployment import Deployment, deploy
from tests.proxy.load import call_all, make_bodies
from tests.tenants.route_examples import PRICES, make_route
from tests.world import Tenant, World, make_catalog

CALLS = 24
PLENTY = 10**9


@pytest.fixture
def dear(tmp_path: Path) -> Iterator[Bank]:
    """Where the large model is, which is asked beside calls."""
    (tmp_path / "dear").mkdir()
    dear = Bank.start(tmp_path / "dear")
    yield dear
    dear.stop()


@pytest.fixture
def acme(committed_world: World, bank: Bank, dear: Bank) -> Tenant:
    """Every second call of its route is compared, by chance."""
    acme = committed_world.acme
    for name, at in (("small", bank), ("large", dear)):
        into, out = PRICES[name]
        made = make_catalog(acme, model=name, base_url=at.base_url, input_per_million=into, output_per_million=out)
        with org_scope(acme.org_id):
            update_upstream(actor=acme.owner, upstream=made.upstream, bill_path="/costhub/bill")
    make_route(acme, explore_percent=0, is_learning=True, compare_percent=50, compare_monthly_limit=PLENTY)
    return acme


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Deployment]:
    with deploy(tmp_path_factory.mktemp("proxy")) as deployment:
        yield deployment


@pytest.mark.parametrize("fault", ["slow_headers", "stall"])
def test_a_worker_dies_while_a_comparison_is_under_way(
    fault: str, acme: Tenant, bank: Bank, dear: Bank, proxy: Deployment
) -> None:
    dear.set_default(fault=fault)
    proxy.wait_until_it_answers()
    # Short ones, which the small model answers.
    bodies = make_bodies(CALLS, "smart", messages=[{"role": "user", "content": "Hi"}], n=1)
    outcomes = asyncio.run(call_all(proxy.base_url, acme.api_key, bodies, clients=4))
    # Nobody waits for a comparison.
    assert all(outcome.is_whole for outcome in outcomes)
    # Each that was begun stays under way: chance compares about half of them.
    wait_until(lambda: bool(dear.calls_received()))
    proxy.kill_worker(dear.port)
    dear.wait_quiet()
    close_the_day(acme)
    ledger: dict[str, int] = defaultdict(int)
    with org_scope(acme.org_id):
        rows = list(LedgerEntry.objects.filter(org_id=acme.org_id))
    for row in rows:
        ledger[str(row.corrects or row.id)] += row.effective_cost
    billed: dict[str, int] = defaultdict(int)
    for at, (into, out) in ((bank, PRICES["small"]), (dear, PRICES["large"])):
        for call in at.bill():
            billed[call.request_id.partition(":")[0]] += call.cost_nanos(Decimal(into), Decimal(out))
    assert {call_id: cost for call_id, cost in ledger.items() if cost} == {
        call_id: cost for call_id, cost in billed.items() if cost
    }
    kinds = [row.kind for row in rows]
    assert kinds.count("call") == CALLS
    # One that had its hold and was not sent yet has a row, too, which costs nothing.
    assert kinds.count("comparison") >= len(dear.calls_received())
    assert open_holds(acme.org) == []
    assert recount.find_drift(acme.org.shard) == []
