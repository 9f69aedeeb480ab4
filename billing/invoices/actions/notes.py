"""Credit and debit notes, the only way in which an issued invoice is corrected; and what becomes of it. What takes from
what is owed ends in the same transaction what an unpaid invoice had come to: whoever was suspended is let in again."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Sum

from billing.invoices.actions.closing import apply_amounts, lock_documents, store_lines, take_number
from billing.invoices.actions.dunning import settle_standing
from billing.invoices.actions.wallet import give_back_credits
from billing.invoices.choices import CORRECTED, FOLLOWING, InvoiceKind, InvoiceState, LineKind, TaxCategory
from billing.invoices.core.lines import Line
from billing.invoices.core.notes import spread_reductions
from billing.invoices.core.tax import Tax
from billing.invoices.models import BillingAccount, Invoice, InvoiceLine
from billing.invoices.selectors.accounts import find_last_terms
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

    Raises Conflict for an invoice that is not issued or is a note, and while its organisation is being erased;
    InvalidField for an amount that cannot be or a missing reason. Together credit notes never give back more of a line
    than it asks for (``spread_reductions``), nor more than the invoice does.
    """
    actor.check(Permission.WRITE_MONEY)
    if not reason.strip() or len(reason) > MAX_REASON_CHARACTERS or not reason.isprintable():
        raise InvalidField(f"Give a reason of 1 to {MAX_REASON_CHARACTERS} visible characters.", field="reason")
    with transaction.atomic():
        lock_documents(actor)
        locked = Invoice.objects.select_for_update().get(pk=invoice.pk)
        if not locked.number or locked.kind not in CORRECTED:
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
    """A note of these lines, numbered. The organisation's documents and the invoice's row are locked."""
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
    _take_cents(note, invoice)
    note.state = InvoiceState.ISSUED.value
    if kind is InvoiceKind.DEBIT_NOTE:
        note.due_at = now + timedelta(days=find_last_terms(actor, invoice.period_end).payment_days)
    note.number = take_number(account.legal_entity, is_note=True)
    note.save()
    record(actor, "issued", note, number=note.number, corrects=invoice.number, total_cents=note.total_cents)
    settle_standing(actor, now)
    return note


def void_invoice(*, actor: Actor, invoice: Invoice, reason: str, now: datetime) -> Invoice | None:
    """Take a whole invoice back: a draft is void, and none is made of its period again; an issued one stays as it is,
    is void, and has a credit note, which is given, over what no note has given back before, and credits that paid for
    it come back. Raises Conflict for one that is paid or void."""
    actor.check(Permission.WRITE_MONEY)
    with transaction.atomic():
        lock_documents(actor)
        locked = Invoice.objects.select_for_update().get(pk=invoice.pk)
        _check_may(locked, InvoiceState.VOID)
        is_left = bool(locked.number) and find_credit_left(locked) > 0
        note = make_note(actor=actor, invoice=locked, amounts=None, reason=reason, now=now) if is_left else None
        locked.state, locked.refusal = InvoiceState.VOID.value, ""
        locked.save(update_fields=["state", "refusal"])
        # Not what notes gave back: that was money. A draft has taken none.
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
        lock_documents(actor)
        locked = Invoice.objects.select_for_update().get(pk=invoice.pk)
        if locked.state == InvoiceState.PAID:
            return locked
        _check_may(locked, InvoiceState.PAID)
        locked.state, locked.paid_at, locked.is_untold = InvoiceState.PAID.value, now, is_by_hand
        # What Stripe refused of it is of no use any more; of what it is told now it may refuse anew.
        locked.refusal = ""
        locked.save(update_fields=["state", "paid_at", "is_untold", "refusal"])
        record(actor, "paid", locked, number=locked.number, reference=reference)
        settle_standing(actor, now)
    return locked


def reopen_invoice(*, actor: Actor, invoice: Invoice, now: datetime, reference: str) -> Invoice:
    """Its payment is gone, as Stripe says: it is owed again. Raises Conflict for one that is not paid."""
    actor.check(Permission.WRITE_MONEY)
    with transaction.atomic():
        lock_documents(actor)
        locked = Invoice.objects.select_for_update().get(pk=invoice.pk)
        _check_may(locked, InvoiceState.ISSUED)
        locked.state, locked.paid_at = InvoiceState.ISSUED.value, None
        locked.save(update_fields=["state", "paid_at"])
        record(actor, "reopened", locked, number=locked.number, reference=reference)
        settle_standing(actor, now)
    return locked


def mark_uncollectible(*, actor: Actor, invoice: Invoice, now: datetime, is_by_hand: bool = True) -> Invoice:
    """Nobody will pay any more, as above. Raises Conflict for one that is not owed."""
    actor.check(Permission.WRITE_MONEY)
    with transaction.atomic():
        lock_documents(actor)
        locked = Invoice.objects.select_for_update().get(pk=invoice.pk)
        _check_may(locked, InvoiceState.UNCOLLECTIBLE)
        locked.state, locked.is_untold, locked.refusal = InvoiceState.UNCOLLECTIBLE.value, is_by_hand, ""
        locked.save(update_fields=["state", "is_untold", "refusal"])
        record(actor, "written_off", locked, number=locked.number)
        settle_standing(actor, now)
    return locked


def _check_may(invoice: Invoice, state: InvoiceState) -> None:
    if state not in FOLLOWING[InvoiceState(invoice.state)] or invoice.kind == InvoiceKind.CREDIT_NOTE:
        raise Conflict(f"This {invoice.kind.replace('_', ' ')} is {invoice.state}: it cannot become {state.value}.")


