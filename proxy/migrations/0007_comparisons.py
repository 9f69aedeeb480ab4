"""Kinds of the ledger's rows for what is asked beside calls: another model's answer to compare with, and scores of a
prompt's words by which it is shortened."""

from django.db import migrations

KINDS = [
    "ALTER TABLE proxy_ledgerentry DROP CONSTRAINT proxy_ledgerentry_kind_check",
    "ALTER TABLE proxy_ledgerentry ADD CONSTRAINT proxy_ledgerentry_kind_check"
    " CHECK (kind IN ('call', 'correction', 'training', 'serving', 'gpu', 'comparison', 'scoring'))",
]


class Migration(migrations.Migration):
    dependencies = [("proxy", "0007_gpu")]
    operations = [migrations.RunSQL(KINDS)]
