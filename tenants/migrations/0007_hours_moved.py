"""What an hour of an endpoint costs is a GPU endpoint's by now (billing's 0006_gpu)."""

from django.db import migrations

#: organisations with an endpoint that something is to be done about now and then: a lease, an end
ORGS = """
CREATE OR REPLACE FUNCTION costhub_endpoint_orgs() RETURNS TABLE (org_id uuid) LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public AS $$
    SELECT DISTINCT row.org_id FROM public.tenants_upstreamendpoint AS row
    WHERE row.lease_until IS NOT NULL OR row.ended_at IS NOT NULL
$$
"""


class Migration(migrations.Migration):
    dependencies = [("tenants", "0006_domain_proofs"), ("billing", "0006_gpu")]
    operations = [
        # A function that is replaced keeps its grants.
        migrations.RunSQL(ORGS),
        migrations.RemoveField("upstreamendpoint", "per_hour_nanos"),
        migrations.RemoveField("upstreamendpoint", "project"),
        migrations.RemoveField("upstreamendpoint", "charged_until"),
    ]
