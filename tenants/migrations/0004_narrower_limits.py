"""Budgets and rate limits of the calls of one project or key only; rollover and increases of budgets, the latter under
row-level security like every tenant row."""

import uuid

from django.conf import settings
from django.db import migrations, models

import costhub.lib.clock

WITHIN = [(scope, scope) for scope in ("project", "key")]


def protect(apps, schema_editor):
    role = schema_editor.quote_name(settings.DATABASES["default"]["USER"])
    inside = "org_id = ANY ((SELECT costhub_orgs())::uuid[])"
    for statement in [
        "ALTER TABLE tenants_budgetincrease ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "CREATE POLICY owner_sees_all ON tenants_budgetincrease TO CURRENT_USER USING (true) WITH CHECK (true)",
        f"CREATE POLICY tenant ON tenants_budgetincrease TO {role} USING ({inside}) WITH CHECK ({inside})",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON tenants_budgetincrease TO {role}",
        # A plain foreign key accepts a row of another tenant.
        "ALTER TABLE tenants_budget ADD CONSTRAINT tenants_budget_org_and_id UNIQUE (org_id, id)",
        "ALTER TABLE tenants_budgetincrease ADD CONSTRAINT tenants_budgetincrease_budget_id_same_org"
        " FOREIGN KEY (org_id, budget_id) REFERENCES tenants_budget (org_id, id) DEFERRABLE INITIALLY DEFERRED",
    ]:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("tenants", "0003_rate_limits")]
    operations = [
        *(
            operation
            for model in ("budget", "ratelimit")
            for operation in (
                migrations.AddField(
                    model,
                    "within_scope",
                    models.CharField(blank=True, choices=WITHIN, default="", max_length=16),
                    preserve_default=False,
                ),
                migrations.AddField(
                    model, "within", models.CharField(blank=True, default="", max_length=36), preserve_default=False
                ),
            )
        ),
        migrations.AddField("budget", "rollover", models.BooleanField(default=False)),
        migrations.CreateModel(
            name="BudgetIncrease",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField(default=costhub.lib.clock.now, editable=False)),
                ("amount_nanos", models.BigIntegerField()),
                ("until", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("reason", models.CharField(blank=True, max_length=500)),
                ("created_by", models.CharField(blank=True, max_length=254)),
                (
                    "budget",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=models.deletion.CASCADE,
                        related_name="increases",
                        to="tenants.budget",
                    ),
                ),
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
                "verbose_name": "budget increase",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("amount_nanos__gte", 1), ("amount_nanos__lte", 9_000_000_000_000_000)),
                        name="increase_is_exact_in_lua",
                    )
                ],
            },
        ),
        migrations.RunPython(protect),
    ]
