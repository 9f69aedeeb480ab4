"""Organisations that are made up to be looked at, and the one way in which an organisation's rows all go; who wants
summaries by mail."""

from django.db import migrations, models

from tenants.schema import allow

# Rows of a ledger or an audit log go with nothing else: so this refuses any organisation that is no demo, and one that
# the transaction has not opened. Tables refer to one another within an organisation; what another still needs goes in
# a later round.
REMOVE_DEMO = """
CREATE FUNCTION costhub_remove_demo(demo uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    place text;
    left_over boolean;
BEGIN
    IF NOT demo = ANY (coalesce(public.costhub_orgs(), '{}'))
        OR NOT EXISTS (SELECT FROM public.tenants_organization WHERE id = demo AND is_demo) THEN
        RETURN false;
    END IF;
    FOR round IN 1 .. 10 LOOP
        left_over := false;
        FOR place IN
            SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
            JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'org_id' AND NOT a.attisdropped
            WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            ORDER BY c.relname
        LOOP
            BEGIN
                EXECUTE format('DELETE FROM public.%I WHERE org_id = $1', place) USING demo;
                SET CONSTRAINTS ALL IMMEDIATE;
                SET CONSTRAINTS ALL DEFERRED;
            EXCEPTION WHEN foreign_key_violation THEN
                left_over := true;
            END;
        END LOOP;
        -- a second round at least: deleting leaves marks of what was deleted
        EXIT WHEN NOT left_over AND round > 1;
    END LOOP;
    DELETE FROM public.tenants_organization WHERE id = demo;
    RETURN true;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("tenants", "0004_dialects")]
    operations = [
        migrations.AddField("organization", "is_demo", models.BooleanField(default=False, editable=False)),
        migrations.AddField("membership", "wants_summaries", models.BooleanField(default=True)),
        migrations.RunSQL([REMOVE_DEMO, *allow("costhub_remove_demo(uuid)")]),
    ]
