"""Rate limits, under row-level security like every tenant row; budgets that only report; the emergency stop."""

import uuid

from django.conf import settings
from django.db import migrations, models

import costhub.lib.clock


def protect(apps, schema_editor):
    role = schema_editor.quote_name(settings.DATABASES["default"]["USER"])
    inside = "org_id = ANY ((SELECT costhub_orgs())::uuid[])"
    for statement in [
        "ALTER TABLE tenants_ratelimit ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "CREATE POLICY owner_sees_all ON tenants_ratelimit TO CURRENT_USER USING (true) WITH CHECK (true)",
        f"CREATE POLICY tenant ON tenants_ratelimit TO {role} USING ({inside}) WITH CHECK ({inside})",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON tenants_ratelimit TO {role}",
    ]:
        schema_editor.execute(statement, params=None)


SCOPES = ["organization", "project", "key", "end_user", "model", "tag", "session"]
UNITS = ["requests", "tokens", "usd", "concurrent"]


class Migration(migrations.Migration):
    dependencies = [("tenants", "0002_row_level_security")]
    operations = [
        migrations.AddField("budget", "is_shadow", models.BooleanField(default=False)),
        migrations.AddField("budget", "ladder", models.JSONField(blank=True, default=list)),
        migrations.AlterField(
            "budget",
            "action",
            models.CharField(
                choices=[(action, action) for action in ("block", "warn", "degrade")], default="block", max_length=8
            ),
        ),
        migrations.AlterField(
            "budget", "scope", models.CharField(choices=[(scope, scope) for scope in SCOPES], max_length=16)
        ),
        *(
            migrations.AddField(model, "is_stopped", models.BooleanField(default=False))
            for model in ("organization", "project", "apikey")
        ),
        migrations.CreateModel(
            name="RateLimit",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField(default=costhub.lib.clock.now, editable=False)),
                ("scope", models.CharField(choices=[(scope, scope) for scope in SCOPES], max_length=16)),
                ("subject", models.CharField(blank=True, max_length=200)),
                ("unit", models.CharField(choices=[(unit, unit) for unit in UNITS], max_length=10)),
                ("amount", models.BigIntegerField()),
                ("window_seconds", models.PositiveIntegerField()),
                ("is_shadow", models.BooleanField(default=False)),
                ("is_active", models.BooleanField(default=True)),
                (
                    "org",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=models.deletion.CASCADE,
                        related_name="+",
                        to="tenants.organization",
                    ),
                ),
            ],
            options={
                "verbose_name": "rate limit",
                "indexes": [models.Index(fields=["org", "scope", "subject"], name="rate_limits_of_a_scope")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("amount__gte", 1), ("amount__lte", 9_000_000_000_000_000)),
                        name="amount_is_exact_in_lua",
                    )
                ],
            },
        ),
        migrations.RunPython(protect),
    ]
