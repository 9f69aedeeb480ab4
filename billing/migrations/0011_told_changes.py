"""Webhooks that are told of what the audit log says."""

from django.db import migrations, models

from tenants.schema import enumeration, way_across


class Migration(migrations.Migration):
    dependencies = [("billing", "0011_buckets_and_long_reratings"), ("tenants", "0009_extract_percent")]
    operations = [
        # With defaults of the tables' own: servers of the version before write rows beside it.
        migrations.AddField("channel", "gets_changes", models.BooleanField(db_default=False, default=False)),
        migrations.AddField(
            "channel", "changes_told", models.BigIntegerField(db_default=0, default=0, editable=False)
        ),
        migrations.AddField("delivery", "change", models.UUIDField(null=True)),
        migrations.AlterField(
            "delivery",
            "event",
            models.CharField(
                choices=enumeration("opened", "recovered", "test", "answered", "unanswered", "changed"), max_length=10
            ),
        ),
        migrations.RunSQL(
            way_across(
                "costhub_orgs_with_untold_changes",
                "",
                "TABLE (org_id uuid)",
                "SELECT DISTINCT channel.org_id FROM public.billing_channel channel"
                " WHERE channel.gets_changes AND channel.is_active AND EXISTS (SELECT FROM public.tenants_auditentry entry"
                " WHERE entry.org_id = channel.org_id AND entry.number > channel.changes_told)",
            )
        ),
    ]
