"""What the migrations of all apps share: the columns of a tenant's row, and its walls in SQL.

The app role owns nothing and cannot bypass a policy. Which organisations it may see is a setting of the current
transaction (``costhub.orgs``, read by ``costhub_orgs()``), set by ``tenants.access``; unset, it sees nothing. Policies
hold for the owner of a table too (``FORCE``), which has one of its own that shows it everything.
"""

import uuid
from typing import Any, Final

from django.conf import settings
from django.db import models

from costhub.lib import clock

INSIDE: Final = "org_id = ANY ((SELECT costhub_orgs())::uuid[])"
ALL: Final = "SELECT, INSERT, UPDATE, DELETE"
APPEND: Final = "SELECT, INSERT"


def app_role() -> str:
    """The role that the application connects as, quoted."""
    name: str = settings.DATABASES["default"]["USER"]
    return '"' + name.replace('"', '""') + '"'


def tenant_row() -> "list[tuple[str, models.Field[Any, Any]]]":
    """The fields of ``tenants.models.base.TenantRow``."""
    return [
        ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
        ("org", models.ForeignKey("tenants.organization", models.CASCADE, related_name="+", db_index=False)),
        ("created_at", models.DateTimeField(default=clock.now, editable=False)),
    ]


def enumeration(*names: str) -> list[tuple[str, str]]:
    """Choices that are shown as they are stored."""
    return [(name, name) for name in names]


def close(table: str) -> list[str]:
    """A table whose rows its owner alone sees."""
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY owner_sees_all ON {table} TO CURRENT_USER USING (true) WITH CHECK (true)",
    ]


def wall(table: str, verbs: str = ALL, *, visible: str = INSIDE, writable: str = INSIDE) -> list[str]:
    """A table of which the app role sees its organisations' rows, and may do ``verbs`` to them."""
    if verbs == "SELECT":
        policy = f"FOR SELECT TO {app_role()} USING ({visible})"
    else:
        policy = f"TO {app_role()} USING ({visible}) WITH CHECK ({writable})"
    return [*close(table), f"CREATE POLICY tenant ON {table} {policy}", f"GRANT {verbs} ON {table} TO {app_role()}"]


def lead_with_org(table: str) -> str:
    """What ``stay_inside`` refers to: a row's id together with its organisation."""
    return f"ALTER TABLE {table} ADD CONSTRAINT {table}_org_and_id UNIQUE (org_id, id)"


def stay_inside(table: str, column: str, parent: str) -> str:
    """A reference within one organisation; a plain foreign key accepts a row of another tenant."""
    return (
        f"ALTER TABLE {table} ADD CONSTRAINT {table}_{column}_same_org FOREIGN KEY (org_id, {column})"
        f" REFERENCES {parent} (org_id, id) DEFERRABLE INITIALLY DEFERRED"
    )


def make_index(name: str, of: str, *, is_unique: bool = False) -> list[str]:
    """An index that is made while its table is written to, ``of`` a table with its columns; in a migration that is not
    atomic. It takes as long as it takes, and waits for whoever is at work. Cut short, PostgreSQL keeps one of that name
    that is no good: the next run makes it anew."""
    return [
        "SET statement_timeout = 0",
        "SET lock_timeout = 0",
        f"DROP INDEX CONCURRENTLY IF EXISTS {name}",
        f"CREATE {'UNIQUE ' if is_unique else ''}INDEX CONCURRENTLY {name} ON {of}",
        "RESET lock_timeout",
        "RESET statement_timeout",
    ]


def allow(*signatures: str) -> list[str]:
    """Functions that the app role may call, and nobody else: a new one is everybody's until then."""
    return [*keep(*signatures), f"GRANT EXECUTE ON FUNCTION {', '.join(signatures)} TO {app_role()}"]


def keep(*signatures: str) -> list[str]:
    """Functions that their owner alone may call."""
    return [f"REVOKE ALL ON FUNCTION {', '.join(signatures)} FROM PUBLIC"]


def way_across(name: str, arguments: str, result: str, query: str) -> list[str]:
    """A query over all organisations that the app role may ask: it runs with the rights of its owner.

    ``arguments`` has one at most. What it gives must not be a tenant's data: ids and states alone.
    """
    return [
        f"CREATE FUNCTION {name}({arguments}) RETURNS {result} LANGUAGE sql STABLE SECURITY DEFINER"
        f" SET search_path = pg_catalog, public AS $$ {query} $$",
        *allow(f"{name}({' '.join(arguments.split()[1:])})"),
    ]
