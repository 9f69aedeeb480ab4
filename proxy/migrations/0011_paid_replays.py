"""Captured calls that another model is asked again, within a cap."""

import importlib

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models

from tenants.schema import tenant_row, wall

_LORA = importlib.import_module("proxy.migrations.0010_lora")
#: organisations that have something to do, by what it is
BEFORE = _LORA.ORGS % _LORA.TUNED
ORGS = _LORA.ORGS % (
    _LORA.TUNED
    + """        WHEN 'paid replay' THEN EXISTS (SELECT FROM public.proxy_paidreplay AS row
                                        WHERE row.org_id = org.id AND row.state IN ('waiting', 'running'))
"""
)
STATES = [(name, name) for name in ("waiting", "running", "done", "failed", "cancelled")]


class Migration(migrations.Migration):
    dependencies = [("proxy", "0010_lora"), ("tenants", "0007_hours_moved")]
    operations = [
        migrations.CreateModel(
            name="PaidReplay",
            fields=[
                *tenant_row(),
                ("model", models.CharField(max_length=200)),
                ("to", models.CharField(max_length=200)),
                ("state", models.CharField(choices=STATES, default="waiting", max_length=10)),
                ("error", models.TextField(blank=True)),
                (
                    "calls",
                    ArrayField(base_field=models.UUIDField(), default=list, editable=False, size=None),
                ),
                ("api_key", models.BinaryField(editable=False, null=True)),
                ("cap_nanos", models.BigIntegerField()),
                ("cost_nanos", models.BigIntegerField(default=0)),
                ("pairs", models.JSONField(default=list)),
                ("doubted", models.JSONField(default=list, editable=False)),
                ("same", models.PositiveIntegerField(default=0)),
                ("failed", models.PositiveIntegerField(default=0)),
            ],
            options={
                "verbose_name": "paid replay",
                "indexes": [models.Index(fields=["org", "state"], name="paid_replays_by_state")],
            },
        ),
        migrations.RunSQL([*wall("proxy_paidreplay"), ORGS], [BEFORE]),
    ]
