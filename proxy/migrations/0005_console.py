"""Which budget or rate limit refused a call, with its amounts and when it resets."""

from django.db import migrations, models

#: told by PostgreSQL, not by the event
_OWN = ("started_at", "recorded_at")


def append_all_columns(apps, schema_editor):
    """Make the drain's function anew for the columns that the table has now. An event that was on its way when a column
    came has the column's default."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name, data_type, column_default FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name = 'proxy_ledgerentry' ORDER BY ordinal_position"
        )
        found = [(name, kind, default) for name, kind, default in cursor.fetchall() if name not in _OWN]
        columns = ", ".join(["started_at_ms bigint", *(f"{name} {kind}" for name, kind, _ in found)])
        values = [f"coalesce(e.{name}, {default})" if default else f"e.{name}" for name, _, default in found]
        cursor.execute(
            f"""
            CREATE OR REPLACE FUNCTION costhub_append_ledger(events text) RETURNS bigint
            LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
            DECLARE
                appended bigint;
            BEGIN
                INSERT INTO public.proxy_ledgerentry (started_at, {", ".join(name for name, _, _ in found)})
                SELECT timestamptz 'epoch' + e.started_at_ms * interval '1 millisecond', {", ".join(values)}
                FROM json_to_recordset(events::json) AS e({columns})
                ON CONFLICT (started_at, id) DO NOTHING;
                GET DIAGNOSTICS appended = ROW_COUNT;
                RETURN appended;
            END $$
            """
        )


class Migration(migrations.Migration):
    dependencies = [("proxy", "0005_dialects")]
    operations = [
        migrations.RunSQL("ALTER TABLE proxy_ledgerentry ADD COLUMN refused_by jsonb NOT NULL DEFAULT '{}'"),
        # A function that is replaced keeps its grants.
        migrations.RunPython(append_all_columns),
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.AddField("ledgerentry", "refused_by", models.JSONField(default=dict))]
        ),
    ]
