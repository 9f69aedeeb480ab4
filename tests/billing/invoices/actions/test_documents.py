"""Documents: valid, the same bytes each time, and with the sums that the invoice has."""

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import facturx
import pytest
import rest_framework
from pypdf import PdfReader
from pytest_django import Settings

from billing.invoices.actions.accounts import subscribe
from billing.invoices.actions.documents import get_document, make_document, read_content
from billing.invoices.actions.notes import make_note
from billing.invoices.actions.wallet import add_credits
from billing.invoices.choices import InvoiceKind
from billing.invoices.documents.content import show_document
from billing.invoices.documents.pdf import NoLetters, typeset
from billing.invoices.models import Invoice, InvoiceDocument
from costhub.lib import clock
from costhub.lib.errors import Conflict, NotFound
from costhub.lib.money import parse_usd
from tenants.access import org_scope
from tests.billing.invoices.einvoices import find_errors
from tests.billing.invoices.examples import (
    DAY,
    NOVEMBER,
    OCTOBER,
    SEPTEMBER,
    close,
    make_customer,
    make_plan,
    make_seller,
)
from tests.billing.ledger import record_call, record_correction
from tests.world import Tenant, World, make_catalog

USD = 10**9


def make_invoice(tenant: Tenant, **options: Any) -> Invoice:
    """October of a tenant that uses two models."""
    options.setdefault("fee", "49.00")
    make_customer(tenant, since=OCTOBER, **options)
    made = make_catalog(tenant, input_per_million="1", output_per_million="2", effective_from=SEPTEMBER)
    assert made.price
    record_call(
        tenant, OCTOBER, cost=7 * USD + 1, price_id=made.price.pk, input_tokens=3_000_000, output_tokens=2_000_000
    )
    record_call(tenant, OCTOBER, cost=USD, list_cost=3 * USD, savings={"cache": 2 * USD}, request_model="large")
    (invoice,) = close(tenant, NOVEMBER + DAY * 3)
    return invoice


def document(tenant: Tenant, invoice: Invoice, form: str) -> bytes:
    with org_scope(tenant.org.pk):
        return get_document(tenant.owner, invoice, form)


