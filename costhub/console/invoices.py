"""The console's pages of invoices: what was billed, line by line and call by call, what comes next, and why the bill
changed."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from billing.invoices.actions.closing import preview_invoice, preview_next
from billing.invoices.actions.documents import FORMS, get_document
from billing.invoices.actions.wallet import find_available
from billing.invoices.choices import InvoiceKind, InvoiceState, LineKind
from billing.invoices.core.terms import show_share
from billing.invoices.documents.content import show_cents
from billing.invoices.models import Invoice, InvoiceLine
from billing.invoices.selectors.accounts import find_account, find_subscription, list_unpaid, terms_of
from billing.invoices.selectors.invoices import (
    find_corrected,
    get_line,
    has_calls,
    list_invoices,
    list_line_calls,
    list_lines,
)
from billing.spend.core.bridge_texts import describe_change
from billing.spend.core.price_lines import format_picos
from billing.spend.core.ranges import read_range
from billing.spend.core.waterfall import make_waterfall
from billing.spend.filters import LedgerFilters, parse_filters
from billing.spend.selectors.bridge import find_bridge
from billing.spend.selectors.tags import list_tag_names
from costhub.console.acts import PageLink
from costhub.console.frame import frame, render_page
from costhub.console.key_choices import find_key
from costhub.console.lists import Column, Listing, check_parameters, make_listing
from costhub.console.pages import show_list
from costhub.console.sign_in import org_page
from costhub.console.templatetags.amounts import per_million
from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField, NotFound
from tenants.access import Actor, access_row
from tenants.choices import Permission
from tenants.periods import period_bounds, previous_bounds
from tenants.price_snapshots import UNIT_CLASSES
from tenants.selectors import list_projects

COLUMNS: Final = (
    Column("number", "Number", "number"),
    Column("period", "Period", "period_start"),
    Column("state", "State", "state"),
    Column("total", "Total", "total_cents", css="number"),
    Column("due", "Due", "due_at", css="optional"),
    Column("documents", "", None, css="number"),
)


@require_GET
@org_page
def invoices(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Documents, the newest period first, below what the bill is made of this month."""
    actor.check(Permission.READ_MONEY)

    def make(params: Mapping[str, str]) -> Listing:
        rows = list_invoices(actor, list(InvoiceKind))
        listing = make_listing(request, params, rows, COLUMNS, search=["number", "state", "reason"], sort="-period")
        owed, now = find_owed(actor), clock.now()
        for row in listing.rows:
            row.standing = find_standing(row, owed.get(row.pk, 0), now)
        return listing

    account = find_account(actor)
    subscription = find_subscription(actor)
    is_prepaid = subscription is not None and terms_of(subscription).prepaid
    context = {
        "title": "Invoices & billing",
        "placeholder": "Number or state",
        "page_acts": [PageLink("Plan, credits & papers", reverse("billing", args=[actor.org.slug]))],
        "account": account,
        "subscription": subscription,
        "upcoming": find_upcoming(actor),
        "credits": find_available(actor) if account is not None and is_prepaid else None,
    }
    return show_list(request, actor, "console/invoices.html", "invoices", make, context)


