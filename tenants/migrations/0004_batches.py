"""How many lines of batches an upstream takes at a time, and in which hours; which embeddings calls are asked as one."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0004_accounts")]
    operations = [
        migrations.AddField("languagemodel", "merge_window_ms", models.PositiveSmallIntegerField(default=0)),
        migrations.AddField("upstream", "batch_concurrency", models.PositiveSmallIntegerField(default=8)),
        migrations.AddField("upstream", "batch_hours", models.CharField(blank=True, default="", max_length=11), preserve_default=False),
    ]
