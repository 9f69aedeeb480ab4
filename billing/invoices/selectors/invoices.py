"""Invoices and notes, read; from a line to the very calls that it bills. The organisation is open."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from billing.invoices.choices import USAGE_KINDS, InvoiceKind, LineKind
from billing.invoices.models import Invoice, InvoiceLine, Rerating
from billing.spend.core.rerating import REASON
from billing.spend.selectors.usage import TOKEN_CLASSES
from costhub.lib.errors import InvalidField, NotFound
from proxy.models import LedgerEntry
from tenants.access import Actor
from tenants.api.paging import make_cursor, read_cursor
from tenants.choices import Permission
from tenants.price_snapshots import UNIT_CLASSES

_MARKED: Final = (
    "SELECT started_at, id FROM proxy_ledgerentry"
    " WHERE org_id = %s AND started_at >= %s AND started_at < %s AND route_reason = ANY (%s)"
)
_NO_ID: Final = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class LineCall:
    """A row of the ledger that a line bills: a call, or the correction of one. ``tokens`` are of the line's class."""

    id: UUID
    started_at: datetime
    recorded_at: datetime
    tokens: int
    cost: int


@dataclass(frozen=True, slots=True)
class LineCalls:
    """A page of a line's rows, newest first."""

    calls: Sequence[LineCall]
    next: str | None


def list_invoices(actor: Actor, kinds: Sequence[InvoiceKind]) -> QuerySet[Invoice]:
    """Documents of some kinds, those that are not issued yet included."""
    return Invoice.objects.filter(org=actor.org, kind__in=[kind.value for kind in kinds])


def list_lines(actor: Actor, invoice: Invoice) -> QuerySet[InvoiceLine]:
    """In order."""
    return InvoiceLine.objects.filter(org=actor.org, invoice=invoice).order_by("position")


def get_line(
    actor: Actor, invoice: Invoice, position: str, preview: Sequence[InvoiceLine] | None = None
) -> InvoiceLine:
    """One line, of a ``preview``'s where the invoice is not issued. Raises NotFound."""
    wanted = int(position) if position.isascii() and position.isdigit() and len(position) < 8 else 0
    rows = list_lines(actor, invoice).filter(position=wanted) if preview is None else preview
    line = next((row for row in rows if row.position == wanted), None)
    if line is None:
        raise NotFound("There is no such line.")
    return line


def has_calls(line: InvoiceLine) -> bool:
    """Whether a line is made of calls."""
    return line.kind in {kind.value for kind in (*USAGE_KINDS, LineKind.RERATED)}


def find_corrected(actor: Actor, rows: Sequence[tuple[UUID, datetime]]) -> dict[UUID, UUID]:
    """Which of these rows of the ledger, by id and moment, are corrections, and of which call."""
    if not rows:
        return {}
    moments = [moment for _, moment in rows]
    found = LedgerEntry.objects.filter(
        org_id=actor.org.pk, id__in=[row for row, _ in rows], started_at__range=(min(moments), max(moments))
    )
    return {row: call for row, call in found.values_list("id", "corrects") if call is not None}


def list_line_calls(
    actor: Actor, invoice: Invoice, line: InvoiceLine, *, cursor: str = "", limit: int = 50
) -> LineCalls:
    """The calls of a usage line: of its project, model, price version and dates. A line of late usage has what was
    recorded after the invoice of its dates was made; no line has what was recorded after its own. A re-rated line has
    the rows of its note's re-rating, and no other line does.

    Raises Forbidden if the actor may not see money, InvalidField for a line that bills no calls or a bad cursor.
    """
    actor.check(Permission.READ_MONEY)
    if not has_calls(line):
        raise InvalidField("Only lines of usage are made of calls.", field="position")
    since = _computed_before(actor, invoice, line)
    column = line.token_class if line.token_class in {*TOKEN_CLASSES, *UNIT_CLASSES} else "0"
    narrowed = "" if column == "0" else f" AND {column} <> 0"
    price, adjustment, tier = [*line.price.split("/"), "", ""][:3]
    values: list[Any] = [actor.org.pk, line.start, line.end, line.project, line.model]
    values += [price or _NO_ID, adjustment or _NO_ID, tier]
    is_rerated = line.kind == LineKind.RERATED
    reasons = _reasons_of_notes(actor, invoice if is_rerated else None)
    if reasons or is_rerated:
        narrowed += f" AND (started_at, id) {'' if is_rerated else 'NOT '}IN ({_MARKED})"
        values += [actor.org.pk, line.start, line.end, reasons]
    if since:
        narrowed += " AND recorded_at > %s"
        values.append(since)
    if invoice.computed_at and not is_rerated:
        narrowed += " AND recorded_at <= %s"
        values.append(invoice.computed_at)
    if cursor:
        narrowed += " AND (started_at, id) < (%s, %s)"
        values += read_cursor(cursor)
    with connection.cursor() as rows:
        rows.execute(
            f"""SELECT id, started_at, recorded_at, {column}, effective_cost FROM billing_usageline
                WHERE org_id = %s AND started_at >= %s AND started_at < %s AND project_id = %s AND request_model = %s
                    AND coalesce(price_id, '{_NO_ID}') = %s AND coalesce(adjustment_id, '{_NO_ID}') = %s
                    AND service_tier = %s{narrowed}
                ORDER BY started_at DESC, id DESC LIMIT %s""",  # noqa: S608 - made of names
            [*values, limit + 1],
        )
        found = rows.fetchall()
    calls = [LineCall(*row) for row in found[:limit]]
    more = make_cursor(calls[-1].started_at, calls[-1].id) if len(found) > limit else None
    return LineCalls(calls, more)


def _reasons_of_notes(actor: Actor, note: Invoice | None) -> list[str]:
    """How rows of re-ratings that made this note, or any, say whose they are."""
    rows = Rerating.objects.filter(org=actor.org).exclude(notes=[])
    rows = rows.filter(notes__contains=[note.pk]) if note else rows
    return [f"{REASON}{pk}" for pk in rows.values_list("pk", flat=True)]


def _computed_before(actor: Actor, invoice: Invoice, line: InvoiceLine) -> datetime | None:
    """When the last invoice before this one that billed the line's dates was made."""
    if line.kind != LineKind.LATE_USAGE:
        return None
    before = Invoice.objects.filter(
        org=actor.org,
        kind=InvoiceKind.INVOICE.value,
        period_end__gt=line.start,
        period_start__lt=invoice.period_start,
    ).exclude(number="")
    last = before.order_by("-period_start").first()
    return last.computed_at if last else None
