"""Tax by Stripe Tax, for sellers who use it.

Stripe is asked outside of any transaction, about an invoice whose days of grace are over, and what it says is kept with
the invoice; issuing then takes it, if sum and buyer are still those. What was issued is told to Stripe for the returns,
and credit notes are taken out of it. A debit note has its invoice's rate: it is told where Stripe still says the same.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from django.db.models import Q, QuerySet

from billing.invoices.actions.closing import UNQUOTED, close_period, describe_buyer, lock_documents, refresh_invoice
from billing.invoices.choices import NOTHING, InvoiceKind, InvoiceState
from billing.invoices.core.tax import Tax, make_quote
from billing.invoices.models import BillingAccount, Invoice
from billing.invoices.stripe_billing import CALCULATION, RECORDED, quote_tax, record_tax, reverse_tax
from billing.invoices.stripe_client import Stripe, StripeRefused
from tenants.access import Actor, job_scope, org_scope

_log = logging.getLogger(__name__)
#: cents by which the same rate may come out differently, taken of a sum or found in one
_ROUNDING: Final = 1
#: in place of an id: Stripe was asked, and no answer with the id came yet
_ASKED: Final = "asked"


def settle_taxes(actor: Actor, gateway: Stripe, now: datetime) -> int:
    """Have the tax of invoices quoted that wait for it, issue them, and tell Stripe of what is issued. Gives how many
    were issued. A document that Stripe refuses holds no other one. Not within a transaction. Raises StripeUnavailable,
    and in the end the first StripeRefused."""
    with org_scope(actor.org.pk):
        account = BillingAccount.objects.select_related("legal_entity").filter(org=actor.org).first()
        if account is None or not account.legal_entity.uses_stripe_tax:
            return 0
        waiting = list(
            Invoice.objects.filter(org=actor.org, state=InvoiceState.GRACE.value, problem=UNQUOTED).order_by(
                "period_start"
            )
        )
    issued = 0
    turns = _Turns()
    for row in waiting:
        with turns:
            issued += _quote_and_issue(actor, gateway, account, row, now)
    _record(actor, gateway, turns)
    _record_debits(actor, gateway, turns)
    turns.end()
    return issued


class _Turns:
    """Documents in turn: a block for each, out of which a refusal does not come before ``end``."""

    def __init__(self) -> None:
        self._first: StripeRefused | None = None

    def __enter__(self) -> None:
        """A document's turn."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, StripeRefused):
            return False
        self._first = self._first or error
        return True

    def end(self) -> None:
        """Raise the first refusal, where there was one."""
        if self._first is not None:
            raise self._first


def _quote_and_issue(actor: Actor, gateway: Stripe, account: BillingAccount, row: Invoice, now: datetime) -> int:
    """Gives how many were issued. Raises StripeUnavailable, StripeRefused."""
    with job_scope(actor.org.pk) as closer:
        invoice = refresh_invoice(closer, row, now)
    buyer = describe_buyer(account)
    found = quote_tax(
        gateway, cents=invoice.net_cents, currency=invoice.currency, buyer=buyer, reference=str(invoice.pk)
    )
    tax = Tax(found.category, found.rate, found.reason, found.cents)
    quote = make_quote(invoice.net_cents, invoice.currency, buyer, tax, found.id)
    with job_scope(actor.org.pk) as closer:
        lock_documents(closer)
        Invoice.objects.filter(pk=invoice.pk, number="").update(tax_quote=quote)
        # A later month may wait for this one: each is issued in its turn.
        return len(close_period(closer, now))


