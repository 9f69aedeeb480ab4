"""Months of the ledger that the operator does not keep: their spend is summed before they go.

A budget for all of time must not forget what was spent from it, so the sums stay, by everything that such a budget can
be about, and ``proxy_spendever`` is the ledger and the sums as one. What was spent on each model is summed however a
call came to it: a row's attempts name theirs, and what they do not name is of the model that was asked for. Definer
functions, because the app role owns nothing and a month holds the rows of many organisations. The function refuses the
two newest months whatever it is asked for: no budget's period but ``total`` can reach back behind them.
"""

from django.db import migrations

from tenants.schema import allow, app_role, wall

# A sum may be larger than any column holds, if somebody's own upstream reports such usage: it must not stop the sums
# of everybody else.
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
SPENT_ON = """
CREATE FUNCTION costhub_spent_on(attempts jsonb, request_model text, effective_cost bigint)
RETURNS TABLE (model text, cost numeric) LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(nullif(one->>'model', ''), request_model), (one->>'cost')::numeric
    FROM jsonb_array_elements(attempts) AS one
    UNION ALL
    SELECT request_model, effective_cost
           - coalesce((SELECT sum((one->>'cost')::numeric) FROM jsonb_array_elements(attempts) AS one), 0)
$$
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
         SELECT %L::date, org_id, project_id, key_id, end_user, spent.model, tags, public.costhub_whole(sum(spent.cost))
         FROM public.%I CROSS JOIN LATERAL public.costhub_spent_on(attempts, request_model, effective_cost) AS spent
         GROUP BY org_id, project_id, key_id, end_user, spent.model, tags
         HAVING sum(spent.cost) <> 0',
        month, partition
    );
    EXECUTE format('DROP TABLE public.%I', partition);
    INSERT INTO public.proxy_ledgerfloor (first_kept) VALUES ((month + interval '1 month')::date);
    RETURN dropped;
END $$
"""
SUBJECTS = "org_id, project_id, key_id, end_user, request_model, tags"
# Read with the rights of whoever asks: a view of its owner's would show every organisation.
SPEND_EVER = f"""
CREATE VIEW proxy_spendever WITH (security_invoker = true) AS
    SELECT started_at, session, {SUBJECTS}, effective_cost, attempts FROM proxy_ledgerentry
    UNION ALL
    SELECT month::timestamp AT TIME ZONE 'UTC', '', {SUBJECTS}, effective_cost, '[]'::jsonb FROM proxy_ledgercarry
"""


class Migration(migrations.Migration):
    dependencies = [("proxy", "0002_ledger")]
    operations = [
        migrations.RunSQL([WHOLE]),
        migrations.RunSQL(
            [
                "CREATE TABLE proxy_ledgerfloor (first_kept date NOT NULL)",
                FLOOR,
                *allow("costhub_ledger_floor()"),
            ]
        ),
        migrations.RunSQL(
            [
                """CREATE TABLE proxy_ledgercarry (
               id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
               month date NOT NULL, org_id uuid NOT NULL, project_id uuid NOT NULL, key_id uuid NOT NULL,
               end_user text NOT NULL, request_model text NOT NULL, tags jsonb NOT NULL,
               effective_cost bigint NOT NULL)""",
                "CREATE INDEX carry_of_an_org ON proxy_ledgercarry (org_id)",
                *wall("proxy_ledgercarry", "SELECT"),
            ]
        ),
        migrations.RunSQL([SPENT_ON]),
        migrations.RunSQL([SPEND_EVER, f"GRANT SELECT ON proxy_spendever TO {app_role()}"]),
        migrations.RunSQL([DROP_MONTH, *allow("costhub_drop_ledger_month(date)")]),
    ]
