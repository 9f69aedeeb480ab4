"""Shorter words for system prompts, which people approve, under row-level security like every tenant row; and the model
by which words are pruned."""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models

from tenants.schema import enumeration, tenant_row, wall

METHODS = enumeration("lossless", "filler", "extract", "prune", "perplexity", "system_prompt")
STATES = enumeration("proposed", "approved", "retired")


class Migration(migrations.Migration):
    dependencies = [("tenants", "0006_hourly")]
    operations = [
        migrations.AlterField(
            model_name="compressionpolicy",
            name="methods",
            field=ArrayField(base_field=models.CharField(choices=METHODS, max_length=16), size=None),
        ),
        migrations.AddField(
            model_name="compressionpolicy", name="scorer", field=models.CharField(blank=True, max_length=200)
        ),
        migrations.CreateModel(
            name="SystemPrompt",
            fields=[
                *tenant_row(),
                ("digest", models.CharField(max_length=64)),
                ("number", models.PositiveIntegerField()),
                ("original", models.TextField()),
                ("shorter", models.TextField()),
                ("state", models.CharField(choices=STATES, max_length=8)),
                ("made_by", models.CharField(max_length=254)),
                ("decided_by", models.CharField(blank=True, max_length=254)),
                ("decided_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name": "system prompt",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("org", "digest", "number"), name="one_system_prompt_a_number"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "approved")),
                        fields=("org", "digest"),
                        name="one_approved_version_a_system_prompt",
                    ),
                ],
            },
        ),
        migrations.RunSQL([*wall("tenants_systemprompt")]),
    ]
