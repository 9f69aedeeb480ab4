"""Row-level security, references that lead with the organisation, and the grants of the app role.

The app role owns nothing and cannot bypass a policy. Which organisations it may see is a setting of the current
transaction (``costhub.orgs``), set by ``tenants.access``; unset, it sees nothing. The three definer functions are the
only way from a secret's HMAC, or from a scheduled job, to an organisation's id.
"""

from django.conf import settings
from django.db import migrations

TENANT_TABLES = [
    "tenants_project",
    "tenants_enduser",
    "tenants_apikey",
    "tenants_admintoken",
    "tenants_upstream",
    "tenants_languagemodel",
    "tenants_price",
    "tenants_budget",
    "tenants_auditentry",
    "tenants_membership",
]
REFERENCES = [
    ("tenants_apikey", "project_id", "tenants_project"),
    ("tenants_languagemodel", "upstream_id", "tenants_upstream"),
    ("tenants_price", "model_id", "tenants_languagemodel"),
]
APPEND_ONLY = {"tenants_auditentry"}
SHARED_TABLES = ["tenants_user", "tenants_listprice", "tenants_platformtoken", "django_session"]
READ_ONLY_TABLES = ["django_migrations", "django_content_type", "auth_permission"]


def protect(table: str, role: str, visible: str, check: str) -> list[str]:
    verbs = "SELECT, INSERT" if table in APPEND_ONLY else "SELECT, INSERT, UPDATE, DELETE"
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY owner_sees_all ON {table} TO CURRENT_USER USING (true) WITH CHECK (true)",
        f"CREATE POLICY tenant ON {table} TO {role} USING ({visible}) WITH CHECK ({check})",
        f"GRANT {verbs} ON {table} TO {role}",
    ]


def forwards(apps, schema_editor):
    role = schema_editor.quote_name(settings.DATABASES["default"]["USER"])
    statements = [
        """CREATE FUNCTION costhub_orgs() RETURNS uuid[] LANGUAGE sql STABLE PARALLEL SAFE AS
           $$ SELECT NULLIF(current_setting('costhub.orgs', true), '')::uuid[] $$""",
        """CREATE FUNCTION costhub_me() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS
           $$ SELECT NULLIF(current_setting('costhub.user', true), '')::bigint $$""",
    ]
    for child, column, parent in REFERENCES:
        unique = f"{parent}_org_and_id"
        if not any(unique in statement for statement in statements):
            statements.append(f"ALTER TABLE {parent} ADD CONSTRAINT {unique} UNIQUE (org_id, id)")
        statements.append(
            f"ALTER TABLE {child} ADD CONSTRAINT {child}_{column}_same_org FOREIGN KEY (org_id, {column})"
            f" REFERENCES {parent} (org_id, id) DEFERRABLE INITIALLY DEFERRED"
        )
    inside = "org_id = ANY ((SELECT costhub_orgs())::uuid[])"
    for table in TENANT_TABLES:
        visible = f"{inside} OR user_id = (SELECT costhub_me())" if table == "tenants_membership" else inside
        statements += protect(table, role, visible, inside)
    own = "id = ANY ((SELECT costhub_orgs())::uuid[])"
    statements += protect(
        "tenants_organization",
        role,
        f"{own} OR id IN (SELECT org_id FROM tenants_membership WHERE user_id = (SELECT costhub_me()))",
        own,
    )
    statements += [
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(SHARED_TABLES)} TO {role}",
        f"GRANT SELECT ON {', '.join(READ_ONLY_TABLES)} TO {role}",
        f"GRANT SELECT ON tenants_user_groups, tenants_user_user_permissions, auth_group, auth_group_permissions TO {role}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
        """CREATE FUNCTION costhub_find_api_key(wanted bytea) RETURNS TABLE (org_id uuid, id uuid)
           LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS
           $$ SELECT org_id, id FROM public.tenants_apikey WHERE digest = wanted $$""",
        """CREATE FUNCTION costhub_find_admin_token(wanted bytea) RETURNS TABLE (org_id uuid, id uuid)
           LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS
           $$ SELECT org_id, id FROM public.tenants_admintoken WHERE digest = wanted $$""",
        """CREATE FUNCTION costhub_all_orgs() RETURNS TABLE (org_id uuid, shard smallint, version bigint)
           LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS
           $$ SELECT id, shard, version FROM public.tenants_organization $$""",
        "REVOKE ALL ON FUNCTION costhub_find_api_key(bytea), costhub_find_admin_token(bytea), costhub_all_orgs() FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION costhub_find_api_key(bytea), costhub_find_admin_token(bytea), costhub_all_orgs(),"
        f" costhub_orgs(), costhub_me() TO {role}",
    ]
    for statement in statements:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0001_initial"),
        ("sessions", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(forwards)]
