"""Adapters of language models: jobs that train them, and what comes of these."""

from django.db import migrations, models

from tenants.schema import enumeration, stay_inside, tenant_row, wall

#: a function that is replaced keeps its grants
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
%s        WHEN 'provider tuning' THEN EXISTS (SELECT FROM public.proxy_providertuning AS row
                                            WHERE row.org_id = org.id AND row.state IN ('waiting', 'running'))
    END
    $$
"""
TUNED = """            OR EXISTS (SELECT FROM public.proxy_tunedmodel AS row
                       WHERE row.org_id = org.id AND row.state <> 'withdrawn')
"""


class Migration(migrations.Migration):
    dependencies = [("proxy", "0009_found_fast")]
    operations = [
        migrations.AddField("trainingjob", "kind", models.CharField(choices=enumeration("head", "lora"), default="head", max_length=4)),
        migrations.AddField("trainingjob", "base_model", models.CharField(blank=True, default="", max_length=200), False),
        migrations.AddField("trainingjob", "rank", models.PositiveSmallIntegerField(default=0)),
        migrations.AddField("trainingjob", "sequence_tokens", models.PositiveIntegerField(default=0)),
        migrations.CreateModel(
            name="TunedModel",
            fields=[
                *tenant_row(),
                ("name", models.CharField(max_length=120)),
                ("base_model", models.CharField(max_length=200)),
                ("state", models.CharField(choices=enumeration("ready", "withdrawn"), default="ready", max_length=9)),
                ("reason", models.TextField(blank=True)),
                ("adapter", models.BinaryField()),
                ("served", models.BinaryField()),
                ("config", models.JSONField(default=dict)),
                ("model", models.CharField(blank=True, max_length=200)),
                ("sha256", models.CharField(max_length=64)),
                ("size", models.PositiveIntegerField(default=0)),
                ("evaluation", models.JSONField(default=dict)),
                ("withdrawn", models.PositiveIntegerField(default=0)),
                (
                    "job",
                    models.ForeignKey(
                        db_constraint=False, on_delete=models.CASCADE, related_name="+", to="proxy.trainingjob"
                    ),
                ),
            ],
            options={
                "verbose_name": "tuned model",
                "constraints": [
                    models.UniqueConstraint(fields=("org", "name"), name="tuned_model_names_are_unique")
                ],
            },
        ),
        migrations.RunSQL(
            [
                stay_inside("proxy_tunedmodel", "job_id", "proxy_trainingjob"),
                *wall("proxy_tunedmodel"),
                ORGS % TUNED,
            ],
            ORGS % "",
        ),
    ]
