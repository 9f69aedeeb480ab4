"""Months of the ledger that the operator does not keep: their spend is summed before they go.

A budget for all of time must not forget what was spent from it, so the sums stay, by everything that such a budget can
be about, and ``proxy_spendever`` is the ledger and the sums as one. Definer functions, because the app role owns nothing
and a month holds the rows of many organisations. The function refuses the two newest months whatever it is asked for:
no budget's period but ``total`` can reach back behind them.
"""

from django.conf import settings
from django.db import migrations

# A sum may be larger than any column holds, if somebody's own upstream reports such usage: it must not stop the sums of
# everybody else.
WHOLE = """
CREATE FUNCTION costhub_whole(amount numeric) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN amount IS NOT NULL
               THEN greatest(least(amount, 9000000000000000000), -9000000000000000000)::bigint END $$
"""
# Before this moment the ledger has no rows any more, but for what came late.
FLOOR = """
CREATE FUNCTION costhub_ledger_floor() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS
$$ SELECT coalesce(max(first_kept)::timestamp AT TIME ZONE 'UTC', '-infinity') FROM public.proxy_ledgerfloor $$
"""
DROP_MONTH = """
CREATE FUNCTION costhub_drop_ledger_month(month date) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    partition text := 'proxy_ledgerentry_' || to_char(month, 'YYYY_MM');
    dropped bigint;
BEGIN
    IF month >= date_trunc('month', now() AT TIME ZONE 'UTC' - interval '1 month')::date THEN
        RAISE EXCEPTION 'the month % is too young to be dropped', month;
    END IF;
    -- two workers may run this at once
    PERFORM pg_advisory_xact_lock(hashtext('costhub_drop_ledger_month'));
    IF to_regclass('public.' || partition) IS NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format('SELECT count(*) FROM public.%I', partition) INTO dropped;
    EXECUTE format(
        'INSERT INTO public.proxy_ledgercarry
             (month, org_id, project_id, key_id, end_user, request_model, tags, effective_cost)
         SELECT %L::date, org_id, project_id, key_id, end_user, request_model, tags, public.costhub_whole(sum(effective_cost))
         FROM public.%I GROUP BY org_id, project_id, key_id, end_user, request_model, tags
         HAVING sum(effective_cost) <> 0',
        month, partition
    );
    EXECUTE format('DROP TABLE public.%I', partition);
    INSERT INTO public.proxy_ledgerfloor (first_kept) VALUES ((month + interval '1 month')::date);
    RETURN dropped;
END $$
"""

COLUMNS = "org_id, project_id, key_id, end_user, request_model, tags"


def forwards(apps, schema_editor):
    role = schema_editor.quote_name(settings.DATABASES["default"]["USER"])
    for statement in [
        WHOLE,
        "CREATE TABLE proxy_ledgerfloor (first_kept date NOT NULL)",
        FLOOR,
        "REVOKE ALL ON FUNCTION costhub_ledger_floor() FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION costhub_ledger_floor() TO {role}",
        """CREATE TABLE proxy_ledgercarry (
               id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
               month date NOT NULL, org_id uuid NOT NULL, project_id uuid NOT NULL, key_id uuid NOT NULL,
               end_user text NOT NULL, request_model text NOT NULL, tags jsonb NOT NULL, effective_cost bigint NOT NULL)""",
        "CREATE INDEX carry_of_an_org ON proxy_ledgercarry (org_id)",
        "ALTER TABLE proxy_ledgercarry ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "CREATE POLICY owner_sees_all ON proxy_ledgercarry TO CURRENT_USER USING (true) WITH CHECK (true)",
        f"CREATE POLICY tenant ON proxy_ledgercarry FOR SELECT TO {role}"
        " USING (org_id = ANY ((SELECT costhub_orgs())::uuid[]))",
        f"GRANT SELECT ON proxy_ledgercarry TO {role}",
        # Read with the rights of whoever asks: a view of its owner's would show every organisation.
        f"""CREATE VIEW proxy_spendever WITH (security_invoker = true) AS
            SELECT started_at, session, {COLUMNS}, effective_cost FROM proxy_ledgerentry
            UNION ALL
            SELECT month::timestamp AT TIME ZONE 'UTC', '', {COLUMNS}, effective_cost FROM proxy_ledgercarry""",
        f"GRANT SELECT ON proxy_spendever TO {role}",
        DROP_MONTH,
        "REVOKE ALL ON FUNCTION costhub_drop_ledger_month(date) FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION costhub_drop_ledger_month(date) TO {role}",
    ]:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("proxy", "0004_would_refuse")]
    operations = [migrations.RunPython(forwards)]
