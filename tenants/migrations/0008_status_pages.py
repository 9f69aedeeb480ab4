"""The public page of how an organisation's upstreams do: off until somebody publishes it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0007_hours_moved")]
    operations = [migrations.AddField("organization", "status_page", models.UUIDField(null=True, blank=True, editable=False))]