@require_GET
@org_page
def bill_bridge(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Why the bill changed: a part of the list's page, which comes after it, since it looks at every call of two
    months; and a page of its own."""
    actor.check(Permission.READ_MONEY)
    params = request.GET.dict()
    error, filters, key_name = "", LedgerFilters(), ""
    try:
        check_parameters(params, ["project", "key", "tag", "value"])
        key, key_name = find_key(actor, params.get("key", ""))
        filters = _read_bridge({**params, "key": key})
    except InvalidField as refused:
        params, error = {}, refused.message
    context = {
        **frame(request, actor, "invoices"),
        **_bridge(actor, filters),
        "params": params,
        "error": error,
        "projects": list_projects(actor).order_by("name"),
        "key_name": key_name,
        "tag_names": list_tag_names(actor, clock.now()),
    }
    status = 400 if error else 200
    return render_page(request, "console/bridge.html", "console/_bridge.html", context, status=status)


@require_GET
@org_page
def invoice(request: HttpRequest, actor: Actor, invoice_id: str) -> HttpResponse:
    """One document, line by line; of a month in its days of grace as the ledger has it now."""
    actor.check(Permission.READ_MONEY)
    row = access_row(list_invoices(actor, list(InvoiceKind)), actor, invoice_id)
    if row.state != InvoiceState.GRACE:
        return _show(request, actor, row)
    found = preview_invoice(actor, row, clock.now())
    return _show(request, actor, found.invoice, lines=found.lines)


@require_GET
@org_page
def next_invoice(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The invoice of the month that runs, as closing it now would make it."""
    actor.check(Permission.READ_MONEY)
    found = preview_next(actor, clock.now())
    return _show(request, actor, found.invoice, lines=found.lines)


@require_GET
@org_page
def document(request: HttpRequest, actor: Actor, invoice_id: str, form: str) -> HttpResponse:
    """The issued document as PDF, XML or CSV: the same bytes each time."""
    actor.check(Permission.READ_MONEY)
    row = access_row(list_invoices(actor, list(InvoiceKind)), actor, invoice_id)
    try:
        with transaction.atomic():
            content = get_document(actor, row, form)
    except Conflict as error:
        return _show(request, actor, row, error=error.message, status=error.http_status)
    answer = HttpResponse(content, content_type=FORMS[form])
    answer["Content-Disposition"] = f'attachment; filename="{row.number}.{form}"'
    return answer


@require_GET
@org_page
def line_calls(request: HttpRequest, actor: Actor, invoice_id: str, position: str) -> HttpResponse:
    """The very calls that a line bills, newest first."""
    actor.check(Permission.READ_MONEY)
    row = access_row(list_invoices(actor, list(InvoiceKind)), actor, invoice_id)
    line = get_line(actor, row, position)
    if not has_calls(line):
        raise NotFound("This line is made of no calls.")
    error, found = "", None
    try:
        found = list_line_calls(actor, row, line, cursor=request.GET.get("cursor", ""))
    except InvalidField as refused:
        error = refused.message
    calls = found.calls if found else []
    corrected = find_corrected(actor, [(call.id, call.started_at) for call in calls])
    number = row.number or "not issued yet"
    context = {
        **frame(request, actor, "invoices"),
        "title": f"Calls of line {line.position}",
        "invoice": row,
        "number": number,
        "line": _show_line(line),
        "calls": [(call, corrected.get(call.id)) for call in calls],
        "next": f"?{urlencode({'cursor': found.next})}" if found and found.next else "",
        "error": error,
    }
    return render(request, "console/line_calls.html", context, status=400 if error else 200)


def _show_line(line: InvoiceLine) -> dict[str, Any]:
    """A line with what one of its pieces costs, in words: of tokens a million of them."""
    price = ""
    if line.quantity and line.token_class in UNIT_CLASSES:
        price = f"{format_picos(line.unit_price)} each"
    elif line.quantity:
        price = f"{per_million(line.unit_price)} a million"
    elif line.kind == LineKind.MARKUP and line.share:
        price = f"{show_share(line.share)} %"
    return {"row": line, "price": price, "has_calls": has_calls(line), "is_saved": line.kind == LineKind.SAVINGS}


def find_owed(actor: Actor) -> dict[UUID, int]:
    """Cents of each document that somebody still has to pay, whether it is due or not."""
    return {row.pk: cents for row, cents in list_unpaid(actor)}


def find_standing(row: Invoice, owed: int, now: datetime) -> tuple[str, str]:
    """A document's state in a word, and its badge. One of which something is ``owed`` after its day is overdue; of a
    credit note, and of what credit notes took back, nobody has to pay anything."""
    if owed:
        return ("overdue", "bad") if row.due_at is not None and row.due_at < now else (row.state, "warn")
    tones = {InvoiceState.PAID: "good", InvoiceState.UNCOLLECTIBLE: "bad"}
    return row.state, tones.get(InvoiceState(row.state), "")


def find_upcoming(actor: Actor) -> Invoice | None:
    """The next invoice as it is now; None where there will be none."""
    try:
        return preview_next(actor, clock.now()).invoice
    except NotFound:
        return None


def _show(
    request: HttpRequest,
    actor: Actor,
    row: Invoice,
    *,
    lines: Iterable[InvoiceLine] | None = None,
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    """``lines`` of one that is not issued are none of the database's, and lead nowhere."""
    is_next = row.state == InvoiceState.DRAFT
    documents, owed = list_invoices(actor, list(InvoiceKind)), find_owed(actor).get(row.pk, 0)
    shown = [_show_line(line) for line in (list_lines(actor, row) if lines is None else lines)]
    context = {
        **frame(request, actor, "invoices"),
        "title": row.number or ("Next invoice" if is_next else f"{row.kind.replace('_', ' ')}, not issued yet"),
        "is_next": is_next,
        "back": reverse("invoices", args=[actor.org.slug]),
        "invoice": row,
        "standing": find_standing(row, owed, clock.now()),
        "owed": owed,
        # Of a note the invoice that it corrects, of an invoice its notes.
        "corrected": documents.filter(pk=row.corrects).first() if row.corrects else None,
        "notes": [] if is_next else documents.filter(corrects=row.pk).order_by("number"),
        "lines": shown if lines is None else [{**line, "has_calls": False} for line in shown],
        "amounts": [
            (name, show_cents(cents))
            for name, cents in (
                ("Net", row.net_cents),
                ("Tax", row.tax_cents),
                ("Total", row.total_cents),
                ("Carried over", row.carried_cents),
                ("Due", row.due_cents),
                *([("Left to pay", owed)] if owed and owed != row.due_cents else []),
            )
            # Without an exchange rate nobody knows them yet.
            if row.number or row.rate_day
        ],
        "error": error,
    }
    return render(request, "console/invoice.html", context, status=status)


def _read_bridge(params: Mapping[str, str]) -> LedgerFilters:
    """Of which project, key and tag: a tag's name and its value are fields of their own, and neither alone says
    anything. Raises InvalidField."""
    name, value = params.get("tag", ""), params.get("value", "")
    given = {each: params.get(each, "") for each in ("project", "key")}
    return parse_filters({**given, f"tag:{name}": value} if name and value else given)


def _bridge(actor: Actor, filters: LedgerFilters) -> dict[str, Any]:
    """Why this month so far costs more or less than the last over the same time."""
    now, zone = clock.now(), actor.org.time_zone
    span = read_range({"range": "mtd"}, now, zone)
    month = period_bounds("month", now, zone)[0]
    start, _ = previous_bounds("month", month, zone)
    before = start, min(start + (span.end - span.start), month)
    found = find_bridge(actor, before=before, after=(span.start, span.end), filters=filters)
    local = ZoneInfo(zone)
    names = [f"{moment.astimezone(local):%B}" for moment in (start, month)]
    return {
        "bridge": found.bridge,
        "bridge_text": describe_change(found.bridge),
        "waterfall": make_waterfall(found.bridge, f"{names[0]}, the same days", f"{names[1]} so far"),
    }
