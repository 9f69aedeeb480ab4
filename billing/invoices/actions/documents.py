"""An issued invoice's documents: made once, kept, and given again byte by byte."""

import hashlib
from collections.abc import Sequence
from typing import Final

from django.db import IntegrityError, transaction

from billing.invoices.documents.content import Content, make_content
from billing.invoices.documents.csv_lines import make_csv
from billing.invoices.documents.einvoice import make_xml
from billing.invoices.documents.pdf import make_pdf
from billing.invoices.models import Invoice, InvoiceDocument
from costhub.lib.errors import Conflict, NotFound
from tenants.access import Actor

#: form -> media type
FORMS: Final = {"pdf": "application/pdf", "xml": "application/xml", "csv": "text/csv; charset=utf-8"}


def get_document(actor: Actor, invoice: Invoice, form: str) -> bytes:
    """The document in one of ``FORMS``. Raises NotFound for another, Conflict for an invoice that is not issued yet or
    whose names cannot be typeset."""
    [document] = get_documents(actor, invoice, [form])
    return document


def get_documents(actor: Actor, invoice: Invoice, forms: Sequence[str]) -> list[bytes]:
    """Several forms, whose content is read once. Raises as ``get_document``."""
    if not set(forms) <= FORMS.keys():
        raise NotFound("There is no such document.")
    if not invoice.number:
        raise Conflict("This invoice is not issued yet: it has no document.")
    known = InvoiceDocument.objects.filter(org=actor.org, invoice=invoice, form__in=forms)
    kept = {form: bytes(content) for form, content in known.values_list("form", "content")}
    missing = [form for form in forms if form not in kept]
    if missing:
        content = read_content(actor, invoice)
        kept |= {form: _keep(actor, invoice, form, _write(content, form)) for form in missing}
    return [kept[form] for form in forms]


def _keep(actor: Actor, invoice: Invoice, form: str, made: bytes) -> bytes:
    try:
        with transaction.atomic():
            InvoiceDocument.objects.create(
                org=actor.org,
                invoice=invoice,
                form=form,
                content=made,
                digest=hashlib.sha256(made).hexdigest(),
            )
    except IntegrityError:
        # Somebody else asked at the same time; theirs are the same bytes.
        return bytes(InvoiceDocument.objects.get(org=actor.org, invoice=invoice, form=form).content)
    return made


def make_document(actor: Actor, invoice: Invoice, form: str) -> bytes:
    """The bytes anew: the same as those that are kept, as long as template and libraries are the same."""
    return _write(read_content(actor, invoice), form)


def _write(content: Content, form: str) -> bytes:
    if form == "csv":
        return make_csv(content)
    xml = make_xml(content)
    return xml if form == "xml" else make_pdf(content, xml)


def read_content(actor: Actor, invoice: Invoice) -> Content:
    """What stands on the document."""
    corrected = ""
    if invoice.corrects:
        corrected = Invoice.objects.values_list("number", flat=True).get(org=actor.org, pk=invoice.corrects)
    return make_content(invoice, list(invoice.lines.order_by("position")), corrected)
