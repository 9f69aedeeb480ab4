"""The audit log is chained: each entry's hash covers the one before it.

Done by the database, by a constraint trigger at the end of the transaction: the lock of an organisation's chain is then
the last one that is taken, so that it cannot meet another one the wrong way round, and is held for a moment only.
"""

from django.conf import settings
from django.db import migrations, models

STATEMENTS = [
    """CREATE FUNCTION costhub_audit_hash(entry tenants_auditentry, before bytea) RETURNS bytea
       LANGUAGE sql STABLE SET search_path = pg_catalog, public AS $$
         SELECT sha256(coalesce(before, ''::bytea) || convert_to(jsonb_build_array(
           entry.number, entry.org_id, entry.id,
           to_char(entry.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           entry.actor, entry.action, entry.target_kind, entry.target_id, entry.changes
         )::text, 'UTF8')) $$""",
    """CREATE FUNCTION costhub_chain_audit_entry() RETURNS trigger
       LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
       DECLARE
         newest tenants_auditentry;
         entry tenants_auditentry;
       BEGIN
         PERFORM pg_advisory_xact_lock(hashtextextended('audit ' || NEW.org_id, 0));
         SELECT * INTO entry FROM tenants_auditentry WHERE id = NEW.id;
         IF entry.id IS NULL THEN RETURN NULL; END IF;
         SELECT * INTO newest FROM tenants_auditentry
           WHERE org_id = NEW.org_id AND number IS NOT NULL ORDER BY number DESC LIMIT 1;
         entry.number := coalesce(newest.number, 0) + 1;
         entry.hash := costhub_audit_hash(entry, newest.hash);
         UPDATE tenants_auditentry SET number = entry.number, hash = entry.hash WHERE id = NEW.id;
         RETURN NULL;
       END $$""",
    """CREATE CONSTRAINT TRIGGER chain AFTER INSERT ON tenants_auditentry
       DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION costhub_chain_audit_entry()""",
    "REVOKE ALL ON FUNCTION costhub_chain_audit_entry() FROM PUBLIC",
]


def forwards(apps, schema_editor):
    role = schema_editor.quote_name(settings.DATABASES["default"]["USER"])
    for statement in [
        *STATEMENTS,
        f"GRANT EXECUTE ON FUNCTION costhub_audit_hash(tenants_auditentry, bytea) TO {role}",
        "ALTER TABLE tenants_auditentry ADD CONSTRAINT audit_is_chained_by_the_database CHECK"
        " ((number IS NULL) = (hash IS NULL))",
    ]:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("tenants", "0002_row_level_security")]
    operations = [
        migrations.AddField("auditentry", "number", models.BigIntegerField(editable=False, null=True)),
        migrations.AddField("auditentry", "hash", models.BinaryField(editable=False, max_length=32, null=True)),
        migrations.AddConstraint(
            "auditentry", models.UniqueConstraint(fields=["org", "number"], name="audit_numbers_are_unique")
        ),
        migrations.RunPython(forwards),
    ]
