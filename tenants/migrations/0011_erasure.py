"""Organisations whose owners asked for their erasure."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0010_hidden_amounts")]
    operations = [
        migrations.AddField(
            "organization", "erasure_asked_at", models.DateTimeField(blank=True, editable=False, null=True)
        ),
    ]
