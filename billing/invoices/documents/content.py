"""What stands on a document, as texts: the same for PDF, e-invoice and CSV. Pure but for the rows that it is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from billing.invoices.choices import InvoiceKind, LineKind
from billing.invoices.core.lines import PREPAID
from billing.invoices.models import Invoice, InvoiceLine
from costhub.lib.money import PICOS_PER_NANO, format_usd

TITLES: Final[dict[str, str]] = {
    InvoiceKind.INVOICE: "Invoice",
    InvoiceKind.CREDIT_NOTE: "Credit note",
    InvoiceKind.DEBIT_NOTE: "Debit note",
    InvoiceKind.PREPAYMENT: "Prepayment invoice",
}
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Content:
    """An issued document. Days are those of the organisation's time zone at that time; ``corrected`` is the number of
    the invoice that a note corrects."""

    invoice: Invoice
    lines: Sequence[InvoiceLine]
    corrected: str
    first_day: date
    last_day: date
    issued_on: date
    due_on: date | None

    @property
    def title(self) -> str:
        """Invoice, credit note or debit note."""
        return TITLES[self.invoice.kind]


def make_content(invoice: Invoice, lines: Sequence[InvoiceLine], corrected: str = "") -> Content:
    """The content of an issued invoice or note. Raises ValueError for a draft."""
    zone = ZoneInfo(invoice.time_zone)
    if invoice.issued_at is None:
        raise ValueError("only what is issued has a document")
    last_moment = max(invoice.period_start, invoice.period_end)
    last_day = last_moment.astimezone(zone).date()
    if last_moment.astimezone(zone).time() == last_moment.astimezone(zone).min.time():
        last_day = date.fromordinal(last_day.toordinal() - 1)
    return Content(
        invoice=invoice,
        lines=lines,
        corrected=corrected,
        first_day=invoice.period_start.astimezone(zone).date(),
        last_day=last_day,
        issued_on=invoice.issued_at.astimezone(zone).date(),
        due_on=invoice.due_at.astimezone(zone).date() if invoice.due_at else None,
    )


def show_document(content: Content) -> dict[str, Any]:
    """What the page's template is given: texts only, so that nothing of it is ever code."""
    invoice = content.invoice
    owed = invoice.kind != InvoiceKind.CREDIT_NOTE
    return {
        "title": content.title,
        "number": invoice.number,
        "issued": _day(content.issued_on),
        "issued_iso": content.issued_on.isoformat(),
        "due": _day(content.due_on) if content.due_on and owed and invoice.due_cents else "",
        "period": f"{_day(content.first_day)} to {_day(content.last_day)}",
        "po_number": invoice.po_number,
        "corrected": content.corrected,
        "reason": invoice.reason,
        "seller": _texts(invoice.seller),
        "buyer": _texts(invoice.buyer),
        "currency": invoice.currency,
        "rate": _rate(invoice),
        "groups": _groups(content),
        "savings": [
            {"text": line.text, "project": line.project_name, "amount": format_usd(line.saved)}
            for line in content.lines
            if line.kind == LineKind.SAVINGS
        ],
        "saved": format_usd(sum(line.saved for line in content.lines if line.kind == LineKind.SAVINGS)),
        "net": show_cents(invoice.net_cents),
        "tax_title": _tax_title(invoice),
        "tax": show_cents(invoice.tax_cents),
        "tax_reason": invoice.tax_reason,
        "total": show_cents(invoice.total_cents),
        "carried": show_cents(-invoice.carried_cents) if invoice.carried_cents else "",
        "paid": show_cents(-invoice.total_cents) if invoice.kind == InvoiceKind.PREPAYMENT else "",
        "to_pay": show_cents(invoice.due_cents) if owed else "",
        "net_exact": format_usd(invoice.net_nanos),
    }


def show_cents(cents: int) -> str:
    """``1,234.50``."""
    sign, cents = ("-", -cents) if cents < 0 else ("", cents)
    return f"{sign}{cents // 100:,}.{cents % 100:02d}"


def show_unit_price(picos: int) -> str:
    """Pico-USD of one as USD of a million, exactly, with two decimal places or more: 150,000 is ``0.15``, 2,500,000
    ``2.50``."""
    whole, _, rest = f"{Decimal(picos) / (PICOS_PER_NANO * 1_000):f}".partition(".")
    return f"{whole}.{rest.ljust(2, '0')}"


def _groups(content: Content) -> list[dict[str, Any]]:
    own: dict[str, list[InvoiceLine]] = {}
    for line in content.lines:
        own.setdefault(line.group, []).append(line)
    shown = []
    for group in content.invoice.groups:
        lines = own.get(group["name"], [])
        # A group of one line that is no tokens says it all in its title.
        details = lines if len(lines) > 1 or any(line.quantity for line in lines) else []
        shown.append(
            {
                "title": group["title"],
                "amount": show_cents(group["cents"]),
                "exact": format_usd(group["nanos"]),
                "lines": [_detail(line, ZoneInfo(content.invoice.time_zone)) for line in details],
            }
        )
    return shown


def _detail(line: InvoiceLine, zone: ZoneInfo) -> dict[str, str]:
    text = line.text.partition(": ")[2] or line.text
    if line.group == PREPAID:
        # One for each prepaid part of the month.
        last = line.end - _MICROSECOND
        text = f"{text}, {_day(line.start.astimezone(zone).date())} to {_day(last.astimezone(zone).date())}"
    return {
        "text": text,
        "quantity": f"{line.quantity:,}" if line.quantity else "",
        "price": show_unit_price(line.unit_price) if line.quantity else _share(line.share),
        "amount": format_usd(line.nanos),
    }


def _share(share: int) -> str:
    return f"{Decimal(share) / 100:f} %" if share else ""


def _tax_title(invoice: Invoice) -> str:
    return f"VAT {Decimal(invoice.tax_rate) / 100:f} %"


def _rate(invoice: Invoice) -> str:
    if invoice.currency == "USD":
        return ""
    day = _day(invoice.rate_day) if invoice.rate_day else ""
    return f"1 USD = {invoice.rate.normalize():f} {invoice.currency}, {invoice.rate_source}, {day}"


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _texts(party: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in party.items()}
