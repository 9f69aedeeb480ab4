"""Saved views, under row-level security like every tenant row; visits of operators."""

from django.db import migrations, models

from tenants.schema import enumeration, tenant_row, wall


class Migration(migrations.Migration):
    dependencies = [("tenants", "0005_serving")]
    operations = [
        migrations.AddField(
            "organization", "visits_allowed_until", models.DateTimeField(blank=True, editable=False, null=True)
        ),
        migrations.AddField("membership", "visit_until", models.DateTimeField(blank=True, editable=False, null=True)),
        migrations.CreateModel(
            name="SavedView",
            fields=[
                *tenant_row(),
                ("name", models.CharField(max_length=120)),
                ("page", models.CharField(choices=enumeration("breakdown", "requests"), max_length=16)),
                ("query", models.CharField(blank=True, max_length=1_000)),
                ("created_by", models.CharField(blank=True, max_length=254)),
            ],
            options={
                "verbose_name": "saved view",
                "constraints": [
                    models.UniqueConstraint(fields=("org", "page", "name"), name="saved_view_names_are_unique")
                ],
            },
        ),
        migrations.RunSQL(wall("tenants_savedview")),
    ]
