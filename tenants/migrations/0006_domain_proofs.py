"""Domains are looked at again: when that was last, and since when nothing was found."""

from django.db import migrations, models

from costhub.lib import clock


class Migration(migrations.Migration):
    dependencies = [("tenants", "0006_system_prompts")]
    operations = [
        migrations.AddField("claimeddomain", "checked_at", models.DateTimeField(default=clock.now)),
        migrations.AddField("claimeddomain", "missing_since", models.DateTimeField(blank=True, null=True)),
    ]
