"""The days of one end user among ten thousand are found by an index: a page that shows twenty of them, or one, read
every end user's every day. It is made while the table is written to."""

from django.db import migrations


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("billing", "0013_change_told_once")]
    operations = [
        migrations.RunSQL(
            "CREATE INDEX CONCURRENTLY days_of_an_end_user ON billing_dayrollup (org_id, subject, day)"
            " WHERE cube = 'end_users'",
            "DROP INDEX CONCURRENTLY days_of_an_end_user",
        )
    ]
