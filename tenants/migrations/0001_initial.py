"""Who may do what at which price: people, organisations, keys, upstreams, prices, limits."""

import uuid
from decimal import Decimal

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models
from django.utils import timezone

from costhub.lib import clock
from tenants.models.budgets import default_thresholds
from tenants.schema import enumeration, tenant_row

ROLES = enumeration("owner", "admin", "finance", "developer", "viewer")
SCOPES = enumeration("organization", "project", "key", "end_user", "model", "tag", "session")


def price_columns():
    """The fields of ``tenants.models.pricing.PriceColumns``."""
    needed = ["input", "output"]
    optional = [
        "cached_input",
        "cache_write",
        "audio_input",
        "audio_output",
        "cache_write_1h",
        "cached_audio_input",
        "image_input",
        "cached_image_input",
        "image_output",
    ]
    money = {"decimal_places": 12, "max_digits": 20}
    return [
        *((f"{name}_per_million", models.DecimalField(**money)) for name in needed),
        *((f"{name}_per_million", models.DecimalField(**money, blank=True, null=True)) for name in optional),
        ("fees", models.JSONField(blank=True, default=dict)),
        ("long_context", models.JSONField(blank=True, default=list)),
        ("service_tiers", models.JSONField(blank=True, default=dict)),
        ("per_request", models.DecimalField(**money, default=Decimal("0"))),
        ("effective_from", models.DateTimeField(default=clock.now)),
        ("source", models.CharField(blank=True, max_length=200)),
    ]


