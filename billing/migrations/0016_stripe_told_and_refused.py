"""An event of Stripe's waits from its last try on, and one that is given up is told; what Stripe refuses is kept, of an
invoice and of an account. And a bill's day knows of pictures and sound."""

from importlib import import_module

from django.db import migrations, models

from tenants.schema import enumeration

demo = import_module("billing.migrations.0006_demo_invoices")

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
)


class Migration(migrations.Migration):
    dependencies = [("billing", "0015_credits_taken_back")]
    operations = [
        migrations.AddField("stripeevent", "waits_until", models.DateTimeField(blank=True, null=True)),
        # With a default of the table's own: servers of the version before write rows beside it.
        migrations.AddField(
            "invoice", "refusal", models.CharField(blank=True, db_default="", default="", max_length=300)
        ),
        migrations.AddField(
            "billingaccount", "refusal", models.CharField(blank=True, db_default="", default="", max_length=300)
        ),
        *(
            migrations.AddField("billedday", name, models.BigIntegerField(null=True))
            for name in ("images", "seconds", "characters")
        ),
        migrations.AlterField("alertrule", "kind", models.CharField(choices=ALERT_KINDS, max_length=16)),
        migrations.AlterField("alert", "kind", models.CharField(choices=ALERT_KINDS, max_length=16)),
        migrations.AlterField("mute", "kind", models.CharField(choices=ALERT_KINDS, max_length=16)),
        # Who hears of what was paid twice hears of it: a channel keeps the kinds that there were when it was made.
        migrations.RunSQL(
            "UPDATE billing_channel SET kinds = kinds || ARRAY['stripe_event']::varchar(16)[]"
            " WHERE 'paid_twice' = ANY (kinds)"
        ),
        # Of an issued document this may change, too.
        migrations.RunSQL(
            demo.GUARD_INVOICES.replace("'stripe_invoice', ", "'stripe_invoice', 'is_untold', 'refusal', ")
        ),
    ]
