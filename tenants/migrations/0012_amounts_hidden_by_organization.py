"""Organisations whose callers are told no amounts, by whatever key."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0011_erasure")]
    operations = [
        # With a default of the table's own: servers of the version before write rows beside it.
        migrations.AddField("organization", "hides_amounts", models.BooleanField(db_default=False, default=False)),
    ]
