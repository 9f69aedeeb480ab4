"""The days of one end user among ten thousand are found by an index: a page that shows twenty of them, or one, read
every end user's every day. It is made while the table is written to."""

from django.db import migrations

from tenants.schema import make_index


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("billing", "0013_change_told_once")]
    operations = [
        migrations.RunSQL(
            make_index("days_of_an_end_user", "billing_dayrollup (org_id, subject, day) WHERE cube = 'end_users'"),
            "DROP INDEX CONCURRENTLY days_of_an_end_user",
        )
    ]
