"""Invoices of prepaid credits, where the plan says so (``invoices_credits``): who buys them at Stripe pays their tax
with them, and has a numbered invoice as soon as they are paid for; what Stripe gives back has a credit note.

An invoice of a month takes credits off before its tax, so what they pay for is taxed once, here.
"""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

from django.db import transaction
from django.db.models import Sum

from billing.invoices.actions.closing import describe_buyer, describe_seller, lock_documents, store_lines, take_number
from billing.invoices.actions.notes import find_credit_left, make_note
from billing.invoices.actions.wallet import add_credits
from billing.invoices.choices import NOTHING, InvoiceKind, InvoiceState, LineKind
from billing.invoices.core.lines import Line
from billing.invoices.core.sales import Sale
from billing.invoices.core.tax import Party, choose_tax
from billing.invoices.models import BillingAccount, Invoice, WalletTransfer
from billing.invoices.selectors.accounts import find_contract
from billing.invoices.stripe_client import StripePayment, StripeRefused, TakenBack
from costhub.lib import clock
from tenants.access import Actor
from tenants.actions.audit import record

NANOS_A_CENT: Final = 10_000_000
_TITLE: Final = "Prepaid credits"
#: a document is over some time, however short
_MOMENT: Final = timedelta(microseconds=1)


def price_credits(actor: Actor, account: BillingAccount, cents: int) -> Sale | None:
    """Credits with the tax of now; None where the plan that holds has them sold without a document. Raises InvalidField
    where a tax rate is missing."""
    contract = find_contract(actor, clock.now())
    if contract is None or not contract.terms.invoices_credits:
        return None
    seller = account.legal_entity
    parties = Party(seller.country, seller.tax_id), Party(account.country, account.tax_id)
    return Sale(cents, choose_tax(*parties, seller.tax_rates))


def book_payment(actor: Actor, payment: StripePayment, now: datetime) -> bool:
    """Put the credits that were paid for into the wallet, with their invoice where they were sold with one: once,
    however often it is told. Says whether it is new. Raises StripeRefused for a payment over another sum than was asked
    for."""
    sale = payment.sale
    with transaction.atomic():
        if sale is not None:
            lock_documents(actor)
            if payment.cents != sale.total_cents:
                raise StripeRefused(f"{payment.id} is over {payment.cents} cents, not {sale.total_cents}.")
        is_new = not WalletTransfer.objects.filter(org=actor.org, reference=payment.id).exists()
        if is_new and sale is not None:
            _issue(actor, payment, sale, now)
        cents = sale.cents if sale is not None else payment.cents
        add_credits(actor=actor, amount_nanos=cents * NANOS_A_CENT, reference=payment.id, reason="Paid by Stripe")
    return is_new


def note_given_back(actor: Actor, taken: TakenBack, now: datetime) -> Invoice | None:
    """A credit note over what was given back of a payment for good, and has none yet, as far as notes over what was
    given back by hand leave any. What is only disputed has none: it may come back. The organisation's documents are
    locked."""
    sale = taken.payment.sale
    invoice = Invoice.objects.filter(org=actor.org, pk=_id_of(actor, taken.payment)).first()
    if sale is None or invoice is None:
        return None
    reason = f"Given back at Stripe, of {taken.payment.id}"
    notes = Invoice.objects.filter(org=actor.org, corrects=invoice.pk, kind=InvoiceKind.CREDIT_NOTE.value)
    before = notes.filter(reason=reason).exclude(number="").aggregate(nanos=Sum("net_nanos", default=0))
    nanos = min(sale.share_of(taken.given_cents) - int(before["nanos"]), find_credit_left(invoice))
    if nanos <= 0:
        return None
    return make_note(actor=actor, invoice=invoice, amounts={1: nanos}, reason=reason, now=now)


def _issue(actor: Actor, payment: StripePayment, sale: Sale, now: datetime) -> None:
    accounts = BillingAccount.objects.select_for_update(of=("self",))
    account = accounts.select_related("legal_entity").get(org=actor.org)
    nanos, end = sale.cents * NANOS_A_CENT, now + _MOMENT
    invoice = Invoice(
        id=_id_of(actor, payment),
        org=actor.org,
        kind=InvoiceKind.PREPAYMENT.value,
        legal_entity=account.legal_entity_id,
        period_start=now,
        period_end=end,
        time_zone=actor.org.time_zone,
        currency=payment.currency,
        net_nanos=nanos,
        net_cents=sale.cents,
        tax_category=sale.tax.category.value,
        tax_rate=sale.tax.rate,
        tax_reason=sale.tax.reason,
        tax_cents=sale.tax_cents,
        total_cents=sale.total_cents,
        groups=[{"name": "credits", "title": _TITLE, "nanos": nanos, "cents": sale.cents}],
        seller=describe_seller(account.legal_entity),
        buyer=describe_buyer(account),
        po_number=account.po_number,
        reason=f"Paid at Stripe, {payment.id}",
        computed_at=now,
        # Stripe has its money already.
        stripe_invoice=NOTHING,
    )
    invoice.save(force_insert=True)
    store_lines(actor, invoice, [Line(LineKind.FEE, "credits", _TITLE, nanos, now, end)])
    invoice.state = InvoiceState.PAID.value
    invoice.issued_at = invoice.paid_at = now
    invoice.number = take_number(account.legal_entity, is_note=False)
    invoice.save()
    record(actor, "issued", invoice, number=invoice.number, total_cents=invoice.total_cents, reference=payment.id)


def _id_of(actor: Actor, payment: StripePayment) -> UUID:
    """A payment has one document, which is found by it."""
    return uuid5(actor.org.pk, payment.id)