def _note_lines(invoice: Invoice, amounts: Mapping[int, int] | None, kind: InvoiceKind) -> list[Line]:
    rows = {row.position: _read(row) for row in invoice.lines.exclude(kind=LineKind.SAVINGS.value)}
    wanted = amounts
    if kind is InvoiceKind.CREDIT_NOTE:
        wanted = _find_rest(invoice, rows) if amounts is None else amounts
        _check_credit(invoice, rows, wanted, is_named=amounts is not None)
    elif wanted is None:
        wanted = {place: line.nanos for place, line in rows.items() if line.nanos}
    lines = []
    for place, nanos in wanted.items():
        line = rows.get(place)
        if line is None:
            raise InvalidField("Give the positions of lines of this invoice.", field="lines")
        if kind is InvoiceKind.DEBIT_NOTE and nanos <= 0:
            raise InvalidField(f"Line {place}: give an amount above zero.", field="lines")
        lines.append(
            replace(
                line,
                kind=LineKind.CREDIT if kind is InvoiceKind.CREDIT_NOTE else LineKind.DEBIT,
                group=f"{place}:{line.group}",
                text=f"{line.text} (line {place} of {invoice.number})",
                nanos=nanos,
                quantity=0,
                unit_price=0,
            )
        )
    if not lines:
        raise InvalidField("There is nothing left to take back.", field="lines")
    return lines


def _read(row: InvoiceLine) -> Line:
    values = {field.name: getattr(row, field.name) for field in fields(Line)}
    return Line(**values | {"kind": LineKind(row.kind)})


def _find_rest(invoice: Invoice, rows: Mapping[int, Line]) -> dict[int, int]:
    """What is left to be given back of each line: all lines as they are, as long as nothing was. Raises Conflict where
    calls were re-rated by a note."""
    if _is_rerated(invoice):
        raise Conflict("Its calls were re-rated by a note: say which lines to take back, and how much of each.")
    given = _given_back(invoice)
    if not given:
        return {place: line.nanos for place, line in rows.items() if line.nanos}
    left, rest = find_credit_left(invoice), {}
    for place, asked in spread_reductions(rows).items():
        # Notes from before reductions were spread may have given more of another line.
        nanos = min(asked - given.get(place, 0), left)
        if nanos > 0:
            rest[place], left = nanos, left - nanos
    return rest


def _check_credit(invoice: Invoice, rows: Mapping[int, Line], wanted: Mapping[int, int], *, is_named: bool) -> None:
    """Raises InvalidField where a credit note would give back more of a line, or of all of them, than is left."""
    if not is_named or wanted.keys() - rows.keys():
        return
    given, asked = _given_back(invoice), spread_reductions(rows)
    for place, nanos in wanted.items():
        left = max(asked.get(place, 0) - given.get(place, 0), 0)
        if place in rows and not 0 < nanos <= left:
            less = "" if asked.get(place, 0) == rows[place].nanos else ", as what the invoice takes off is off it"
            raise InvalidField(
                f"Line {place}: give an amount above zero and up to {format_usd(left)} USD{less}.", field="lines"
            )
    left = max(find_credit_left(invoice), 0)
    if sum(wanted.values()) > left:
        raise InvalidField(
            f"Give at most {format_usd(left)} USD in all: so much of this invoice was not given back yet.",
            field="lines",
        )


def find_credit_left(invoice: Invoice) -> int:
    """Nano-USD of an issued invoice that no credit note gave back yet; below zero where they gave more, as those from
    before this was looked at may have."""
    notes = Invoice.objects.filter(org=invoice.org_id, corrects=invoice.pk, kind=InvoiceKind.CREDIT_NOTE.value)
    given = notes.exclude(number="").aggregate(nanos=Sum("net_nanos", default=0))
    return invoice.net_nanos - int(given["nanos"])


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
        place = group.partition(":")[0]
        # A re-rating's has none: it says in one line what notes before gave back.
        if place.isdigit():
            given[int(place)] = given.get(int(place), 0) + int(total)
    return given


def _take_cents(note: Invoice, invoice: Invoice) -> None:
    """A note has its invoice's rate on its own sum. Of credit notes the one with which all of an invoice is given back
    has the cents that are left of it, net and tax, and none before has more than that: together they are the invoice's,
    to the cent."""
    rate = Tax(TaxCategory(invoice.tax_category), invoice.tax_rate)
    note.tax_cents = rate.of(note.net_cents)
    if note.kind == InvoiceKind.CREDIT_NOTE:
        before = Invoice.objects.filter(org=note.org_id, corrects=invoice.pk, kind=InvoiceKind.CREDIT_NOTE.value)
        given = before.exclude(number="").aggregate(
            nanos=Sum("net_nanos", default=0), net=Sum("net_cents", default=0), tax=Sum("tax_cents", default=0)
        )
        left = invoice.net_nanos - int(given["nanos"]) - note.net_nanos
        net, tax = invoice.net_cents - int(given["net"]), invoice.tax_cents - int(given["tax"])
        if left == 0:
            _level(note, invoice, net)
            note.tax_cents = tax
        elif left > 0:
            _level(note, invoice, min(note.net_cents, net))
            note.tax_cents = min(rate.of(note.net_cents), tax)
    note.total_cents = note.net_cents + note.tax_cents


def _level(note: Invoice, invoice: Invoice, net_cents: int) -> None:
    """Bring a note's groups to a sum: as the invoice's where it is over all of it, else by one more."""
    if note.net_nanos == invoice.net_nanos:
        note.groups = [{**group, "name": f"all:{group['name']}"} for group in invoice.groups]
    elif rest := net_cents - note.net_cents:
        title = f"Rounding, to the cents of {invoice.number}"
        note.groups = [*note.groups, {"name": "rounding", "title": title, "nanos": 0, "cents": rest}]
    note.net_cents = net_cents
