"""Searches by the preview tool are summed by the day, also in a database whose sums were made before there were any.

One that was made since then has the column already, and nothing of it changes.
"""

from importlib import import_module

from django.db import migrations

from tenants.schema import app_role

sums = import_module("billing.migrations.0003_usage_days")


class Migration(migrations.Migration):
    dependencies = [("billing", "0006_told_calls")]
    operations = [
        migrations.RunSQL(
            [
                "ALTER TABLE billing_usageday ADD COLUMN IF NOT EXISTS web_searches_preview bigint",
                # Its columns stand in another order: a view cannot be replaced by that.
                "DROP VIEW billing_usageline",
                sums.USAGE_LINES,
                f"GRANT SELECT ON billing_usageline TO {app_role()}",
                # A function that is replaced keeps its grants.
                sums.MAKE_USAGE_DAYS.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"),
            ]
        ),
    ]
