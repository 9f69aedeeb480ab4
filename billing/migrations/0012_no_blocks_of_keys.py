"""Blocks of sums by key go: nothing reads them. Sums by key are read by day and by quarter, of which there are few."""

from importlib import import_module

from django.db import migrations

finer = import_module("billing.migrations.0008_finer_sums")


def without_keys(statement):
    """The statement that makes a function, with blocks by end user alone; in place of the function as it was."""
    return (
        statement.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
        .replace(finer.BLOCK_CUBES, "'{end_users}'::text[]")
        .replace(finer.PARTS, "'{end_users/4h}'::text[]")
    )


class Migration(migrations.Migration):
    dependencies = [("billing", "0011_buckets_and_long_reratings")]
    operations = [
        # A function that is replaced keeps its grants.
        migrations.RunSQL(
            [
                without_keys(statement)
                for statement in (finer.ROLL_QUARTERS, finer.ROLL_DAYS, finer.ROLL_BLOCKS, finer.FORGET_QUARTERS)
            ]
        ),
        migrations.RunSQL(
            [
                "SET LOCAL statement_timeout = 0",
                "DELETE FROM billing_blockmark WHERE cube LIKE 'keys/%'",
                "DELETE FROM billing_quarterrollup WHERE cube = 'keys/4h'",
                "DELETE FROM billing_dayrollup WHERE cube LIKE 'keys/%'",
            ]
        ),
    ]
