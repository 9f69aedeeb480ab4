"""Alert rules, alerts, channels and their deliveries, under row-level security; the jobs' ways across organisations."""

import uuid

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import costhub.lib.clock

TABLES = ["billing_alert", "billing_alertrule", "billing_channel", "billing_delivery", "billing_mute"]
#: name, arguments, what it gives, how: each gives ids of organisations only, and of budgets that the caller names
FUNCTIONS = [
    (
        "costhub_due_orgs",
        "moment timestamptz",
        "TABLE (org_id uuid)",
        "SELECT DISTINCT org_id FROM public.billing_delivery WHERE state IN ('queued', 'sending') AND due_at <= moment",
    ),
    (
        "costhub_active_orgs",
        "since timestamptz",
        "TABLE (org_id uuid)",
        "SELECT DISTINCT org_id FROM public.proxy_ledgerentry WHERE started_at >= since",
    ),
    (
        "costhub_alerted_orgs",
        "kinds text[]",
        "TABLE (org_id uuid)",
        "SELECT DISTINCT org_id FROM public.billing_alert WHERE ended_at IS NULL AND kind = ANY (kinds)",
    ),
    (
        "costhub_orgs_of_budgets",
        "wanted uuid[]",
        "TABLE (org_id uuid, budget_id uuid)",
        "SELECT org_id, id FROM public.tenants_budget WHERE id = ANY (wanted)",
    ),
]


#: rows that somebody should hear of are few among many
TROUBLES = (
    "CREATE INDEX ledger_troubles ON proxy_ledgerentry (org_id, started_at) WHERE is_overrun"
    " OR error_code = 'model_not_priced' OR (price_id IS NULL AND status >= 200 AND status < 400)"
)


def protect(apps, schema_editor):
    role = schema_editor.quote_name(settings.DATABASES["default"]["USER"])
    inside = "org_id = ANY ((SELECT costhub_orgs())::uuid[])"
    for table in TABLES:
        for statement in [
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            f"CREATE POLICY owner_sees_all ON {table} TO CURRENT_USER USING (true) WITH CHECK (true)",
            f"CREATE POLICY tenant ON {table} TO {role} USING ({inside}) WITH CHECK ({inside})",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {role}",
        ]:
            schema_editor.execute(statement, params=None)
    schema_editor.execute(TROUBLES, params=None)
    for name, arguments, result, query in FUNCTIONS:
        signature = f"{name}({' '.join(arguments.split()[1:])})"
        for statement in [
            f"CREATE FUNCTION {name}({arguments}) RETURNS {result} LANGUAGE sql STABLE SECURITY DEFINER"
            f" SET search_path = pg_catalog, public AS $$ {query} $$",
            f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC",
            f"GRANT EXECUTE ON FUNCTION {signature} TO {role}",
        ]:
            schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0001_rollups"),
        ("tenants", "0003_rate_limits"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Alert",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField(default=costhub.lib.clock.now, editable=False)),
                ("rule", models.UUIDField()),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("budget", "budget"),
                            ("forecast", "forecast"),
                            ("anomaly", "anomaly"),
                            ("unpriced", "unpriced"),
                            ("overrun", "overrun"),
                            ("upstream", "upstream"),
                            ("drift", "drift"),
                            ("key_expiring", "key_expiring"),
                            ("channel_off", "channel_off"),
                        ],
                        max_length=16,
                    ),
                ),
                ("subject", models.CharField(max_length=300)),
                ("window_start", models.DateTimeField()),
                ("threshold", models.BigIntegerField()),
                (
                    "severity",
                    models.CharField(
                        choices=[("info", "info"), ("warning", "warning"), ("critical", "critical")], max_length=8
                    ),
                ),
                ("facts", models.JSONField(default=dict)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("acknowledged_at", models.DateTimeField(blank=True, null=True)),
                ("acknowledged_by", models.CharField(blank=True, max_length=254)),
                (
                    "org",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tenants.organization",
                    ),
                ),
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
            name="AlertRule",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField(default=costhub.lib.clock.now, editable=False)),
                ("name", models.CharField(max_length=120)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("budget", "budget"),
                            ("forecast", "forecast"),
                            ("anomaly", "anomaly"),
                            ("unpriced", "unpriced"),
                            ("overrun", "overrun"),
                            ("upstream", "upstream"),
                            ("drift", "drift"),
                            ("key_expiring", "key_expiring"),
                            ("channel_off", "channel_off"),
                        ],
                        max_length=16,
                    ),
                ),
                ("budget", models.UUIDField(blank=True, null=True)),
                (
                    "thresholds",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.PositiveIntegerField(), blank=True, default=list, size=None
                    ),
                ),
                (
                    "channels",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(), blank=True, default=list, size=None
                    ),
                ),
                ("tells_recovery", models.BooleanField(default=True)),
                ("is_active", models.BooleanField(default=True)),
                (
                    "org",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tenants.organization",
                    ),
                ),
            ],
            options={
                "verbose_name": "alert rule",
                "indexes": [models.Index(fields=["org", "kind"], name="rules_of_a_kind")],
            },
        ),
        migrations.CreateModel(
            name="Channel",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField(default=costhub.lib.clock.now, editable=False)),
                ("name", models.CharField(max_length=120)),
                (
                    "kind",
                    models.CharField(
                        choices=[("email", "email"), ("webhook", "webhook"), ("slack", "slack")], max_length=8
                    ),
                ),
                (
                    "kinds",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=16), default=list, size=None
                    ),
                ),
                (
                    "roles",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=16), blank=True, default=list, size=None
                    ),
                ),
                ("url", models.CharField(blank=True, max_length=500)),
                ("origin", models.CharField(blank=True, editable=False, max_length=300)),
                ("secret", models.BinaryField(null=True)),
                ("former_secret", models.BinaryField(null=True)),
                ("former_secret_until", models.DateTimeField(editable=False, null=True)),
                (
                    "digest",
                    models.CharField(
                        choices=[("none", "none"), ("hourly", "hourly"), ("daily", "daily")],
                        default="none",
                        max_length=8,
                    ),
                ),
                ("quiet_from", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("quiet_until", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("failing_since", models.DateTimeField(editable=False, null=True)),
                ("failures", models.PositiveIntegerField(default=0, editable=False)),
                ("disabled_reason", models.CharField(blank=True, editable=False, max_length=300)),
                ("is_active", models.BooleanField(default=True)),
                (
                    "org",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tenants.organization",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("org", "name"), name="channel_names_are_unique")],
            },
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField(default=costhub.lib.clock.now, editable=False)),
                ("alert", models.UUIDField(null=True)),
                (
                    "event",
                    models.CharField(
                        choices=[("opened", "opened"), ("recovered", "recovered"), ("test", "test")], max_length=10
                    ),
                ),
                ("channel", models.UUIDField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "queued"),
                            ("sending", "sending"),
                            ("sent", "sent"),
                            ("failed", "failed"),
                            ("dropped", "dropped"),
                        ],
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
                (
                    "org",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tenants.organization",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
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
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField(default=costhub.lib.clock.now, editable=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("budget", "budget"),
                            ("forecast", "forecast"),
                            ("anomaly", "anomaly"),
                            ("unpriced", "unpriced"),
                            ("overrun", "overrun"),
                            ("upstream", "upstream"),
                            ("drift", "drift"),
                            ("key_expiring", "key_expiring"),
                            ("channel_off", "channel_off"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "org",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tenants.organization",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("org", "user", "kind"), name="muted_once")],
            },
        ),
        migrations.RunPython(protect),
    ]
