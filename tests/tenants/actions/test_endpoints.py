"""Servers of an upstream that come, drain and go, and what proxies know of them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from costhub.lib import clock
from costhub.lib.errors import AppError, InvalidField, NotFound
from tenants.access import StaleSession, org_scope
from tenants.actions.endpoints import (
    end_endpoint,
    end_lapsed,
    list_endpoint_orgs,
    register_endpoint,
    update_endpoint,
)
from tenants.models import AuditEntry, UpstreamEndpoint
from tenants.selectors import list_endpoints, load_org_snapshot
from tenants.snapshots import EndpointSnapshot, OrgSnapshot
from tests.world import Catalog, Tenant, World, make_catalog

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme(world: World) -> Tenant:
    return world.acme


@pytest.fixture
def catalog(acme: Tenant) -> Catalog:
    return make_catalog(acme)


def register(
    tenant: Tenant, catalog: Catalog, url: str = "https://one.acme.example/v1", **fields: Any
) -> UpstreamEndpoint:
    with org_scope(tenant.org.pk):
        return register_endpoint(actor=tenant.owner, upstream=catalog.upstream, base_url=url, **fields)


def known(tenant: Tenant) -> tuple[EndpointSnapshot, ...]:
    """What proxies know, as it travels."""
    snapshot = load_org_snapshot(tenant.org_id)
    assert snapshot is not None
    (upstream,) = OrgSnapshot.from_json(snapshot.to_json()).upstreams.values()
    return upstream.endpoints


def test_a_registered_server_is_known_and_moves_the_version(acme: Tenant, catalog: Catalog) -> None:
    before = load_org_snapshot(acme.org_id)
    row = register(acme, catalog, "https://one.acme.example/v1/", weight=3)
    after = load_org_snapshot(acme.org_id)
    assert before is not None
    assert after is not None
    assert after.version == before.version + 1
    assert known(acme) == (
        EndpointSnapshot(str(row.pk), "https://one.acme.example/v1", "https://one.acme.example:443", None, 3),
    )


def test_its_credential_is_its_own(acme: Tenant, catalog: Catalog) -> None:
    """The upstream's is for the upstream's origin: who registers a server does not get to see it."""
    register(acme, catalog)
    assert catalog.upstream.credential is not None
    assert known(acme)[0].credential is None
    register(acme, catalog, credential="sk-of-this-server-alone")
    (endpoint,) = known(acme)
    assert endpoint.credential is not None
    assert b"sk-of" not in endpoint.credential


def test_proxies_hear_of_another_credential_and_of_none(acme: Tenant, catalog: Catalog) -> None:
    row = register(acme, catalog, credential="sk-first")
    (first,) = known(acme)
    with org_scope(acme.org.pk):
        update_endpoint(actor=acme.owner, endpoint=row, credential="sk-second")
    (second,) = known(acme)
    assert (second.credential is None, second.credential == first.credential) == (False, False)
    with org_scope(acme.org.pk):
        update_endpoint(actor=acme.owner, endpoint=row, weight=2)
    assert known(acme)[0].credential == second.credential
    with org_scope(acme.org.pk):
        update_endpoint(actor=acme.owner, endpoint=row, credential=None)
    assert known(acme)[0].credential is None


def test_a_credential_asks_who_it_is_once_more(acme: Tenant, catalog: Catalog) -> None:
    row = register(acme, catalog)
    stale = replace(acme.owner, is_fresh=False)
    with org_scope(acme.org.pk):
        with pytest.raises(StaleSession):
            update_endpoint(actor=stale, endpoint=row, credential="sk-second")
        update_endpoint(actor=stale, endpoint=row, weight=2, name="rack 2")
        row.refresh_from_db()
    assert (row.name, row.weight, row.credential) == ("rack 2", 2, None)


def test_one_that_drains_is_not_known_until_it_registers_again(acme: Tenant, catalog: Catalog) -> None:
    row = register(acme, catalog)
    with org_scope(acme.org.pk):
        update_endpoint(actor=acme.owner, endpoint=row, is_draining=True)
    assert known(acme) == ()
    assert register(acme, catalog).pk == row.pk
    assert len(known(acme)) == 1


def test_a_renewed_lease_is_no_news_for_proxies(acme: Tenant, catalog: Catalog) -> None:
    row = register(acme, catalog, lease_seconds=15)
    before = load_org_snapshot(acme.org_id)
    with org_scope(acme.org.pk):
        update_endpoint(actor=acme.owner, endpoint=row, lease_seconds=30)
    assert load_org_snapshot(acme.org_id) == before


def test_one_that_is_not_heard_of_ends_with_its_lease(acme: Tenant, catalog: Catalog) -> None:
    lost = register(acme, catalog, lease_seconds=15)
    stays = register(acme, catalog, "https://two.acme.example/v1")
    assert acme.org.pk in list_endpoint_orgs()
    assert end_lapsed(acme.org.pk) == 0
    with time_machine.travel(clock.now() + timedelta(seconds=16)):
        assert end_lapsed(acme.org.pk) == 1
    assert [endpoint.id for endpoint in known(acme)] == [str(stays.pk)]
    with org_scope(acme.org.pk):
        lost.refresh_from_db()
        assert lost.ended_at == lost.lease_until
        with pytest.raises(NotFound):
            update_endpoint(actor=acme.owner, endpoint=lost, lease_seconds=15)
        assert list(list_endpoints(acme.owner)) == [stays]


@pytest.mark.parametrize("changes", [{"weight": 2}, {"is_draining": True}, {"lease_seconds": 15}])
def test_one_that_is_deleted_while_it_is_changed_is_not_found(
    acme: Tenant, catalog: Catalog, changes: dict[str, Any]
) -> None:
    row = register(acme, catalog)
    with org_scope(acme.org.pk):
        UpstreamEndpoint.objects.filter(pk=row.pk).delete()
        with pytest.raises(NotFound):
            update_endpoint(actor=acme.owner, endpoint=row, **changes)


def test_what_happened_is_in_the_audit_log(acme: Tenant, catalog: Catalog) -> None:
    row = register(acme, catalog)
    with org_scope(acme.org.pk):
        update_endpoint(actor=acme.owner, endpoint=row, is_draining=True)
        end_endpoint(actor=acme.owner, endpoint=row)
        # They are numbered at the commit, which does not come here.
        actions = AuditEntry.objects.filter(org=acme.org, target_kind="upstream_endpoint")
        assert sorted(entry.action for entry in actions) == [
            "upstream_endpoint.created",
            "upstream_endpoint.deleted",
            "upstream_endpoint.updated",
        ]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"weight": 0}, "weight"),
        ({"lease_seconds": 4}, "lease_seconds"),
        ({"name": "a\nb"}, "name"),
        ({"credential": "two words"}, "credential"),
        ({"url": "ftp://one.acme.example"}, "base_url"),
    ],
)
def test_what_cannot_be_is_refused(acme: Tenant, catalog: Catalog, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        register(acme, catalog, **fields)
    assert refused.value.field == field


def test_where_no_tenant_may_call_no_server_is(acme: Tenant, catalog: Catalog) -> None:
    with pytest.raises(AppError) as refused:
        register(acme, catalog, "http://169.254.169.254/v1")
    assert refused.value.code == "blocked_address"
