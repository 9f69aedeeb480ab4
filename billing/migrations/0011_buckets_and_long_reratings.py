"""A customer's own bucket for the month's papers, and why they were not delivered; re-ratings that are counted by a job.
"""

from django.db import migrations, models

from tenants.schema import enumeration


LIST_RERATINGS = """
CREATE OR REPLACE FUNCTION costhub_orgs_with_reratings() RETURNS TABLE (org_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT DISTINCT org_id FROM public.billing_rerating WHERE state IN ('counting', 'approved', 'posting')
$$
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0010_fill_finer_sums")]
    operations = [
        *(
            migrations.AddField(
                model_name="billingaccount",
                name=name,
                field=models.CharField(blank=True, db_default="", default="", max_length=most),
            )
            for name, most in (("bucket_url", 300), ("bucket_region", 40), ("bucket_key_id", 128))
        ),
        migrations.AddField(
            model_name="billingaccount", name="bucket_secret", field=models.BinaryField(editable=False, null=True)
        ),
        migrations.AlterField(
            model_name="billingaccount",
            name="pack_to",
            field=models.CharField(choices=enumeration("none", "mail", "files", "s3"), default="none", max_length=5),
        ),
        migrations.AddField(
            model_name="financepack", name="tried_at", field=models.DateTimeField(blank=True, null=True)
        ),
        migrations.AddField(
            model_name="financepack",
            name="problem",
            field=models.CharField(blank=True, db_default="", default="", max_length=300),
        ),
            *(
            migrations.AddField(
                model_name="rerating", name=name, field=models.BigIntegerField(db_default=0, default=0)
            )
            for name in ("checked", "checked_nanos")
        ),
        migrations.AlterField(
            model_name="rerating",
            name="state",
            field=models.CharField(
                choices=enumeration("counting", "previewed", "approved", "posting", "applied", "stale"),
                default="previewed",
                max_length=9,
            ),
        ),
        migrations.RunSQL(LIST_RERATINGS, migrations.RunSQL.noop),
    ]