class Migration(migrations.Migration):
    initial = True
    dependencies = [("auth", "0012_alter_user_first_name_max_length")]
    operations = [
        migrations.CreateModel(
            name="Organization",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=120)),
                ("slug", models.SlugField(max_length=60, unique=True)),
                ("time_zone", models.CharField(default="UTC", max_length=64)),
                ("shard", models.PositiveSmallIntegerField(editable=False)),
                ("data_key", models.BinaryField()),
                ("version", models.BigIntegerField(default=1, editable=False)),
                ("is_active", models.BooleanField(default=True)),
                ("is_stopped", models.BooleanField(default=False)),
                ("is_read_only", models.BooleanField(default=False)),
                ("is_suspended", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(default=clock.now, editable=False)),
            ],
        ),
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                *tenant_row(),
                ("actor", models.CharField(max_length=254)),
                ("action", models.CharField(max_length=64)),
                ("target_kind", models.CharField(max_length=32)),
                ("target_id", models.CharField(max_length=200)),
                ("changes", models.JSONField(default=dict)),
            ],
            options={
                "indexes": [models.Index(fields=["org", "-created_at", "-id"], name="audit_newest_first")],
            },
        ),
        migrations.CreateModel(
            name="Budget",
            fields=[
                *tenant_row(),
                ("name", models.CharField(blank=True, max_length=120)),
                (
                    "scope",
                    models.CharField(
                        choices=SCOPES,
                        max_length=16,
                    ),
                ),
                ("subject", models.CharField(blank=True, max_length=200)),
                ("within_scope", models.CharField(blank=True, choices=enumeration("project", "key"), max_length=16)),
                ("within", models.CharField(blank=True, max_length=36)),
                (
                    "period",
                    models.CharField(
                        choices=enumeration("minute", "hour", "day", "week", "month", "total"), max_length=8
                    ),
                ),
                ("limit_nanos", models.BigIntegerField()),
                (
                    "action",
                    models.CharField(choices=enumeration("block", "warn", "degrade"), default="block", max_length=8),
                ),
                ("ladder", models.JSONField(blank=True, default=list)),
                ("is_shadow", models.BooleanField(default=False)),
                ("rollover", models.BooleanField(default=False)),
                ("thresholds", ArrayField(base_field=models.PositiveSmallIntegerField(), default=default_thresholds)),
                ("is_active", models.BooleanField(default=True)),
                ("is_managed", models.BooleanField(default=False, editable=False)),
            ],
            options={
                "indexes": [models.Index(fields=["org", "scope", "subject"], name="budgets_of_a_scope")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("limit_nanos__gte", 0), ("limit_nanos__lte", 9_000_000_000_000_000)),
                        name="limit_is_exact_in_lua",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="CachePolicy",
            fields=[
                *tenant_row(),
                ("model", models.CharField(blank=True, max_length=200)),
                ("mode", models.CharField(choices=enumeration("off", "shadow", "on"), max_length=8)),
                ("semantic", models.CharField(choices=enumeration("off", "shadow", "on"), default="off", max_length=8)),
                ("ttl_seconds", models.PositiveIntegerField(default=3600)),
                ("max_temperature", models.DecimalField(decimal_places=2, default=Decimal("0.7"), max_digits=4)),
                ("max_error_rate", models.DecimalField(decimal_places=3, default=Decimal("0.01"), max_digits=4)),
                (
                    "sharing",
                    models.CharField(
                        choices=enumeration("end_user", "key", "project", "organization"), default="key", max_length=12
                    ),
                ),
            ],
            options={
                "verbose_name": "cache policy",
                "verbose_name_plural": "cache policies",
                "constraints": [models.UniqueConstraint(fields=("org", "model"), name="one_cache_policy_a_model")],
            },
        ),
        migrations.CreateModel(
            name="CachePurge",
            fields=[
                *tenant_row(),
                ("kind", models.CharField(choices=enumeration("all", "model", "tag", "scope", "entry"), max_length=8)),
                ("subject", models.CharField(blank=True, max_length=200)),
                ("before", models.DateTimeField(default=clock.now)),
            ],
            options={
                "verbose_name": "cache purge",
                "indexes": [models.Index(fields=["org", "before"], name="cache_purges_in_force")],
            },
        ),
        migrations.CreateModel(
            name="BudgetIncrease",
            fields=[
                *tenant_row(),
                (
                    "budget",
                    models.ForeignKey(
                        db_constraint=False, on_delete=models.CASCADE, related_name="increases", to="tenants.budget"
                    ),
                ),
                ("amount_nanos", models.BigIntegerField()),
                ("until", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("reason", models.CharField(blank=True, max_length=500)),
                ("created_by", models.CharField(blank=True, max_length=254)),
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
        migrations.CreateModel(
            name="Project",
            fields=[
                *tenant_row(),
                ("name", models.CharField(max_length=120)),
                ("is_archived", models.BooleanField(default=False)),
                ("is_stopped", models.BooleanField(default=False)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("org", "name"), name="project_names_are_unique")],
            },
        ),
        migrations.CreateModel(
            name="ApiKey",
            fields=[
                *tenant_row(),
                (
                    "project",
                    models.ForeignKey(
                        db_constraint=False, on_delete=models.PROTECT, related_name="+", to="tenants.project"
                    ),
                ),
                ("name", models.CharField(max_length=120)),
                ("prefix", models.CharField(max_length=16)),
                ("digest", models.BinaryField(max_length=32, unique=True)),
                ("end_user", models.CharField(blank=True, max_length=200)),
                ("allowed_models", ArrayField(base_field=models.CharField(max_length=200), blank=True, default=list)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                ("is_stopped", models.BooleanField(default=False)),
                ("rotated_to", models.UUIDField(blank=True, editable=False, null=True)),
                ("lineage", models.UUIDField(blank=True, db_index=True, editable=False, null=True)),
                ("created_by", models.CharField(blank=True, max_length=254)),
            ],
            options={
                "indexes": [models.Index(fields=["org", "-created_at"], name="keys_of_an_org")],
            },
        ),
        migrations.CreateModel(
            name="AdminToken",
            fields=[
                *tenant_row(),
                ("name", models.CharField(max_length=120)),
                ("prefix", models.CharField(max_length=16)),
                ("digest", models.BinaryField(max_length=32, unique=True)),
                (
                    "role",
                    models.CharField(choices=ROLES, max_length=16),
                ),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="User",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("password", models.CharField(max_length=128, verbose_name="password")),
                ("last_login", models.DateTimeField(blank=True, null=True, verbose_name="last login")),
                (
                    "is_superuser",
                    models.BooleanField(
                        default=False,
                        help_text="Designates that this user has all permissions without explicitly assigning them.",
                        verbose_name="superuser status",
                    ),
                ),
                ("first_name", models.CharField(blank=True, max_length=150, verbose_name="first name")),
                ("last_name", models.CharField(blank=True, max_length=150, verbose_name="last name")),
                (
                    "is_staff",
                    models.BooleanField(
                        default=False,
                        help_text="Designates whether the user can log into this admin site.",
                        verbose_name="staff status",
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(
                        default=True,
                        help_text="Designates whether this user should be treated as active. Unselect this instead of deleting accounts.",
                        verbose_name="active",
                    ),
                ),
                ("date_joined", models.DateTimeField(default=timezone.now, verbose_name="date joined")),
                ("email", models.EmailField(max_length=254, unique=True)),
                ("is_platform_operator", models.BooleanField(default=False)),
                (
                    "groups",
                    models.ManyToManyField(
                        blank=True,
                        help_text="The groups this user belongs to. A user will get all permissions granted to each of their groups.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.group",
                        verbose_name="groups",
                    ),
                ),
                (
                    "user_permissions",
                    models.ManyToManyField(
                        blank=True,
                        help_text="Specific permissions for this user.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.permission",
                        verbose_name="user permissions",
                    ),
                ),
            ],
            options={
                "verbose_name": "user",
                "verbose_name_plural": "users",
            },
        ),
        migrations.CreateModel(
            name="PlatformToken",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=120)),
                ("prefix", models.CharField(max_length=16)),
                ("digest", models.BinaryField(max_length=32, unique=True)),
                (
                    "user",
                    models.ForeignKey(
                        null=True, on_delete=models.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(default=clock.now, editable=False)),
            ],
        ),
        migrations.CreateModel(
            name="RateLimit",
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
                ("within_scope", models.CharField(blank=True, choices=enumeration("project", "key"), max_length=16)),
                ("within", models.CharField(blank=True, max_length=36)),
                (
                    "unit",
                    models.CharField(choices=enumeration("requests", "tokens", "usd", "concurrent"), max_length=10),
                ),
                ("amount", models.BigIntegerField()),
                ("window_seconds", models.PositiveIntegerField()),
                ("is_shadow", models.BooleanField(default=False)),
                ("is_active", models.BooleanField(default=True)),
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
        migrations.CreateModel(
            name="Membership",
            fields=[
                *tenant_row(),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=models.CASCADE, related_name="memberships", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "role",
                    models.CharField(choices=ROLES, max_length=16),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("org", "user"), name="one_membership_a_person")],
            },
        ),
        migrations.CreateModel(
            name="EndUser",
            fields=[
                *tenant_row(),
                ("external_id", models.CharField(max_length=200)),
                ("name", models.CharField(blank=True, max_length=200)),
                ("is_blocked", models.BooleanField(default=False)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("org", "external_id"), name="end_users_are_unique")],
            },
        ),
        migrations.CreateModel(
            name="ListPrice",
            fields=[
                *price_columns(),
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("provider", models.CharField(max_length=60)),
                ("model", models.CharField(max_length=200)),
                ("context_window", models.PositiveIntegerField(blank=True, null=True)),
                ("created_at", models.DateTimeField(default=clock.now, editable=False)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("provider", "model", "effective_from"), name="one_list_price_a_moment"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Upstream",
            fields=[
                *tenant_row(),
                ("name", models.CharField(max_length=120)),
                ("kind", models.CharField(choices=enumeration("openai", "openai_compatible"), max_length=32)),
                ("base_url", models.CharField(max_length=500)),
                ("origin", models.CharField(max_length=300)),
                ("credential", models.BinaryField(null=True)),
                ("credential_hint", models.CharField(blank=True, max_length=8)),
                ("drain_on_disconnect", models.BooleanField(default=False)),
                ("bill_path", models.CharField(blank=True, max_length=200)),
                ("connect_timeout_ms", models.PositiveIntegerField(default=5000)),
                ("timeout_ms", models.PositiveIntegerField(default=600000)),
                ("max_retries", models.PositiveSmallIntegerField(default=2)),
                ("habits", models.JSONField(default=dict)),
                ("is_active", models.BooleanField(default=True)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("org", "name"), name="upstream_names_are_unique")],
            },
        ),
        migrations.CreateModel(
            name="LanguageModel",
            fields=[
                *tenant_row(),
                ("name", models.CharField(max_length=200)),
                (
                    "upstream",
                    models.ForeignKey(
                        db_constraint=False, on_delete=models.PROTECT, related_name="+", to="tenants.upstream"
                    ),
                ),
                ("upstream_model", models.CharField(max_length=200)),
                ("context_window", models.PositiveIntegerField(default=128000)),
                ("max_output_tokens", models.PositiveIntegerField(default=16384)),
                (
                    "tokenizer",
                    models.CharField(
                        choices=enumeration("o200k_base", "cl100k_base", "llama3", "qwen3", "bytes"),
                        default="bytes",
                        max_length=32,
                    ),
                ),
                ("max_tool_calls", models.PositiveIntegerField(blank=True, null=True)),
                ("fallbacks", models.JSONField(blank=True, default=list)),
                ("is_active", models.BooleanField(default=True)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("org", "name"), name="model_names_are_unique")],
            },
        ),
        migrations.CreateModel(
            name="PriceAdjustment",
            fields=[
                *tenant_row(),
                (
                    "upstream",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=models.CASCADE,
                        related_name="+",
                        to="tenants.upstream",
                    ),
                ),
                (
                    "model",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=models.CASCADE,
                        related_name="+",
                        to="tenants.languagemodel",
                    ),
                ),
                ("percent", models.DecimalField(decimal_places=4, max_digits=8)),
                ("effective_from", models.DateTimeField(default=clock.now)),
                ("created_by", models.CharField(blank=True, max_length=254)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("org", "upstream", "model", "effective_from"),
                        name="one_adjustment_a_moment",
                        nulls_distinct=False,
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("upstream", None), ("model", None), _connector="XOR"),
                        name="adjusts_an_upstream_or_a_model",
                    ),
                    models.CheckConstraint(condition=models.Q(("percent__gt", -100)), name="never_a_discount_of_all"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Price",
            fields=[
                *tenant_row(),
                *price_columns(),
                (
                    "model",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=models.CASCADE,
                        related_name="+",
                        to="tenants.languagemodel",
                    ),
                ),
                ("created_by", models.CharField(blank=True, max_length=254)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("org", "model", "effective_from"), name="one_price_a_moment", nulls_distinct=False
                    )
                ],
            },
        ),
    ]
