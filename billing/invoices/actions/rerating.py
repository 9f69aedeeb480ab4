"""Re-rating from the preview to the notes.

Previewed, then approved by the amount that was seen, then posted to the ledger batch by batch, then settled: a month
that was invoiced has a note over the difference at once, unless the next invoice is to have it as late usage. Each step
is one transaction and may be repeated; whoever dies anywhere is followed by the next run, and nothing is there twice.
"""

from collections import Counter
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Sum

from billing.invoices.actions.closing import lock_documents
from billing.invoices.actions.notes import find_credit_left, issue_note
from billing.invoices.choices import InvoiceKind, InvoiceState, LineKind, ReratingState
from billing.invoices.core.calendar import find_stretches
from billing.invoices.core.lines import Line, usage_lines
from billing.invoices.core.rerated import flip, rerated_lines
from billing.invoices.models import BillingAccount, Invoice, Rerating
from billing.invoices.selectors.accounts import find_invoiced_coupon, list_contracts
from billing.invoices.selectors.usage import find_rerated, find_spans, list_billed
from billing.spend.actions.rerating import post_batch, preview
from billing.spend.core.rerating import REASON
from billing.spend.selectors.rerating import Place, count_rerated
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.money import format_usd
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.choices import Permission

_MOST_REASON: Final = 200


def preview_rerating(
    *, actor: Actor, model: str, start: datetime, end: datetime, reason: str, makes_notes: bool = True
) -> Rerating:
    """Find out what the calls of a model would cost at the prices that are known now, and keep it to be approved.
    Nothing else changes. Of many calls a job counts on, and it can be approved when that is done. Raises InvalidField
    for a model, dates or a reason that cannot be."""
    actor.check(Permission.WRITE_MONEY)
    if not reason.strip() or len(reason) > _MOST_REASON or not reason.isprintable():
        raise InvalidField(f"Give a reason of 1 to {_MOST_REASON} visible characters.", field="reason")
    if start >= end:
        raise InvalidField("Give an end that is after the start.", field="to")
    row = Rerating(
        org=actor.org,
        model=model,
        start=start,
        end=end,
        reason=reason,
        makes_notes=makes_notes,
        state=ReratingState.COUNTING.value,
        created_by=actor.name,
    )
    _count(actor, row)
    row.save(force_insert=True)
    record(actor, "created", row, model=model, start=start, end=end, change_nanos=row.change_nanos)
    return row


def approve_rerating(*, actor: Actor, rerating: Rerating, change_nanos: int) -> Rerating:
    """Have a job apply what was previewed: ``change_nanos`` is the change that was seen. Again it changes nothing.
    Raises Conflict for another change, or a re-rating that is stale."""
    actor.check(Permission.WRITE_MONEY)
    with transaction.atomic():
        locked = Rerating.objects.select_for_update().get(pk=rerating.pk)
        if locked.state == ReratingState.COUNTING:
            raise Conflict("Its calls are still being counted: look again in a minute.")
        if locked.state == ReratingState.STALE:
            raise Conflict("The calls have changed since this preview: make another one.")
        if change_nanos != locked.change_nanos:
            seen = format_usd(locked.change_nanos)
            raise Conflict(f"This re-rating changes {seen} USD: look at it, and give that as the change.")
        if locked.state == ReratingState.PREVIEWED:
            locked.state = ReratingState.APPROVED.value
            locked.save(update_fields=["state"])
            record(actor, "approved", locked, change_nanos=change_nanos)
    return locked


def carry_on(actor: Actor, rerating: Rerating, now: datetime) -> bool:
    """The next step of a re-rating that is counted or approved, in the current transaction, which should be one of its
    own; says whether there is another one. Raises Conflict where the ledger is too far behind."""
    locked = Rerating.objects.select_for_update().get(pk=rerating.pk)
    if locked.state == ReratingState.COUNTING:
        has_more = _count(actor, locked)
        locked.save()
        return has_more
    if locked.state == ReratingState.APPROVED:
        return _begin(actor, locked)
    if locked.state == ReratingState.POSTING:
        return _post(actor, locked, now)
    return False


def _count(actor: Actor, row: Rerating) -> bool:
    """Add what the next span of calls would change; says whether there is another one."""
    found, place = preview(actor, row.model, row.start, row.end, _place_of(row))
    row.calls += found.calls
    row.changed += found.changed
    row.before_nanos += found.before
    row.after_nanos += found.after
    row.left_out = dict(Counter(row.left_out) + Counter(found.left_out))
    row.place_at, row.place_id = place or (None, None)
    if place is None:
        row.state = ReratingState.PREVIEWED.value
    return place is not None


def _place_of(row: Rerating) -> Place | None:
    return (row.place_at, row.place_id) if row.place_at and row.place_id else None


