"""Tuned models that are trusted step by step; jobs that no worker survives; runs that cost what the ledger says."""

import importlib

from django.db import migrations, models

from costhub.lib import clock
from proxy.learning.orgs_with import define, exists
from tenants.schema import enumeration

BEFORE = importlib.import_module("proxy.migrations.0011_paid_replays").ORGS
UNDER_WAY = "row.state IN ('waiting', 'running')"
#: organisations that have something to do, by what it is
CONDITIONS = {
    "kept": (
        exists("capturedcall", "true")
        + " OR "
        + exists("learnedexample", "row.kind = 'call' AND row.withdrawn_at IS NULL")
    ),
    "version": exists("datasetversion", "row.state = 'waiting'"),
    "teacher run": exists("teacherrun", UNDER_WAY),
    "training": exists("trainingjob", f"({UNDER_WAY} OR row.segment_from IS NOT NULL)"),
    "student": exists("student", "row.stage NOT IN ('rolled_back', 'withdrawn')"),
    "tuned": exists("tunedmodel", "row.model <> '' AND row.stage NOT IN ('rolled_back', 'withdrawn')"),
    "trained": " OR ".join(
        [
            exists("student", "row.stage <> 'withdrawn'"),
            exists("providertuning", "true"),
            exists("tunedmodel", "row.state <> 'withdrawn'"),
        ]
    ),
    "provider tuning": exists("providertuning", UNDER_WAY),
    "paid replay": exists("paidreplay", UNDER_WAY),
    "paid run": " OR ".join(exists(table, "row.settle_at IS NOT NULL") for table in ("teacherrun", "paidreplay")),
}
#: what the version before does not say of rows that it makes while both run
DEFAULTS = """
ALTER TABLE proxy_trainingjob ALTER crashes SET DEFAULT 0, ALTER crashed_at SET DEFAULT 0;
ALTER TABLE proxy_teacherrun ALTER is_tagged SET DEFAULT false;
ALTER TABLE proxy_paidreplay ALTER is_tagged SET DEFAULT false;
ALTER TABLE proxy_tunedmodel ALTER threshold SET DEFAULT 1.01, ALTER trials SET DEFAULT '[]',
    ALTER floor_per_mille SET DEFAULT 900, ALTER stage SET DEFAULT 'shadow', ALTER canary_percent SET DEFAULT 10,
    ALTER route SET DEFAULT '', ALTER compared SET DEFAULT 0, ALTER answered SET DEFAULT 0, ALTER agreed SET DEFAULT 0,
    ALTER compared_until SET DEFAULT now(), ALTER recent SET DEFAULT '';
"""
STAGES = enumeration("shadow", "canary", "promoted", "rolled_back", "withdrawn")


class Migration(migrations.Migration):
    dependencies = [("proxy", "0011_paid_replays")]
    operations = [
        migrations.AddField("trainingjob", "crashes", models.PositiveSmallIntegerField(default=0)),
        migrations.AddField("trainingjob", "crashed_at", models.PositiveIntegerField(default=0)),
        *(
            operation
            for table in ("teacherrun", "paidreplay")
            for operation in (
                migrations.AddField(table, "is_tagged", models.BooleanField(default=False)),
                migrations.AddField(table, "settle_at", models.DateTimeField(null=True)),
            )
        ),
        migrations.AddField("paidreplay", "counted_until", models.DateTimeField(null=True)),
        migrations.AddField("tunedmodel", "threshold", models.FloatField(default=1.01)),
        migrations.AddField("tunedmodel", "trials", models.JSONField(default=list, editable=False)),
        migrations.AddField("tunedmodel", "floor_per_mille", models.PositiveSmallIntegerField(default=900)),
        migrations.AddField("tunedmodel", "stage", models.CharField(choices=STAGES, default="shadow", max_length=12)),
        migrations.AddField("tunedmodel", "canary_percent", models.PositiveSmallIntegerField(default=10)),
        migrations.AddField("tunedmodel", "route", models.CharField(blank=True, default="", max_length=200), False),
        migrations.AddField("tunedmodel", "compared", models.PositiveIntegerField(default=0)),
        migrations.AddField("tunedmodel", "answered", models.PositiveIntegerField(default=0)),
        migrations.AddField("tunedmodel", "agreed", models.PositiveIntegerField(default=0)),
        migrations.AddField("tunedmodel", "compared_until", models.DateTimeField(default=clock.now)),
        migrations.AddField("tunedmodel", "recent", models.TextField(blank=True, default=""), False),
        migrations.RunSQL(DEFAULTS, migrations.RunSQL.noop),
        migrations.RunSQL(
            [
                "UPDATE proxy_tunedmodel SET stage = 'withdrawn' WHERE state = 'withdrawn'",
                define(CONDITIONS),
            ],
            BEFORE,
        ),
    ]
