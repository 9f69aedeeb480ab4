"""The page: typeset by Typst as PDF/A-3b, with the e-invoice inside (Factur-X). The same content gives the same
bytes."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Final

import facturx
import typst
from django.conf import settings
from facturx import facturx as facturx_module

from billing.invoices.documents.content import Content, show_document
from costhub.lib.errors import Conflict

_TEMPLATE: Final = Path(__file__).with_name("invoice.typ")
#: the library stamps the time of now; it is told another one while this is held
_STAMPING: Final = Lock()


class NoLetters(Conflict):
    """A name has a letter that none of our fonts has: there is no page, and the e-invoice and the CSV are whole."""


def make_pdf(content: Content, xml: bytes) -> bytes:
    """The document with its e-invoice attached. Raises NoLetters where a name has a letter that no font here has."""
    page = typeset(json.dumps(show_document(content)), content.issued_on)
    with _stamped(content.issued_on):
        document: bytes = facturx.generate_from_binary(
            page,
            xml,
            flavor="factur-x",
            level="en16931",
            # Whoever wrote the XML has done so.
            check_xsd=False,
            # It asks a server on localhost, and says yes where none answers: the tests validate instead.
            check_schematron=False,
            pdf_metadata={
                "author": str(content.invoice.seller["name"]),
                "keywords": "Factur-X, invoice",
                "title": f"{content.title} {content.invoice.number}",
                "subject": f"{content.title} {content.invoice.number}",
            },
            lang="en",
        )
    return document


def typeset(data: str, day: date, *, form: str = "pdf") -> Any:
    """Typst's own output of the template: a PDF/A-3b, or with ``form="png"`` its pages as pictures.

    Raises NoLetters where it cannot be typeset, mostly for a letter that no font has, and RuntimeError where Typst
    warns of something in our template."""
    moment = int(datetime.combine(day, time(), UTC).timestamp())
    # Without tags, which the standard does not ask for: the next step reads every object of the file, and a document of
    # 200 lines has 4,000 with them.
    options: dict[str, Any] = (
        {"pdf_standards": "a-3b", "pdf_tags": False} if form == "pdf" else {"format": form, "ppi": 110.0}
    )
    try:
        made, warnings = typst.compile_with_warnings(
            _TEMPLATE.read_bytes(),
            font_paths=_fonts(settings.FONTS_DIR),
            ignore_system_fonts=True,
            sys_inputs={"data": data},
            timestamp=moment,
            **options,
        )
    except typst.TypstError as error:
        raise NoLetters(
            "The document cannot be typeset: a name or address holds a letter that none of our fonts has. Write it in"
            " Latin letters, or have the operator give a font that has it (COSTHUB_FONTS_DIR). The e-invoice (XML) and"
            " the CSV are there."
        ) from error
    if warnings:
        raise RuntimeError(f"the template of invoices: {warnings[0].message}")
    return made


@cache
def _fonts(folder: str) -> typst.Fonts:
    # Those inside the package, and what the operator has put into a folder for letters that these lack: what else the
    # machine has must not change a document.
    more = [folder] if folder else []
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=more)


@contextmanager
def _stamped(day: date) -> Iterator[None]:
    """Have factur-x write this day for the time of now, so that its output can be made again."""
    names = ("_get_pdf_timestamp", "_get_metadata_timestamp")
    with _STAMPING:
        before = [getattr(facturx_module, name) for name in names]
        level = logging.getLogger("factur-x").level
        logging.getLogger("factur-x").setLevel(logging.ERROR)
        setattr(facturx_module, names[0], lambda *_: f"D:{day:%Y%m%d}000000+00'00'")
        setattr(facturx_module, names[1], lambda *_: f"{day.isoformat()}T00:00:00+00:00")
        try:
            yield
        finally:
            for name, function in zip(names, before, strict=True):
                setattr(facturx_module, name, function)
            logging.getLogger("factur-x").setLevel(level)
