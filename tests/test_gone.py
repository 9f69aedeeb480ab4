"""What tests have committed and left is found by no job of a later test."""

from typing import Final
from uuid import UUID

import pytest
from django.db import connection

from billing.invoices.models import StripeEvent
from tests.billing.alerts.examples import make_alerts
from tests.gone import leave
from tests.proxy.batches.rows import fill_batches
from tests.proxy.learning.rows import fill_learning
from tests.world import World

#: how jobs, sweeps and workers find organisations
WAYS: Final = (
    "costhub_all_orgs()",
    "costhub_learning_orgs('kept')",
    "costhub_learning_orgs('teacher run')",
    "costhub_orgs_with_batches()",
    "costhub_due_orgs(now() + interval '1 year')",
)


def look(way: str) -> set[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT org_id FROM {way}")
        return {org_id for (org_id,) in cursor.fetchall()}


@pytest.fixture
def busy(world: World) -> World:
    """Both organisations have work for every job."""
    for tenant in (world.acme, world.mallcorp):
        fill_learning(tenant)
        fill_batches(tenant)
        make_alerts(tenant)
    return world


@pytest.mark.parametrize("way", WAYS)
def test_who_is_gone_is_passed_over(busy: World, way: str) -> None:
    acme, mallcorp = busy.acme.org.pk, busy.mallcorp.org.pk
    before = look(way)
    assert {acme, mallcorp} <= before
    leave(acme)
    assert look(way) == before - {acme}


def test_whatever_tells_of_organisations_does(db: None) -> None:
    """Every function of the database that does, so that those which are new do."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND 'org_id' = ANY (proargnames)"
            " AND prosrc NOT LIKE '%org.shard = %'"
        )
        assert [name for (name,) in cursor.fetchall()] == []


def test_what_stripe_told_and_nobody_looked_at_is_done_with(world: World) -> None:
    StripeEvent.objects.create(id="evt_left", kind="invoice.paid", body=b"{}")
    leave(world.acme.org.pk)
    assert not StripeEvent.objects.filter(applied_at=None).exists()
