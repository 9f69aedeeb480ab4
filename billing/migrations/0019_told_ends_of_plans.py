"""Who has no plan any more is told so. Customers whose plan had ended before calls were refused for that have a week."""

from django.db import migrations, models

_WEEK = """
UPDATE billing_billingaccount AS account SET admitted_until = now() + interval '7 days'
FROM tenants_organization AS org
WHERE org.id = account.org_id AND NOT org.is_suspended
    AND EXISTS (SELECT FROM billing_subscription AS held
                WHERE held.org_id = account.org_id AND held.starts_at <= now())
    AND NOT EXISTS (SELECT FROM billing_subscription AS held
                    WHERE held.org_id = account.org_id AND held.starts_at <= now()
                        AND (held.ends_at IS NULL OR held.ends_at > now()))
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0018_events_tried_again")]
    operations = [
        migrations.AddField("billingaccount", "admitted_until", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("subscription", "end_told_at", models.DateTimeField(blank=True, null=True)),
        migrations.RunSQL(_WEEK, migrations.RunSQL.noop),
    ]
