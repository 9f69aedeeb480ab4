"""Students that are served, and may have to be unlearned; models that providers train; hours of serving in the ledger."""

from django.db import migrations, models

from tenants.schema import stay_inside, tenant_row, wall

KINDS = [
    "ALTER TABLE proxy_ledgerentry DROP CONSTRAINT proxy_ledgerentry_kind_check",
    "ALTER TABLE proxy_ledgerentry ADD CONSTRAINT proxy_ledgerentry_kind_check"
    " CHECK (kind IN ('call', 'correction', 'training', 'serving'))",
]
#: organisations that have something to do, by what it is; a function that is replaced keeps its grants
ORGS = """
    CREATE OR REPLACE FUNCTION costhub_learning_orgs(what text) RETURNS TABLE (org_id uuid) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT org.id FROM public.tenants_organization AS org WHERE CASE what
        WHEN 'kept' THEN EXISTS (SELECT FROM public.proxy_capturedcall AS row WHERE row.org_id = org.id)
            OR EXISTS (SELECT FROM public.proxy_learnedexample AS row
                       WHERE row.org_id = org.id AND row.kind = 'call' AND row.withdrawn_at IS NULL)
        WHEN 'version' THEN EXISTS (SELECT FROM public.proxy_datasetversion AS row
                                    WHERE row.org_id = org.id AND row.state = 'waiting')
        WHEN 'teacher run' THEN EXISTS (SELECT FROM public.proxy_teacherrun AS row
                                        WHERE row.org_id = org.id AND row.state IN ('waiting', 'running'))
        WHEN 'training' THEN EXISTS (SELECT FROM public.proxy_trainingjob AS row WHERE row.org_id = org.id
                                     AND (row.state IN ('waiting', 'running') OR row.segment_from IS NOT NULL))
        WHEN 'student' THEN EXISTS (SELECT FROM public.proxy_student AS row
                                    WHERE row.org_id = org.id AND row.stage NOT IN ('rolled_back', 'withdrawn'))
        WHEN 'trained' THEN EXISTS (SELECT FROM public.proxy_student AS row
                                    WHERE row.org_id = org.id AND row.stage <> 'withdrawn')
            OR EXISTS (SELECT FROM public.proxy_providertuning AS row WHERE row.org_id = org.id)
        WHEN 'provider tuning' THEN EXISTS (SELECT FROM public.proxy_providertuning AS row
                                            WHERE row.org_id = org.id AND row.state IN ('waiting', 'running'))
    END
    $$
"""
STATES = [(name, name) for name in ("waiting", "running", "done", "failed", "cancelled")]
STAGES = [(name, name) for name in ("shadow", "canary", "promoted", "rolled_back", "withdrawn")]


class Migration(migrations.Migration):
    dependencies = [("proxy", "0006_faults"), ("tenants", "0005_serving")]
    operations = [
        migrations.AlterField(
            "student", "stage", models.CharField(choices=STAGES, default="shadow", max_length=12)
        ),
        migrations.AddField("student", "canary_percent", models.PositiveSmallIntegerField(default=10)),
        migrations.AddField("student", "frames", models.JSONField(default=list)),
        migrations.AddField("student", "withdrawn", models.PositiveIntegerField(default=0)),
        migrations.AddField("student", "route", models.CharField(blank=True, default="", max_length=200), False),
        migrations.AddField("trainingjob", "held_nanos", models.BigIntegerField(default=0)),
        migrations.AddField("trainingjob", "hold_steps", models.PositiveSmallIntegerField(default=0)),
        migrations.CreateModel(
            name="ProviderTuning",
            fields=[
                *tenant_row(),
                ("upstream_id", models.UUIDField()),
                ("project_id", models.UUIDField()),
                ("name", models.CharField(max_length=200)),
                ("base_model", models.CharField(max_length=200)),
                ("epochs", models.PositiveSmallIntegerField(default=3)),
                ("per_million_nanos", models.BigIntegerField()),
                ("most_tokens", models.BigIntegerField(default=0)),
                ("state", models.CharField(choices=STATES, default="waiting", max_length=10)),
                ("error", models.TextField(blank=True)),
                ("remote_file", models.CharField(blank=True, max_length=200)),
                ("remote_job", models.CharField(blank=True, max_length=200)),
                ("remote_model", models.CharField(blank=True, max_length=200)),
                ("remote_state", models.CharField(blank=True, max_length=40)),
                ("events", models.JSONField(default=list)),
                ("trained_tokens", models.BigIntegerField(default=0)),
                ("held_nanos", models.BigIntegerField(default=0)),
                ("spent_nanos", models.BigIntegerField(default=0)),
                ("withdrawn", models.PositiveIntegerField(default=0)),
                ("is_cancelled", models.BooleanField(default=False)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "version",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=models.CASCADE,
                        related_name="+",
                        to="proxy.datasetversion",
                    ),
                ),
            ],
            options={
                "verbose_name": "provider tuning",
                "indexes": [models.Index(fields=["org", "state"], name="provider_tunings_by_state")],
            },
        ),
        migrations.RunSQL(
            [
                stay_inside("proxy_providertuning", "version_id", "proxy_datasetversion"),
                *wall("proxy_providertuning"),
                *KINDS,
                ORGS,
            ]
        ),
    ]
