"""The SQL function by which jobs find the organisations that have something for them to do, as migrations define it.

A migration that needs another condition takes those of the one before and adds its own: what an earlier migration says
must not change with what comes later.
"""

from collections.abc import Mapping


def exists(table: str, condition: str) -> str:
    """Whether an organisation has such a row."""
    return f"EXISTS (SELECT FROM public.proxy_{table} AS row WHERE row.org_id = org.id AND {condition})"


def define(conditions: Mapping[str, str]) -> str:
    """The function, by what there is to do (``work.Work``). One that is replaced keeps its grants."""
    cases = "\n".join(f"        WHEN '{what}' THEN {condition}" for what, condition in conditions.items())
    return f"""
    CREATE OR REPLACE FUNCTION costhub_learning_orgs(what text) RETURNS TABLE (org_id uuid) LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT org.id FROM public.tenants_organization AS org WHERE CASE what
{cases}
    END
    $$
"""  # noqa: S608 - of migrations' own words alone
