"""Which budgets and rate limits that only report would have refused a call, and the run that a call belongs to."""

from django.db import migrations, models

COLUMNS = """
    id uuid, started_at_ms bigint, org_id uuid, project_id uuid, key_id uuid, end_user text, tags jsonb, session text, kind text,
    corrects uuid, endpoint text, request_model text, response_model text, upstream_id uuid, provider text,
    attempts jsonb, is_stream boolean, input_tokens bigint, cache_read_input_tokens bigint,
    cache_write_input_tokens bigint, output_tokens bigint, reasoning_tokens bigint, audio_input_tokens bigint,
    audio_output_tokens bigint, list_cost bigint, effective_cost bigint, savings jsonb, price_id uuid,
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
}
VALUES = ", ".join(EXPRESSIONS.get(name, f"e.{name}") for name in NAMES)

APPEND = f"""
CREATE OR REPLACE FUNCTION costhub_append_ledger(events text) RETURNS bigint
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
    dependencies = [("proxy", "0003_append_to_the_ledger")]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE proxy_ledgerentry ADD COLUMN would_refuse jsonb NOT NULL DEFAULT '[]',"
            " ADD COLUMN session text NOT NULL DEFAULT ''"
        ),
        # A function that is replaced keeps its grants.
        migrations.RunSQL(APPEND),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddField("ledgerentry", "would_refuse", models.JSONField(default=list)),
                migrations.AddField("ledgerentry", "session", models.TextField(default="")),
            ]
        ),
    ]
