"""Upstreams that speak Anthropic's Messages, when models end, and for how long an organisation keeps answers that are
asked for again."""

from django.db import migrations, models

KINDS = ("openai", "openai_compatible", "anthropic")


class Migration(migrations.Migration):
    dependencies = [("tenants", "0003_audit_chain")]

    operations = [
        migrations.AlterField(
            model_name="upstream",
            name="kind",
            field=models.CharField(choices=[(kind, kind) for kind in KINDS], max_length=32),
        ),
        migrations.AddField(
            model_name="languagemodel", name="ends_on", field=models.CharField(blank=True, default="", max_length=10)
        ),
        migrations.AddField(
            model_name="organization", name="answers_kept_hours", field=models.PositiveIntegerField(default=0)
        ),
    ]
