"""Several endpoints of an upstream, and models that were trained to stand in for others."""

import django.db.models.deletion
from django.db import migrations, models

from costhub.lib import clock
from tenants.schema import stay_inside, tenant_row, wall, way_across

TABLE = "tenants_upstreamendpoint"
#: organisations with an endpoint that something is to be done about now and then: a lease, a price, an end
ORGS = """
    SELECT DISTINCT row.org_id FROM public.tenants_upstreamendpoint AS row
    WHERE row.lease_until IS NOT NULL OR row.ended_at IS NOT NULL OR row.per_hour_nanos > 0
"""


class Migration(migrations.Migration):
    dependencies = [("tenants", "0004_routes")]
    operations = [
        migrations.AddField("languagemodel", "student_of", models.CharField(blank=True, default="", max_length=200)),
        migrations.CreateModel(
            name="UpstreamEndpoint",
            fields=[
                *tenant_row(),
                ("name", models.CharField(blank=True, max_length=120)),
                ("base_url", models.CharField(max_length=500)),
                ("origin", models.CharField(max_length=300)),
                ("credential", models.BinaryField(null=True)),
                ("weight", models.PositiveSmallIntegerField(default=1)),
                ("is_draining", models.BooleanField(default=False)),
                ("lease_until", models.DateTimeField(null=True)),
                ("per_hour_nanos", models.BigIntegerField(default=0)),
                ("charged_until", models.DateTimeField(default=clock.now)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "project",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="tenants.project",
                    ),
                ),
                (
                    "upstream",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tenants.upstream",
                    ),
                ),
            ],
            options={
                "verbose_name": "upstream endpoint",
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)),
                        fields=("upstream", "base_url"),
                        name="endpoints_of_an_upstream_are_unique",
                    )
                ],
            },
        ),
        migrations.RunSQL(
            [
                stay_inside(TABLE, "upstream_id", "tenants_upstream"),
                *wall(TABLE),
                *way_across("costhub_endpoint_orgs", "", "TABLE (org_id uuid)", ORGS),
            ]
        ),
    ]
