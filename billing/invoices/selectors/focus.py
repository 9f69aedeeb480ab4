"""An organisation's costs as rows of FOCUS 1.4, with what its invoices and notes have beside usage. It is open."""

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from billing.invoices.choices import NOTES, InvoiceKind, LineKind
from billing.invoices.models import Invoice, InvoiceLine
from billing.invoices.selectors.accounts import find_account, find_last_terms, find_rate
from billing.invoices.selectors.periods import Periods, load_periods
from billing.invoices.selectors.usage import find_cost
from billing.spend.core.focus import COLUMNS, Bill, Charge, convert
from billing.spend.selectors.focus import list_focus_rows
from tenants.access import Actor

#: category and frequency of what stands beside usage, as FOCUS names them
_KINDS: Final[dict[str, tuple[str, str]]] = {
    LineKind.FEE: ("Purchase", "Recurring"),
    LineKind.MINIMUM: ("Purchase", "Recurring"),
    LineKind.MARKUP: ("Usage", "Usage-Based"),
    LineKind.INCLUDED: ("Credit", "Recurring"),
    LineKind.COUPON: ("Credit", "One-Time"),
    LineKind.CREDIT: ("Credit", "One-Time"),
}
_ADJUSTMENT: Final = ("Adjustment", "One-Time")
#: usage whose effective cost is on the rows of its own month
_TOLD: Final = (LineKind.LATE_USAGE, LineKind.RERATED)


def list_focus(actor: Actor, start: datetime, end: datetime) -> Iterator[dict[str, str]]:
    """The rows of ``[start, end)``. Raises as ``list_focus_rows``."""
    account = find_account(actor)
    issuer = account.legal_entity.name if account else "CostHub"
    return list_focus_rows(actor, start, end, list_bills(actor, start, end), issuer=issuer)


def list_bills(actor: Actor, start: datetime, end: datetime) -> list[Bill]:
    """What ``[start, end)`` is billed by, without gaps: invoices, and between them the plan's currency at its newest
    rate, by the period of the invoice to come; and the notes on these invoices."""
    periods = load_periods(actor)
    documents = Invoice.objects.filter(org=actor.org, period_start__lt=end, period_end__gt=start).exclude(number="")
    bills: list[Bill] = []
    reached = start
    for document in documents.filter(kind=InvoiceKind.INVOICE.value).order_by("period_start"):
        bills += _expect(actor, periods, reached, document.period_start)
        ledger = find_cost(actor, document.period_start, document.period_end)
        bills.append(_make_bill(document, ledger))
        reached = document.period_end
    bills += _expect(actor, periods, reached, end)
    # Credits that were bought are no cost yet: the invoices that take them off are.
    notes = documents.filter(kind__in=[kind.value for kind in NOTES])
    of_credits = Invoice.objects.filter(org=actor.org, kind=InvoiceKind.PREPAYMENT.value).values("pk")
    return bills + [_make_bill(note, None) for note in notes.exclude(corrects__in=of_credits).order_by("number")]


def _expect(actor: Actor, periods: Periods, start: datetime, end: datetime) -> Iterator[Bill]:
    """Of the time ``[start, end)``, which has no invoice yet: one for each period that it is in, whole, so that a day's
    rows are the same in whatever piece it is fetched."""
    while start < end:
        first, last = periods.find(start)
        currency = find_last_terms(actor, last).currency
        found = find_rate(currency, last.astimezone(ZoneInfo(periods.time_zone)).date())
        yield Bill(first, last, currency, found[0].normalize()) if found else Bill(first, last)
        start = last


def _make_bill(document: Invoice, ledger: int | None) -> Bill:
    lines = [line for line in document.lines.order_by("position") if line.kind != LineKind.SAVINGS]
    rate = document.rate.normalize()
    return Bill(
        start=document.period_start,
        end=document.period_end,
        currency=document.currency,
        rate=rate,
        number=document.number,
        charges=(
            *(_charge_of(document, line, rate) for line in lines if line.kind != LineKind.USAGE),
            *_make_charges(document, lines, rate, ledger),
        ),
        is_note=document.kind != InvoiceKind.INVOICE,
    )


def _charge_of(document: Invoice, line: InvoiceLine, rate: Decimal) -> Charge:
    is_note = document.kind != InvoiceKind.INVOICE
    category, frequency = _ADJUSTMENT if is_note else _KINDS.get(line.kind, _ADJUSTMENT)
    return Charge(
        category=category,
        frequency=frequency,
        text=f"{document.reason}: {line.text}" if is_note else line.text,
        start=line.start,
        end=line.end,
        billed=convert(line.nanos * _sign(document), rate),
        detail=str(line.position),
        project=line.project,
        project_name=line.project_name,
        model=line.model,
        is_correction=is_note or line.start < document.period_start,
        is_told=line.kind in _TOLD,
    )


def _make_charges(document: Invoice, lines: Sequence[InvoiceLine], rate: Decimal, ledger: int | None) -> list[Charge]:
    """What no line says: usage that the document leaves to others, the rounding to cents, and tax."""
    sign, cent = _sign(document), Decimal("0.01")
    nanos = sum(line.nanos for line in lines) * sign
    amounts = {
        "Rounding to cents": (*_ADJUSTMENT, document.net_cents * sign * cent - convert(nanos, rate)),
        "Tax": ("Tax", "One-Time", document.tax_cents * sign * cent),
    }
    if ledger is not None:
        on_it = sum(line.nanos for line in lines if line.kind == LineKind.USAGE)
        text = "Usage that is not on this invoice: it came later, or is not to be billed"
        amounts[text] = (*_ADJUSTMENT, convert(on_it - ledger, rate))
    return [
        Charge(
            category=category,
            frequency=frequency,
            text=text,
            start=document.period_start,
            end=document.period_end,
            billed=billed,
            is_correction=document.kind != InvoiceKind.INVOICE,
            is_told=text.startswith("Usage"),
        )
        for text, (category, frequency, billed) in amounts.items()
        if billed
    ]


def _sign(document: Invoice) -> int:
    return -1 if document.kind == InvoiceKind.CREDIT_NOTE else 1


def export_focus(actor: Actor, start: datetime, end: datetime) -> str:
    """The costs of up to a month as FOCUS 1.4, as the format has it: no mark, no guarded cells.

    Raises Forbidden if the actor may not see money, InvalidField for more than a month.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(list_focus(actor, start, end))
    return text.getvalue()
