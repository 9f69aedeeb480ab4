"""Webhooks of Stripe: stored raw, then applied once, in any order.

An event is only a hint that something changed. What is done about it follows from what Stripe says of the thing when it
is asked again, so that a late, repeated or forged-in-order event cannot undo a newer one.
"""

import logging
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import connection, transaction

from billing.invoices.actions.dunning import settle_standing
from billing.invoices.actions.notes import mark_paid, mark_uncollectible
from billing.invoices.actions.wallet import add_credits
from billing.invoices.choices import InvoiceState
from billing.invoices.models import BillingAccount, Invoice, StripeEvent
from billing.invoices.stripe_billing import hold_draft
from billing.invoices.stripe_client import SignedEvent, Stripe, StripeInvoice, StripeRefused, StripeUnavailable
from costhub.lib.errors import AppError
from tenants.access import Actor, find_uuid, job_scope

#: so often an event is tried that fails for a reason of its own
MOST_TRIES: Final = 20
_NANOS_A_CENT: Final = 10_000_000
_log = logging.getLogger(__name__)


def store_event(event: SignedEvent, body: bytes) -> bool:
    """Keep an event whose signature is good; says whether it is new."""
    _, is_new = StripeEvent.objects.get_or_create(id=event.id, defaults={"kind": event.kind, "body": body})
    return is_new


def list_waiting(now: datetime, most: int = 200) -> list[StripeEvent]:
    """Events that nothing was done about yet, oldest first; one that failed often waits longer each time, and behind
    those that were tried less: no number of them keeps a new one waiting."""
    rows = StripeEvent.objects.filter(applied_at=None, tries__lt=MOST_TRIES)
    rows = rows.order_by("tries", "received_at", "id")[:most]
    return [row for row in rows if row.received_at + timedelta(seconds=2 ** min(row.tries, 12) - 1) <= now]


def apply_event(row: StripeEvent, event: SignedEvent, gateway: Stripe, now: datetime) -> bool:
    """Do what an event tells of, once; says whether it is done. What Stripe does not answer to is tried again."""
    try:
        with transaction.atomic():
            locked = StripeEvent.objects.select_for_update().get(pk=row.pk)
            if locked.applied_at is not None:
                return True
            _apply(event, gateway, now)
            locked.applied_at, locked.error, locked.tries = now, "", locked.tries + 1
            locked.save(update_fields=["applied_at", "error", "tries"])
    except (StripeUnavailable, StripeRefused, AppError) as error:
        tries = row.tries + 1
        StripeEvent.objects.filter(pk=row.pk, applied_at=None).update(tries=tries, error=error.message[:300])
        _log.warning("a Stripe event could not be applied", extra={"event": row.pk, "reason": error.message})
        return False
    return True


def refresh_invoice_state(actor: Actor, stripe_invoice: str, gateway: Stripe, now: datetime) -> None:
    """Bring our invoice to what Stripe says of its own: paid, or given up; and the organisation to what an unpaid one
    has come to by now."""
    found = gateway.read_invoice(stripe_invoice)
    if found.subscription and found.status == "draft" and not found.ours:
        _hold(actor, found, gateway)
        return
    wanted = find_uuid(found.ours)
    invoice = Invoice.objects.filter(org=actor.org, pk=wanted).first() if wanted else None
    if invoice is None or not invoice.number:
        return
    if found.status == "paid" and invoice.state in {InvoiceState.ISSUED, InvoiceState.UNCOLLECTIBLE}:
        mark_paid(actor=actor, invoice=invoice, now=now, reference=found.id, is_by_hand=False)
    elif found.status == "uncollectible" and invoice.state == InvoiceState.ISSUED:
        mark_uncollectible(actor=actor, invoice=invoice, now=now, is_by_hand=False)
    elif found.status == "open":
        settle_standing(actor, now)
    # One that was paid by hand before, and now at Stripe: who tells Stripe of the first payment finds the second.


def _hold(actor: Actor, found: StripeInvoice, gateway: Stripe) -> None:
    """A draft of the customer's subscription waits for our invoice of that month."""
    account = BillingAccount.objects.filter(org=actor.org).first()
    if account is not None and account.stripe_subscription == found.subscription:
        hold_draft(gateway, found.id)


def _apply(event: SignedEvent, gateway: Stripe, now: datetime) -> None:
    if event.object_kind not in {"invoice", "checkout.session", "payment_intent"} or not event.customer:
        return
    org_id = _find_org(event.customer)
    if org_id is None:
        return
    with job_scope(org_id) as actor:
        if event.object_kind == "invoice":
            refresh_invoice_state(actor, event.object_id, gateway, now)
        else:
            _take_payment(actor, event.object_id, gateway)


def _take_payment(actor: Actor, payment_id: str, gateway: Stripe) -> None:
    """Credits for a payment of them, under its id: however often it is told, they are there once."""
    payment = gateway.read_payment(payment_id)
    account = BillingAccount.objects.get(org=actor.org)
    if payment.purpose != "credits" or payment.org != str(actor.org.pk) or payment.customer != account.stripe_customer:
        return
    if not payment.is_paid:
        return
    if payment.currency != "USD":
        raise StripeRefused(f"Credits are in USD, and {payment.id} was paid in {payment.currency}.")
    add_credits(actor=actor, amount_nanos=payment.cents * _NANOS_A_CENT, reference=payment.id, reason="Paid by Stripe")


def _find_org(customer: str) -> UUID | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT org_id FROM costhub_org_of_customer(%s)", [customer])
        found: tuple[UUID] | None = cursor.fetchone()
    return found[0] if found else None
