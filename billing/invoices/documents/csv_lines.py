"""An invoice's lines as CSV, exact: what a finance team adds up."""

import csv
import io
from typing import Final

from billing.invoices.documents.content import Content, show_unit_price
from costhub.lib.money import format_usd

COLUMNS: Final = (
    "invoice",
    "position",
    "kind",
    "from",
    "to",
    "project",
    "project_id",
    "model",
    "token_class",
    "price_id",
    "quantity",
    "usd_per_million",
    "amount_usd",
    "saved_usd",
    "text",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def make_csv(content: Content) -> bytes:
    """A header and a row a line."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in content.lines:
        writer.writerow(
            [
                content.invoice.number,
                line.position,
                line.kind,
                line.start.isoformat(),
                line.end.isoformat(),
                _plain(line.project_name),
                line.project,
                _plain(line.model),
                line.token_class,
                line.price,
                line.quantity or "",
                show_unit_price(line.unit_price) if line.quantity else "",
                format_usd(line.nanos),
                format_usd(line.saved) if line.saved else "",
                _plain(line.text),
            ]
        )
    return out.getvalue().encode()


def _plain(text: str) -> str:
    """A name that a spreadsheet would take for a formula stands behind an apostrophe."""
    return f"'{text}" if text.startswith(_FORMULA) else text
