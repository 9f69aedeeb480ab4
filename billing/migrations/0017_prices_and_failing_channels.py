"""Alerts of prices that changed, and of channels that fail and are not switched off yet."""

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
    "stripe_event",
    "bill",
    "key_expiring",
    "channel_off",
    "channel_failing",
    "price",
)


class Migration(migrations.Migration):
    dependencies = [("billing", "0016_stripe_told_and_refused")]
    operations = [
        migrations.AlterField("alertrule", "kind", models.CharField(choices=ALERT_KINDS, max_length=16)),
        migrations.AlterField("alert", "kind", models.CharField(choices=ALERT_KINDS, max_length=16)),
        migrations.AlterField("mute", "kind", models.CharField(choices=ALERT_KINDS, max_length=16)),
        # Who hears of dead channels hears of failing ones, and who of models without a price of another price: a
        # channel keeps the kinds that there were when it was made.
        migrations.RunSQL(
            "UPDATE billing_channel SET kinds = kinds || ARRAY['channel_failing']::varchar(16)[]"
            " WHERE 'channel_off' = ANY (kinds)",
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(
            "UPDATE billing_channel SET kinds = kinds || ARRAY['price']::varchar(16)[] WHERE 'unpriced' = ANY (kinds)",
            migrations.RunSQL.noop,
        ),
    ]
