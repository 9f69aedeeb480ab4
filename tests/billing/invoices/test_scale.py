"""A month of many customers, with deaths in the middle: `make soak`; COSTHUB_CLOSE_ORGS and _ROWS set its size."""

import os
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker

from billing.invoices.actions.closing import close_period
from billing.invoices.actions.rerating import approve_rerating, carry_on, preview_rerating
from billing.invoices.models import BillingAccount, Invoice, Subscription
from billing.invoices.selectors.rerating import find_next_rerating
from billing.invoices.selectors.usage import find_usage
from billing.spend.actions.rollups import roll_up
from costhub.lib import clock
from tenants.access import job_scope, org_scope
from tenants.models import Organization
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, SEPTEMBER, make_plan, make_seller
from tests.billing.many_rows import fill_ledger, sum_of
from tests.world import World, make_catalog

ORGS = int(os.environ.get("COSTHUB_CLOSE_ORGS", "200"))
ROWS = int(os.environ.get("COSTHUB_CLOSE_ROWS", "1000"))
FIVE_MINUTES = 300


def furnish(orgs: list[UUID], seller: Any, plan: Any) -> None:
    """Customers with a month of calls each."""
    made = [Organization(id=org, name="Org", slug=f"org-{org}", time_zone="UTC", shard=0, data_key=b"") for org in orgs]
    Organization.objects.using("owner").bulk_create(made)
    accounts = [BillingAccount(org=org, legal_entity_id=seller.pk, name="Acme", country="DE") for org in made]
    BillingAccount.objects.using("owner").bulk_create(accounts)
    plans = [Subscription(org=org, plan_id=plan.pk, starts_at=OCTOBER) for org in made]
    Subscription.objects.using("owner").bulk_create(plans)
    fill_ledger(orgs, OCTOBER, ROWS)


@pytest.mark.soak
def test_a_month_of_many_customers(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock():
        orgs = [uuid4() for _ in range(ORGS)]
        seller, plan = make_seller(), make_plan(fee="10", markup="5")
        for start in range(0, ORGS, 20):
            furnish(orgs[start : start + 20], seller, plan)
        # As it is when a month ends: its days have their sums.
        before = clock.monotonic_ns()
        while roll_up():
            pass
        rolled = (clock.monotonic_ns() - before) / 1e9
        numbers = []
        before = clock.monotonic_ns()
        for place, org_id in enumerate(orgs):
            # Some runs die in the middle; the next one goes on.
            if place % 10 == 3:
                with pytest.raises(ZeroDivisionError), job_scope(org_id) as actor:
                    close_period(actor, NOVEMBER + DAY * 3)
                    raise ZeroDivisionError
            with job_scope(org_id) as actor:
                (invoice,) = close_period(actor, NOVEMBER + DAY * 3)
                numbers.append(int(invoice.number.rpartition("-")[2]))
        took = (clock.monotonic_ns() - before) / 1e9
        print(f"closed {ORGS} months of {ROWS} rows in {took:.1f} s; their sums took {rolled:.1f} s")
        assert numbers == list(range(1, ORGS + 1))
        with org_scope(*orgs):
            total = sum(Invoice.objects.filter(org__in=orgs).values_list("usage_nanos", flat=True))
        assert total == ORGS * sum_of(ROWS)
        assert took < FIVE_MINUTES
        connections.close_all()


@pytest.mark.soak
def test_a_re_rating_of_many_calls(committed_world: World) -> None:
    """One model of eight; COSTHUB_RERATED_CALLS says how many calls."""
    acme, calls = committed_world.acme, int(os.environ.get("COSTHUB_RERATED_CALLS", "2000"))
    make_catalog(acme, model="m0", input_per_million="2", output_per_million="5", effective_from=SEPTEMBER)
    fill_ledger([acme.org.pk], OCTOBER, calls * 8)
    before = clock.monotonic_ns()
    with org_scope(acme.org.pk):
        row = preview_rerating(actor=acme.owner, model="m0", start=OCTOBER, end=NOVEMBER, reason="Too cheap")
        approve_rerating(actor=acme.owner, rerating=row, change_nanos=row.change_nanos)
    previewed = clock.monotonic_ns()
    while True:
        with job_scope(acme.org.pk) as actor:
            if (found := find_next_rerating(actor)) is None:
                break
            carry_on(actor, found, NOVEMBER)
    done = clock.monotonic_ns()
    print(
        f"{calls} calls previewed in {(previewed - before) / 1e9:.1f} s, re-rated in {(done - previewed) / 1e9:.1f} s"
    )
    with org_scope(acme.org.pk):
        row.refresh_from_db()
        used = find_usage(acme.owner, OCTOBER, NOVEMBER)
    # 1,000 tokens at 2 USD a million and 100 at 5.
    assert (row.state, row.posted, row.after_nanos) == ("applied", calls, calls * 2_500_000)
    assert sum(usage.cost for usage in used if usage.model == "m0") == calls * 2_500_000
