"""Acme, whose calls of one model go to the bank through proxy processes, under budgets that they will not reach."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tenants.access import org_scope
from tenants.actions.upstreams import update_upstream
from tenants.choices import BudgetScope
from tests.bank import Bank
from tests.proxy.books import Books, assert_balanced
from tests.proxy.deployment import Deployment
from tests.proxy.load import Outcome, call_all, make_bodies
from tests.world import Tenant, World, make_budget, make_catalog

CALLS = 300
CLIENTS = 32
BILL_PATH = "/costhub/bill"


@dataclass(frozen=True)
class Scene:
    """Who calls whom, by way of which processes."""

    acme: Tenant
    bank: Bank
    proxy: Deployment

    def run(
        self,
        *,
        on_end: Callable[[int], None] = lambda _: None,
        leave_after: Callable[[int], int | None] = lambda _: None,
        calls: int = CALLS,
    ) -> list[Outcome]:
        """All the calls; ``on_end`` may break something on the way."""
        return asyncio.run(
            call_all(
                self.proxy.base_url,
                self.acme.api_key,
                make_bodies(calls, "small"),
                clients=CLIENTS,
                on_end=on_end,
                leave_after=leave_after,
            )
        )

    def balance(self, living_calls: int | None = None) -> Books:
        """The books, balanced, when so many calls of processes that live have their rows."""
        return assert_balanced(self.acme, self.bank, living_calls=living_calls)


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    acme = committed_world.acme
    catalog = make_catalog(acme, base_url=bank.base_url)
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=catalog.upstream, bill_path=BILL_PATH, timeout_ms=20_000)
    for scope, subject in (
        (BudgetScope.ORGANIZATION, ""),
        (BudgetScope.PROJECT, str(acme.project.pk)),
        (BudgetScope.KEY, str(acme.key.pk)),
        (BudgetScope.MODEL, "small"),
    ):
        make_budget(acme, "100.00", scope=scope, subject=subject)
    return acme
