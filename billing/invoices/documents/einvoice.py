"""The e-invoice: EN 16931 in UN/CEFACT's syntax (Factur-X). A line is a group of the invoice's lines: what was rounded
to cents together."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from drafthorse.models.accounting import ApplicableTradeTax
from drafthorse.models.document import Document
from drafthorse.models.note import IncludedNote
from drafthorse.models.party import TaxRegistration
from drafthorse.models.payment import PaymentMeans, PaymentTerms
from drafthorse.models.tradelines import LineItem

from billing.invoices.choices import InvoiceKind, TaxCategory
from billing.invoices.documents.content import Content
from billing.invoices.models import Invoice

_TYPE_CODES: Final[dict[str, str]] = {
    InvoiceKind.INVOICE: "380",
    InvoiceKind.CREDIT_NOTE: "381",
    InvoiceKind.DEBIT_NOTE: "383",
    InvoiceKind.PREPAYMENT: "386",
}
_EXEMPTIONS: Final[dict[str, str]] = {
    TaxCategory.REVERSE_CHARGE: "VATEX-EU-AE",
    TaxCategory.EXPORT: "VATEX-EU-G",
    TaxCategory.OUTSIDE: "VATEX-EU-O",
}
_CREDIT_TRANSFER: Final = "30"
_ONE: Final = "C62"


def make_xml(content: Content) -> bytes:
    """The XML, valid against the profile's schema; raises what drafthorse raises where it is not."""
    invoice = content.invoice
    document = Document()
    document.context.guideline_parameter.id = "urn:cen.eu:en16931:2017"
    document.header.id = invoice.number
    document.header.type_code = _TYPE_CODES[invoice.kind]
    document.header.issue_date_time = content.issued_on
    if invoice.reason:
        note = IncludedNote()
        note.content = invoice.reason
        document.header.notes.add(note)
    _add_parties(document, invoice)
    document.trade.delivery.event.occurrence = content.last_day
    _add_settlement(document, content)
    xml: bytes = document.serialize(schema="FACTUR-X_EN16931")
    return xml


def _add_parties(document: Any, invoice: Invoice) -> None:
    agreement = document.trade.agreement
    for party, values in ((agreement.seller, invoice.seller), (agreement.buyer, invoice.buyer)):
        party.name = values["name"]
        party.address.postcode = values["postcode"]
        party.address.line_one = values["street"]
        party.address.city_name = values["city"]
        party.address.country_id = values["country"]
        # What is outside of VAT names nobody's number of it.
        if values["tax_id"] and invoice.tax_category != TaxCategory.OUTSIDE:
            _name_tax_id(party, values, is_seller=party is agreement.seller)
    if not invoice.seller["tax_id"] or invoice.tax_category == TaxCategory.OUTSIDE:
        agreement.seller.id = invoice.seller["tax_id"] or invoice.seller["name"]
    if invoice.po_number:
        agreement.buyer_order.issuer_assigned_id = invoice.po_number


def _name_tax_id(party: Any, values: Mapping[str, Any], *, is_seller: bool) -> None:
    """A VAT id begins with the letters of its country; a number of another tax is none, and stands elsewhere."""
    tax_id, country = str(values["tax_id"]), str(values["country"])
    if tax_id.startswith("EL" if country == "GR" else country):
        party.tax_registrations.add(TaxRegistration(id=("VA", tax_id)))
        return
    if is_seller:
        party.tax_registrations.add(TaxRegistration(id=("FC", tax_id)))
    party.id = tax_id


def _add_settlement(document: Any, content: Content) -> None:
    invoice, settlement = content.invoice, document.trade.settlement
    settlement.currency_code = invoice.currency
    if content.corrected:
        settlement.invoice_referenced_document.issuer_assigned_id = content.corrected
    if account := invoice.seller.get("bank_account"):
        means = PaymentMeans()
        means.type_code = _CREDIT_TRANSFER
        means.payee_account.iban = account
        settlement.payment_means.add(means)
    settlement.period.start, settlement.period.end = content.first_day, content.last_day
    for place, group in enumerate(invoice.groups or [{"title": content.title, "cents": 0}], start=1):
        document.trade.items.add(_make_item(place, str(group["title"]), int(group["cents"]), invoice))
    tax = ApplicableTradeTax()
    tax.calculated_amount = _euros(invoice.tax_cents)
    tax.basis_amount = _euros(invoice.net_cents)
    _set_category(tax, invoice)
    if reason := _EXEMPTIONS.get(invoice.tax_category):
        tax.exemption_reason = invoice.tax_reason
        tax.exemption_reason_code = reason
    settlement.trade_tax.add(tax)
    terms = PaymentTerms()
    terms.due = content.due_on or content.issued_on
    settlement.terms.add(terms)
    total = settlement.monetary_summation
    total.line_total = total.tax_basis_total = _euros(invoice.net_cents)
    total.charge_total = total.allowance_total = Decimal("0.00")
    total.tax_total = (_euros(invoice.tax_cents), invoice.currency)
    total.grand_total = _euros(invoice.total_cents)
    paid = invoice.total_cents if invoice.kind == InvoiceKind.PREPAYMENT else invoice.carried_cents
    if paid:
        total.prepaid_total = _euros(paid)
    total.due_amount = _euros(invoice.total_cents - paid)


def _make_item(place: int, title: str, cents: int, invoice: Invoice) -> Any:
    item = LineItem()
    item.document.line_id = str(place)
    item.product.name = title
    # A price is never below zero: what is taken off is a quantity of minus one.
    item.agreement.net.amount = _euros(abs(cents))
    item.agreement.net.basis_quantity = (Decimal("1.0000"), _ONE)
    item.delivery.billed_quantity = (Decimal("-1.0000" if cents < 0 else "1.0000"), _ONE)
    _set_category(item.settlement.trade_tax, invoice)
    item.settlement.monetary_summation.total_amount = _euros(cents)
    return item


def _set_category(tax: Any, invoice: Invoice) -> None:
    tax.type_code = "VAT"
    tax.category_code = invoice.tax_category
    if invoice.tax_category != TaxCategory.OUTSIDE:
        tax.rate_applicable_percent = _euros(invoice.tax_rate)


def _euros(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2).quantize(Decimal("0.01"))
