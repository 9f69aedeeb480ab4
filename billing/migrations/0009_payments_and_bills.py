"""Invoices that were paid by hand, of which Stripe is told, with an alert for those that were paid twice; and upstreams'
bills that are fetched by the day, with an alert where the ledger says otherwise."""

from importlib import import_module

from django.db import migrations, models

from tenants.schema import enumeration, lead_with_org, stay_inside, tenant_row, wall

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
    "bill",
    "key_expiring",
    "channel_off",
)


class Migration(migrations.Migration):
    dependencies = [("billing", "0008_finer_sums")]
    operations = [
        # With a default of the table's own: servers of the version before write rows beside it.
        migrations.AddField("invoice", "is_untold", models.BooleanField(db_default=False, default=False)),
        migrations.AlterField("alertrule", "kind", models.CharField(choices=ALERT_KINDS, max_length=16)),
        migrations.AlterField("alert", "kind", models.CharField(choices=ALERT_KINDS, max_length=16)),
        migrations.AlterField("mute", "kind", models.CharField(choices=ALERT_KINDS, max_length=16)),
        migrations.CreateModel(
            name="BillSource",
            fields=[
                *tenant_row(),
                ("upstream", models.UUIDField()),
                ("credential", models.BinaryField()),
                ("credential_hint", models.CharField(blank=True, max_length=8)),
                ("provider_project", models.CharField(blank=True, max_length=64)),
                ("fetched_at", models.DateTimeField(blank=True, null=True)),
                ("problem", models.CharField(blank=True, max_length=300)),
            ],
            options={
                "verbose_name": "bill source",
                "constraints": [models.UniqueConstraint(fields=["org", "upstream"], name="one_bill_an_upstream")],
            },
        ),
        migrations.CreateModel(
            name="BilledDay",
            fields=[
                *tenant_row(),
                ("day", models.DateField()),
                ("model", models.CharField(max_length=200)),
                ("cost_nanos", models.BigIntegerField(null=True)),
                ("input_tokens", models.BigIntegerField(null=True)),
                ("output_tokens", models.BigIntegerField(null=True)),
                (
                    "source",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=models.CASCADE,
                        related_name="days",
                        to="billing.billsource",
                    ),
                ),
            ],
            options={
                "verbose_name": "billed day",
                "constraints": [
                    models.UniqueConstraint(fields=["org", "source", "day", "model"], name="one_row_a_billed_day")
                ],
            },
        ),
        migrations.RunSQL(
            [
                *wall("billing_billsource"),
                *wall("billing_billedday"),
                lead_with_org("billing_billsource"),
                stay_inside("billing_billedday", "source_id", "billing_billsource"),
            ]
        ),
        # Who hears of Stripe's meter hears of these: a channel keeps the kinds that there were when it was made.
        migrations.RunSQL(
            "UPDATE billing_channel SET kinds = kinds || ARRAY['paid_twice', 'bill']::varchar(16)[]"
            " WHERE 'meter' = ANY (kinds)"
        ),
        # Of an issued document this may change, too; a demo's goes with it, as before.
        migrations.RunSQL(demo.GUARD_INVOICES.replace("'stripe_invoice', ", "'stripe_invoice', 'is_untold', ")),
    ]
