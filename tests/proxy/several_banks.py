"""A tenant's models, each at a bank and at prices of its own, and whether the ledger is all of these banks' bills."""

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from proxy.ledger import recount
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tenants.actions.upstreams import update_upstream
from tests.bank import Bank
from tests.proxy.books import close_the_day, open_holds
from tests.world import Catalog, Tenant, make_catalog

BILL_PATH = "/costhub/bill"
#: by model: USD per million tokens in and out
Prices = Mapping[str, tuple[str, str]]


def start_banks(
    tenant: Tenant, prices: Prices, folder: Path, **settings: Any
) -> tuple[dict[str, Bank], dict[str, Catalog]]:
    """A bank for each model, in a folder of its own, and what the tenant's catalog says of it. ``settings`` are those
    of each upstream. Whoever starts them stops them."""
    banks, catalogs = {}, {}
    for name, (input_price, output_price) in prices.items():
        (folder / name).mkdir()
        banks[name] = Bank.start(folder / name)
        catalogs[name] = make_catalog(
            tenant,
            base_url=banks[name].base_url,
            model=name,
            input_per_million=input_price,
            output_per_million=output_price,
        )
        with org_scope(tenant.org_id):
            update_upstream(actor=tenant.owner, upstream=catalogs[name].upstream, bill_path=BILL_PATH, **settings)
    return banks, catalogs


def balance_banks(tenant: Tenant, banks: Mapping[str, Bank], prices: Prices) -> list[LedgerEntry]:
    """The rows of calls, after it was seen that they are the banks' bills, call by call."""
    billed: dict[str, int] = defaultdict(int)
    for name, bank in banks.items():
        bank.wait_quiet()
        rates = [Decimal(price) for price in prices[name]]
        for call in bank.bill():
            billed[call.request_id.partition(":")[0]] += call.cost_nanos(*rates)
    close_the_day(tenant)
    with org_scope(tenant.org_id):
        rows = list(LedgerEntry.objects.filter(org_id=tenant.org_id).order_by("started_at", "id"))
    charged: dict[str, int] = defaultdict(int)
    for row in rows:
        charged[str(row.corrects or row.id)] += row.effective_cost
        assert row.list_cost - row.effective_cost == sum(row.savings.values())
    assert {call: nanos for call, nanos in charged.items() if nanos} == {
        call: nanos for call, nanos in billed.items() if nanos
    }
    assert open_holds(tenant.org) == []
    assert recount.find_drift(tenant.org.shard) == []
    return [row for row in rows if row.kind == "call"]
