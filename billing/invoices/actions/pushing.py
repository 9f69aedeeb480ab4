"""Issued documents that Stripe is to know of: each is told to it once.

An invoice or debit note is collected: by Stripe's draft of the customer's subscription, where there is one, else by an
invoice of its own. A credit note is given to the invoice that it corrects. What was paid by hand or given up is told,
too, so that nobody is asked for it any more; who had paid at Stripe by then has paid twice, and has it back as credit.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from uuid import UUID

from django.db.models import F, Q

from billing.alerts.actions.alerts import report
from billing.alerts.core.kinds import Fact
from billing.choices import AlertKind
from billing.invoices.choices import NOTHING, Collection, InvoiceKind, InvoiceState
from billing.invoices.models import BillingAccount, Invoice
from billing.invoices.stripe_billing import (
    bill_subscription,
    credit_customer,
    push_credit,
    settle_by_hand,
    write_off,
)
from billing.invoices.stripe_client import Stripe, StripeRefused
from costhub.lib import clock
from tenants.access import Actor, org_scope
from tenants.actions.audit import record

_log = logging.getLogger(__name__)


def push_issued(actor: Actor, gateway: Stripe) -> int:
    """Have Stripe collect what is issued and owed. Gives how many invoices it took.

    Not within a transaction. Whoever dies after Stripe took one pushes it again: it is the same invoice there. One that
    is refused keeps no other waiting, and is tried again with the next run. Raises StripeUnavailable.
    """
    with org_scope(actor.org.pk):
        account = _find_account(actor)
        rows = Invoice.objects.filter(org=actor.org, stripe_invoice="").order_by("issued_at", "number")
        owed = rows.filter(
            state=InvoiceState.ISSUED.value, kind__in=[InvoiceKind.INVOICE.value, InvoiceKind.DEBIT_NOTE.value]
        )
        # Where nothing is owed Stripe's draft of the subscription must come to nothing as well.
        free = rows.filter(
            state=InvoiceState.PAID.value, kind=InvoiceKind.INVOICE.value, total_cents__lte=F("carried_cents")
        )
        waiting = [*owed, *free] if account and account.stripe_subscription else list(owed)
    return _tell(actor, waiting, lambda invoice: {"stripe_invoice": _push(gateway, account, invoice)}) if account else 0


def push_credits(actor: Actor, gateway: Stripe) -> int:
    """Give credit notes to the invoices that Stripe collects; one over all of an invoice means that nothing is owed.
    Of what Stripe did not collect, because it was carried over, it is told nothing: that is credit with us. As above.
    Gives how many."""
    with org_scope(actor.org.pk):
        account = _find_account(actor)
        notes = Invoice.objects.filter(org=actor.org, kind=InvoiceKind.CREDIT_NOTE.value).exclude(number="")
        untold = notes.filter(stripe_invoice="", total_cents__gt=0).order_by("issued_at", "number")
        corrected = Invoice.objects.filter(org=actor.org, pk__in=untold.values("corrects"))
        invoices: dict[UUID | None, Invoice] = {row.pk: row for row in corrected.exclude(stripe_invoice="")}
        waiting = [note for note in untold if note.corrects in invoices]
        shares = {
            note: cents
            for pk, invoice in invoices.items()
            for note, cents in _share_out(invoice.due_cents, notes.filter(corrects=pk).order_by("issued_at", "number"))
        }

    def give(note: Invoice) -> dict[str, str]:
        there, cents = invoices[note.corrects].stripe_invoice, shares[note]
        if there == NOTHING or not cents:
            return {"stripe_invoice": NOTHING}  # Stripe has collected nothing of it: there is nothing to give back
        taken = push_credit(gateway, invoice=there, ours=str(note.pk), number=note.number, cents=cents)
        return {"stripe_invoice": taken}

    return _tell(actor, waiting, give) if account else 0


def _share_out(due: int, notes: Iterable[Invoice]) -> Iterator[tuple[Invoice, int]]:
    """How much of what Stripe collects of an invoice each of its notes takes back, in their order."""
    given = 0
    for note in notes:
        before, given = given, given + note.total_cents
        yield note, max(min(given, due) - min(before, due), 0)


def push_outcomes(actor: Actor, gateway: Stripe) -> int:
    """Tell Stripe which of the invoices that it collects were paid by hand or given up. As above. Gives how many.

    Stripe is asked first how its own stands: whoever dies after it was told finds that it knows.
    """
    with org_scope(actor.org.pk):
        account = _find_account(actor)
        rows = Invoice.objects.filter(org=actor.org, is_untold=True).exclude(stripe_invoice__in=["", NOTHING])
        waiting = list(rows.order_by("issued_at", "number"))
    return _tell(actor, waiting, lambda invoice: _settle(actor, gateway, account, invoice)) if account else 0


def _settle(actor: Actor, gateway: Stripe, account: BillingAccount, invoice: Invoice) -> dict[str, Q]:
    there = gateway.read_invoice(invoice.stripe_invoice)
    ours = str(invoice.pk)
    if invoice.state == InvoiceState.UNCOLLECTIBLE:
        # One that is paid there is for its webhook, which says so here.
        if there.status == "open":
            write_off(gateway, invoice=there.id, ours=ours)
    elif there.status in {"open", "uncollectible"}:
        settle_by_hand(gateway, invoice=there.id, ours=ours)
    elif there.status == "paid" and there.paid_cents:
        entry = credit_customer(
            gateway,
            customer=account.stripe_customer,
            ours=ours,
            number=invoice.number,
            cents=there.paid_cents,
            currency=invoice.currency,
        )
        _report_paid_twice(actor, invoice, there.paid_cents, entry)
    # One that was given up may have been paid by hand in between.
    return {"is_untold": ~Q(state=invoice.state)}


def _report_paid_twice(actor: Actor, invoice: Invoice, cents: int, entry: str) -> None:
    details = {"number": invoice.number, "cents": cents, "currency": invoice.currency, "entry": entry}
    _log.error("an invoice was paid by hand and at Stripe", extra={"org": str(actor.org.pk), **details})
    with org_scope(actor.org.pk):
        # Its window is the invoice's, so that it is told once, whoever dies after it.
        fact = Fact(AlertKind.PAID_TWICE, invoice.number, 1, details, window_start=invoice.issued_at)
        report(actor.org, AlertKind.PAID_TWICE, [fact], now=clock.now(), is_complete=False)
        record(actor, "paid_twice", invoice, **details)


def _push(gateway: Stripe, account: BillingAccount, invoice: Invoice) -> str:
    if account.stripe_subscription and invoice.kind == InvoiceKind.INVOICE:
        taken = bill_subscription(
            gateway,
            subscription=account.stripe_subscription,
            ours=str(invoice.pk),
            number=invoice.number,
            cents=invoice.due_cents,
            currency=invoice.currency,
            end=invoice.period_end,
        )
        if taken is not None or not invoice.due_cents:
            return taken or NOTHING
    days = (invoice.due_at - invoice.issued_at).days if invoice.due_at and invoice.issued_at else 0
    return gateway.push_invoice(
        customer=account.stripe_customer,
        ours=str(invoice.pk),
        number=invoice.number,
        cents=invoice.due_cents,
        currency=invoice.currency,
        due_days=days,
    )


def _tell(actor: Actor, waiting: list[Invoice], tell: Callable[[Invoice], Mapping[str, str | Q]]) -> int:
    told = 0
    for document in waiting:
        try:
            taken = tell(document)
        except StripeRefused as error:
            _log.warning(
                "Stripe refused a document",
                extra={"org": str(actor.org.pk), "invoice": document.number, "reason": error.message},
            )
            with org_scope(actor.org.pk):
                Invoice.objects.filter(pk=document.pk).update(refusal=error.message[:300])
            continue
        told += 1
        with org_scope(actor.org.pk):
            Invoice.objects.filter(pk=document.pk).update(**taken, refusal="")
    return told


def _find_account(actor: Actor) -> BillingAccount | None:
    account = BillingAccount.objects.filter(org=actor.org, collection=Collection.STRIPE.value).first()
    return account if account is not None and account.stripe_customer else None
