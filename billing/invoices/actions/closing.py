"""From a period to an issued invoice: draft, grace, issued.

A draft is the invoice of the month that runs: made whenever somebody looks, and never stored. When the month is over
there is a row, and until it is issued that, too, is made anew from the ledger as often as anybody likes; then it takes
its number and never changes. What comes to its period later (late rows, corrections) is found by the next one: the
ledger's sum of the earlier period less all that was billed of it, under the earlier period's dates. So the lines of all
invoices of a period sum to its ledger, whenever rows come. Every step is one transaction of one organisation and may be
repeated.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet

from billing.invoices.actions.wallet import use_credits
from billing.invoices.choices import InvoiceKind, InvoiceState, LineKind
from billing.invoices.core.calendar import ZONES_APART, billed_spans, find_stretches
from billing.invoices.core.lines import (
    PREPAID,
    Line,
    Span,
    Stretch,
    closing_lines,
    fee_lines,
    find_late,
    group_lines,
    mark_up,
    markup_lines,
    prepaid_lines,
    savings_lines,
    usage_lines,
)
from billing.invoices.core.tax import NO_TAX, Party, Tax, choose_tax, read_quote
from billing.invoices.core.terms import Terms
from billing.invoices.models import BillingAccount, Invoice, InvoiceLine, LegalEntity
from billing.invoices.selectors.accounts import (
    count_seats,
    find_account,
    find_coupon,
    find_credit,
    find_last_terms,
    find_rate,
    list_contracts,
)
from billing.invoices.selectors.due import find_open_periods
from billing.invoices.selectors.late import is_billed, list_invoiced
from billing.invoices.selectors.periods import load_periods
from billing.invoices.selectors.rerating import is_being_rerated
from billing.invoices.selectors.usage import find_billed, find_cost, find_spans, find_usage, list_billed
from billing.invoices.selectors.wallet import find_balance
from costhub.lib.database import take_turn
from costhub.lib.errors import AppError, Conflict, InvalidField, NotFound
from tenants.access import Actor
from tenants.actions.audit import record

#: so many invoiced months are looked at one by one for late usage, those before them in one sum first
LATE_PERIODS: Final = 3
#: no rate is taken for a month that ends later than this after the day it was published for
OLDEST_RATE: Final = timedelta(days=31)
#: PostgreSQL's lock of the job that closes months: nobody else issues an invoice
CLOSING: Final = 0x434C4F53_454D4F4E  # "CLOSEMON"
#: why an invoice waits whose tax Stripe is to work out
UNQUOTED: Final = "Stripe Tax has not said yet what tax is due."


@dataclass(frozen=True, slots=True)
class Preview:
    """What an invoice that is not issued would be if nothing came any more: its amounts, and its lines in order.
    Nothing of it is stored."""

    invoice: Invoice
    lines: Sequence[InvoiceLine]


@dataclass(frozen=True, slots=True)
class _Taken:
    """What earlier invoices are to have of prepaid credits (nano-USD) and of carried credits (cents, by currency)."""

    prepaid: int = 0
    carried: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Terms:
    """``last`` are those that hold at a period's end; of who has left by then, those that held last."""

    stretches: Sequence[Stretch]
    last: Terms


def close_period(actor: Actor, now: datetime) -> list[Invoice]:
    """Bring the organisation's invoices as far as ``now`` allows: a draft for every month that is over, issued once its
    days of grace are. Gives the invoices that it issued. May be repeated, and stopped anywhere."""
    account = find_account(actor)
    if account is None:
        return []
    lock_documents(actor)
    periods, late = find_open_periods(actor, now)
    if late and _late_lines(actor, late[0])[0]:
        periods = [late]
    for start, end in periods:
        open_invoice(actor, account, start, end)
    # Of whatever month: one that waited long for an exchange rate, or whose customer has left, is owed all the same.
    return [
        found
        for draft in _list_in_grace(actor).filter(grace_until__lte=now)
        if not _is_billed(actor, draft) and (found := _try_to_issue(actor, draft, now)) is not None
    ]


