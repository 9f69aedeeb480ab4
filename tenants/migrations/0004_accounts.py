"""Accounts: invitations, service accounts, requests for more and single sign-on; and what the app role may do with
django-allauth's tables, whose rows are people's and no organisation's."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models

from tenants.schema import ALL, app_role, enumeration, lead_with_org, stay_inside, tenant_row, wall, way_across

TENANT_TABLES = [
    "tenants_serviceaccount",
    "tenants_signon",
    "tenants_claimeddomain",
    "tenants_invitation",
    "tenants_budgetrequest",
]
PEOPLES_TABLES = [
    "account_emailaddress",
    "account_emailconfirmation",
    "mfa_authenticator",
    "socialaccount_socialaccount",
    "socialaccount_socialapp",
    "socialaccount_socialtoken",
    "usersessions_usersession",
]
ROLES = enumeration("owner", "admin", "finance", "developer", "viewer")

STATEMENTS = [
    *(statement for table in TENANT_TABLES for statement in wall(table)),
    lead_with_org("tenants_serviceaccount"),
    lead_with_org("tenants_budgetincrease"),
    stay_inside("tenants_admintoken", "account_id", "tenants_serviceaccount"),
    stay_inside("tenants_budgetrequest", "budget_id", "tenants_budget"),
    stay_inside("tenants_budgetrequest", "increase_id", "tenants_budgetincrease"),
    # From what a stranger brings to the organisation that it is about.
    *way_across(
        "costhub_find_sign_on", "wanted uuid", "uuid", "SELECT org_id FROM public.tenants_signon WHERE id = wanted"
    ),
    *way_across(
        "costhub_find_domain",
        "wanted text",
        "uuid",
        "SELECT org_id FROM public.tenants_claimeddomain WHERE name = wanted AND verified_at IS NOT NULL",
    ),
    *way_across(
        "costhub_find_invitation",
        "wanted bytea",
        "uuid",
        "SELECT org_id FROM public.tenants_invitation WHERE digest = wanted",
    ),
    f"GRANT {ALL} ON {', '.join(PEOPLES_TABLES)} TO {app_role()}",
    f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {app_role()}",
]


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0004_learning"),
        ("account", "0009_emailaddress_unique_primary_email"),
        ("mfa", "0003_authenticator_type_uniq"),
        ("socialaccount", "0006_alter_socialaccount_extra_data"),
        ("usersessions", "0001_initial"),
    ]
    operations = [
        migrations.AlterModelOptions(
            name="admintoken",
            options={"verbose_name": "admin token"},
        ),
        migrations.AddField(
            model_name="admintoken",
            name="created_by",
            field=models.CharField(blank=True, max_length=254),
        ),
        migrations.AddField(
            model_name="admintoken",
            name="scopes",
            field=ArrayField(base_field=models.CharField(max_length=32), blank=True, default=list, size=None),
        ),
        migrations.AddField(
            model_name="apikey",
            name="allowed_addresses",
            field=ArrayField(base_field=models.CharField(max_length=43), blank=True, default=list, size=None),
        ),
        migrations.AddField(
            model_name="apikey",
            name="allowed_endpoints",
            field=ArrayField(base_field=models.CharField(max_length=64), blank=True, default=list, size=None),
        ),
        migrations.AddField(
            model_name="membership",
            name="projects",
            field=ArrayField(base_field=models.UUIDField(), blank=True, default=list, size=None),
        ),
        migrations.AddField(
            model_name="membership",
            name="suspended_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="organization",
            name="requires_second_factor",
            field=models.BooleanField(default=False),
        ),
        migrations.CreateModel(
            name="ServiceAccount",
            fields=[
                *tenant_row(),
                ("name", models.CharField(max_length=120)),
                (
                    "role",
                    models.CharField(
                        choices=ROLES,
                        max_length=16,
                    ),
                ),
                (
                    "projects",
                    ArrayField(base_field=models.UUIDField(), blank=True, default=list, size=None),
                ),
                ("disabled_at", models.DateTimeField(blank=True, null=True)),
                ("created_by", models.CharField(blank=True, max_length=254)),
            ],
            options={
                "verbose_name": "service account",
            },
        ),
        migrations.AddField(
            model_name="admintoken",
            name="account",
            field=models.ForeignKey(
                db_constraint=False,
                null=True,
                on_delete=models.CASCADE,
                related_name="tokens",
                to="tenants.serviceaccount",
            ),
        ),
        migrations.CreateModel(
            name="SignOn",
            fields=[
                *tenant_row(),
                ("name", models.CharField(max_length=120)),
                ("kind", models.CharField(choices=[("oidc", "oidc"), ("saml", "saml")], max_length=8)),
                (
                    "role",
                    models.CharField(
                        choices=ROLES,
                        max_length=16,
                    ),
                ),
                ("is_active", models.BooleanField(default=True)),
                ("issuer", models.CharField(blank=True, max_length=500)),
                ("client_id", models.CharField(blank=True, max_length=200)),
                ("client_secret", models.BinaryField(blank=True, default=b"")),
                ("entity_id", models.CharField(blank=True, max_length=500)),
                ("sso_url", models.CharField(blank=True, max_length=500)),
                ("certificate", models.TextField(blank=True)),
            ],
            options={
                "verbose_name": "sign-on",
            },
        ),
        migrations.CreateModel(
            name="BudgetRequest",
            fields=[
                *tenant_row(),
                ("amount_nanos", models.BigIntegerField()),
                ("until", models.DateTimeField()),
                ("reason", models.CharField(max_length=500)),
                ("asked_by", models.CharField(max_length=254)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "open"),
                            ("granted", "granted"),
                            ("denied", "denied"),
                            ("withdrawn", "withdrawn"),
                        ],
                        default="open",
                        max_length=16,
                    ),
                ),
                ("granted_nanos", models.BigIntegerField(blank=True, null=True)),
                ("answer", models.CharField(blank=True, max_length=500)),
                ("decided_by", models.CharField(blank=True, max_length=254)),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                (
                    "asked_by_user",
                    models.ForeignKey(
                        null=True,
                        on_delete=models.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "budget",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=models.CASCADE,
                        related_name="requests",
                        to="tenants.budget",
                    ),
                ),
                (
                    "increase",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=models.SET_NULL,
                        related_name="+",
                        to="tenants.budgetincrease",
                    ),
                ),
            ],
            options={
                "verbose_name": "budget request",
                "indexes": [models.Index(fields=["org", "-created_at"], name="budget_requests_newest_first")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("amount_nanos__gte", 1), ("amount_nanos__lte", 9000000000000000)),
                        name="asked_amount_is_exact_in_lua",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ClaimedDomain",
            fields=[
                *tenant_row(),
                ("name", models.CharField(max_length=253)),
                ("challenge", models.CharField(max_length=64)),
                ("verified_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name": "claimed domain",
                "constraints": [
                    models.UniqueConstraint(fields=("org", "name"), name="one_claim_a_domain"),
                    models.UniqueConstraint(
                        condition=models.Q(("verified_at__isnull", False)), fields=("name",), name="one_owner_a_domain"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Invitation",
            fields=[
                *tenant_row(),
                ("email", models.EmailField(max_length=254)),
                (
                    "role",
                    models.CharField(
                        choices=ROLES,
                        max_length=16,
                    ),
                ),
                (
                    "projects",
                    ArrayField(base_field=models.UUIDField(), blank=True, default=list, size=None),
                ),
                ("digest", models.BinaryField(max_length=32, unique=True)),
                ("expires_at", models.DateTimeField()),
                ("accepted_at", models.DateTimeField(blank=True, null=True)),
                ("withdrawn_at", models.DateTimeField(blank=True, null=True)),
                ("invited_by", models.CharField(blank=True, max_length=254)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("accepted_at", None), ("withdrawn_at", None)),
                        fields=("org", "email"),
                        name="one_open_invitation_a_person",
                    )
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="serviceaccount",
            constraint=models.UniqueConstraint(fields=("org", "name"), name="service_account_names_are_unique"),
        ),
        migrations.RunSQL(STATEMENTS),
    ]
