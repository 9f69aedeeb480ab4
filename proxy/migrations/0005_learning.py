"""What was captured to learn from, datasets, teacher runs, training jobs and students; and a kind of the ledger's rows for
what training costs."""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models

from costhub.lib import clock
from tenants.schema import lead_with_org, stay_inside, tenant_row, wall, way_across

TABLES = [
    "proxy_capturedcall",
    "proxy_dataset",
    "proxy_learnedexample",
    "proxy_datasetversion",
    "proxy_teacherrun",
    "proxy_trainingjob",
    "proxy_student",
]
#: organisations that have something to do, by what it is
ORGS = """
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
                                    WHERE row.org_id = org.id AND row.stage <> 'rolled_back')
    END
"""
KINDS = [
    "ALTER TABLE proxy_ledgerentry DROP CONSTRAINT proxy_ledgerentry_kind_check",
    "ALTER TABLE proxy_ledgerentry ADD CONSTRAINT proxy_ledgerentry_kind_check"
    " CHECK (kind IN ('call', 'correction', 'training'))",
]


class Migration(migrations.Migration):
    dependencies = [("proxy", "0005_console"), ("tenants", "0004_learning")]

    operations = [
        migrations.CreateModel(
            name="Dataset",
            fields=[
                *tenant_row(),
                ("name", models.CharField(max_length=120)),
                ("teacher", models.CharField(max_length=200)),
                ("held_out_percent", models.PositiveSmallIntegerField(default=20)),
                ("near_per_mille", models.PositiveSmallIntegerField(default=970)),
                ("drops_outvoted", models.BooleanField(default=False)),
                ("region", models.CharField(blank=True, max_length=2)),
            ],
        ),
        migrations.CreateModel(
            name="DatasetVersion",
            fields=[
                *tenant_row(),
                ("number", models.PositiveIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[("waiting", "waiting"), ("ready", "ready"), ("failed", "failed")],
                        default="waiting",
                        max_length=8,
                    ),
                ),
                ("error", models.TextField(blank=True)),
                ("sha256", models.CharField(blank=True, max_length=64)),
                ("train", ArrayField(base_field=models.UUIDField(), default=list, size=None)),
                ("held_out", ArrayField(base_field=models.UUIDField(), default=list, size=None)),
                ("lineage", models.JSONField(default=dict)),
                ("labels", models.JSONField(default=dict)),
                (
                    "dataset",
                    models.ForeignKey(
                        db_constraint=False, on_delete=models.CASCADE, related_name="+", to="proxy.dataset"
                    ),
                ),
            ],
            options={
                "verbose_name": "dataset version",
            },
        ),
        migrations.CreateModel(
            name="LearnedExample",
            fields=[
                *tenant_row(),
                (
                    "kind",
                    models.CharField(
                        choices=[("call", "call"), ("teacher", "teacher"), ("import", "import")], max_length=8
                    ),
                ),
                ("source", models.UUIDField()),
                ("number", models.PositiveIntegerField(default=0)),
                ("at", models.DateTimeField()),
                ("model", models.CharField(max_length=200)),
                ("end_user", models.TextField(blank=True)),
                ("sealed", models.BinaryField(null=True)),
                ("scrubbed", models.JSONField(default=dict)),
                ("withdrawn_at", models.DateTimeField(null=True)),
                (
                    "dataset",
                    models.ForeignKey(
                        db_constraint=False, on_delete=models.CASCADE, related_name="+", to="proxy.dataset"
                    ),
                ),
            ],
            options={
                "verbose_name": "example",
            },
        ),
        migrations.CreateModel(
            name="TeacherRun",
            fields=[
                *tenant_row(),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "waiting"),
                            ("running", "running"),
                            ("done", "done"),
                            ("failed", "failed"),
                            ("cancelled", "cancelled"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("error", models.TextField(blank=True)),
                ("prompts", models.BinaryField()),
                ("api_key", models.BinaryField(null=True)),
                ("total", models.PositiveIntegerField()),
                ("answered", models.PositiveIntegerField(default=0)),
                ("failed", models.PositiveIntegerField(default=0)),
                ("cost_nanos", models.BigIntegerField(default=0)),
                (
                    "dataset",
                    models.ForeignKey(
                        db_constraint=False, on_delete=models.CASCADE, related_name="+", to="proxy.dataset"
                    ),
                ),
            ],
            options={
                "verbose_name": "teacher run",
            },
        ),
        migrations.CreateModel(
            name="TrainingJob",
            fields=[
                *tenant_row(),
                ("project_id", models.UUIDField()),
                ("name", models.CharField(max_length=120)),
                ("seed", models.PositiveIntegerField(default=0)),
                ("epochs", models.PositiveIntegerField(default=60)),
                ("batch_rows", models.PositiveIntegerField(default=64)),
                ("rate_millionths", models.PositiveIntegerField(default=10000)),
                ("per_hour_nanos", models.BigIntegerField(default=0)),
                ("most_nanos", models.BigIntegerField(null=True)),
                ("floor_per_mille", models.PositiveSmallIntegerField(default=900)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "waiting"),
                            ("running", "running"),
                            ("done", "done"),
                            ("failed", "failed"),
                            ("cancelled", "cancelled"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("error", models.TextField(blank=True)),
                ("fence", models.PositiveIntegerField(default=0)),
                ("worker", models.CharField(blank=True, max_length=120)),
                ("lease_until", models.DateTimeField(null=True)),
                ("segment_from", models.DateTimeField(null=True)),
                ("segment_until", models.DateTimeField(null=True)),
                ("spent_nanos", models.BigIntegerField(default=0)),
                ("step", models.PositiveIntegerField(default=0)),
                ("steps", models.PositiveIntegerField(default=0)),
                ("losses", models.JSONField(default=list)),
                ("tokens", models.BigIntegerField(default=0)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "version",
                    models.ForeignKey(
                        db_constraint=False, on_delete=models.CASCADE, related_name="+", to="proxy.datasetversion"
                    ),
                ),
            ],
            options={
                "verbose_name": "training job",
            },
        ),
        migrations.CreateModel(
            name="Student",
            fields=[
                *tenant_row(),
                ("name", models.CharField(max_length=120)),
                ("labels", models.JSONField(default=list)),
                ("weights", models.BinaryField()),
                ("sha256", models.CharField(max_length=64)),
                ("threshold", models.FloatField(default=0)),
                ("floor_per_mille", models.PositiveSmallIntegerField(default=900)),
                (
                    "stage",
                    models.CharField(
                        choices=[
                            ("shadow", "shadow"),
                            ("canary", "canary"),
                            ("promoted", "promoted"),
                            ("rolled_back", "rolled_back"),
                        ],
                        default="shadow",
                        max_length=12,
                    ),
                ),
                ("reason", models.TextField(blank=True)),
                ("evaluation", models.JSONField(default=dict)),
                ("compared", models.PositiveIntegerField(default=0)),
                ("answered", models.PositiveIntegerField(default=0)),
                ("agreed", models.PositiveIntegerField(default=0)),
                ("compared_until", models.DateTimeField(default=clock.now)),
                ("recent", models.TextField(blank=True)),
                (
                    "job",
                    models.ForeignKey(
                        db_constraint=False, on_delete=models.CASCADE, related_name="+", to="proxy.trainingjob"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="CapturedCall",
            fields=[
                *tenant_row(),
                ("at", models.DateTimeField()),
                ("project_id", models.UUIDField()),
                ("model", models.CharField(max_length=200)),
                ("teacher", models.CharField(max_length=200)),
                ("end_user", models.TextField(blank=True)),
                ("sealed", models.BinaryField()),
                ("expires_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "captured call",
                "indexes": [
                    models.Index(fields=["org", "teacher", "at"], name="captured_calls_of_a_teacher"),
                    models.Index(fields=["org", "expires_at"], name="captured_calls_that_end"),
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="dataset",
            constraint=models.UniqueConstraint(fields=("org", "name"), name="dataset_names_are_unique"),
        ),
        migrations.AddConstraint(
            model_name="datasetversion",
            constraint=models.UniqueConstraint(fields=("dataset", "number"), name="versions_are_counted"),
        ),
        migrations.AddIndex(
            model_name="learnedexample",
            index=models.Index(fields=["org", "dataset", "at"], name="examples_of_a_dataset"),
        ),
        migrations.AddConstraint(
            model_name="learnedexample",
            constraint=models.UniqueConstraint(fields=("dataset", "source", "number"), name="examples_come_once"),
        ),
        migrations.AddIndex(
            model_name="trainingjob",
            index=models.Index(fields=["org", "state"], name="training_jobs_by_state"),
        ),
        migrations.AddConstraint(
            model_name="student",
            constraint=models.UniqueConstraint(fields=("org", "name"), name="student_names_are_unique"),
        ),
        migrations.RunSQL(
            [
                *(lead_with_org(table) for table in ("proxy_dataset", "proxy_datasetversion", "proxy_trainingjob")),
                stay_inside("proxy_learnedexample", "dataset_id", "proxy_dataset"),
                stay_inside("proxy_datasetversion", "dataset_id", "proxy_dataset"),
                stay_inside("proxy_teacherrun", "dataset_id", "proxy_dataset"),
                stay_inside("proxy_trainingjob", "version_id", "proxy_datasetversion"),
                stay_inside("proxy_student", "job_id", "proxy_trainingjob"),
                *(statement for table in TABLES for statement in wall(table)),
                *KINDS,
                *way_across("costhub_learning_orgs", "what text", "TABLE (org_id uuid)", ORGS),
            ]
        ),
    ]
