"""The days of one key among ten thousand are found by an index, as those of an end user are: a page that shows fifty
keys read every key's every day. It is made while the table is written to.

And sums of whole numbers that stay such: PostgreSQL's own become decimals, which for a list of ten thousand end users
takes a third of its time. Sums that are too large are refused by it, and made by the usual ones then.
"""

from django.db import migrations

from tenants.schema import allow, make_index


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("billing", "0019_told_ends_of_plans")]
    operations = [
        migrations.RunSQL(
            make_index("days_of_a_key", "billing_dayrollup (org_id, key_id, day) WHERE cube = 'keys'"),
            "DROP INDEX CONCURRENTLY days_of_a_key",
        ),
        migrations.RunSQL(
            [
                # Not atomic either: the next run makes it anew.
                "CREATE OR REPLACE AGGREGATE costhub_add(bigint) (SFUNC = int8pl, STYPE = bigint, COMBINEFUNC = int8pl, PARALLEL = SAFE)",
                *allow("costhub_add(bigint)"),
            ],
            "DROP AGGREGATE costhub_add(bigint)",
        ),
    ]
