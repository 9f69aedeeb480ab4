"""Credit and debit notes, the only way in which an issued invoice is corrected; and what becomes of it. What takes from
what is owed ends in the same transaction what an unpaid invoice had come to: whoever was suspended is let in again."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Sum

from billing.invoices.actions.closing import apply_amounts, issuing_turn, store_lines, take_number
from billing.invoices.actions.dunning import settle_standing
from billing.invoices.actions.wallet import give_back_credits
from billing.invoices.choices import FOLLOWING, InvoiceKind, InvoiceState, LineKind, TaxCategory
from billing.invoices.core.lines import Line
from billing.invoices.core.tax import Tax
from billing.invoices.models import BillingAccount, Invoice, InvoiceLine
from costhub.lib.database import take_turn
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.money import format_usd
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.choices import Permission

MAX_REASON_CHARACTERS: Final = 300


def make_note(
    *,
    actor: Actor,
    invoice: Invoice,
    amounts: Mapping[int, int] | None,
    reason: str,
    now: datetime,
    kind: InvoiceKind = InvoiceKind.CREDIT_NOTE,
) -> Invoice:
    """Take back (or, with a debit note, add) nano-USD of an issued invoice's lines, by position; ``None`` takes all of
    it back. It has the invoice's rate and tax, and a number of its own.

    Raises Conflict for an invoice that is not issued or is a note, InvalidField for an amount that cannot be or a
    missing reason. Together credit notes never give back more of a line than it billed.
    """
    actor.check(Permission.WRITE_MONEY)
    if not reason.strip() or len(reason) > MAX_REASON_CHARACTERS or not reason.isprintable():
        raise InvalidField(f"Give a reason of 1 to {MAX_REASON_CHARACTERS} visible characters.", field="reason")
    with transaction.atomic():
        locked = Invoice.objects.select_for_update().get(pk=invoice.pk)
        if not locked.number or locked.kind != InvoiceKind.INVOICE:
            raise Conflict("Only an issued invoice is corrected by a note.")
        account = BillingAccount.objects.select_related("legal_entity").get(org=actor.org)
        lines = _note_lines(locked, amounts, kind)
        return issue_note(actor, locked, account, lines, kind=kind, reason=reason, now=now)


def issue_note(
    actor: Actor,
    invoice: Invoice,
    account: BillingAccount,
    lines: Sequence[Line],
    *,
    kind: InvoiceKind,
    reason: str,
    now: datetime,
) -> Invoice:
    """A note of these lines, numbered. The invoice's row is locked. Raises Conflict while its organisation is being
    erased."""
    take_turn(issuing_turn(actor.org.pk))
    note = Invoice(
        org=actor.org,
        kind=kind.value,
        legal_entity=invoice.legal_entity,
        period_start=invoice.period_start,
        period_end=invoice.period_end,
        time_zone=invoice.time_zone,
        currency=invoice.currency,
        rate=invoice.rate,
        rate_day=invoice.rate_day,
        rate_source=invoice.rate_source,
        corrects=invoice.pk,
        reason=reason,
        computed_at=now,
        issued_at=now,
    )
    note.save(force_insert=True)
    store_lines(actor, note, lines)
    apply_amounts(note, lines, account)
    # The tax and the parties are those of the invoice, whatever has changed since.
    for field in ("seller", "buyer", "po_number", "tax_category", "tax_rate", "tax_reason"):
        setattr(note, field, getattr(invoice, field))
    note.problem = ""
    _take_tax(note, invoice)
    note.state = InvoiceState.ISSUED.value
    if kind is InvoiceKind.DEBIT_NOTE:
        note.due_at = now + timedelta(days=14)
    note.number = take_number(account.legal_entity, is_note=True)
    note.save()
    record(actor, "issued", note, number=note.number, corrects=invoice.number, total_cents=note.total_cents)
    settle_standing(actor, now)
    return note


def void_invoice(*, actor: Actor, invoice: Invoice, reason: str, now: datetime) -> Invoice | None:
    """Take a whole invoice back: a draft is void, and none is made of its period again; an issued one stays as it is,
    is void, and has a credit note over all of it, which is given, and credits that paid for it come back. Raises
    Conflict for one that is paid or void."""
    actor.check(Permission.WRITE_MONEY)
    with transaction.atomic():
        locked = Invoice.objects.select_for_update().get(pk=invoice.pk)
        _check_may(locked, InvoiceState.VOID)
        note = make_note(actor=actor, invoice=locked, amounts=None, reason=reason, now=now) if locked.number else None
        locked.state = InvoiceState.VOID.value
        locked.save(update_fields=["state"])
        if note is not None:
            give_back_credits(actor, locked)
        record(actor, "voided", locked, reason=reason)
        settle_standing(actor, now)
    return note


def mark_paid(
    *, actor: Actor, invoice: Invoice, now: datetime, reference: str = "", is_by_hand: bool = True
) -> Invoice:
    """Somebody paid: by hand, of which Stripe is told, or as Stripe says. Again it changes nothing. Raises Conflict for
    one that is not owed."""
    actor.check(Permission.WRITE_MONEY)
    with transaction.atomic():
        locked = Invoice.objects.select_for_update().get(pk=invoice.pk)
        if locked.state == InvoiceState.PAID:
            return locked
        _check_may(locked, InvoiceState.PAID)
        locked.state, locked.paid_at, locked.is_untold = InvoiceState.PAID.value, now, is_by_hand
        locked.save(update_fields=["state", "paid_at", "is_untold"])
        record(actor, "paid", locked, number=locked.number, reference=reference)
        settle_standing(actor, now)
    return locked


def mark_uncollectible(*, actor: Actor, invoice: Invoice, now: datetime, is_by_hand: bool = True) -> Invoice:
    """Nobody will pay any more, as above. Raises Conflict for one that is not owed."""
    actor.check(Permission.WRITE_MONEY)
    with transaction.atomic():
        locked = Invoice.objects.select_for_update().get(pk=invoice.pk)
        _check_may(locked, InvoiceState.UNCOLLECTIBLE)
        locked.state, locked.is_untold = InvoiceState.UNCOLLECTIBLE.value, is_by_hand
        locked.save(update_fields=["state", "is_untold"])
        record(actor, "written_off", locked, number=locked.number)
        settle_standing(actor, now)
    return locked


def _check_may(invoice: Invoice, state: InvoiceState) -> None:
    if state not in FOLLOWING[InvoiceState(invoice.state)] or invoice.kind == InvoiceKind.CREDIT_NOTE:
        raise Conflict(f"This {invoice.kind.replace('_', ' ')} is {invoice.state}: it cannot become {state.value}.")


def _note_lines(invoice: Invoice, amounts: Mapping[int, int] | None, kind: InvoiceKind) -> list[Line]:
    rows = {row.position: row for row in invoice.lines.exclude(kind=LineKind.SAVINGS.value)}
    is_credit = kind is InvoiceKind.CREDIT_NOTE
    given = _given_back(invoice) if is_credit else {}
    wanted = amounts
    if wanted is None:
        if _is_rerated(invoice):
            raise Conflict("Its calls were re-rated by a note: say which lines to take back, and how much of each.")
        wanted = {place: row.nanos - given.get(place, 0) for place, row in rows.items()}
    lines = []
    for place, nanos in wanted.items():
        row = rows.get(place)
        if row is None:
            raise InvalidField("Give the positions of lines of this invoice.", field="lines")
        if not nanos and amounts is None:
            continue
        if amounts is not None and is_credit and not 0 < nanos <= row.nanos - given.get(place, 0):
            left = format_usd(max(row.nanos - given.get(place, 0), 0))
            raise InvalidField(f"Line {place}: give an amount above zero and up to {left} USD.", field="lines")
        if not is_credit and nanos <= 0:
            raise InvalidField(f"Line {place}: give an amount above zero.", field="lines")
        values = {field.name: getattr(row, field.name) for field in fields(Line)}
        values |= {
            "kind": LineKind.CREDIT if is_credit else LineKind.DEBIT,
            "group": f"{place}:{row.group}",
            "text": f"{row.text} (line {place} of {invoice.number})",
            "nanos": nanos,
            "quantity": 0,
            "unit_price": 0,
        }
        lines.append(Line(**values))
    if not lines:
        raise InvalidField("There is nothing left to take back.", field="lines")
    return lines


def _is_rerated(invoice: Invoice) -> bool:
    rows = InvoiceLine.objects.filter(org=invoice.org_id, kind=LineKind.RERATED.value)
    return rows.filter(invoice__corrects=invoice.pk).exists()


def _given_back(invoice: Invoice) -> dict[int, int]:
    """Nano-USD that credit notes gave back already, by the invoice's line."""
    notes = Invoice.objects.filter(org=invoice.org_id, corrects=invoice.pk, kind=InvoiceKind.CREDIT_NOTE.value)
    given: dict[int, int] = {}
    for group, total in (
        notes.filter(lines__kind=LineKind.CREDIT.value)
        .values_list("lines__group")
        .annotate(total=Sum("lines__nanos"))
        .order_by()
    ):
        place = int(group.partition(":")[0])
        given[place] = given.get(place, 0) + int(total)
    return given


def _take_tax(note: Invoice, invoice: Invoice) -> None:
    """A note over all of an invoice has its cents exactly; any other its rate on its own sum."""
    if note.net_nanos == invoice.net_nanos:
        note.groups = [{**group, "name": f"all:{group['name']}"} for group in invoice.groups]
        note.net_cents, note.tax_cents, note.total_cents = invoice.net_cents, invoice.tax_cents, invoice.total_cents
        return
    note.tax_cents = Tax(TaxCategory(invoice.tax_category), invoice.tax_rate).of(note.net_cents)
    note.total_cents = note.net_cents + note.tax_cents
