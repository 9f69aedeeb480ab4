"""Questions of the semantic cache are sealed: the few rows from before, and those that a process of a version before
still writes, are found without a look at all others. A job seals them, which has the key that SQL has not."""

from django.db import migrations

from tenants.schema import make_index

INDEXES = (
    ("cache_questions_to_seal", "proxy_cacheentry (org_id) WHERE NOT starts_with(question, E'\\x01')"),
    ("cache_lookups_to_seal", "proxy_cachelookup (org_id) WHERE NOT starts_with(asked, E'\\x01')"),
)


class Migration(migrations.Migration):
    # Beside calls, which write into both tables.
    atomic = False
    dependencies = [("proxy", "0019_ended_lines")]
    operations = [migrations.RunSQL(make_index(name, of), f"DROP INDEX CONCURRENTLY {name}") for name, of in INDEXES]
