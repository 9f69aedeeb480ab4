"""A kind of the ledger's rows for what hours of GPUs cost."""

from django.db import migrations

KINDS = [
    "ALTER TABLE proxy_ledgerentry DROP CONSTRAINT proxy_ledgerentry_kind_check",
    "ALTER TABLE proxy_ledgerentry ADD CONSTRAINT proxy_ledgerentry_kind_check"
    " CHECK (kind IN ('call', 'correction', 'training', 'serving', 'gpu'))",
]


class Migration(migrations.Migration):
    dependencies = [("proxy", "0006_serving")]
    operations = [migrations.RunSQL(KINDS)]
