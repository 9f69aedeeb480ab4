"""Hours of one server of an upstream: its own calls share them, and they end when it goes."""

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.db import connection, connections, transaction

from billing import tasks
from billing.gpu.actions import charge_hours, create_endpoint
from billing.gpu.actions import end_endpoint as end_hours
from billing.gpu.choices import Basis
from billing.gpu.models import GpuEndpoint
from billing.gpu.selectors import find_endpoint_cost
from costhub.lib.errors import Conflict, InvalidField
from proxy.ledger.drain import drain
from proxy.models import LedgerEntry
from tenants.access import job_scope, org_scope
from tenants.actions.endpoints import end_endpoint, register_endpoint
from tenants.actions.pricing import create_price
from tenants.actions.projects import create_project
from tenants.models import Upstream, UpstreamEndpoint
from tenants.models.upstreams import FOREVER
from tests.billing.ledger import NOW, record_call
from tests.world import Catalog, Tenant, World, make_catalog

MINUTE = timedelta(minutes=1)
USD = 10**9


@pytest.fixture
def acme(committed_world: World) -> Tenant:
    return committed_world.acme


@pytest.fixture
def made(acme: Tenant) -> Catalog:
    with time_machine.travel(NOW - MINUTE, tick=False):
        return make_catalog(acme, input_per_million="0", output_per_million="0")


def add_server(tenant: Tenant, made: Catalog, number: int = 1, lease: int | None = None) -> UpstreamEndpoint:
    with org_scope(tenant.org.pk):
        return register_endpoint(
            actor=tenant.owner,
            upstream=made.upstream,
            base_url=f"https://gpu-{number}.acme.example/v1",
            lease_seconds=lease,
        )


def pay(tenant: Tenant, made: Catalog, server: UpstreamEndpoint | None, **terms: Any) -> GpuEndpoint:
    """One GPU at 4 USD an hour, by allocation."""
    values: dict[str, Any] = {
        "gpus": Decimal(1),
        "hour_nanos": 4 * USD,
        "basis": Basis.ALLOCATION,
        "project": tenant.project,
    }
    with org_scope(tenant.org.pk):
        return create_endpoint(
            actor=tenant.owner, name="spot", upstream=made.upstream, server=server, **(values | terms)
        )


def charge(tenant: Tenant) -> None:
    with job_scope(tenant.org.pk) as actor:
        charge_hours(actor, NOW + timedelta(hours=3))
    drain(tenant.org.shard)


def read_rows(tenant: Tenant, endpoint: GpuEndpoint) -> list[tuple[str, str, int, int]]:
    """(how, project, nano-USD, minutes) of what an endpoint was charged."""
    with org_scope(tenant.org.pk):
        rows = LedgerEntry.objects.filter(
            org_id=tenant.org.pk, kind="gpu", route_reason__startswith=f"GPU endpoint {endpoint.pk}"
        )
        return sorted(
            (
                row.route_reason.rpartition(" ")[2],
                str(row.project_id),
                row.effective_cost,
                row.duration_us // 60_000_000,
            )
            for row in rows
        )


def read_until(made: Catalog, tenant: Tenant) -> Any:
    with org_scope(tenant.org.pk):
        return Upstream.objects.get(pk=made.upstream.pk).hourly_until


def test_each_server_is_shared_by_who_called_it(acme: Tenant, made: Catalog) -> None:
    with org_scope(acme.org.pk):
        other = create_project(actor=acme.owner, name="other")
    with time_machine.travel(NOW, tick=False):
        one, two = add_server(acme, made), add_server(acme, made, 2)
        first, second = pay(acme, made, one), pay(acme, made, two)
    for server, project, minutes in ((one, acme.project, 3), (two, other, 5)):
        attempt = {"number": 1, "status": 200, "certainty": "exact", "cost": 0, "endpoint_id": str(server.pk)}
        record_call(
            acme,
            NOW + MINUTE,
            project_id=project.pk,
            upstream_id=made.upstream.pk,
            duration_us=minutes * 60_000_000,
            input_tokens=minutes * 1_000_000,
            output_tokens=1_000_000,
            attempts=[{**attempt, "endpoint_id": "another"}, attempt],
        )
    with time_machine.travel(NOW + MINUTE * 15, tick=False), org_scope(acme.org.pk):
        end_endpoint(actor=acme.owner, endpoint=one)
        end_endpoint(actor=acme.owner, endpoint=two)
    charge(acme)
    mine, theirs = str(acme.project.pk), str(other.pk)
    assert read_rows(acme, first) == [("idle", mine, 800_000_000, 12), ("used", mine, 200_000_000, 3)]
    assert read_rows(acme, second) == [("idle", mine, 666_666_667, 10), ("used", theirs, 333_333_333, 5)]
    with org_scope(acme.org.pk):
        first.refresh_from_db()
        cost = find_endpoint_cost(acme.owner, first, NOW, NOW + timedelta(hours=1))
    assert (cost.calls, cost.tokens, cost.by_usage, cost.by_allocation) == (1, 4_000_000, 200_000_000, USD)


