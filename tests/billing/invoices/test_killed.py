"""Jobs of billing that SIGKILL ends at each of their statements: the next run goes on, every number is used once, and
what is billed is the ledger."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing.gpu.actions import charge_hours, create_endpoint
from billing.gpu.choices import Basis
from billing.invoices.actions.closing import close_period
from billing.invoices.actions.rerating import approve_rerating, carry_on, preview_rerating
from billing.invoices.models import Invoice, Rerating, WalletTransfer
from billing.invoices.selectors.rerating import find_next_rerating
from billing.invoices.selectors.usage import find_cost
from proxy.ledger.drain import drain
from tenants.access import job_scope, org_scope
from tenants.actions.pricing import create_price
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, SEPTEMBER, make_customer, make_seller
from tests.billing.killed import run_and_die
from tests.billing.ledger import record_call
from tests.world import Tenant, World, make_catalog

CLOSED = NOVEMBER + DAY * 3
USD = 10**9


def close_all(tenants: list[Tenant]) -> None:
    """What the job does: an organisation a transaction."""
    for tenant in tenants:
        with job_scope(tenant.org.pk) as actor:
            close_period(actor, CLOSED)


def test_a_close_that_is_killed_anywhere(committed_world: World) -> None:
    seller = make_seller()
    tenants = [committed_world.acme, committed_world.mallcorp]
    make_customer(tenants[0], seller=seller, since=OCTOBER, fee="49.00", markup="10")
    make_customer(tenants[1], seller=seller, since=OCTOBER, fee="1.00", account={"emails": []})
    for tenant in tenants:
        record_call(tenant, OCTOBER + DAY, cost=5 * USD)
    deaths = 0
    while run_and_die(lambda: close_all(tenants), at=deaths + 1):
        deaths += 1
        with org_scope(*(tenant.org.pk for tenant in tenants)):
            rows = Invoice.objects.filter(org__in=[tenant.org for tenant in tenants])
            numbers = sorted(row.number for row in rows if row.number)
            # Whole or not there: an invoice that has a number has its lines and its sum.
            assert numbers == [f"{seller.prefix}{number:06d}" for number in range(1, len(numbers) + 1)]
            assert all(row.usage_nanos == 5 * USD and row.lines.exists() for row in rows if row.number)
    assert deaths > 20
    close_all(tenants)
    with org_scope(*(tenant.org.pk for tenant in tenants)):
        rows = Invoice.objects.filter(org__in=[tenant.org for tenant in tenants])
        assert sorted(row.number for row in rows) == [f"{seller.prefix}00000{number}" for number in (1, 2)]
        assert {row.org_id: row.usage_nanos for row in rows} == {tenant.org.pk: 5 * USD for tenant in tenants}
        assert not WalletTransfer.objects.filter(org__in=[tenant.org for tenant in tenants]).exists()


def re_rate_all(tenant: Tenant) -> None:
    """What the job does: a batch a transaction."""
    while True:
        with job_scope(tenant.org.pk) as actor:
            if (found := find_next_rerating(actor)) is None:
                return
            carry_on(actor, found, CLOSED)


@pytest.mark.soak
def test_a_re_rating_that_is_killed_anywhere(committed_world: World) -> None:
    acme = committed_world.acme
    made = make_catalog(acme, input_per_million="1", output_per_million="1", effective_from=SEPTEMBER)
    assert made.price
    attempt = {"certainty": "exact", "model": "small", "cost": USD, "usage": {"input": 10**6}}
    for day in range(2):
        record_call(
            acme,
            OCTOBER + DAY * day,
            cost=USD,
            price_id=made.price.pk,
            input_tokens=10**6,
            attempts=[attempt],
        )
    make_customer(acme, since=OCTOBER, markup="10")
    close_all([acme])
    with org_scope(acme.org.pk):
        create_price(
            actor=acme.owner,
            model=made.model,
            input_per_million=Decimal(3),
            output_per_million=Decimal(1),
            effective_from=SEPTEMBER + DAY,
        )
        row = preview_rerating(actor=acme.owner, model="small", start=OCTOBER, end=NOVEMBER, reason="Mistyped")
        approve_rerating(actor=acme.owner, rerating=row, change_nanos=row.change_nanos)
    deaths = 0
    while run_and_die(lambda: re_rate_all(acme), at=deaths + 1):
        deaths += 1
        drain(acme.org.shard)
    assert deaths > 20
    with org_scope(acme.org.pk):
        row = Rerating.objects.get(pk=row.pk)
        (note,) = Invoice.objects.filter(org=acme.org, kind="debit_note")
        assert (row.state, row.posted, row.posted_nanos, row.notes) == ("applied", 2, 4 * USD, [note.pk])
        assert (find_cost(acme.owner, OCTOBER, NOVEMBER), note.net_nanos) == (6 * USD, 4_400_000_000)


@pytest.mark.soak
def test_hours_of_gpus_that_are_killed_anywhere(committed_world: World) -> None:
    acme = committed_world.acme
    made = make_catalog(acme, input_per_million="0", output_per_million="0", effective_from=OCTOBER)
    with org_scope(acme.org.pk):
        create_endpoint(
            actor=acme.owner,
            name="llama",
            upstream=made.upstream,
            project=acme.project,
            gpus=Decimal(1),
            hour_nanos=4 * USD,
            basis=Basis.ALLOCATION,
            starts_at=OCTOBER,
        )
    record_call(acme, OCTOBER, upstream_id=made.upstream.pk, duration_us=900 * 10**6)

    def charge() -> None:
        with job_scope(acme.org.pk) as actor:
            charge_hours(actor, OCTOBER + timedelta(hours=2, minutes=20))

    deaths = 0
    while run_and_die(charge, at=deaths + 1):
        deaths += 1
        drain(acme.org.shard)
    assert deaths > 10
    drain(acme.org.shard)
    with org_scope(acme.org.pk):
        assert find_cost(acme.owner, OCTOBER, NOVEMBER) == 8 * USD
