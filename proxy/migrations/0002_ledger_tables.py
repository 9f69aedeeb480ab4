"""The partitioned ledger and its dead letters.

A month is a partition. Policies on a partitioned parent do not guard a partition that is named directly, so nobody is
granted anything on partitions, and each has row-level security with no policy for the app role. New partitions are
made by a definer function, because the app role owns nothing. Rows outside every month fall into a default partition:
a wrong clock must not lose one.
"""

from django.conf import settings
from django.db import migrations

TABLE = """
CREATE TABLE proxy_ledgerentry (
    started_at timestamptz NOT NULL,
    id uuid NOT NULL,
    org_id uuid NOT NULL,
    project_id uuid NOT NULL,
    key_id uuid NOT NULL,
    end_user text NOT NULL,
    tags jsonb NOT NULL,
    kind text NOT NULL CHECK (kind IN ('call', 'correction')),
    corrects uuid,
    endpoint text NOT NULL,
    request_model text NOT NULL,
    response_model text NOT NULL,
    upstream_id uuid,
    provider text NOT NULL,
    attempts jsonb NOT NULL,
    is_stream boolean NOT NULL,
    input_tokens bigint NOT NULL,
    cache_read_input_tokens bigint NOT NULL,
    cache_write_input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    audio_input_tokens bigint NOT NULL,
    audio_output_tokens bigint NOT NULL,
    list_cost bigint NOT NULL,
    effective_cost bigint NOT NULL,
    savings jsonb NOT NULL,
    price_id uuid,
    is_estimated boolean NOT NULL,
    is_overrun boolean NOT NULL,
    held bigint NOT NULL,
    cache_status text NOT NULL,
    route_reason text NOT NULL,
    status integer NOT NULL,
    error_code text NOT NULL,
    finish_reason text NOT NULL,
    duration_us bigint NOT NULL,
    first_byte_us bigint,
    overhead_us bigint,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (started_at, id)
) PARTITION BY RANGE (started_at)
"""

ENSURE_PARTITIONS = """
CREATE FUNCTION costhub_ensure_partitions(first date, months integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    month date := date_trunc('month', first::timestamp)::date;
    made integer := 0;
    partition text;
BEGIN
    -- two workers may run this at once
    PERFORM pg_advisory_xact_lock(hashtext('costhub_ensure_partitions'));
    FOR step IN 0 .. months LOOP
        partition := 'proxy_ledgerentry_' || to_char(month, 'YYYY_MM');
        IF to_regclass('public.' || partition) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE public.%I PARTITION OF public.proxy_ledgerentry FOR VALUES FROM (%L) TO (%L)',
                partition, month::text || ' 00:00:00+00', (month + interval '1 month')::date::text || ' 00:00:00+00'
            );
            EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', partition);
            EXECUTE format('CREATE POLICY owner_sees_all ON public.%I TO CURRENT_USER USING (true) WITH CHECK (true)', partition);
            made := made + 1;
        END IF;
        month := (month + interval '1 month')::date;
    END LOOP;
    RETURN made;
END $$
"""


def forwards(apps, schema_editor):
    role = schema_editor.quote_name(settings.DATABASES["default"]["USER"])
    for statement in [
        TABLE,
        "CREATE TABLE proxy_ledgerentry_default PARTITION OF proxy_ledgerentry DEFAULT",
        "CREATE INDEX ledger_of_an_org ON proxy_ledgerentry (org_id, started_at DESC, id DESC)",
        "CREATE INDEX ledger_of_a_key ON proxy_ledgerentry (org_id, key_id, started_at DESC)",
        "CREATE INDEX ledger_corrections ON proxy_ledgerentry (corrects) WHERE corrects IS NOT NULL",
        "CREATE INDEX ledger_estimates ON proxy_ledgerentry (org_id, started_at) WHERE is_estimated",
        "ALTER TABLE proxy_ledgerentry ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "ALTER TABLE proxy_ledgerentry_default ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "CREATE POLICY owner_sees_all ON proxy_ledgerentry TO CURRENT_USER USING (true) WITH CHECK (true)",
        "CREATE POLICY owner_sees_all ON proxy_ledgerentry_default TO CURRENT_USER USING (true) WITH CHECK (true)",
        f"CREATE POLICY tenant ON proxy_ledgerentry TO {role}"
        " USING (org_id = ANY ((SELECT costhub_orgs())::uuid[])) WITH CHECK (org_id = ANY ((SELECT costhub_orgs())::uuid[]))",
        f"GRANT SELECT, INSERT ON proxy_ledgerentry TO {role}",
        ENSURE_PARTITIONS,
        "REVOKE ALL ON FUNCTION costhub_ensure_partitions(date, integer) FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION costhub_ensure_partitions(date, integer) TO {role}",
        "SELECT costhub_ensure_partitions((now() - interval '2 months')::date, 5)",
        # What the drain could not write, kept for the operator: the app role may add to it and not read it.
        """CREATE TABLE proxy_deadletter (
               id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
               stream text NOT NULL, entry_id text NOT NULL, event text NOT NULL, reason text NOT NULL,
               recorded_at timestamptz NOT NULL DEFAULT now(), UNIQUE (stream, entry_id))""",
        f"GRANT INSERT ON proxy_deadletter TO {role}",
    ]:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("proxy", "0001_initial"), ("tenants", "0002_row_level_security")]
    operations = [migrations.RunPython(forwards)]
