"""The parts of the first page that come after it: tables of who and what costs most, and what comes next.

Each is a page of its own without scripts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from billing.bills.selectors import compare_latest, list_sources
from billing.invoices.actions.wallet import find_available
from billing.invoices.choices import InvoiceKind, InvoiceState
from billing.invoices.selectors.accounts import find_account, find_subscription, terms_of
from billing.invoices.selectors.invoices import list_invoices
from billing.routes.opportunities import DAYS, Opportunity, list_opportunities
from billing.spend.core.cubes import TAG, choose_cubes
from billing.spend.core.ranges import Range
from billing.spend.core.upstream_bill import Reconciled
from billing.spend.filters import LedgerFilters
from billing.spend.selectors import Line, Wanted, find_lines, find_spend
from billing.spend.selectors.per_call import NEWEST, find_p95
from billing.spend.selectors.tags import list_tag_names
from costhub.console.frame import FILTERS, frame, link_calls, make_link, read_params, render_page, spread_tag
from costhub.console.invoices import find_upcoming
from costhub.console.lists import check_parameters
from costhub.console.sign_in import org_page
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from tenants.access import Actor
from tenants.choices import Permission, RouteKind
from tenants.models import Upstream
from tenants.periods import period_bounds

#: the tables, in order; of tags the one that is asked for, or the first by name
TABLES: Final = {"end_user": "End users", "model": "Models", "tag": "Tags", "key": "Keys"}
ROWS: Final = (5, 20)
_KEPT: Final = FILTERS - {"id"} | {"range", "from", "to"}
KNOWN: Final = _KEPT | {"by", "rows", "tag", "tag:"}
#: days of a bill that are held against the ledger
_BILLED_DAYS: Final = 7
_NO_NAME: Final = "(none)"


@dataclass(frozen=True, slots=True)
class Row:
    """A group in a table, where it leads, and what the dearest of twenty of its calls costs, if that is known."""

    line: Line
    name: str
    link: str
    p95: int | None


@require_GET
@org_page
def first_page_table(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The dearest of one group in the first page's range, against the equal stretch before."""
    actor.check(Permission.READ_MONEY)
    now = clock.now()
    params, error = request.GET.dict(), ""
    try:
        check_parameters(params, KNOWN)
        params = spread_tag(params)
        span, filters = read_params(params, now, actor)
        group = _read_group(params)
    except InvalidField as found:
        params, error = {}, found.message
        span, filters = read_params(params, now, actor)
        group = "model"
    tags = list_tag_names(actor, now) if group.startswith("tag") else []
    if group == "tag":
        group = f"{TAG}{tags[0]}" if tags else ""
    context = {
        **frame(request, actor, "overview"),
        "error": error,
        "table": _make_table(actor, span, filters, group, params) if group else None,
        "group": group,
        "title": TABLES.get(group, "Tags"),
        "params": params,
        "newest": NEWEST,
        "tag_links": [(name, make_link(request, params, by=f"{TAG}{name}"), group == f"{TAG}{name}") for name in tags],
        "more_link": make_link(request, {**params, "by": group}, rows=str(ROWS[1])),
        "less_link": make_link(request, {**params, "by": group}, rows=""),
        "breakdown_link": _link_breakdown(actor, params, group),
    }
    return render_page(
        request,
        "console/first_page_part.html",
        "console/_first_page_table.html",
        {**context, "part": "console/_first_page_table.html", "is_card": True},
        status=400 if error else 200,
    )


