"""Hours of GPUs in the ledger and on the invoice: once, to whom they are of, and idle time to who pays for it."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from billing.gpu.actions import charge_hours, create_endpoint, end_endpoint, list_orgs_with_gpus
from billing.gpu.choices import Basis
from billing.gpu.models import GpuEndpoint
from billing.gpu.selectors import find_endpoint_cost
from billing.invoices.selectors.usage import find_cost
from costhub.lib.errors import Conflict, InvalidField
from proxy.ledger.drain import drain
from proxy.models import LedgerEntry
from tenants.access import job_scope, org_scope
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, close, make_customer, show_lines
from tests.billing.ledger import record_call
from tests.world import Catalog, Tenant, World, make_catalog

HOUR = timedelta(hours=1)
USD = 10**9


@pytest.fixture
def acme(committed_world: World) -> Tenant:
    return committed_world.acme


def make_endpoint(tenant: Tenant, basis: Basis = Basis.ALLOCATION, **options: Any) -> tuple[GpuEndpoint, Catalog]:
    """Two GPUs at 3 USD an hour since October."""
    made = make_catalog(tenant, input_per_million="0", output_per_million="0", effective_from=OCTOBER)
    values: dict[str, Any] = {"gpus": Decimal(2), "hour_nanos": 3 * USD, "starts_at": OCTOBER, "basis": basis}
    with org_scope(tenant.org.pk):
        row = create_endpoint(
            actor=tenant.owner, name="llama", upstream=made.upstream, project=tenant.project, **(values | options)
        )
    return row, made


def run_call(tenant: Tenant, made: Catalog, minute: int, minutes: int, **columns: Any) -> None:
    record_call(
        tenant,
        OCTOBER + timedelta(minutes=minute),
        upstream_id=made.upstream.pk,
        duration_us=minutes * 60 * 10**6,
        input_tokens=1_000_000,
        **columns,
    )


def charge(tenant: Tenant, hours: int) -> int:
    with job_scope(tenant.org.pk) as actor:
        charged = charge_hours(actor, OCTOBER + HOUR * hours + timedelta(minutes=20))
    drain(tenant.org.shard)
    return charged


def rows_of(tenant: Tenant) -> list[tuple[str, int]]:
    """What each hour was charged for, its quarters added up."""
    sums: Counter[tuple[datetime, str]] = Counter()
    with org_scope(tenant.org.pk):
        for row in LedgerEntry.objects.filter(org_id=tenant.org.pk, kind="gpu"):
            hour = row.started_at.replace(minute=0, second=0, microsecond=0)
            sums[hour, row.route_reason.rpartition(" ")[2]] += row.effective_cost
    return [(how, sums[hour, how]) for hour, how in sorted(sums)]


def test_allocated_hours_are_charged_whole_and_say_what_was_idle(acme: Tenant) -> None:
    row, made = make_endpoint(acme)
    run_call(acme, made, 0, 15)
    run_call(acme, made, 10, 20)
    assert acme.org.pk in list_orgs_with_gpus(OCTOBER + DAY)
    assert [charge(acme, 2), charge(acme, 2)] == [8, 0]
    assert rows_of(acme) == [("idle", 3 * USD), ("used", 3 * USD), ("idle", 6 * USD)]
    with org_scope(acme.org.pk):
        row.refresh_from_db()
        found = find_endpoint_cost(acme.owner, row, OCTOBER, OCTOBER + DAY)
    assert (found.by_allocation, found.by_usage, found.idle_per_mille) == (12 * USD, 3 * USD, 750)
    assert (found.calls, found.per_million_tokens(found.by_allocation)) == (2, 6 * USD)


def test_by_usage_idle_time_is_not_charged(acme: Tenant) -> None:
    _, made = make_endpoint(acme, Basis.USAGE)
    run_call(acme, made, 30, 60)
    charge(acme, 3)
    assert rows_of(acme) == [("used", 3 * USD), ("used", 3 * USD)]


def test_whoever_dies_charges_the_same_rows_again(acme: Tenant) -> None:
    _, made = make_endpoint(acme)
    run_call(acme, made, 0, 30)
    with pytest.raises(ZeroDivisionError), transaction.atomic(), job_scope(acme.org.pk) as actor:
        charge_hours(actor, OCTOBER + HOUR + timedelta(minutes=20))
        raise ZeroDivisionError
    # What is recorded after the hour was due changes nothing of it.
    run_call(acme, made, 0, 60, recorded_at=OCTOBER + HOUR * 2)
    assert charge(acme, 1) == 4
    assert rows_of(acme) == [("idle", 3 * USD), ("used", 3 * USD)]


def test_they_stand_on_the_invoice_and_sum_to_the_ledger(acme: Tenant) -> None:
    row, made = make_endpoint(acme)
    with org_scope(acme.org.pk):
        end_endpoint(actor=acme.owner, endpoint=row, at=OCTOBER + HOUR + HOUR / 2)
    run_call(acme, made, 0, 30)
    assert charge(acme, 5) == 6
    make_customer(acme, since=OCTOBER)
    (invoice,) = close(acme, NOVEMBER + DAY * 3)
    assert ("usage", "llama: GPU hours", 9 * USD) in show_lines(acme, invoice)
    with org_scope(acme.org.pk):
        assert invoice.usage_nanos == find_cost(acme.owner, OCTOBER, NOVEMBER) == 9 * USD
    assert acme.org.pk not in list_orgs_with_gpus(OCTOBER + DAY)


def test_an_upstream_is_not_paid_twice(acme: Tenant) -> None:
    made = make_catalog(acme)
    with org_scope(acme.org.pk), pytest.raises(Conflict, match="a price of zero first"):
        create_endpoint(
            actor=acme.owner,
            name="llama",
            upstream=made.upstream,
            project=acme.project,
            gpus=Decimal(1),
            hour_nanos=1,
            basis=Basis.USAGE,
        )


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"gpus": Decimal(0)}, "gpus"),
        ({"gpus": Decimal("0.0001")}, "gpus"),
        ({"gpus": Decimal(10_001)}, "gpus"),
        ({"hour_nanos": 0}, "per_hour"),
        ({"starts_at": datetime(2100, 1, 1, tzinfo=UTC)}, "starts_at"),
        ({"starts_at": datetime(2019, 12, 31, tzinfo=UTC)}, "starts_at"),
    ],
)
def test_what_cannot_be_is_named(acme: Tenant, options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as raised:
        make_endpoint(acme, **options)
    assert raised.value.field == field


def test_hours_do_not_begin_before_calls_that_were_paid_by_the_token(acme: Tenant) -> None:
    """As by a list price, which is not taken from now on, and was until now."""
    made = make_catalog(acme, input_per_million="0", output_per_million="0", effective_from=OCTOBER)
    record_call(acme, OCTOBER + HOUR, upstream_id=made.upstream.pk, cost=5)
    record_call(acme, OCTOBER + HOUR * 3, upstream_id=made.upstream.pk, cost=5, attempts=[])
    terms: dict[str, Any] = {"gpus": Decimal(1), "hour_nanos": USD, "basis": Basis.ALLOCATION}

    def begin(at: datetime) -> GpuEndpoint:
        return create_endpoint(
            actor=acme.owner, name="llama", upstream=made.upstream, project=acme.project, starts_at=at, **terms
        )

    with org_scope(acme.org.pk):
        with pytest.raises(Conflict, match="until 2026-10-01 01:00 UTC are paid for by the token") as refused:
            begin(OCTOBER)
        assert refused.value.field == "starts_at"
        assert begin(OCTOBER + HOUR * 2).starts_at == OCTOBER + HOUR * 2


def test_one_at_a_time_and_no_end_before_what_is_charged(acme: Tenant) -> None:
    row, made = make_endpoint(acme)
    charge(acme, 2)
    with org_scope(acme.org.pk):
        with pytest.raises(InvalidField, match="not charged yet"):
            end_endpoint(actor=acme.owner, endpoint=row, at=OCTOBER + HOUR)
        with pytest.raises(Conflict, match="charged by the hour already"):
            create_endpoint(
                actor=acme.owner,
                name="again",
                upstream=made.upstream,
                project=acme.project,
                gpus=Decimal(1),
                hour_nanos=1,
                basis=Basis.USAGE,
            )


def test_no_hour_is_charged_of_two_endpoints(acme: Tenant) -> None:
    row, made = make_endpoint(acme)

    def again(hours: int) -> GpuEndpoint:
        return create_endpoint(
            actor=acme.owner,
            name="again",
            upstream=made.upstream,
            project=acme.project,
            gpus=Decimal(1),
            hour_nanos=USD,
            basis=Basis.ALLOCATION,
            starts_at=OCTOBER + HOUR * hours,
        )

    with org_scope(acme.org.pk):
        end_endpoint(actor=acme.owner, endpoint=row, at=OCTOBER + HOUR * 2)
        with pytest.raises(Conflict, match="until 2026-10-01 02:00 UTC already"):
            again(1)
        again(2)
    assert charge(acme, 3) == 12
    assert rows_of(acme) == [("idle", 6 * USD), ("idle", 6 * USD), ("idle", USD)]
