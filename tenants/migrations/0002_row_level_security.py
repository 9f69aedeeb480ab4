"""Row-level security over every tenant row, references that stay inside an organisation, and the app role's grants.

The definer functions are the only way from a secret's HMAC, or from a scheduled job, to an organisation's id.
"""

from django.db import migrations

from tenants.schema import ALL, APPEND, INSIDE, allow, app_role, lead_with_org, stay_inside, wall

TENANT_TABLES = [
    "tenants_project",
    "tenants_enduser",
    "tenants_apikey",
    "tenants_admintoken",
    "tenants_upstream",
    "tenants_languagemodel",
    "tenants_price",
    "tenants_priceadjustment",
    "tenants_budget",
    "tenants_budgetincrease",
    "tenants_ratelimit",
    "tenants_cachepolicy",
    "tenants_cachepurge",
]
REFERENCES = [
    ("tenants_apikey", "project_id", "tenants_project"),
    ("tenants_languagemodel", "upstream_id", "tenants_upstream"),
    ("tenants_price", "model_id", "tenants_languagemodel"),
    ("tenants_priceadjustment", "upstream_id", "tenants_upstream"),
    ("tenants_priceadjustment", "model_id", "tenants_languagemodel"),
    ("tenants_budgetincrease", "budget_id", "tenants_budget"),
]
SHARED_TABLES = ["tenants_user", "tenants_listprice", "tenants_platformtoken", "django_session"]
READ_ONLY_TABLES = [
    "django_migrations",
    "django_content_type",
    "auth_permission",
    "auth_group",
    "auth_group_permissions",
    "tenants_user_groups",
    "tenants_user_user_permissions",
]

SETTINGS = [
    """CREATE FUNCTION costhub_orgs() RETURNS uuid[] LANGUAGE sql STABLE PARALLEL SAFE AS
           $$ SELECT NULLIF(current_setting('costhub.orgs', true), '')::uuid[] $$""",
    """CREATE FUNCTION costhub_me() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS
           $$ SELECT NULLIF(current_setting('costhub.user', true), '')::bigint $$""",
    f"GRANT EXECUTE ON FUNCTION costhub_orgs(), costhub_me() TO {app_role()}",
]
MINE = "user_id = (SELECT costhub_me())"
OWN = "id = ANY ((SELECT costhub_orgs())::uuid[])"
WALLS = [
    *(statement for table in TENANT_TABLES for statement in wall(table)),
    *wall("tenants_auditentry", APPEND),
    # People see where they are members before any organisation is open.
    *wall("tenants_membership", visible=f"{INSIDE} OR {MINE}"),
    *wall(
        "tenants_organization",
        visible=f"{OWN} OR id IN (SELECT org_id FROM tenants_membership WHERE {MINE})",
        writable=OWN,
    ),
    f"GRANT {ALL} ON {', '.join(SHARED_TABLES)} TO {app_role()}",
    f"GRANT SELECT ON {', '.join(READ_ONLY_TABLES)} TO {app_role()}",
    f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {app_role()}",
]


def find_by_digest(name: str, table: str) -> list[str]:
    return [
        f"""CREATE FUNCTION {name}(wanted bytea) RETURNS TABLE (org_id uuid, id uuid)
           LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS
           $$ SELECT org_id, id FROM public.{table} WHERE digest = wanted $$""",
        *allow(f"{name}(bytea)"),
    ]


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0001_initial"),
        ("sessions", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [
        migrations.RunSQL(SETTINGS),
        migrations.RunSQL([lead_with_org(parent) for parent in dict.fromkeys(parent for _, _, parent in REFERENCES)]),
        migrations.RunSQL([stay_inside(*reference) for reference in REFERENCES]),
        migrations.RunSQL(WALLS),
        migrations.RunSQL(find_by_digest("costhub_find_api_key", "tenants_apikey")),
        migrations.RunSQL(find_by_digest("costhub_find_admin_token", "tenants_admintoken")),
        migrations.RunSQL(
            [
                """CREATE FUNCTION costhub_all_orgs() RETURNS TABLE (org_id uuid, shard smallint, version bigint)
           LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS
           $$ SELECT id, shard, version FROM public.tenants_organization $$""",
                *allow("costhub_all_orgs()"),
            ]
        ),
    ]
