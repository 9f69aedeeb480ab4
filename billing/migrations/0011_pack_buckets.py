"""A customer's own bucket for the month's papers, and why one was not delivered."""

from django.db import migrations, models

from tenants.schema import enumeration


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
    ]
