"""A change is told once to each webhook. The index is made while the table is written to."""

from django.db import migrations, models
from django.db.models import Q

from tenants.schema import make_index


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("billing", "0012_no_blocks_of_keys")]
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    make_index(
                        "change_told_once",
                        "billing_delivery (org_id, change, channel) WHERE change IS NOT NULL",
                        is_unique=True,
                    ),
                    "DROP INDEX CONCURRENTLY change_told_once",
                )
            ],
            state_operations=[
                migrations.AddConstraint(
                    "delivery",
                    models.UniqueConstraint(
                        condition=Q(change__isnull=False), fields=["org", "change", "channel"], name="change_told_once"
                    ),
                )
            ],
        )
    ]