def open_invoice(actor: Actor, account: BillingAccount, start: datetime, end: datetime) -> Invoice:
    """The invoice over a period, made if it is not there, in its days of grace."""
    known = Invoice.objects.filter(org=actor.org, kind=InvoiceKind.INVOICE.value, period_start=start).exclude(
        state=InvoiceState.VOID.value
    )
    if found := known.first():
        return found
    grace = timedelta(days=_find_terms(actor, start, end).last.grace_days)
    try:
        with transaction.atomic():
            return Invoice.objects.create(
                org=actor.org,
                state=InvoiceState.GRACE.value,
                legal_entity=account.legal_entity_id,
                period_start=start,
                period_end=end,
                time_zone=actor.org.time_zone,
                grace_until=end + grace,
                seats=count_seats(actor),
            )
    except IntegrityError:
        # Another worker was first.
        return known.get()


def _is_billed(actor: Actor, draft: Invoice) -> bool:
    """Whether another invoice is over the same month, as of a draft that was made before a change of the time zone.
    Neighbours of other zones may touch."""
    issued = Invoice.objects.filter(org=actor.org, kind=InvoiceKind.INVOICE.value).exclude(number="")
    return issued.filter(
        period_start__lt=draft.period_end - ZONES_APART, period_end__gt=draft.period_start + ZONES_APART
    ).exists()


def preview_next(actor: Actor, now: datetime) -> Preview:
    """The invoice of the month that runs, by the code that closes months: fee, included usage, minimum and seats of the
    whole month, usage up to now, less what months in their days of grace will take of credits. Raises NotFound where
    there will be none."""
    account = find_account(actor)
    if account is None:
        raise NotFound("This organisation is nobody's customer: it has no invoices.")
    start, end = load_periods(actor).find(now)
    terms = _find_terms(actor, start, end)
    if not terms.stretches:
        raise NotFound("No plan holds in this month: it has no invoice.")
    prepaid, carried = 0, Counter[str]()
    for draft in _list_in_grace(actor).filter(period_start__lt=start):
        if not _is_billed(actor, draft):
            before = preview_invoice(actor, draft, now)
            prepaid -= sum(line.nanos for line in before.lines if line.group == PREPAID)
            carried[before.invoice.currency] += before.invoice.carried_cents
    invoice = Invoice(
        org=actor.org,
        state=InvoiceState.DRAFT.value,
        legal_entity=account.legal_entity_id,
        period_start=start,
        period_end=end,
        time_zone=actor.org.time_zone,
        grace_until=end + timedelta(days=terms.last.grace_days),
        seats=count_seats(actor),
    )
    return _preview(actor, invoice, account, terms, _Taken(prepaid, carried), now)


def preview_invoice(actor: Actor, invoice: Invoice, now: datetime) -> Preview:
    """The same of a month that is over, in its days of grace. Raises Conflict for one that is issued."""
    if invoice.number:
        raise Conflict("This invoice is issued and never changes.")
    account = BillingAccount.objects.select_related("legal_entity").get(org=actor.org)
    terms = _find_terms(actor, invoice.period_start, invoice.period_end)
    why = invoice.problem
    found = _preview(actor, invoice, account, terms, _Taken(), now)
    # Why it could not be issued the last time, where these sums do not tell.
    invoice.problem = invoice.problem or why
    return found


def _preview(
    actor: Actor, invoice: Invoice, account: BillingAccount, terms: _Terms, taken: _Taken, now: datetime
) -> Preview:
    lines = _make_lines(actor, terms, invoice, taken.prepaid)
    try:
        _sum_up(actor, invoice, account, terms, lines, taken, now)
    except InvalidField as error:
        # A tax rate is missing: whoever looks sees why it will wait, and what there is without it.
        invoice.problem, invoice.total_cents = error.message, invoice.net_cents
    return Preview(invoice, _rows_of(actor, invoice, lines))