def text_of(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


@pytest.mark.skipif(shutil.which("pdftoppm") is None, reason="wants poppler")
def test_a_page_is_drawn_and_nothing_of_it_is_cut(world: World, tmp_path: Path) -> None:
    invoice = make_invoice(world.acme)
    with org_scope(world.acme.org.pk):
        note = make_note(
            actor=world.acme.owner, invoice=invoice, amounts={1: USD}, reason="A slow start", now=NOVEMBER + DAY * 4
        )
    for row in (invoice, note):
        # Grey at 50 dots an inch: an A4 page is 413 by 585 dots, half an inch of margin 25.
        drawn = subprocess.run(
            ["pdftoppm", "-gray", "-r", "50", "-"],
            input=document(world.acme, row, "pdf"),
            capture_output=True,
            check=True,
        )
        assert drawn.stderr == b""
        head, size, depth, dots = drawn.stdout.split(b"\n", 3)
        width, height = map(int, size.split())
        assert (head, depth, width, height, len(dots)) == (b"P5", b"255", 414, 585, width * height)
        inked = [(place % width, place // width) for place, dot in enumerate(dots) if dot < 200]
        assert len(inked) > 2_000
        columns, rows = zip(*inked, strict=True)
        assert min(columns) >= 25
        assert max(columns) < width - 25
        assert min(rows) >= 25
        assert max(rows) < height - 25


CASES: dict[str, dict[str, Any]] = {
    "reverse charge": {},
    "at home": {"account": {"country": "DE", "tax_id": "", "city": "Hamburg"}},
    "a consumer abroad": {"account": {"country": "FR", "tax_id": ""}},
    "zero-rated": {
        "seller": {"tax_rates": {"DE": "0"}},
        "account": {"country": "DE", "tax_id": "", "city": "Hamburg"},
    },
    "outside the EU": {"account": {"country": "US", "tax_id": ""}},
    "outside the EU with a number of another tax": {"account": {"country": "US", "tax_id": "12-3456789"}},
    "a seller with a number of another tax": {
        "seller": {"country": "US", "tax_id": "98-7654321", "tax_rates": {"US": "8"}},
        "account": {"country": "US", "tax_id": "12-3456789"},
    },
    "a seller without VAT": {"seller": {"country": "US", "tax_id": "", "tax_rates": {}}},
    "a bank account and a coupon": {
        "seller": {"bank_account": "DE02120300000000202051"},
        "coupon": {"percent_off": "10"},
    },
    "nothing on it": {"fee": "0", "pass_through": True},
}


@pytest.mark.parametrize("options", CASES.values(), ids=CASES.keys())
def test_the_e_invoice_is_valid(world: World, options: dict[str, Any]) -> None:
    options = options | {"seller": make_seller(**options.get("seller", {}))}
    assert find_errors(document(world.acme, make_invoice(world.acme, **options), "xml")) == []


def test_so_is_one_below_zero_and_one_that_takes_it_over(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=SEPTEMBER)
    call = record_call(acme, SEPTEMBER, cost=30 * USD)
    close(acme, OCTOBER + DAY * 3)
    record_correction(acme, call, -25 * USD)
    (below,) = close(acme, NOVEMBER + DAY * 3)
    record_call(acme, NOVEMBER, cost=100 * USD)
    (above,) = close(acme, NOVEMBER + DAY * 33)
    assert (below.total_cents, above.carried_cents) == (-2_500, 2_500)
    for invoice in (below, above):
        assert find_errors(document(acme, invoice, "xml")) == []
    assert "Carried over from earlier invoices -25.00" in text_of(document(acme, above, "pdf"))


@pytest.mark.parametrize(
    ("pattern", "planted", "rule"),
    [
        (rb"<ram:GrandTotalAmount>57", b"<ram:GrandTotalAmount>58", "BR-CO-15"),
        (rb"<ram:CategoryCode>AE<", b"<ram:CategoryCode>S<", "BR-AE-08"),
        (rb"<ram:LineTotalAmount>49.00<", b"<ram:LineTotalAmount>48.00<", "BR-CO-10"),
        (rb"<ram:TypeCode>380</ram:TypeCode>", b"", "XSD"),
    ],
)
def test_a_planted_error_is_found(world: World, pattern: bytes, planted: bytes, rule: str) -> None:
    xml = document(world.acme, make_invoice(world.acme), "xml")
    broken = re.sub(pattern, planted, xml, count=1)
    assert broken != xml
    assert any(rule in error for error in find_errors(broken)), find_errors(broken)


def test_a_credit_note_is_valid_and_names_what_it_corrects(world: World) -> None:
    acme = world.acme
    invoice = make_invoice(acme)
    with org_scope(acme.org.pk):
        note = make_note(
            actor=acme.owner, invoice=invoice, amounts={1: 9 * USD}, reason="A promise", now=NOVEMBER + DAY * 4
        )
    xml = document(acme, note, "xml")
    assert find_errors(xml) == []
    assert b"<ram:TypeCode>381</ram:TypeCode>" in xml
    text = text_of(document(acme, note, "pdf"))
    assert "Credit note" in text
    assert f"Corrects {invoice.number}" in text
    assert "A promise" in text


def test_a_page_asks_to_pay_only_where_something_is_owed(world: World) -> None:
    acme = world.acme
    invoice = make_invoice(acme, seller=make_seller(bank_account="DE02120300000000202051"))
    with org_scope(acme.org.pk):
        note = make_note(actor=acme.owner, invoice=invoice, amounts={1: USD}, reason="Less", now=NOVEMBER + DAY * 4)
    asked = [f"Please pay to DE02120300000000202051 with the number {row.number}" for row in (invoice, note)]
    assert [
        words in text_of(document(acme, row, "pdf")) for words, row in zip(asked, (invoice, note), strict=True)
    ] == [
        True,
        False,
    ]


def test_a_debit_note_names_what_it_adds_to(world: World) -> None:
    acme = world.acme
    invoice = make_invoice(acme, account={"country": "DE", "tax_id": "", "city": "Hamburg"})
    with org_scope(acme.org.pk):
        note = make_note(
            actor=acme.owner,
            invoice=invoice,
            amounts={1: 9 * USD},
            reason="Forgotten",
            now=NOVEMBER + DAY * 4,
            kind=InvoiceKind.DEBIT_NOTE,
        )
    xml = document(acme, note, "xml")
    assert find_errors(xml) == []
    assert b"<ram:TypeCode>383</ram:TypeCode>" in xml
    assert (note.net_cents, note.tax_cents, note.total_cents) == (900, 171, 1_071)
    assert invoice.number.encode() in xml


def test_the_last_of_several_credit_notes_is_valid_too(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, account={"country": "DE", "tax_id": "", "city": "Hamburg"})
    for model in ("a", "b", "c"):
        record_call(acme, OCTOBER, cost=16_000_000, request_model=model)
    (invoice,) = close(acme, NOVEMBER + DAY * 3)
    # Three of 1.6 cents are two cents each.
    assert (invoice.net_cents, invoice.tax_cents) == (6, 1)
    with org_scope(acme.org.pk):
        places = [line.position for line in invoice.lines.filter(nanos__gt=0)]
        notes = [
            make_note(actor=acme.owner, invoice=invoice, amounts=amounts, reason="A gift", now=NOVEMBER + DAY * 4)
            for amounts in (dict.fromkeys(places, 4_000_000), None)
        ]
    # Three of 0.4 cents are nothing; of what is left, 1.2 cents each, the rounding to six is told apart.
    assert [(each.net_cents, each.tax_cents) for each in notes] == [(0, 0), (6, 1)]
    assert notes[1].groups[-1]["title"] == f"Rounding, to the cents of {invoice.number}"
    for note in notes:
        assert find_errors(document(acme, note, "xml")) == []


def test_the_pdf_says_what_the_invoice_says_and_holds_the_e_invoice(world: World) -> None:
    invoice = make_invoice(world.acme)
    pdf = document(world.acme, invoice, "pdf")
    text = text_of(pdf)
    for expected in (
        invoice.number,
        "1 October 2026 to 31 October 2026",
        "Due 18 November 2026",
        "Your order PO-77",
        "Tulip Data B.V.",
        "input tokens 3,000,000 1.00 3.000000000",
        "Total USD 57.00",
        "To pay 57.00",
        "Reverse charge",
        "Saved, and not billed: USD 2.000000000",
    ):
        assert expected in text
    name, inside = facturx.get_xml_from_pdf(pdf, check_xsd=True, check_schematron=False)
    assert name == "factur-x.xml"
    assert inside == document(world.acme, invoice, "xml")


def test_a_document_is_the_same_bytes_whenever_it_is_made(world: World) -> None:
    invoice = make_invoice(world.acme)
    with org_scope(world.acme.org.pk):
        for form in ("pdf", "xml", "csv"):
            first = get_document(world.acme.owner, invoice, form)
            assert get_document(world.acme.owner, invoice, form) == first
            assert make_document(world.acme.owner, invoice, form) == first
        assert InvoiceDocument.objects.count() == 3


def test_the_csv_adds_up_to_the_invoice(world: World) -> None:
    invoice = make_invoice(world.acme)
    rows = list(csv.DictReader(io.StringIO(document(world.acme, invoice, "csv").decode())))
    assert sum(parse_usd(row["amount_usd"]) for row in rows) == invoice.net_nanos == 57 * USD + 1
    assert [row["token_class"] for row in rows] == ["", "other", "input", "output", "other", ""]


def test_a_name_that_a_spreadsheet_would_run_is_text(world: World) -> None:
    make_customer(world.acme, since=OCTOBER)
    record_call(world.acme, OCTOBER, cost=1, request_model="=1+1")
    (invoice,) = close(world.acme, NOVEMBER + DAY * 3)
    rows = list(csv.DictReader(io.StringIO(document(world.acme, invoice, "csv").decode())))
    assert rows[0]["model"] == "'=1+1"


def test_markup_in_a_name_stays_text_and_a_letter_that_no_font_has_is_told(world: World) -> None:
    name = 'A #pdf.attach("x") *b* $x$ Компания'
    invoice = make_invoice(world.acme, account={"name": name})
    assert name in text_of(document(world.acme, invoice, "pdf"))
    theirs = make_invoice(world.mallcorp, account={"name": "株式会社 例"})
    with pytest.raises(Conflict, match="a letter that none of our fonts has"):
        document(world.mallcorp, theirs, "pdf")
    assert find_errors(document(world.mallcorp, theirs, "xml")) == []


def test_letters_of_many_scripts_are_there_and_a_folder_of_fonts_gives_more(world: World, settings: Settings) -> None:
    invoice = make_invoice(world.acme, account={"name": "שלום مؤسسة Հայ ქართ Ελλ"})
    document(world.acme, invoice, "pdf")
    with org_scope(world.acme.org.pk):
        content = read_content(world.acme.owner, invoice)
    # A sign of which a font is at hand here, as one of Chinese letters is where an operator has put it.
    content.invoice.buyer["name"] = "\uf000"
    data = json.dumps(show_document(content))
    with pytest.raises(NoLetters):
        typeset(data, content.issued_on)
    settings.FONTS_DIR = str(Path(rest_framework.__file__).parent / "static" / "rest_framework" / "fonts")
    assert typeset(data, content.issued_on).startswith(b"%PDF")


def test_what_is_not_issued_has_none(world: World) -> None:
    make_customer(world.acme, since=OCTOBER)
    close(world.acme, NOVEMBER)
    with org_scope(world.acme.org.pk):
        draft = Invoice.objects.get()
    for form, error in (("pdf", Conflict), ("doc", NotFound)):
        with pytest.raises(error):
            document(world.acme, draft, form)


def test_two_hundred_lines_take_less_than_two_seconds(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER)
    made = make_catalog(acme, input_per_million="1", output_per_million="2", effective_from=SEPTEMBER)
    assert made.price
    for number in range(67):
        record_call(
            acme,
            OCTOBER,
            cost=USD,
            price_id=made.price.pk,
            input_tokens=10,
            output_tokens=20,
            request_model=f"m{number}",
        )
    (invoice,) = close(acme, NOVEMBER + DAY * 3)
    before = clock.monotonic_ns()
    pdf = document(acme, invoice, "pdf")
    assert clock.monotonic_ns() - before < 2_000_000_000
    assert len(PdfReader(io.BytesIO(pdf)).pages) >= 4


def test_credits_that_paid_for_two_parts_of_a_month_say_which(world: World) -> None:
    acme = world.acme
    make_customer(acme, since=OCTOBER, prepaid=True)
    for day in (5, 15, 25):
        record_call(acme, OCTOBER + DAY * day, cost=USD)
    with org_scope(acme.org.pk):
        subscribe(actor=acme.owner, plan=make_plan(), at=OCTOBER + DAY * 10)
        subscribe(actor=acme.owner, plan=make_plan(prepaid=True), at=OCTOBER + DAY * 20)
        add_credits(actor=acme.owner, amount_nanos=10 * USD, reference="pi_1")
    (invoice,) = close(acme, NOVEMBER + DAY * 3)
    with org_scope(acme.org.pk):
        groups = show_document(read_content(acme.owner, invoice))["groups"]
    (paid,) = [group for group in groups if group["title"] == "Paid from prepaid credits"]
    assert paid["amount"] == "-2.00"
    assert [line["text"] for line in paid["lines"]] == [
        "Paid from prepaid credits, 1 October 2026 to 10 October 2026",
        "Paid from prepaid credits, 21 October 2026 to 31 October 2026",
    ]