def test_hours_end_when_nobody_hears_of_the_server_and_it_is_forgotten(acme: Tenant, made: Catalog) -> None:
    with time_machine.travel(NOW, tick=False):
        row = pay(acme, made, add_server(acme, made, lease=60))
        assert read_until(made, acme) == FOREVER
    with time_machine.travel(NOW + MINUTE * 4, tick=False):
        tasks.keep_endpoints()
        tasks.keep_endpoints()
    with org_scope(acme.org.pk):
        row.refresh_from_db()
        assert row.ends_at == NOW + MINUTE
        assert not UpstreamEndpoint.objects.filter(org=acme.org).exists()
    assert read_until(made, acme) == NOW + MINUTE
    charge(acme)
    # Four dollars an hour for a minute, rounded up once.
    assert read_rows(acme, row) == [("idle", str(acme.project.pk), 66_666_667, 1)]


def test_hours_that_were_to_end_later_end_with_the_server(acme: Tenant, made: Catalog) -> None:
    with time_machine.travel(NOW, tick=False):
        server = add_server(acme, made)
        row = pay(acme, made, server)
        with org_scope(acme.org.pk):
            end_hours(actor=acme.owner, endpoint=row, at=NOW + MINUTE * 30)
    with time_machine.travel(NOW + MINUTE * 15, tick=False), org_scope(acme.org.pk):
        end_endpoint(actor=acme.owner, endpoint=server)
    # The job comes when both moments are past.
    with time_machine.travel(NOW + MINUTE * 40, tick=False):
        tasks.keep_endpoints()
    with org_scope(acme.org.pk):
        row.refresh_from_db()
    assert row.ends_at == read_until(made, acme) == NOW + MINUTE * 15
    charge(acme)
    assert read_rows(acme, row) == [("idle", str(acme.project.pk), USD, 15)]


def test_what_was_charged_before_its_end_was_known_stays(acme: Tenant, made: Catalog) -> None:
    with time_machine.travel(NOW, tick=False):
        server = add_server(acme, made)
        row = pay(acme, made, server)
    charge(acme)
    with time_machine.travel(NOW + MINUTE * 10, tick=False):
        with org_scope(acme.org.pk):
            end_endpoint(actor=acme.owner, endpoint=server)
        tasks.keep_endpoints()
    with org_scope(acme.org.pk):
        row.refresh_from_db()
    assert row.ends_at == row.charged_until == NOW + timedelta(hours=2, minutes=30)


def test_said_again_it_is_the_same_and_other_terms_are_refused(acme: Tenant, made: Catalog) -> None:
    server = add_server(acme, made)
    row = pay(acme, made, server)
    assert pay(acme, made, server).pk == row.pk
    with pytest.raises(Conflict, match="on other terms"):
        pay(acme, made, server, hour_nanos=USD)


def test_an_upstream_and_its_servers_are_not_both_charged(acme: Tenant, made: Catalog) -> None:
    one, two = add_server(acme, made), add_server(acme, made, 2)
    pay(acme, made, one)
    pay(acme, made, two)
    with pytest.raises(Conflict, match="by the hour already"):
        pay(acme, made, None)
    elsewhere = make_catalog(acme, model="large", input_per_million="0", output_per_million="0")
    third = add_server(acme, elsewhere, 3)
    pay(acme, elsewhere, None)
    with pytest.raises(Conflict, match="by the hour already"):
        pay(acme, elsewhere, third)


def test_a_server_of_another_upstream_or_one_that_is_gone_is_named(acme: Tenant, made: Catalog) -> None:
    elsewhere = make_catalog(acme, model="large", input_per_million="0", output_per_million="0")
    gone = add_server(acme, made)
    with org_scope(acme.org.pk):
        end_endpoint(actor=acme.owner, endpoint=gone)
    for server in (add_server(acme, elsewhere, 3), gone):
        with pytest.raises(InvalidField) as refused:
            pay(acme, made, server)
        assert refused.value.field == "server"


def set_price(tenant: Tenant, made: Catalog) -> None:
    with org_scope(tenant.org.pk):
        create_price(actor=tenant.owner, model=made.model, input_per_million=Decimal(1), output_per_million=Decimal(1))


@pytest.mark.parametrize("is_price_first", [True, False], ids=["price", "hours"])
def test_who_comes_second_waits_and_is_refused(acme: Tenant, made: Catalog, *, is_price_first: bool) -> None:
    acts: list[Callable[[], object]] = [lambda: set_price(acme, made), lambda: pay(acme, made, None)]
    first, second = acts if is_price_first else reversed(acts)
    refused: list[str] = []

    def act() -> None:
        try:
            second()
        except Conflict as error:
            refused.append(error.message)
        finally:
            connections.close_all()

    thread = threading.Thread(target=act)
    with transaction.atomic():
        first()
        thread.start()
        pause = threading.Event()
        while not is_waited_for():
            assert thread.is_alive(), "nobody waited"
            pause.wait(0.02)
    thread.join()
    assert len(refused) == 1
    assert "paid twice" in refused[0]


def is_waited_for() -> bool:
    """Whether somebody waits for a lock that this connection has."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
        )
        (found,) = cursor.fetchone()
    return bool(found)
