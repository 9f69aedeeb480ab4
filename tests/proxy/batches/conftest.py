"""Acme with a model at the bank, whose bill can be read, and a budget."""

import pytest

from tenants.access import org_scope
from tenants.actions.upstreams import update_upstream
from tests.bank import Bank
from tests.world import Tenant, World, make_budget, make_catalog


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """With 100 dollars a day."""
    acme = committed_world.acme
    catalog = make_catalog(acme, base_url=bank.base_url, max_output_tokens=100)
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=catalog.upstream, bill_path="/costhub/bill", batch_concurrency=4)
    make_budget(acme, "100.00")
    return acme