def _list_in_grace(actor: Actor) -> QuerySet[Invoice]:
    drafts = Invoice.objects.filter(org=actor.org, kind=InvoiceKind.INVOICE.value, state=InvoiceState.GRACE.value)
    return drafts.filter(number="").order_by("period_start")


def refresh_invoice(actor: Actor, invoice: Invoice, now: datetime) -> Invoice:
    """Make the lines of an invoice that is not issued anew from the ledger of now. Raises Conflict for one that is,
    InvalidField where a tax rate is missing."""
    with transaction.atomic():
        lock_documents(actor)
        locked = Invoice.objects.select_for_update().get(pk=invoice.pk)
        if locked.number:
            raise Conflict("This invoice is issued and never changes: make a note.")
        account = BillingAccount.objects.select_related("legal_entity").get(org=actor.org)
        terms = _find_terms(actor, locked.period_start, locked.period_end)
        return _compute(actor, locked, account, terms, now)


def issue_invoice(actor: Actor, invoice: Invoice, now: datetime) -> Invoice:
    """Fix an invoice: its lines as the ledger has them now, its number, the names and addresses of now.

    The number is taken from the legal entity's row in this transaction, so a transaction that fails leaves no gap.
    Issuing twice gives the first one again. Raises Conflict for one that is void, lacks an exchange rate, or whose
    calls are being re-rated, and while its organisation is being erased.
    """
    with transaction.atomic():
        lock_documents(actor)
        locked = Invoice.objects.select_for_update().get(pk=invoice.pk)
        if locked.number:
            return locked
        if locked.state == InvoiceState.VOID:
            raise Conflict("This invoice is void.")
        # Locked before its lines are made: the credits that they take are given back to nobody meanwhile.
        accounts = BillingAccount.objects.select_for_update(of=("self",))
        account = accounts.select_related("legal_entity").get(org=actor.org)
        terms = _find_terms(actor, locked.period_start, locked.period_end)
        _compute(actor, locked, account, terms, now)
        # Looked at when its lines are made: a note would be over what they have already, as usage or late usage.
        if is_being_rerated(actor, locked.period_end):
            raise Conflict("Calls of this month or of one before are being re-rated: it is issued when that is done.")
        if locked.problem:
            raise Conflict(locked.problem)
        locked.state = InvoiceState.ISSUED.value
        locked.issued_at = now
        locked.due_at = now + timedelta(days=terms.last.payment_days)
        if locked.due_cents == 0:
            # Nothing is owed.
            locked.state, locked.paid_at = InvoiceState.PAID.value, now
        locked.number = take_number(account.legal_entity, is_note=False)
        locked.save()
        use_credits(actor, locked)
        record(actor, "issued", locked, number=locked.number, total_cents=locked.total_cents)
    return locked


def issuing_turn(org_id: UUID) -> str:
    """The turn in which an organisation gets a numbered document. Who erases it holds that turn: the documents that
    were counted before are all there are."""
    return f"number for {org_id}"


def lock_documents(actor: Actor) -> None:
    """Until the present transaction ends nobody else makes, issues, corrects or settles an invoice of the organisation.

    Who does any of it locks them first, then rows of invoices, then the billing account, and what follows of it last:
    numbers, budgets, the organisation. In another order, one who closes two months and one who voids the second of them
    would wait for each other. Raises Conflict where somebody else takes too long.
    """
    take_turn(issuing_turn(actor.org.pk))


def take_number(entity: LegalEntity, *, is_note: bool) -> str:
    """The next number of a legal entity; its row stays locked until the transaction ends."""
    column = "next_note" if is_note else "next_invoice"
    LegalEntity.objects.filter(pk=entity.pk).update(**{column: F(column) + 1})
    taken = LegalEntity.objects.values_list(column, flat=True).get(pk=entity.pk) - 1
    return f"{entity.prefix}{'N' if is_note else ''}{taken:06d}"


def describe_seller(entity: LegalEntity) -> dict[str, str]:
    """The seller as documents name it."""
    fields = ("name", "street", "postcode", "city", "country", "tax_id", "email", "bank_account")
    return {field: getattr(entity, field) for field in fields}