def _begin(actor: Actor, locked: Rerating) -> bool:
    """Look at all calls once more, span by span, before the first of them is changed."""
    found, place = preview(actor, locked.model, locked.start, locked.end, _place_of(locked))
    locked.checked += found.changed
    locked.checked_nanos += found.change
    locked.place_at, locked.place_id = place or (None, None)
    if place is not None:
        locked.save(update_fields=["place_at", "place_id", "checked", "checked_nanos"])
        return True
    is_same = (locked.checked, locked.checked_nanos) == (locked.changed, locked.change_nanos)
    locked.state = (ReratingState.POSTING if is_same else ReratingState.STALE).value
    locked.problem = "" if is_same else "The calls have changed since the preview: make another one."
    locked.save(update_fields=["state", "problem", "place_at", "place_id", "checked", "checked_nanos"])
    return is_same


def _post(actor: Actor, locked: Rerating, now: datetime) -> bool:
    tally, place = post_batch(actor, locked.model, locked.start, locked.end, str(locked.pk), _place_of(locked))
    if place is not None:
        locked.place_at, locked.place_id = place
        locked.posted += tally.changed
        locked.posted_nanos += tally.change
        locked.save(update_fields=["place_at", "place_id", "posted", "posted_nanos"])
        return True
    # Whoever died after a batch went out has not counted it: the ledger has.
    reason = f"{REASON}{locked.pk}"
    locked.posted, locked.posted_nanos = count_rerated(actor, locked.start, locked.end, reason)
    if locked.makes_notes:
        locked.notes = [note.pk for note in _make_notes(actor, locked, now)]
    locked.state, locked.applied_at = ReratingState.APPLIED.value, now
    locked.save(update_fields=["state", "applied_at", "notes", "posted", "posted_nanos"])
    record(actor, "applied", locked, posted=locked.posted, posted_nanos=locked.posted_nanos)
    return False


def _make_notes(actor: Actor, rerating: Rerating, now: datetime) -> list[Invoice]:
    """A note for each month that was invoiced and has calls of it. What prepaid credits paid for is taken into account
    by the next invoice, which draws on them."""
    account = BillingAccount.objects.select_related("legal_entity").filter(org=actor.org).first()
    if account is None:
        return []
    lock_documents(actor)
    invoices = Invoice.objects.select_for_update().filter(
        org=actor.org,
        kind=InvoiceKind.INVOICE.value,
        period_start__lt=rerating.end,
        period_end__gt=rerating.start,
    )
    owed = invoices.exclude(number="").exclude(state=InvoiceState.VOID.value).order_by("period_start")
    notes = (_make_note(actor, rerating, invoice, account, now) for invoice in owed)
    return [note for note in notes if note is not None]


def _make_note(
    actor: Actor, rerating: Rerating, invoice: Invoice, account: BillingAccount, now: datetime
) -> Invoice | None:
    start, end = invoice.period_start, invoice.period_end
    stretches = find_stretches(list_contracts(actor, start, end), start, end)
    spans = find_spans(actor, start, end, stretches)
    if any(span.terms.prepaid for span in spans):
        return None
    changed: list[Line] = []
    for span in spans:
        found = find_rerated(actor, span.start, span.end, f"{REASON}{rerating.pk}")
        changed += usage_lines(found, span.start, span.end)
    if not changed:
        return None
    # What is taken out stands before what is put in.
    changed.sort(key=lambda line: (line.group, line.token_class, line.nanos))
    billed, coupon = list_billed(actor, spans), find_invoiced_coupon(actor, invoice)
    lines = rerated_lines(billed, changed, stretches, spans, coupon, start, end, invoice.seats)
    is_debit = sum(line.nanos for line in lines) > 0
    kind = InvoiceKind.DEBIT_NOTE if is_debit else InvoiceKind.CREDIT_NOTE
    return issue_note(
        actor,
        invoice,
        account,
        lines if is_debit else _within(invoice, flip(lines)),
        kind=kind,
        reason=f"Re-rated: {rerating.reason}",
        now=now,
    )


def _within(invoice: Invoice, lines: list[Line]) -> list[Line]:
    """A credit note's lines, and where notes before gave back so much that this one would pass what was asked for, one
    line below zero of that."""
    asked = Invoice.objects.filter(org=invoice.org_id, corrects=invoice.pk, kind=InvoiceKind.DEBIT_NOTE.value)
    more = asked.exclude(number="").aggregate(nanos=Sum("net_nanos", default=0))
    left = max(find_credit_left(invoice) + int(more["nanos"]), 0)
    beyond = sum(line.nanos for line in lines) - left
    if beyond <= 0:
        return lines
    start, end = invoice.period_start, invoice.period_end
    return [*lines, Line(LineKind.CREDIT, "given", "Given back by notes before", -beyond, start, end)]
