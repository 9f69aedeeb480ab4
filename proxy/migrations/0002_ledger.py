"""The partitioned ledger and its dead letters.

A month is a partition. Policies on a partitioned parent do not guard a partition that is named directly, so nobody is
granted anything on partitions, and each has row-level security with no policy for the app role. New partitions are
made by a definer function, because the app role owns nothing. Rows outside every month fall into a default partition:
a wrong clock must not lose one.

The drain writes a batch of events as one JSON array, parsed by PostgreSQL and appended once each. A definer function,
because a batch holds the rows of many organisations, and no role that reads should be able to see more than one of them
for it.
"""

from django.db import migrations

from tenants.schema import APPEND as APPENDS
from tenants.schema import allow, app_role, close, wall

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
    would_refuse jsonb NOT NULL DEFAULT '[]',
    session text NOT NULL DEFAULT '',
    usage jsonb NOT NULL DEFAULT '{}',
    adjustment_id uuid,
    service_tier text NOT NULL DEFAULT '',
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

COLUMNS = """
    id uuid, started_at_ms bigint, org_id uuid, project_id uuid, key_id uuid, end_user text, tags jsonb, session text, kind text,
    corrects uuid, endpoint text, request_model text, response_model text, upstream_id uuid, provider text,
    attempts jsonb, is_stream boolean, input_tokens bigint, cache_read_input_tokens bigint,
    cache_write_input_tokens bigint, output_tokens bigint, reasoning_tokens bigint, audio_input_tokens bigint,
    audio_output_tokens bigint, usage jsonb, list_cost bigint, effective_cost bigint, savings jsonb, price_id uuid,
    adjustment_id uuid, service_tier text,
    is_estimated boolean, is_overrun boolean, held bigint, cache_status text, route_reason text, would_refuse jsonb, status integer,
    error_code text, finish_reason text, duration_us bigint, first_byte_us bigint, overhead_us bigint
"""
NAMES = [column.split()[0] for column in COLUMNS.split(",")]
TARGETS = ", ".join("started_at" if name == "started_at_ms" else name for name in NAMES)
EXPRESSIONS = {
    "started_at_ms": "timestamptz 'epoch' + e.started_at_ms * interval '1 millisecond'",
    # events that were on their way when these columns came have none
    "would_refuse": "coalesce(e.would_refuse, '[]')",
    "session": "coalesce(e.session, '')",
    "usage": "coalesce(e.usage, '{}')",
    "service_tier": "coalesce(e.service_tier, '')",
}
VALUES = ", ".join(EXPRESSIONS.get(name, f"e.{name}") for name in NAMES)

APPEND = f"""
CREATE FUNCTION costhub_append_ledger(events text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    appended bigint;
BEGIN
    INSERT INTO public.proxy_ledgerentry ({TARGETS})
    SELECT {VALUES} FROM json_to_recordset(events::json) AS e({COLUMNS})
    ON CONFLICT (started_at, id) DO NOTHING;
    GET DIAGNOSTICS appended = ROW_COUNT;
    RETURN appended;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("proxy", "0001_initial"), ("tenants", "0002_row_level_security")]
    operations = [
        migrations.RunSQL(
            [
                TABLE,
                "CREATE TABLE proxy_ledgerentry_default PARTITION OF proxy_ledgerentry DEFAULT",
                "CREATE INDEX ledger_of_an_org ON proxy_ledgerentry (org_id, started_at DESC, id DESC)",
                "CREATE INDEX ledger_of_a_key ON proxy_ledgerentry (org_id, key_id, started_at DESC)",
                "CREATE INDEX ledger_corrections ON proxy_ledgerentry (corrects) WHERE corrects IS NOT NULL",
                "CREATE INDEX ledger_estimates ON proxy_ledgerentry (org_id, started_at) WHERE is_estimated",
                *wall("proxy_ledgerentry", APPENDS),
                *close("proxy_ledgerentry_default"),
            ]
        ),
        migrations.RunSQL(
            [
                ENSURE_PARTITIONS,
                *allow("costhub_ensure_partitions(date, integer)"),
                "SELECT costhub_ensure_partitions((now() - interval '2 months')::date, 5)",
            ]
        ),
        migrations.RunSQL([APPEND, *allow("costhub_append_ledger(text)")]),
        # What the drain could not write, kept for the operator: the app role may add to it and not read it.
        migrations.RunSQL(
            [
                """CREATE TABLE proxy_deadletter (
               id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
               stream text NOT NULL, entry_id text NOT NULL, event text NOT NULL, reason text NOT NULL,
               recorded_at timestamptz NOT NULL DEFAULT now(), UNIQUE (stream, entry_id))""",
                f"GRANT INSERT ON proxy_deadletter TO {app_role()}",
            ]
        ),
    ]
