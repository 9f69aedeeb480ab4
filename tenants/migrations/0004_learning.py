"""Consent to keep what is said in calls."""

from django.db import migrations, models

from tenants.schema import tenant_row, wall


class Migration(migrations.Migration):
    dependencies = [("tenants", "0004_console")]
    operations = [
        migrations.CreateModel(
            name="CapturePolicy",
            fields=[
                *tenant_row(),
                ("model", models.CharField(blank=True, max_length=200)),
                ("per_mille", models.PositiveSmallIntegerField()),
                ("kept_days", models.PositiveSmallIntegerField(default=30)),
            ],
            options={
                "verbose_name": "capture policy",
                "verbose_name_plural": "capture policies",
                "constraints": [
                    models.UniqueConstraint(fields=["org", "model"], name="one_capture_policy_a_model")
                ],
            },
        ),
        migrations.RunSQL(wall("tenants_capturepolicy")),
    ]
