"""What the page of compression reads, and what was asked beside calls, is found without a look at all other calls."""

from typing import Final

from django.db import migrations

#: only rows that match are in them: a usual call writes nothing more
INDEXES: Final = (
    ("ledger_compressed", "(org_id, started_at) WHERE route_reason LIKE '%compress%'"),
    ("ledger_asides", "(org_id, kind, started_at) WHERE kind <> 'call' AND kind <> 'correction'"),
)


class Migration(migrations.Migration):
    dependencies = [("proxy", "0008_detached_months")]
    operations = [
        migrations.RunSQL(
            [(f"CREATE INDEX {name} ON proxy_ledgerentry {of}", None) for name, of in INDEXES],
            [(f"DROP INDEX {name}", None) for name, _ in INDEXES],
        )
    ]
