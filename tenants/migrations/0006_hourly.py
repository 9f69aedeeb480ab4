"""Upstreams know until when hours of GPUs pay for their calls."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0006_cache_pacing")]
    operations = [migrations.AddField("upstream", "hourly_until", models.DateTimeField(editable=False, null=True))]