def describe_buyer(account: BillingAccount) -> dict[str, str]:
    """The buyer as documents name it."""
    return {field: getattr(account, field) for field in ("name", "street", "postcode", "city", "country", "tax_id")}


def _try_to_issue(actor: Actor, invoice: Invoice, now: datetime) -> Invoice | None:
    try:
        return issue_invoice(actor, invoice, now)
    except AppError as error:
        # It stays in grace, says why, and is tried again with the next run.
        Invoice.objects.filter(pk=invoice.pk, number="").update(problem=error.message[:300])
        return None


def _find_terms(actor: Actor, start: datetime, end: datetime) -> _Terms:
    stretches = find_stretches(list_contracts(actor, start, end), start, end)
    return _Terms(stretches, stretches[-1].terms if stretches else find_last_terms(actor, end))


def _compute(actor: Actor, invoice: Invoice, account: BillingAccount, terms: _Terms, now: datetime) -> Invoice:
    """Make lines, sums, tax and addresses anew. The invoice's row is locked."""
    lines = _make_lines(actor, terms, invoice, 0)
    store_lines(actor, invoice, lines)
    _sum_up(actor, invoice, account, terms, lines, _Taken(), now)
    invoice.save()
    return invoice


def _sum_up(
    actor: Actor,
    invoice: Invoice,
    account: BillingAccount,
    terms: _Terms,
    lines: Sequence[Line],
    taken: _Taken,
    now: datetime,
) -> None:
    """An invoice's sums, tax and addresses, as they follow from its lines. Nothing is stored. Raises InvalidField where
    a tax rate is missing."""
    currency = terms.last.currency
    last_day = min(invoice.period_end, now).astimezone(ZoneInfo(invoice.time_zone)).date()
    rate = find_rate(currency, last_day)
    invoice.problem = "" if rate else f"There is no exchange rate of {currency} yet."
    if rate:
        invoice.rate, invoice.rate_day, invoice.rate_source = rate
        if last_day - rate[1] > OLDEST_RATE:
            invoice.problem = (
                f"The newest exchange rate of {currency} is that of {rate[1]}, and the month ends more than"
                f" {OLDEST_RATE.days} days later: set a newer one."
            )
    invoice.currency = currency
    invoice.usage_nanos = sum(line.nanos for line in lines if line.kind in (LineKind.USAGE, LineKind.LATE_USAGE))
    try:
        apply_amounts(invoice, lines, account)
    finally:
        # Where a tax rate is missing, too, there are amounts to look at by now.
        if not rate:
            # So many dollars are no amount of another currency, and what is one nobody knows yet.
            invoice.groups = [group | {"cents": 0} for group in invoice.groups]
            invoice.net_cents = invoice.tax_cents = invoice.total_cents = 0
    credit = find_credit(actor).get(currency, 0) - taken.carried.get(currency, 0)
    invoice.carried_cents = min(max(invoice.total_cents, 0), max(credit, 0))
    invoice.computed_at = now


def _make_lines(actor: Actor, terms: _Terms, invoice: Invoice, prepaid_taken: int) -> list[Line]:
    start, end = invoice.period_start, invoice.period_end
    used: list[Line] = []
    saved: list[Line] = []
    spans = billed_spans(terms.stretches)
    for span in spans:
        usage = find_usage(actor, span.start, span.end)
        used += usage_lines(usage, span.start, span.end)
        saved += savings_lines(usage, span.start, span.end)
    own = [*fee_lines(terms.stretches, invoice.seats), *used, *mark_up(used, spans)]
    # What comes late was of another month, with included usage, a minimum and a coupon of its own.
    closing = closing_lines(own, terms.stretches, find_coupon(actor, start, end), start, end)
    late, late_spans = _late_lines(actor, start)
    lines = [*own, *late, *closing]
    if any(span.terms.prepaid for span in (*spans, *late_spans)):
        lines += prepaid_lines(lines, (*spans, *late_spans), find_balance(actor) - prepaid_taken)
    return lines + saved


