"""Migrations that bring a database of before to what a new one is."""

from datetime import timedelta
from importlib import import_module

import time_machine
from django.db import connections, transaction
from pytest_django.plugin import DjangoDbBlocker

from billing.cache.selectors import read_stats
from billing.spend.actions.rollups import roll_up
from billing.spend.models import DayRollup
from tenants.access import org_scope
from tenants.schema import app_role
from tests.billing.ledger import NOW, record_call
from tests.billing.rollups import read_spend
from tests.world import World


def test_sums_of_a_day_that_were_made_before_searches_by_the_preview_tool(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> None:
    sums = import_module("billing.migrations.0003_usage_days")
    (operation,) = import_module("billing.migrations.0007_preview_searches").Migration.operations
    column = f", {sums.kept('web_searches_preview')} AS web_searches_preview"
    assert column in sums.USAGE_LINES
    with django_db_blocker.unblock():
        with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '10s'")
            for statement in (
                "DROP VIEW billing_usageline",
                "ALTER TABLE billing_usageday DROP COLUMN web_searches_preview",
                sums.USAGE_LINES.replace(column, ""),
                *operation.sql,
            ):
                cursor.execute(statement)
            for place in ("billing_usageday", "billing_usageline"):
                cursor.execute(
                    f"SELECT count(web_searches_preview) FILTER (WHERE false), has_table_privilege(%s, %s, 'SELECT')"
                    f" FROM {place}",
                    [app_role().strip('"'), place],
                )
                assert cursor.fetchone() == (0, True)
            cursor.execute("SELECT has_function_privilege('public', 'costhub_make_usage_days()', 'EXECUTE')")
            assert cursor.fetchone() == (False,)
            transaction.set_rollback(True, using="owner")
        connections.close_all()


def test_sums_that_were_made_before_there_were_finer_ones(committed_world: World) -> None:
    """Right from the first moment, and fast once the job has been at it; of a day whose rows are gone statuses are
    known from finer sums."""
    acme, finer = committed_world.acme, import_module("billing.migrations.0008_finer_sums")
    fill = import_module("billing.migrations.0010_fill_finer_sums")
    span = NOW - timedelta(days=30), NOW
    for days, end_user, status in ((9, "mia", 200), (8, "tom", 502), (3, "mia", 200)):
        record_call(acme, NOW - timedelta(days=days), cost=days, end_user=end_user, status=status, cache_status="miss")

    def read() -> list[dict[str, int]]:
        groups = ("status", "end_user", "tag:team", "upstream")
        found = [read_spend(acme, *span, group) for group in groups]
        with org_scope(acme.org.pk):
            looked_up = read_stats(acme.owner, *span).looked_up
        costs = [
            {row.group[group]: row.totals.effective_cost for row in spend.rows}
            for group, spend in zip(groups, found, strict=True)
        ]
        return [*costs, {"looked up": looked_up}]

    def count(cube: str) -> int:
        with org_scope(acme.org.pk):
            return DayRollup.objects.filter(org_id=acme.org.pk, cube=cube).count()

    expected = read()
    with time_machine.travel(NOW + timedelta(days=2)):
        _roll_all()
        assert read() == expected
        new = ("statuses", "cache", *(f"end_users/{days}d" for days in finer.BLOCK_DAYS))
        with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
            for table in ("billing_dayrollup", "billing_quarterrollup"):
                cursor.execute(f"DELETE FROM {table} WHERE cube = ANY (%s) OR cube = 'end_users/4h'", [list(new)])
            cursor.execute("DELETE FROM billing_quarterrollup WHERE cube IN ('end_users', 'tags')")
            cursor.execute("DELETE FROM billing_blockmark")
            cursor.execute("UPDATE billing_rollupzone SET fine_from = 'infinity'")
            for statement in fill.BACK_FILL:
                cursor.execute(statement)
        assert count("statuses") == 3
        assert read() == expected
        _roll_all()
        assert read() == expected
        assert [count("statuses"), count("cache"), count("end_users/2d")] == [3, 3, 3]


def _roll_all() -> None:
    while roll_up():
        pass
