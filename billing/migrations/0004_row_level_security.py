"""Row-level security over alerts, forecasts and invoices, what is issued and stays, and the jobs' ways across
organisations."""

from django.db import migrations

from tenants.schema import APPEND, app_role, lead_with_org, stay_inside, wall, way_across

TENANT_TABLES = [
    "billing_alert",
    "billing_alertrule",
    "billing_channel",
    "billing_delivery",
    "billing_mute",
    "billing_forecast",
    "billing_anomaly",
    "billing_billingaccount",
    "billing_subscription",
    "billing_invoice",
    "billing_invoiceline",
    "billing_meterdelta",
]
APPEND_ONLY = ["billing_wallettransfer", "billing_invoicedocument"]
#: the operator's
SHARED_TABLES = ["billing_legalentity", "billing_plan", "billing_exchangerate", "billing_stripeevent"]

#: of an issued invoice nothing changes but what happens to it: paid, mailed, reminded of, voided by a note
GUARD_INVOICES = """
CREATE FUNCTION costhub_guard_invoices() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    free text[] := ARRAY['state', 'paid_at', 'mailed_at', 'reminders', 'stripe_invoice'];
BEGIN
    IF OLD.number = '' THEN
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    IF TG_OP = 'DELETE' OR (to_jsonb(NEW) - free) <> (to_jsonb(OLD) - free) OR NEW.state IN ('draft', 'grace') THEN
        RAISE EXCEPTION 'an issued invoice never changes: make a note' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
"""
GUARD_LINES = """
CREATE FUNCTION costhub_guard_invoice_lines() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    invoices uuid[] := CASE TG_OP WHEN 'INSERT' THEN ARRAY[NEW.invoice_id] WHEN 'DELETE' THEN ARRAY[OLD.invoice_id]
                       ELSE ARRAY[OLD.invoice_id, NEW.invoice_id] END;
BEGIN
    IF EXISTS (SELECT FROM billing_invoice WHERE id = ANY (invoices) AND number <> '') THEN
        RAISE EXCEPTION 'a line of an issued invoice never changes: make a note' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$
"""
GUARDS = [
    GUARD_INVOICES,
    GUARD_LINES,
    """CREATE TRIGGER guard_invoices BEFORE UPDATE OR DELETE ON billing_invoice
           FOR EACH ROW EXECUTE FUNCTION costhub_guard_invoices()""",
    """CREATE TRIGGER guard_invoice_lines BEFORE INSERT OR UPDATE OR DELETE ON billing_invoiceline
           FOR EACH ROW EXECUTE FUNCTION costhub_guard_invoice_lines()""",
]

#: name, arguments, what it gives, how: ids and states alone, and of budgets only those that the caller names
WAYS_ACROSS = [
    (
        "costhub_due_orgs",
        "moment timestamptz",
        "TABLE (org_id uuid)",
        "SELECT DISTINCT org_id FROM public.billing_delivery WHERE state IN ('queued', 'sending') AND due_at <= moment",
    ),
    (
        "costhub_active_orgs",
        "since timestamptz",
        "TABLE (org_id uuid)",
        "SELECT DISTINCT org_id FROM public.proxy_ledgerentry WHERE started_at >= since",
    ),
    (
        "costhub_alerted_orgs",
        "kinds text[]",
        "TABLE (org_id uuid)",
        "SELECT DISTINCT org_id FROM public.billing_alert WHERE ended_at IS NULL AND kind = ANY (kinds)",
    ),
    (
        "costhub_orgs_of_budgets",
        "wanted uuid[]",
        "TABLE (org_id uuid, budget_id uuid)",
        "SELECT org_id, id FROM public.tenants_budget WHERE id = ANY (wanted)",
    ),
    (
        "costhub_billing_accounts",
        "",
        "TABLE (org_id uuid, collection text, dunning text)",
        "SELECT org_id, collection, dunning FROM public.billing_billingaccount",
    ),
    (
        "costhub_org_of_customer",
        "customer text",
        "TABLE (org_id uuid)",
        "SELECT org_id FROM public.billing_billingaccount WHERE stripe_customer = customer AND customer <> ''",
    ),
]

#: rows that somebody should hear of are few among many
TROUBLES = (
    "CREATE INDEX ledger_troubles ON proxy_ledgerentry (org_id, started_at) WHERE is_overrun"
    " OR error_code = 'model_not_priced' OR (price_id IS NULL AND status >= 200 AND status < 400)"
)


class Migration(migrations.Migration):
    dependencies = [("billing", "0003_usage_days")]
    operations = [
        migrations.RunSQL([statement for table in TENANT_TABLES for statement in wall(table)]),
        migrations.RunSQL([statement for table in APPEND_ONLY for statement in wall(table, APPEND)]),
        migrations.RunSQL([f"GRANT SELECT, INSERT, UPDATE ON {', '.join(SHARED_TABLES)} TO {app_role()}"]),
        migrations.RunSQL(
            [
                lead_with_org("billing_invoice"),
                stay_inside("billing_invoiceline", "invoice_id", "billing_invoice"),
                stay_inside("billing_invoicedocument", "invoice_id", "billing_invoice"),
            ]
        ),
        migrations.RunSQL(GUARDS),
        migrations.RunSQL([TROUBLES]),
        migrations.RunSQL([statement for way in WAYS_ACROSS for statement in way_across(*way)]),
    ]