@require_GET
@org_page
def first_page_money(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What would have been cheaper; the next invoice, and how the upstreams' bills agreed with the ledger."""
    actor.check(Permission.READ_MONEY)
    now = clock.now()
    subscription = find_subscription(actor)
    is_prepaid = subscription is not None and terms_of(subscription).prepaid
    account = find_account(actor)
    month, next_month = period_bounds("month", now, actor.org.time_zone)
    accrued = find_spend(actor, start=month, end=now, measures=("requests", "effective_cost")).total.effective_cost
    drafts = list_invoices(actor, [InvoiceKind.INVOICE]).filter(state=InvoiceState.GRACE.value)
    issued = list_invoices(actor, [InvoiceKind.INVOICE]).exclude(number="")
    context = {
        **frame(request, actor, "overview"),
        "days": DAYS,
        "opportunities": [(each, *_link_opportunity(actor, each)) for each in list_opportunities(actor, now)],
        "may_route": actor.may(Permission.WRITE_SETTINGS),
        "account": account,
        "subscription": subscription,
        "accrued": accrued,
        "month": month,
        "next_month": next_month,
        "upcoming": find_upcoming(actor),
        "draft": drafts.order_by("-period_start").first(),
        "last": issued.order_by("-period_start").first(),
        "credits": find_available(actor) if account is not None and is_prepaid else None,
        "bills": _list_bills(actor),
    }
    return render_page(
        request,
        "console/first_page_part.html",
        "console/_first_page_money.html",
        {**context, "part": "console/_first_page_money.html", "title": "What comes next"},
    )


def _read_group(params: Mapping[str, str]) -> str:
    group = params.get("by") or "model"
    if group not in TABLES and not (group.startswith(TAG) and len(group) > len(TAG)):
        raise InvalidField(f"by: give one of {', '.join(TABLES)}, or tag:<name>.", field="by")
    return group


def _make_table(
    actor: Actor, span: Range, filters: LedgerFilters, group: str, params: Mapping[str, str]
) -> dict[str, Any] | None:
    """None where no sums answer: of a large ledger every row would be read, which the breakdown does when asked."""
    if choose_cubes([group], filters.names()) is None:
        return None
    rows = ROWS[1] if params.get("rows") == str(ROWS[1]) else ROWS[0]
    length = span.end - span.start
    found = find_lines(
        actor, group, (span.start, span.end), Wanted(most=rows), before=(span.start - length, span.start),
        filters=filters,
    )  # fmt: skip
    p95 = find_p95(actor, group, (span.start, span.end), filters, [line.key for line in found.rows])
    return {
        "total": found.total,
        "count": found.count,
        "mover": found.mover if found.mover and found.mover.change.now != found.mover.change.before else None,
        "rest": max(min(found.count, ROWS[-1]) - len(found.rows), 0),
        "is_long": rows > ROWS[0] and found.count > ROWS[0],
        "rows": [
            Row(
                line,
                line.label or _NO_NAME,
                link_calls(actor, span, params, line.totals.requests, group, line.key),
                p95.get(line.key),
            )
            for line in found.rows
        ],
    }


def _link_breakdown(actor: Actor, params: Mapping[str, str], group: str) -> str:
    kept = {name: text for name, text in params.items() if text and (name in _KEPT or name.startswith(TAG))}
    return f"{reverse('breakdown', args=[actor.org.slug])}?{urlencode({**kept, 'by': group or 'model'})}"


def _link_opportunity(actor: Actor, each: Opportunity) -> tuple[str, str]:
    """To how it was reckoned, and to the form of a route that tries it in shadow."""
    slug = actor.org.slug
    why = urlencode({"range": "30d", "if_model": each.model, "if_to": each.to})
    tried = {"kind": RouteKind.ROUTER.value, "model_1": each.to, "model_2": each.model, "baseline": each.model}
    return f"{reverse('routes', args=[slug])}?{why}", f"{reverse('new-route', args=[slug])}?{urlencode(tried)}"


def _list_bills(actor: Actor) -> list[tuple[Upstream, Any, Reconciled | None]]:
    """Each upstream whose bill is fetched, and how the last days of it agree."""
    names = {row.pk: row for row in Upstream.objects.filter(org=actor.org)}
    found = []
    for source in list_sources(actor):
        upstream = names.get(source.upstream)
        if upstream is None:
            continue
        agreed = compare_latest(actor, source, _BILLED_DAYS) if source.fetched_at is not None else None
        found.append((upstream, source, agreed))
    return found