def _record(actor: Actor, gateway: Stripe, turns: _Turns) -> None:
    with org_scope(actor.org.pk):
        rows = _unrecorded(actor, InvoiceKind.INVOICE)
        invoices = [row for row in rows if row.tax_quote]
    for invoice in invoices:
        with turns:
            quote = invoice.tax_quote["id"]
            _ask(actor, invoice, partial(record_tax, gateway, quote=quote, number=invoice.number))
    with org_scope(actor.org.pk):
        notes = list(_unrecorded(actor, InvoiceKind.CREDIT_NOTE).filter(total_cents__gt=0))
        recorded = dict(
            Invoice.objects.filter(org=actor.org, pk__in=[note.corrects for note in notes])
            .exclude(stripe_tax__in=["", _ASKED, NOTHING])
            .values_list("pk", "stripe_tax")
        )
    for note in notes:
        transaction = recorded.get(note.corrects, "") if note.corrects else ""
        if transaction == RECORDED:
            _log.warning(
                "Stripe has an invoice's tax and never said under which id: enter its credit note there by hand",
                extra={"org": str(actor.org.pk), "note": note.number},
            )
            _keep(actor, note, NOTHING)
        elif transaction:
            with turns:
                reverse = partial(reverse_tax, gateway, transaction=transaction, number=note.number)
                _ask(actor, note, partial(reverse, cents=note.total_cents))


def _unrecorded(actor: Actor, kind: InvoiceKind) -> QuerySet[Invoice]:
    rows = Invoice.objects.filter(org=actor.org, stripe_tax__in=["", _ASKED], kind=kind.value)
    return rows.exclude(number="").order_by("issued_at", "number")


def _ask(actor: Actor, document: Invoice, record: Callable[..., str]) -> None:
    """Have Stripe keep a document. That it was asked is written down before: whoever asks again, after an answer that
    never came or was a failure, knows by it whose it is that Stripe has under the number already. Raises
    StripeUnavailable, StripeRefused."""
    is_again = document.stripe_tax == _ASKED
    if not is_again:
        _keep(actor, document, _ASKED)
    try:
        kept = record(is_again=is_again)
    except StripeRefused:
        if not is_again:
            _keep(actor, document, "")
        raise
    _keep(actor, document, kept)


def _record_debits(actor: Actor, gateway: Stripe, turns: _Turns) -> None:
    """Tell of debit notes, as of a sum that has its tax in it, so that both say the same cents. The calculation is kept
    with the note before it is made use of: who dies in between goes on with that one."""
    with org_scope(actor.org.pk):
        rows = Invoice.objects.filter(org=actor.org, kind=InvoiceKind.DEBIT_NOTE.value).exclude(number="")
        untold = rows.filter(Q(stripe_tax="") | Q(stripe_tax__startswith=CALCULATION)).order_by("issued_at", "number")
        told = Invoice.objects.filter(org=actor.org, pk__in=untold.values("corrects"))
        corrected = set(told.exclude(stripe_tax__in=["", _ASKED, NOTHING]).values_list("pk", flat=True))
        notes = [note for note in untold if note.corrects in corrected]
    for note in notes:
        with turns:
            _record_debit(actor, gateway, note)


def _record_debit(actor: Actor, gateway: Stripe, note: Invoice) -> None:
    quote, is_again = note.stripe_tax, bool(note.stripe_tax)
    if not quote:
        found = quote_tax(
            gateway,
            cents=note.total_cents,
            currency=note.currency,
            buyer=note.buyer,
            reference=str(note.pk),
            is_inclusive=True,
        )
        if abs(found.cents - note.tax_cents) > _ROUNDING:
            _log.warning(
                "Stripe Tax says another rate than a debit note has: enter it there by hand",
                extra={"org": str(actor.org.pk), "note": note.number, "says": found.cents, "has": note.tax_cents},
            )
            _keep(actor, note, NOTHING)
            return
        quote = found.id
        _keep(actor, note, quote)
    _keep(actor, note, record_tax(gateway, quote=quote, number=note.number, is_again=is_again))


def _keep(actor: Actor, document: Invoice, transaction: str) -> None:
    with org_scope(actor.org.pk):
        Invoice.objects.filter(pk=document.pk).update(stripe_tax=transaction)
