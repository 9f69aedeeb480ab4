"""Alerts, forecasts, invoices; sums of the ledger as models, whose tables are written in SQL in what follows."""

import uuid
from decimal import Decimal

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models

from costhub.lib import clock
from tenants.schema import enumeration, tenant_row

ALERT_KINDS = enumeration(
    "budget",
    "forecast",
    "anomaly",
    "unpriced",
    "overrun",
    "upstream",
    "drift",
    "meter",
    "key_expiring",
    "channel_off",
)
SCOPES = enumeration("organization", "project", "key", "end_user", "model", "tag", "session")
WALLET_ACCOUNTS = enumeration("cash", "promotions", "credits", "usage")


class Migration(migrations.Migration):
    initial = True
    dependencies = [("tenants", "0002_row_level_security")]
    operations = [
        migrations.CreateModel(
            name="AlertRule",
            fields=[
                *tenant_row(),
                ("name", models.CharField(max_length=120)),
                (
                    "kind",
                    models.CharField(
                        choices=ALERT_KINDS,
                        max_length=16,
                    ),
                ),
                ("budget", models.UUIDField(blank=True, null=True)),
                ("thresholds", ArrayField(base_field=models.PositiveIntegerField(), blank=True, default=list)),
                ("channels", ArrayField(base_field=models.UUIDField(), blank=True, default=list)),
                ("tells_recovery", models.BooleanField(default=True)),
                ("is_active", models.BooleanField(default=True)),
            ],
            options={
                "verbose_name": "alert rule",
                "indexes": [models.Index(fields=["org", "kind"], name="rules_of_a_kind")],
            },
        ),
        migrations.CreateModel(
            name="Alert",
            fields=[
                *tenant_row(),
                ("rule", models.UUIDField()),
                (
                    "kind",
                    models.CharField(
                        choices=ALERT_KINDS,
                        max_length=16,
                    ),
                ),
                ("subject", models.CharField(max_length=300)),
                ("window_start", models.DateTimeField()),
                ("threshold", models.BigIntegerField()),
                ("severity", models.CharField(choices=enumeration("info", "warning", "critical"), max_length=8)),
                ("facts", models.JSONField(default=dict)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("acknowledged_at", models.DateTimeField(blank=True, null=True)),
                ("acknowledged_by", models.CharField(blank=True, max_length=254)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["org", "-created_at", "-id"], name="alerts_newest_first"),
                    models.Index(
                        condition=models.Q(("ended_at__isnull", True)), fields=["org", "kind"], name="open_alerts"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("org", "rule", "subject", "window_start", "threshold"), name="an_alert_fires_once"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at__isnull", True)),
                        fields=("org", "rule", "subject", "threshold"),
                        name="one_open_alert_of_a_subject",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Channel",
            fields=[
                *tenant_row(),
                ("name", models.CharField(max_length=120)),
                ("kind", models.CharField(choices=enumeration("email", "webhook", "slack"), max_length=8)),
                ("kinds", ArrayField(base_field=models.CharField(max_length=16), default=list)),
                ("roles", ArrayField(base_field=models.CharField(max_length=16), blank=True, default=list)),
                ("url", models.CharField(blank=True, max_length=500)),
                ("origin", models.CharField(blank=True, editable=False, max_length=300)),
                ("secret", models.BinaryField(null=True)),
                ("former_secret", models.BinaryField(null=True)),
                ("former_secret_until", models.DateTimeField(editable=False, null=True)),
                (
                    "digest",
                    models.CharField(choices=enumeration("none", "hourly", "daily"), default="none", max_length=8),
                ),
                ("quiet_from", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("quiet_until", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("failing_since", models.DateTimeField(editable=False, null=True)),
                ("failures", models.PositiveIntegerField(default=0, editable=False)),
                ("disabled_reason", models.CharField(blank=True, editable=False, max_length=300)),
                ("is_active", models.BooleanField(default=True)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("org", "name"), name="channel_names_are_unique")],
            },
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                *tenant_row(),
                ("alert", models.UUIDField(null=True)),
                ("event", models.CharField(choices=enumeration("opened", "recovered", "test"), max_length=10)),
                ("channel", models.UUIDField()),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=models.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=enumeration("queued", "sending", "sent", "failed", "dropped"),
                        default="queued",
                        max_length=8,
                    ),
                ),
                ("due_at", models.DateTimeField()),
                ("is_digest", models.BooleanField(default=False)),
                ("tries", models.PositiveSmallIntegerField(default=0)),
                ("sent_as", models.UUIDField(null=True)),
                ("sent_at", models.DateTimeField(null=True)),
                ("status", models.PositiveSmallIntegerField(null=True)),
                ("error", models.CharField(blank=True, max_length=300)),
            ],
            options={
                "verbose_name": "delivery",
                "verbose_name_plural": "deliveries",
                "indexes": [
                    models.Index(fields=["org", "-created_at", "-id"], name="deliveries_newest_first"),
                    models.Index(
                        condition=models.Q(("state__in", ["queued", "sending"])),
                        fields=["due_at"],
                        name="deliveries_due",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("alert__isnull", False)),
                        fields=("org", "alert", "event", "channel", "user"),
                        name="told_once",
                        nulls_distinct=False,
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Mute",
            fields=[
                *tenant_row(),
                ("user", models.ForeignKey(on_delete=models.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL)),
                (
                    "kind",
                    models.CharField(
                        choices=ALERT_KINDS,
                        max_length=16,
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("org", "user", "kind"), name="muted_once")],
            },
        ),
        migrations.CreateModel(
            name="LegalEntity",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=120, unique=True)),
                ("street", models.CharField(max_length=200)),
                ("postcode", models.CharField(max_length=20)),
                ("city", models.CharField(max_length=100)),
                ("country", models.CharField(max_length=2)),
                ("tax_id", models.CharField(blank=True, max_length=40)),
                ("email", models.CharField(blank=True, max_length=254)),
                ("bank_account", models.CharField(blank=True, max_length=60)),
                ("prefix", models.CharField(max_length=12, unique=True)),
                ("tax_rates", models.JSONField(default=dict)),
                ("next_invoice", models.BigIntegerField(default=1)),
                ("next_note", models.BigIntegerField(default=1)),
                ("created_at", models.DateTimeField(default=clock.now, editable=False)),
            ],
            options={
                "verbose_name": "legal entity",
            },
        ),
        migrations.CreateModel(
            name="Plan",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=120)),
                ("version", models.PositiveIntegerField(default=1)),
                ("terms", models.JSONField(default=dict)),
                ("is_public", models.BooleanField(default=False)),
                ("is_active", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField(default=clock.now, editable=False)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("name", "version"), name="plan_versions_are_unique")],
            },
        ),
        migrations.CreateModel(
            name="ExchangeRate",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("currency", models.CharField(max_length=3)),
                ("day", models.DateField()),
                ("rate", models.DecimalField(decimal_places=8, max_digits=18)),
                ("source", models.CharField(max_length=100)),
            ],
            options={
                "verbose_name": "exchange rate",
                "constraints": [models.UniqueConstraint(fields=("currency", "day"), name="one_rate_a_day")],
            },
        ),
        migrations.CreateModel(
            name="BillingAccount",
            fields=[
                *tenant_row(),
                (
                    "legal_entity",
                    models.ForeignKey(on_delete=models.PROTECT, related_name="+", to="billing.legalentity"),
                ),
                ("name", models.CharField(max_length=120)),
                ("street", models.CharField(blank=True, max_length=200)),
                ("postcode", models.CharField(blank=True, max_length=20)),
                ("city", models.CharField(blank=True, max_length=100)),
                ("country", models.CharField(max_length=2)),
                ("tax_id", models.CharField(blank=True, max_length=40)),
                ("po_number", models.CharField(blank=True, max_length=60)),
                ("emails", ArrayField(base_field=models.CharField(max_length=254), blank=True, default=list)),
                (
                    "collection",
                    models.CharField(choices=enumeration("manual", "stripe"), default="manual", max_length=8),
                ),
                ("stripe_customer", models.CharField(blank=True, max_length=64)),
                ("stripe_meter", models.CharField(blank=True, max_length=100)),
                ("metered_from", models.DateTimeField(blank=True, null=True)),
                (
                    "dunning",
                    models.CharField(
                        choices=enumeration("none", "reminded", "warned", "read_only", "suspended"),
                        default="none",
                        max_length=10,
                    ),
                ),
                ("top_up_below_nanos", models.BigIntegerField(blank=True, null=True)),
                ("top_up_nanos", models.BigIntegerField(blank=True, null=True)),
                ("credit_budget", models.UUIDField(blank=True, null=True)),
            ],
            options={
                "verbose_name": "billing account",
                "constraints": [
                    models.UniqueConstraint(fields=("org",), name="one_billing_account"),
                    models.UniqueConstraint(
                        condition=models.Q(("stripe_customer", ""), _negated=True),
                        fields=("stripe_customer",),
                        name="customers_are_unique",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Subscription",
            fields=[
                *tenant_row(),
                ("plan", models.ForeignKey(on_delete=models.PROTECT, related_name="+", to="billing.plan")),
                ("overrides", models.JSONField(blank=True, default=dict)),
                ("coupon", models.JSONField(blank=True, default=dict)),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField(blank=True, null=True)),
                ("trial_until", models.DateTimeField(blank=True, null=True)),
                ("created_by", models.CharField(blank=True, max_length=254)),
            ],
            options={
                "indexes": [models.Index(fields=["org", "-starts_at"], name="subscriptions_of_an_org")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ends_at__isnull", True)), fields=("org",), name="one_open_subscription"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="WalletTransfer",
            fields=[
                *tenant_row(),
                (
                    "debit",
                    models.CharField(choices=WALLET_ACCOUNTS, max_length=10),
                ),
                (
                    "credit",
                    models.CharField(choices=WALLET_ACCOUNTS, max_length=10),
                ),
                ("amount_nanos", models.BigIntegerField()),
                ("reference", models.CharField(max_length=200)),
                ("reason", models.CharField(blank=True, max_length=300)),
                ("created_by", models.CharField(blank=True, max_length=254)),
            ],
            options={
                "verbose_name": "wallet transfer",
                "constraints": [
                    models.UniqueConstraint(fields=("org", "reference"), name="a_transfer_happens_once"),
                    models.CheckConstraint(
                        condition=models.Q(("amount_nanos__gt", 0)), name="transfers_are_above_zero"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("debit", models.F("credit")), _negated=True),
                        name="transfers_have_two_accounts",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Invoice",
            fields=[
                *tenant_row(),
                (
                    "kind",
                    models.CharField(
                        choices=enumeration("invoice", "credit_note", "debit_note"), default="invoice", max_length=12
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=enumeration("draft", "grace", "issued", "paid", "void", "uncollectible"),
                        default="draft",
                        max_length=14,
                    ),
                ),
                ("number", models.CharField(blank=True, max_length=40)),
                ("legal_entity", models.UUIDField()),
                ("period_start", models.DateTimeField()),
                ("period_end", models.DateTimeField()),
                ("time_zone", models.CharField(max_length=64)),
                ("currency", models.CharField(default="USD", max_length=3)),
                ("rate", models.DecimalField(decimal_places=8, default=Decimal("1"), max_digits=18)),
                ("rate_day", models.DateField(blank=True, null=True)),
                ("rate_source", models.CharField(blank=True, max_length=100)),
                ("usage_nanos", models.BigIntegerField(default=0)),
                ("net_nanos", models.BigIntegerField(default=0)),
                ("net_cents", models.BigIntegerField(default=0)),
                ("tax_category", models.CharField(blank=True, max_length=2)),
                ("tax_rate", models.IntegerField(default=0)),
                ("tax_reason", models.CharField(blank=True, max_length=100)),
                ("tax_cents", models.BigIntegerField(default=0)),
                ("total_cents", models.BigIntegerField(default=0)),
                ("carried_cents", models.BigIntegerField(default=0)),
                ("groups", models.JSONField(default=list)),
                ("seller", models.JSONField(default=dict)),
                ("buyer", models.JSONField(default=dict)),
                ("po_number", models.CharField(blank=True, max_length=60)),
                ("corrects", models.UUIDField(blank=True, null=True)),
                ("reason", models.CharField(blank=True, max_length=300)),
                ("problem", models.CharField(blank=True, max_length=300)),
                ("grace_until", models.DateTimeField(blank=True, null=True)),
                ("computed_at", models.DateTimeField(blank=True, null=True)),
                ("issued_at", models.DateTimeField(blank=True, null=True)),
                ("due_at", models.DateTimeField(blank=True, null=True)),
                ("paid_at", models.DateTimeField(blank=True, null=True)),
                ("mailed_at", models.DateTimeField(blank=True, null=True)),
                ("reminders", models.JSONField(default=dict)),
                ("stripe_invoice", models.CharField(blank=True, max_length=64)),
            ],
            options={
                "indexes": [models.Index(fields=["org", "-created_at", "-id"], name="invoices_newest_first")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("kind", "invoice"), models.Q(("state", "void"), _negated=True)),
                        fields=("org", "period_start"),
                        name="one_invoice_a_period",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("number", ""), _negated=True),
                        fields=("legal_entity", "number"),
                        name="numbers_are_unique",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="InvoiceLine",
            fields=[
                *tenant_row(),
                (
                    "invoice",
                    models.ForeignKey(
                        db_constraint=False, on_delete=models.CASCADE, related_name="lines", to="billing.invoice"
                    ),
                ),
                ("position", models.PositiveIntegerField()),
                (
                    "kind",
                    models.CharField(
                        choices=enumeration(
                            "fee",
                            "usage",
                            "late_usage",
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
                ("group", models.CharField(blank=True, max_length=400)),
                ("text", models.CharField(max_length=400)),
                ("nanos", models.BigIntegerField()),
                ("start", models.DateTimeField()),
                ("end", models.DateTimeField()),
                ("project", models.CharField(blank=True, max_length=36)),
                ("project_name", models.CharField(blank=True, max_length=120)),
                ("model", models.CharField(blank=True, max_length=200)),
                ("price", models.CharField(blank=True, max_length=120)),
                ("token_class", models.CharField(blank=True, max_length=20)),
                ("quantity", models.BigIntegerField(default=0)),
                ("unit_price", models.BigIntegerField(default=0)),
                ("share", models.IntegerField(default=0)),
                ("saved", models.BigIntegerField(default=0)),
            ],
            options={
                "verbose_name": "invoice line",
                "indexes": [models.Index(fields=["org", "start"], name="lines_of_a_period")],
                "constraints": [models.UniqueConstraint(fields=("invoice", "position"), name="one_line_a_position")],
            },
        ),
        migrations.CreateModel(
            name="InvoiceDocument",
            fields=[
                *tenant_row(),
                (
                    "invoice",
                    models.ForeignKey(
                        db_constraint=False, on_delete=models.CASCADE, related_name="documents", to="billing.invoice"
                    ),
                ),
                ("form", models.CharField(max_length=4)),
                ("content", models.BinaryField()),
                ("digest", models.CharField(max_length=64)),
            ],
            options={
                "verbose_name": "invoice document",
                "constraints": [models.UniqueConstraint(fields=("invoice", "form"), name="one_document_a_form")],
            },
        ),
        migrations.CreateModel(
            name="MeterDelta",
            fields=[
                *tenant_row(),
                ("customer", models.CharField(max_length=64)),
                ("meter", models.CharField(max_length=100)),
                ("hour", models.DateTimeField()),
                ("sequence", models.PositiveIntegerField()),
                ("value", models.BigIntegerField()),
                ("identifier", models.CharField(max_length=100, unique=True)),
                (
                    "state",
                    models.CharField(choices=enumeration("pending", "sent", "noted"), default="pending", max_length=8),
                ),
                ("tries", models.PositiveIntegerField(default=0)),
                ("first_tried_at", models.DateTimeField(blank=True, null=True)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("error", models.CharField(blank=True, max_length=300)),
            ],
            options={
                "verbose_name": "meter delta",
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "pending")),
                        fields=["customer", "meter", "hour"],
                        name="deltas_pending",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("org", "meter", "hour", "sequence"), name="one_delta_a_sequence")
                ],
            },
        ),
        migrations.CreateModel(
            name="StripeEvent",
            fields=[
                ("id", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("kind", models.CharField(max_length=100)),
                ("body", models.BinaryField()),
                ("received_at", models.DateTimeField(default=clock.now, editable=False)),
                ("applied_at", models.DateTimeField(blank=True, null=True)),
                ("tries", models.PositiveIntegerField(default=0)),
                ("error", models.CharField(blank=True, max_length=300)),
            ],
            options={
                "verbose_name": "Stripe event",
                "indexes": [
                    models.Index(
                        condition=models.Q(("applied_at__isnull", True)), fields=["received_at"], name="events_waiting"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Forecast",
            fields=[
                *tenant_row(),
                (
                    "scope",
                    models.CharField(
                        choices=SCOPES,
                        max_length=16,
                    ),
                ),
                ("subject", models.CharField(blank=True, max_length=200)),
                ("month", models.DateField()),
                ("spent", models.BigIntegerField()),
                ("expected", models.BigIntegerField(null=True)),
                ("low", models.BigIntegerField(null=True)),
                ("high", models.BigIntegerField(null=True)),
                (
                    "method",
                    models.CharField(
                        choices=enumeration("not_enough_history", "run_rate", "recent_weeks", "smoothing"),
                        max_length=20,
                    ),
                ),
                ("days_of_history", models.PositiveIntegerField()),
                ("first_day", models.DateField()),
                ("running", models.JSONField(default=list)),
                ("backtest_error", models.PositiveIntegerField(null=True)),
                ("backtest_coverage", models.PositiveIntegerField(null=True)),
                ("widening", models.PositiveIntegerField()),
                ("tested_on", models.DateField()),
                ("made_at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("org", "scope", "subject", "month"), name="one_forecast_a_month")
                ],
            },
        ),
        migrations.CreateModel(
            name="Anomaly",
            fields=[
                *tenant_row(),
                (
                    "scope",
                    models.CharField(
                        choices=SCOPES,
                        max_length=16,
                    ),
                ),
                ("subject", models.CharField(blank=True, max_length=200)),
                ("unit", models.CharField(choices=enumeration("day", "hour"), max_length=4)),
                ("starts", models.DateTimeField()),
                ("severity", models.CharField(choices=enumeration("high", "low"), max_length=4)),
                ("actual", models.BigIntegerField()),
                ("expected", models.BigIntegerField()),
                ("low", models.BigIntegerField()),
                ("high", models.BigIntegerField()),
                ("cause", models.CharField(choices=enumeration("calls", "tokens", "price"), max_length=6)),
                ("calls", models.BigIntegerField()),
                ("tokens", models.BigIntegerField()),
                ("price", models.BigIntegerField()),
                ("driver_dimension", models.CharField(blank=True, max_length=16)),
                ("driver_subject", models.CharField(blank=True, max_length=200)),
                ("driver_excess", models.BigIntegerField(default=0)),
            ],
            options={
                "verbose_name_plural": "anomalies",
                "indexes": [models.Index(fields=["org", "-created_at", "-id"], name="anomalies_newest_first")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("org", "scope", "subject", "unit", "starts"), name="one_anomaly_a_bucket"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="LedgerLine",
            fields=[
                ("entries", models.BigIntegerField()),
                ("requests", models.BigIntegerField()),
                ("input_tokens", models.BigIntegerField()),
                ("output_tokens", models.BigIntegerField()),
                ("list_cost", models.BigIntegerField()),
                ("effective_cost", models.BigIntegerField()),
                ("saved_by_cache", models.BigIntegerField(null=True)),
                ("saved_by_coalescing", models.BigIntegerField(null=True)),
                ("saved_by_compression", models.BigIntegerField(null=True)),
                ("saved_by_routing", models.BigIntegerField(null=True)),
                ("saved_by_cascade", models.BigIntegerField(null=True)),
                ("saved_by_batch", models.BigIntegerField(null=True)),
                ("saved_by_distillation", models.BigIntegerField(null=True)),
                ("failed", models.BigIntegerField(null=True)),
                ("refused", models.BigIntegerField(null=True)),
                ("unpriced", models.BigIntegerField(null=True)),
                ("unattributed", models.BigIntegerField(null=True)),
                ("estimated", models.BigIntegerField(null=True)),
                ("recorded_at", models.DateTimeField()),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "started_at", "id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("id", models.UUIDField()),
                ("started_at", models.DateTimeField()),
                ("org_id", models.UUIDField()),
                ("kind", models.TextField()),
                ("corrects", models.UUIDField(null=True)),
                ("project_id", models.UUIDField()),
                ("key_id", models.UUIDField()),
                ("request_model", models.TextField()),
                ("upstream_id", models.UUIDField(null=True)),
                ("status", models.IntegerField()),
                ("end_user", models.TextField()),
                ("tags", models.JSONField()),
                ("attempts", models.JSONField()),
            ],
            options={
                "db_table": "billing_ledgerline",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="QuarterRollup",
            fields=[
                ("entries", models.BigIntegerField()),
                ("requests", models.BigIntegerField()),
                ("input_tokens", models.BigIntegerField()),
                ("output_tokens", models.BigIntegerField()),
                ("list_cost", models.BigIntegerField()),
                ("effective_cost", models.BigIntegerField()),
                ("saved_by_cache", models.BigIntegerField(null=True)),
                ("saved_by_coalescing", models.BigIntegerField(null=True)),
                ("saved_by_compression", models.BigIntegerField(null=True)),
                ("saved_by_routing", models.BigIntegerField(null=True)),
                ("saved_by_cascade", models.BigIntegerField(null=True)),
                ("saved_by_batch", models.BigIntegerField(null=True)),
                ("saved_by_distillation", models.BigIntegerField(null=True)),
                ("failed", models.BigIntegerField(null=True)),
                ("refused", models.BigIntegerField(null=True)),
                ("unpriced", models.BigIntegerField(null=True)),
                ("unattributed", models.BigIntegerField(null=True)),
                ("estimated", models.BigIntegerField(null=True)),
                ("recorded_at", models.DateTimeField()),
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("org_id", models.UUIDField()),
                ("cube", models.TextField()),
                ("quarter", models.DateTimeField()),
                ("project_id", models.UUIDField(null=True)),
                ("key_id", models.UUIDField(null=True)),
                ("request_model", models.TextField(null=True)),
            ],
            options={
                "db_table": "billing_quarterrollup",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="DayRollup",
            fields=[
                ("entries", models.BigIntegerField()),
                ("requests", models.BigIntegerField()),
                ("input_tokens", models.BigIntegerField()),
                ("output_tokens", models.BigIntegerField()),
                ("list_cost", models.BigIntegerField()),
                ("effective_cost", models.BigIntegerField()),
                ("saved_by_cache", models.BigIntegerField(null=True)),
                ("saved_by_coalescing", models.BigIntegerField(null=True)),
                ("saved_by_compression", models.BigIntegerField(null=True)),
                ("saved_by_routing", models.BigIntegerField(null=True)),
                ("saved_by_cascade", models.BigIntegerField(null=True)),
                ("saved_by_batch", models.BigIntegerField(null=True)),
                ("saved_by_distillation", models.BigIntegerField(null=True)),
                ("failed", models.BigIntegerField(null=True)),
                ("refused", models.BigIntegerField(null=True)),
                ("unpriced", models.BigIntegerField(null=True)),
                ("unattributed", models.BigIntegerField(null=True)),
                ("estimated", models.BigIntegerField(null=True)),
                ("recorded_at", models.DateTimeField()),
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("org_id", models.UUIDField()),
                ("cube", models.TextField()),
                ("day", models.DateField()),
                ("project_id", models.UUIDField(null=True)),
                ("key_id", models.UUIDField(null=True)),
                ("request_model", models.TextField(null=True)),
                ("upstream_id", models.UUIDField(null=True)),
                ("status", models.IntegerField(null=True)),
                ("name", models.TextField(null=True)),
                ("subject", models.TextField(null=True)),
            ],
            options={
                "db_table": "billing_dayrollup",
                "managed": False,
            },
        ),
    ]
