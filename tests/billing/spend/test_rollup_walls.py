"""Rollups between tenants, asked in plain SQL: nobody sees another's, and the app role writes none."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction

from billing.spend.actions.rollups import roll_up
from tenants.access import org_scope
from tests.billing.ledger import NOW, record_call
from tests.world import World


def test_nobody_sees_the_sums_of_others(world: World) -> None:
    record_call(world.acme, NOW - timedelta(days=1), cost=7)
    while roll_up():
        pass
    record_call(world.acme, NOW - timedelta(days=1), cost=7)
    tables = (
        "billing_quarterrollup",
        "billing_dayrollup",
        "billing_rollupzone",
        "billing_quartermark",
        "billing_blockmark",
        "billing_ledgerline",
    )
    for tenant, expected in ((world.acme, True), (world.mallcorp, False)):
        with org_scope(tenant.org.pk), connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"SELECT count(*) > 0 FROM {table} WHERE org_id = %s", [world.acme.org.pk])
                assert (table, *cursor.fetchone()) == (table, expected)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO billing_quartermark (org_id, quarter) SELECT gen_random_uuid(), now()",
        "DELETE FROM billing_quartermark",
        "DELETE FROM billing_daymark",
        "DELETE FROM billing_blockmark",
        "UPDATE billing_quarterrollup SET effective_cost = 0",
        "DELETE FROM billing_dayrollup",
        "UPDATE billing_rollupzone SET time_zone = 'UTC'",
        "DELETE FROM billing_ledgerline",
        "SELECT costhub_roll_quarters(1, now())",
        "SELECT costhub_roll_days(1, now())",
        "SELECT costhub_roll_blocks(1, now())",
        "SELECT costhub_forget_quarters(1, now())",
        "SELECT costhub_follow_time_zones()",
        "SELECT costhub_mark_ledger()",
    ],
)
def test_the_app_role_writes_none_of_it(world: World, statement: str) -> None:
    with (
        org_scope(world.acme.org.pk),
        pytest.raises(DatabaseError, match="permission denied"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
