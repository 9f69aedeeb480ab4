"""Sums that there were before finer ones, in a transaction of their own: the one that alters their tables keeps every page
waiting until it ends, and this may take minutes."""

from importlib import import_module

from django.db import migrations

finer = import_module("billing.migrations.0008_finer_sums")

#: Sums that were made before this: days whose rows are gone have their statuses from finer sums of theirs, and nothing
#: of the cache, as they had before; the others are made anew by the job, and read from quarters and rows until then.
BACK_FILL = [
    f"""INSERT INTO billing_dayrollup (cube, org_id, day, project_id, upstream_id, status, {finer.sums.NAMES_OF_SUMS})
        SELECT 'statuses', org_id, day, project_id, upstream_id, status, {finer.sums.SUMS}
        FROM billing_dayrollup AS held
        WHERE cube = 'calls' AND NOT EXISTS (
            SELECT FROM billing_dayrollup AS made
            WHERE made.org_id = held.org_id AND made.cube = 'statuses' AND made.day = held.day)
        GROUP BY org_id, day, project_id, upstream_id, status""",
    f"""UPDATE billing_rollupzone
        SET fine_from = greatest(costhub_ledger_floor(), date_bin('1 day', now() - interval '{finer.RECENT_DAYS} days', 'epoch'))""",
    """INSERT INTO billing_quartermark (org_id, quarter)
       SELECT q.org_id, q.quarter FROM billing_quarterrollup AS q JOIN billing_rollupzone AS z USING (org_id)
       WHERE q.cube = 'total' AND q.quarter >= z.fine_from ORDER BY q.quarter""",
    """INSERT INTO billing_daymark (org_id, quarter)
       SELECT q.org_id, q.quarter FROM billing_quarterrollup AS q
       WHERE q.cube = 'total' AND q.quarter >= costhub_ledger_floor() ON CONFLICT DO NOTHING""",
    finer.mark_blocks("billing_dayrollup AS made").replace("ON CONFLICT", "WHERE made.cube = 'total' ON CONFLICT"),
]


class Migration(migrations.Migration):
    dependencies = [("billing", "0009_payments_and_bills")]
    operations = [migrations.RunSQL(["SET LOCAL statement_timeout = 0", *BACK_FILL])]
