"""Unpaid invoices: reminders, then read-only, then no calls, and back at once when they are paid. Who had a plan and
has none makes no calls either: nobody would be billed for them."""

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from billing.invoices.actions.mails import mail_end, mail_reminder
from billing.invoices.choices import DunningStage
from billing.invoices.core.dunning import gravest, is_read_only, is_suspended, stage_of
from billing.invoices.models import BillingAccount
from billing.invoices.selectors.accounts import find_ended_subscription, has_left, is_admitted, list_unpaid
from tenants.access import Actor, org_scope
from tenants.actions.changes import apply_changes

#: for so long it is tried to tell that a plan has ended
_NEWS: Final = timedelta(days=7)


def settle_standing(actor: Actor, now: datetime) -> DunningStage:
    """Bring the organisation to what its unpaid invoices, or the end of its plan, have come to: the proxies know within
    a second. May be repeated; gives the stage. Nobody owes a demo's invoices."""
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
        left = has_left(actor, now)
        if not left and account.admitted_until is not None:
            # It was for calls without a plan before; the end of this one is as any other's.
            account.admitted_until = None
            account.save(update_fields=["admitted_until"])
        refuses = is_suspended(stage) or (left and not is_admitted(account, now))
        # It may have been another since it was read: who waits for the lock sees what was done before.
        actor.org.refresh_from_db(fields=["is_read_only", "is_suspended"])
        apply_changes(actor, actor.org, {"is_read_only": is_read_only(stage), "is_suspended": refuses})
    return stage


def remind(actor: Actor, now: datetime) -> int:
    """Mail each stage of each unpaid invoice once. Gives how many mails went out; one that cannot be sent is tried with
    the next run.

    Not within a transaction: each mail is written down in one of its own, so that nobody who pays waits for another
    mail, and whoever dies has one at most to send again."""
    if actor.org.is_demo:
        return 0
    with org_scope(actor.org.pk):
        unpaid = list_unpaid(actor)
    sent = 0
    for invoice, cents in unpaid:
        stage = stage_of(invoice.due_at, now) if invoice.due_at else DunningStage.NONE
        if stage is DunningStage.NONE or stage.value in invoice.reminders:
            continue
        with org_scope(actor.org.pk):
            if mail_reminder(actor, invoice, stage, cents):
                invoice.reminders = {**invoice.reminders, stage.value: now.isoformat()}
                invoice.save(update_fields=["reminders"])
                sent += 1
    return sent


def tell_end(actor: Actor, now: datetime) -> int:
    """Mail finance, once, that the plan has ended and no other followed, and from when on calls are refused. Gives how
    many mails went out; one that cannot be sent is tried with the next run. Nobody is told of what is long over, and
    nobody of a closed organisation: it can choose no plan."""
    account = BillingAccount.objects.filter(org=actor.org).first()
    if account is None or actor.org.is_demo or not actor.org.is_active or not has_left(actor, now):
        return 0
    last = find_ended_subscription(actor, now)
    is_news = last is not None and last.ends_at is not None and last.ends_at > now - _NEWS
    if last is None or last.end_told_at is not None or not (is_news or is_admitted(account, now)):
        return 0
    if not mail_end(actor, account, last, now):
        return 0
    last.end_told_at = now
    last.save(update_fields=["end_told_at"])
    return 1
