"""A month that is not kept in the ledger may be set apart in place of being dropped: the same function, but for its end.

A table of a detached month stays walled: the owner alone reads it, and who exports or erases an organisation finds it
by its ``org_id`` as any other.
"""

from importlib import import_module

from django.db import migrations

from tenants.schema import allow

_DROP: str = import_module("proxy.migrations.0003_retention").DROP_MONTH
_DROPS = "EXECUTE format('DROP TABLE public.%I', partition);"
_DETACHES = """EXECUTE format('ALTER TABLE public.proxy_ledgerentry DETACH PARTITION public.%I', partition);
    EXECUTE format('ALTER TABLE public.%I RENAME TO %I', partition, 'proxy_ledgerkept_' || to_char(month, 'YYYY_MM'));"""
assert _DROPS in _DROP
DETACH_MONTH = _DROP.replace("FUNCTION costhub_drop_ledger_month", "FUNCTION costhub_detach_ledger_month").replace(
    _DROPS, _DETACHES
)


class Migration(migrations.Migration):
    dependencies = [("proxy", "0007_told_calls")]
    operations = [
        migrations.RunSQL(
            [DETACH_MONTH, *allow("costhub_detach_ledger_month(date)")],
            "DROP FUNCTION costhub_detach_ledger_month(date)",
        )
    ]
