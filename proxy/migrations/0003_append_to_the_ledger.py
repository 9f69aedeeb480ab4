"""How the drain writes: a batch of events as one JSON array, parsed by PostgreSQL and appended once each.

A definer function, because a batch holds the rows of many organisations, and no role that reads should be able to see
more than one of them for it.
"""

from django.conf import settings
from django.db import migrations

COLUMNS = """
    id uuid, started_at_ms bigint, org_id uuid, project_id uuid, key_id uuid, end_user text, tags jsonb, kind text,
    corrects uuid, endpoint text, request_model text, response_model text, upstream_id uuid, provider text,
    attempts jsonb, is_stream boolean, input_tokens bigint, cache_read_input_tokens bigint,
    cache_write_input_tokens bigint, output_tokens bigint, reasoning_tokens bigint, audio_input_tokens bigint,
    audio_output_tokens bigint, list_cost bigint, effective_cost bigint, savings jsonb, price_id uuid,
    is_estimated boolean, is_overrun boolean, held bigint, cache_status text, route_reason text, status integer,
    error_code text, finish_reason text, duration_us bigint, first_byte_us bigint, overhead_us bigint
"""
NAMES = [column.split()[0] for column in COLUMNS.split(",")]
TARGETS = ", ".join("started_at" if name == "started_at_ms" else name for name in NAMES)
VALUES = ", ".join(
    "timestamptz 'epoch' + e.started_at_ms * interval '1 millisecond'" if name == "started_at_ms" else f"e.{name}"
    for name in NAMES
)

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


def forwards(apps, schema_editor):
    role = schema_editor.quote_name(settings.DATABASES["default"]["USER"])
    for statement in [
        APPEND,
        "REVOKE ALL ON FUNCTION costhub_append_ledger(text) FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION costhub_append_ledger(text) TO {role}",
    ]:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("proxy", "0002_ledger_tables")]
    operations = [migrations.RunPython(forwards)]
