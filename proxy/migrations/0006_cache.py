"""Look-ups by meaning at size.

Of each vector its signs are kept too, 48 bytes, in the index that finds a scope: a scope of thousands of questions is
looked through in that index alone, and only the few questions whose signs are nearest are compared exactly. The index
over the vectors holds halves of floats and their inner products: a vector has length one, so that this is its cosine.

The vector stays in its row (1.5 kB); a row that becomes too large gives up its answer first, which is compressed
already and is not compressed again.
"""

from django.db import migrations

STATEMENTS = (
    """ALTER TABLE proxy_cacheentry
           ALTER COLUMN embedding SET STORAGE PLAIN, ALTER COLUMN packed SET STORAGE EXTERNAL,
           ADD COLUMN signs bit(384) NOT NULL GENERATED ALWAYS AS (binary_quantize(embedding)::bit(384)) STORED""",
    "DROP INDEX cache_entries_of_a_scope, cache_entries_by_meaning",
    "CREATE INDEX cache_entries_of_a_scope ON proxy_cacheentry (org_id, scope) INCLUDE (id, expires_at, signs)",
    """CREATE INDEX cache_entries_by_meaning ON proxy_cacheentry
           USING hnsw ((embedding::halfvec(384)) halfvec_ip_ops)""",
)


class Migration(migrations.Migration):
    dependencies = [("proxy", "0006_money")]
    operations = [migrations.RunSQL(STATEMENTS)]
