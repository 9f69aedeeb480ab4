"""Routes with their versions, and how prompts are shortened, under row-level security like every tenant row."""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models

from tenants.schema import enumeration, tenant_row, wall

MODES = enumeration("off", "shadow", "on")
KINDS = enumeration("fixed", "fallbacks", "weighted", "canary", "router", "cascade")
METHODS = enumeration("lossless", "filler", "extract", "prune")


class Migration(migrations.Migration):
    dependencies = [("tenants", "0004_batches")]
    operations = [
        migrations.CreateModel(
            name="Route",
            fields=[
                *tenant_row(),
                ("name", models.CharField(max_length=200)),
                ("kind", models.CharField(choices=KINDS, max_length=16)),
                ("mode", models.CharField(choices=MODES, max_length=8)),
                ("policy", models.JSONField(default=dict)),
                ("version", models.PositiveIntegerField(default=1)),
                ("learned", models.CharField(blank=True, max_length=36)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("org", "name"), name="route_names_are_unique")],
            },
        ),
        migrations.CreateModel(
            name="RouteVersion",
            fields=[
                *tenant_row(),
                ("route_id", models.UUIDField()),
                ("number", models.PositiveIntegerField()),
                ("kind", models.CharField(max_length=16)),
                ("mode", models.CharField(max_length=8)),
                ("policy", models.JSONField(default=dict)),
                ("made_by", models.CharField(max_length=254)),
            ],
            options={
                "verbose_name": "route version",
                "constraints": [
                    models.UniqueConstraint(fields=("org", "route_id", "number"), name="one_route_version_a_number")
                ],
            },
        ),
        migrations.CreateModel(
            name="CompressionPolicy",
            fields=[
                *tenant_row(),
                ("model", models.CharField(blank=True, max_length=200)),
                ("mode", models.CharField(choices=MODES, max_length=8)),
                ("methods", ArrayField(base_field=models.CharField(choices=METHODS, max_length=16), size=None)),
                ("keep_percent", models.PositiveSmallIntegerField(default=0)),
                ("holdout_percent", models.PositiveSmallIntegerField(default=2)),
            ],
            options={
                "verbose_name": "compression policy",
                "verbose_name_plural": "compression policies",
                "constraints": [
                    models.UniqueConstraint(fields=("org", "model"), name="one_compression_policy_a_model")
                ],
            },
        ),
        migrations.RunSQL(
            [
                statement
                for table in ("tenants_route", "tenants_routeversion", "tenants_compressionpolicy")
                for statement in wall(table)
            ]
        ),
    ]
