"""Budgets and rate limits that count the calls of one project or key only."""

from django.db import migrations, models

WITHIN = [(scope, scope) for scope in ("project", "key")]


class Migration(migrations.Migration):
    dependencies = [("tenants", "0003_rate_limits")]
    operations = [
        operation
        for model in ("budget", "ratelimit")
        for operation in (
            migrations.AddField(
                model, "within_scope", models.CharField(blank=True, choices=WITHIN, default="", max_length=16),
                preserve_default=False,
            ),
            migrations.AddField(
                model, "within", models.CharField(blank=True, default="", max_length=36), preserve_default=False
            ),
        )
    ]
