"""Re-rating, GPU endpoints, a month's papers, Stripe Tax and Stripe's subscriptions."""

import django.contrib.postgres.fields
from django.db import migrations, models

from tenants.schema import enumeration, tenant_row, wall, way_across

#: of an issued document may change what happens to it; now also where Stripe keeps its tax
GUARD_INVOICES = """
CREATE OR REPLACE FUNCTION costhub_guard_invoices() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    free text[] := ARRAY['state', 'paid_at', 'mailed_at', 'reminders', 'stripe_invoice', 'stripe_tax'];
BEGIN
    IF OLD.number = '' THEN
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    IF TG_OP = 'DELETE' OR (to_jsonb(NEW) - free) <> (to_jsonb(OLD) - free) OR NEW.state IN ('draft', 'grace') THEN
        RAISE EXCEPTION 'an issued invoice never changes: make a note' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
"""
WAYS_ACROSS = [
    (
        "costhub_orgs_with_reratings",
        "",
        "TABLE (org_id uuid)",
        "SELECT DISTINCT org_id FROM public.billing_rerating WHERE state IN ('approved', 'posting')",
    ),
    (
        "costhub_orgs_with_gpus",
        "moment timestamptz",
        "TABLE (org_id uuid)",
        "SELECT DISTINCT org_id FROM public.billing_gpuendpoint"
        " WHERE charged_until < moment AND (ends_at IS NULL OR charged_until < ends_at)",
    ),
]


class Migration(migrations.Migration):
    dependencies = [("billing", "0004_row_level_security"), ("tenants", "0004_routes")]
    operations = [
        migrations.AddField(
            model_name="billingaccount",
            name="pack_to",
            field=models.CharField(choices=enumeration("none", "mail", "files"), default="none", max_length=5),
        ),
        migrations.AddField(
            model_name="billingaccount",
            name="stripe_subscription",
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddField(
            model_name="invoice", name="stripe_tax", field=models.CharField(blank=True, max_length=64)
        ),
        migrations.AddField(model_name="invoice", name="tax_quote", field=models.JSONField(default=dict)),
        migrations.AddField(
            model_name="legalentity", name="uses_stripe_tax", field=models.BooleanField(default=False)
        ),
        migrations.AlterField(
            model_name="invoiceline",
            name="kind",
            field=models.CharField(
                choices=enumeration(
                    "fee",
                    "usage",
                    "late_usage",
                    "rerated",
                    "markup",
                    "savings",
                    "included",
                    "minimum",
                    "coupon",
                    "credit",
                    "debit",
                ),
                max_length=12,
            ),
        ),
        migrations.CreateModel(
            name="FinancePack",
            fields=[
                *tenant_row(),
                ("month", models.DateField()),
                ("digest", models.CharField(max_length=64)),
                ("files", models.JSONField(default=dict)),
                ("delivered_to", models.CharField(blank=True, max_length=300)),
                ("delivered_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name": "finance pack",
                "constraints": [models.UniqueConstraint(fields=["org", "month"], name="one_pack_a_month")],
            },
        ),
        migrations.CreateModel(
            name="GpuEndpoint",
            fields=[
                *tenant_row(),
                ("name", models.CharField(max_length=120)),
                ("upstream", models.UUIDField()),
                ("project", models.UUIDField()),
                ("gpus", models.DecimalField(decimal_places=3, max_digits=8)),
                ("hour_nanos", models.BigIntegerField()),
                ("basis", models.CharField(choices=enumeration("allocation", "usage"), max_length=10)),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField(blank=True, null=True)),
                ("charged_until", models.DateTimeField()),
            ],
            options={
                "verbose_name": "GPU endpoint",
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(ends_at__isnull=True), fields=["org", "upstream"], name="one_open_gpu_endpoint"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Rerating",
            fields=[
                *tenant_row(),
                ("model", models.CharField(max_length=200)),
                ("start", models.DateTimeField()),
                ("end", models.DateTimeField()),
                ("reason", models.CharField(max_length=300)),
                ("makes_notes", models.BooleanField(default=True)),
                (
                    "state",
                    models.CharField(
                        choices=enumeration("previewed", "approved", "posting", "applied", "stale"),
                        default="previewed",
                        max_length=9,
                    ),
                ),
                ("calls", models.BigIntegerField(default=0)),
                ("changed", models.BigIntegerField(default=0)),
                ("before_nanos", models.BigIntegerField(default=0)),
                ("after_nanos", models.BigIntegerField(default=0)),
                ("left_out", models.JSONField(default=dict)),
                ("posted", models.BigIntegerField(default=0)),
                ("posted_nanos", models.BigIntegerField(default=0)),
                ("place_at", models.DateTimeField(blank=True, null=True)),
                ("place_id", models.UUIDField(blank=True, null=True)),
                (
                    "notes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(), blank=True, default=list, size=None
                    ),
                ),
                ("problem", models.CharField(blank=True, max_length=300)),
                ("created_by", models.CharField(blank=True, max_length=254)),
                ("applied_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name": "re-rating",
                "indexes": [models.Index(fields=["org", "-created_at", "-id"], name="reratings_newest_first")],
            },
        ),
        migrations.RunSQL(
            [
                statement
                for table in ("billing_rerating", "billing_financepack", "billing_gpuendpoint")
                for statement in wall(table)
            ]
        ),
        migrations.RunSQL([GUARD_INVOICES]),
        migrations.RunSQL([statement for way in WAYS_ACROSS for statement in way_across(*way)]),
    ]
