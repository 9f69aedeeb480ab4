"""Webhooks that are told of calls with deadlines when they are out."""

from django.db import migrations, models

from tenants.schema import enumeration


class Migration(migrations.Migration):
    dependencies = [("billing", "0006_gpu"), ("proxy", "0007_told_calls")]
    operations = [
        migrations.AddField("channel", "gets_calls", models.BooleanField(default=False)),
        migrations.AddField("delivery", "call", models.UUIDField(null=True)),
        migrations.AlterField(
            "delivery",
            "event",
            models.CharField(
                choices=enumeration("opened", "recovered", "test", "answered", "unanswered"), max_length=10
            ),
        ),
        migrations.AddConstraint(
            "delivery",
            models.UniqueConstraint(
                condition=models.Q(call__isnull=False), fields=["org", "call", "channel"], name="call_told_once"
            ),
        ),
    ]