def _late_lines(actor: Actor, start: datetime) -> tuple[list[Line], list[Span]]:
    """What came to earlier periods since they were billed, with the markup of the terms that held then, and the parts
    of those periods. In tiers it stands behind what was billed of its month."""
    found: list[Line] = []
    looked_at: list[Span] = []
    for invoice in _list_earlier(actor, start):
        first, last = invoice.period_start, invoice.period_end
        spans = find_spans(actor, first, last, _find_terms(actor, first, last).stretches)
        looked_at += spans
        before: list[Line] | None = None
        for span in spans:
            billed = find_billed(actor, span.start, span.end)
            if sum(cost for _, cost in billed.values()) == find_cost(actor, span.start, span.end):
                continue
            before = list_billed(actor, spans) if before is None else before
            usage = find_late(find_usage(actor, span.start, span.end), billed)
            late = usage_lines(usage, span.start, span.end, LineKind.LATE_USAGE)
            found += [*late, *markup_lines(late, span.terms, before)]
            before += late
    return found, looked_at


def _list_earlier(actor: Actor, start: datetime) -> list[Invoice]:
    """The invoiced periods before ``start`` that may have late usage, oldest first: the last few, and the older ones
    where their sum says that something came to them. Months that the ledger may have lost are not looked at."""
    earlier = list_invoiced(actor, start)
    return earlier[-LATE_PERIODS:] if is_billed(actor, earlier[:-LATE_PERIODS]) else earlier


def store_lines(actor: Actor, invoice: Invoice, lines: Sequence[Line]) -> None:
    """Put these lines in place of those that the invoice has."""
    invoice.lines.all().delete()
    InvoiceLine.objects.bulk_create(_rows_of(actor, invoice, lines), batch_size=500)


def _rows_of(actor: Actor, invoice: Invoice, lines: Sequence[Line]) -> list[InvoiceLine]:
    fields: list[dict[str, Any]] = [
        {name: getattr(line, name) for name in Line.__dataclass_fields__ if name != "kind"} | {"kind": line.kind.value}
        for line in lines
    ]
    return [
        InvoiceLine(org=actor.org, invoice=invoice, position=place, **each)
        for place, each in enumerate(fields, start=1)
    ]


def apply_amounts(invoice: Invoice, lines: Sequence[Line], account: BillingAccount) -> None:
    """The sums, tax and addresses that follow from the lines; nothing is stored. Raises InvalidField where a tax rate
    is missing."""
    entity = account.legal_entity
    groups = group_lines(lines, invoice.rate, ZoneInfo(invoice.time_zone))
    invoice.groups = [{"name": g.name, "title": g.title, "nanos": g.nanos, "cents": g.cents} for g in groups]
    invoice.net_nanos = sum(group.nanos for group in groups)
    invoice.net_cents = sum(group.cents for group in groups)
    tax = _find_tax(invoice, account)
    if tax is None:
        tax, invoice.problem = NO_TAX, invoice.problem or UNQUOTED
    invoice.tax_category, invoice.tax_rate, invoice.tax_reason = tax.category.value, tax.rate, tax.reason
    invoice.tax_cents = tax.of(invoice.net_cents)
    invoice.total_cents = invoice.net_cents + invoice.tax_cents
    invoice.seller, invoice.buyer = describe_seller(entity), describe_buyer(account)
    invoice.po_number = account.po_number


def _find_tax(invoice: Invoice, account: BillingAccount) -> Tax | None:
    """By the seller's rates, or as Stripe Tax has quoted it; None where it has not yet."""
    entity = account.legal_entity
    if not entity.uses_stripe_tax:
        return choose_tax(
            Party(entity.country, entity.tax_id), Party(account.country, account.tax_id), entity.tax_rates
        )
    if not invoice.net_cents:
        return NO_TAX
    return read_quote(invoice.tax_quote, invoice.net_cents, invoice.currency, describe_buyer(account))
