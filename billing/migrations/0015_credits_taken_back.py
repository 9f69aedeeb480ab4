"""Alerts of credits that could not be bought by themselves, and of payments that were given back or disputed; minimums
that stay when a customer chooses another plan."""

from django.db import migrations, models

from tenants.schema import enumeration

ALERT_KINDS = enumeration(
    "budget",
    "forecast",
    "anomaly",
    "unpriced",
    "overrun",
    "upstream",
    "drift",
    "meter",
    "learned",
    "paid_twice",
    "top_up",
    "taken_back",
    "bill",
    "key_expiring",
    "channel_off",
)


class Migration(migrations.Migration):
    dependencies = [("billing", "0014_days_of_an_end_user")]
    operations = [
        # Of contracts from before it is what their overrides say.
        migrations.AddField("subscription", "agreed_minimum", models.BigIntegerField(blank=True, null=True)),
        migrations.AlterField("alertrule", "kind", models.CharField(choices=ALERT_KINDS, max_length=16)),
        migrations.AlterField("alert", "kind", models.CharField(choices=ALERT_KINDS, max_length=16)),
        migrations.AlterField("mute", "kind", models.CharField(choices=ALERT_KINDS, max_length=16)),
        # Who hears of invoices paid twice hears of these: a channel keeps the kinds that there were when it was made.
        migrations.RunSQL(
            "UPDATE billing_channel SET kinds = kinds || ARRAY['top_up', 'taken_back']::varchar(16)[]"
            " WHERE 'paid_twice' = ANY (kinds)",
            "UPDATE billing_channel SET kinds = array_remove(array_remove(kinds, 'top_up'), 'taken_back')",
        ),
    ]
