"""A demo is taken away with its invoices, which are nobody's; and an invoice knows for how many members it is."""

from django.db import migrations, models

GUARD_INVOICES = """
CREATE OR REPLACE FUNCTION costhub_guard_invoices() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    free text[] := ARRAY['state', 'paid_at', 'mailed_at', 'reminders', 'stripe_invoice', 'stripe_tax'];
BEGIN
    IF OLD.number = '' THEN
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    IF TG_OP = 'DELETE' AND EXISTS (SELECT FROM tenants_organization WHERE id = OLD.org_id AND is_demo) THEN
        RETURN OLD;
    END IF;
    IF TG_OP = 'DELETE' OR (to_jsonb(NEW) - free) <> (to_jsonb(OLD) - free) OR NEW.state IN ('draft', 'grace') THEN
        RAISE EXCEPTION 'an issued invoice never changes: make a note' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
"""
GUARD_LINES = """
CREATE OR REPLACE FUNCTION costhub_guard_invoice_lines() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    invoices uuid[] := CASE TG_OP WHEN 'INSERT' THEN ARRAY[NEW.invoice_id] WHEN 'DELETE' THEN ARRAY[OLD.invoice_id]
                       ELSE ARRAY[OLD.invoice_id, NEW.invoice_id] END;
BEGIN
    IF EXISTS (SELECT FROM billing_invoice WHERE id = ANY (invoices) AND number <> '')
        AND NOT (TG_OP = 'DELETE' AND EXISTS (SELECT FROM tenants_organization WHERE id = OLD.org_id AND is_demo)) THEN
        RAISE EXCEPTION 'a line of an issued invoice never changes: make a note' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0005_money"), ("tenants", "0004_console")]
    operations = [
        migrations.RunSQL([GUARD_INVOICES, GUARD_LINES]),
        migrations.AddField("invoice", "seats", models.PositiveIntegerField(default=0)),
    ]
