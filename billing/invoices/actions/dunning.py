"""Unpaid invoices: reminders, then read-only, then no calls, and back at once when they are paid."""

from datetime import datetime

from django.db import transaction

from billing.invoices.actions.mails import mail_reminder
from billing.invoices.choices import DunningStage
from billing.invoices.core.dunning import gravest, is_read_only, is_suspended, stage_of
from billing.invoices.models import BillingAccount
from billing.invoices.selectors.accounts import list_unpaid
from tenants.access import Actor
from tenants.actions.changes import apply_changes


def settle_standing(actor: Actor, now: datetime) -> DunningStage:
    """Bring the organisation to what its unpaid invoices have come to: the proxies know within a second. May be
    repeated; gives the stage. Nobody owes a demo's invoices."""
    if actor.org.is_demo:
        return DunningStage.NONE
    with transaction.atomic():
        account = BillingAccount.objects.select_for_update().filter(org=actor.org).first()
        if account is None:
            return DunningStage.NONE
        stage = gravest(stage_of(invoice.due_at, now) for invoice, _ in list_unpaid(actor) if invoice.due_at)
        if account.dunning != stage.value:
            account.dunning = stage.value
            account.save(update_fields=["dunning"])
        apply_changes(actor, actor.org, {"is_read_only": is_read_only(stage), "is_suspended": is_suspended(stage)})
    return stage


def remind(actor: Actor, now: datetime) -> int:
    """Mail each stage of each unpaid invoice once. Gives how many mails went out; one that cannot be sent is tried with
    the next run."""
    if actor.org.is_demo:
        return 0
    sent = 0
    for invoice, cents in list_unpaid(actor):
        stage = stage_of(invoice.due_at, now) if invoice.due_at else DunningStage.NONE
        if stage is DunningStage.NONE or stage.value in invoice.reminders:
            continue
        if mail_reminder(actor, invoice, stage, cents):
            invoice.reminders = {**invoice.reminders, stage.value: now.isoformat()}
            invoice.save(update_fields=["reminders"])
            sent += 1
    return sent
