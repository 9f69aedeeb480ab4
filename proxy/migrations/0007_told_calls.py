"""Calls with deadlines that are out, and of which nobody has been told yet; responses that run in the background."""

from django.db import migrations, models

from tenants.schema import way_across


class Migration(migrations.Migration):
    dependencies = [("proxy", "0007_comparisons")]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE proxy_batchline ADD COLUMN told_at timestamptz, ADD COLUMN cancelled_at timestamptz,"
            " ADD COLUMN is_background boolean NOT NULL DEFAULT false",
            state_operations=[
                migrations.AddField("batchline", "told_at", models.DateTimeField(null=True)),
                migrations.AddField("batchline", "is_background", models.BooleanField(default=False)),
                migrations.AddField("batchline", "cancelled_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.RunSQL(
            [
                "CREATE INDEX calls_to_tell_of ON proxy_batchline (org_id)"
                " WHERE deadline_at IS NOT NULL AND answer IS NOT NULL AND told_at IS NULL",
                *way_across(
                    "costhub_orgs_with_ended_calls",
                    "",
                    "TABLE (org_id uuid)",
                    "SELECT DISTINCT org_id FROM public.proxy_batchline"
                    " WHERE deadline_at IS NOT NULL AND answer IS NOT NULL AND told_at IS NULL",
                ),
            ]
        ),
    ]
