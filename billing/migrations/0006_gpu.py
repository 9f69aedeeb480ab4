"""Hours of one server of an upstream are a GPU endpoint's, as an upstream's are; those that were the server's own move
here, from the moment on until which they are charged."""

from django.db import migrations, models

MOVE = """
INSERT INTO billing_gpuendpoint
    (id, org_id, created_at, name, upstream, server, project, gpus, hour_nanos, basis, starts_at, ends_at, charged_until)
SELECT gen_random_uuid(), server.org_id, now(), upstream.name, upstream.id, server.id, server.project_id, 1,
       server.per_hour_nanos, 'allocation', server.charged_until, server.ended_at, server.charged_until
FROM tenants_upstreamendpoint AS server JOIN tenants_upstream AS upstream ON upstream.id = server.upstream_id
WHERE server.per_hour_nanos > 0 AND server.project_id IS NOT NULL
"""
#: what tenants.actions.paid_by_hour writes
TELL = """
UPDATE tenants_upstream SET hourly_until = hours.until
FROM (SELECT upstream, max(coalesce(ends_at, '9999-12-31 00:00:00+00')) AS until
      FROM billing_gpuendpoint GROUP BY upstream) AS hours
WHERE tenants_upstream.id = hours.upstream
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0006_demo_invoices"), ("tenants", "0006_hourly")]
    operations = [
        migrations.AddField("gpuendpoint", "server", models.UUIDField(blank=True, null=True)),
        migrations.RemoveConstraint("gpuendpoint", "one_open_gpu_endpoint"),
        migrations.AddConstraint(
            "gpuendpoint",
            models.UniqueConstraint(
                condition=models.Q(ends_at__isnull=True),
                fields=["org", "upstream", "server"],
                name="one_open_gpu_endpoint",
                nulls_distinct=False,
            ),
        ),
        migrations.RunSQL([MOVE, TELL]),
    ]
