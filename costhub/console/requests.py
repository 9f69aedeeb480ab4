"""The console's list of calls, and one call's detail."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from asgiref.sync import sync_to_async
from django.db import close_old_connections, connection
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from billing.spend.core import ranges
from billing.spend.core.price_lines import make_price_lines
from billing.spend.core.ranges import Range, read_range
from billing.spend.exports import export_calls, name_refusal
from billing.spend.filters import LedgerFilters
from billing.spend.selectors import (
    MOST_RANKED,
    ORDERS,
    Call,
    Page,
    RequestDetail,
    find_request_detail,
    get_request_detail,
    has_calls,
    list_requests,
    sum_asides,
)
from billing.spend.selectors.names import find_names
from billing.spend.selectors.tags import list_tag_names
from costhub.console.frame import FILTERS, frame, make_link, read_params, render_page, show_tags, spread_tag
from costhub.console.key_choices import find_key
from costhub.console.lists import check_parameters
from costhub.console.sign_in import org_page
from costhub.console.views import views_context
from costhub.lib import clock, moments
from costhub.lib.errors import Forbidden, InvalidField, NotFound
from proxy.learning.shortened import find_shortened
from proxy.models import LedgerEntry
from tenants.access import Actor, access_org, list_memberships
from tenants.choices import Permission, ViewPage
from tenants.selectors import list_models, list_projects, list_upstreams

STATUSES: Final = {
    "ok": "Answered",
    "failed": "Failed",
    "refused": "Refused",
    "402": "402 over budget or unpriced",
    "429": "429 rate limited",
    "5xx": "5xx",
    "unpriced": "Refused without a price",
    "unattributed": "Answered without a price",
    "without_price": "Without a price, refused or answered",
}
PAGE: Final = 50
#: the range of an address that names none
_USUAL: Final = "30d"
_AMOUNTS: Final = {
    "limit": "Limit",
    "spent": "Spent",
    "held": "Held by calls under way",
    "used": "Used",
    "needed": "This call needed",
    "requested": "This call asked for",
}
KNOWN: Final = FILTERS | {"range", "from", "to", "hour", "without", "cursor", "sort", "tag", "tag:"}
#: what a column is sorted by
_SORTED: Final = ("time", "duration", "cost")
#: what chooses calls or orders them, and has no field
_KEPT: Final = ("sort", "without", "hour")


@require_GET
@org_page
def requests(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The ledger as a list of calls, newest first unless another order is asked for."""
    now = clock.now()
    actor.check(Permission.READ_MONEY)
    params, error = _read_address(request), ""
    try:
        params, span, filters, key = _read(actor, params, now)
        if detail := _find_named(actor, filters):
            return _go(request, reverse("request-detail", args=[actor.org.slug, detail.call.entry.id]))
        order = params.get("sort") or ORDERS[0]
        page = list_requests(actor, filters, cursor=params.get("cursor", ""), limit=PAGE, order=order)
    except InvalidField as found:
        error, order = found.message, ORDERS[0]
        span, filters = read_range({"range": _USUAL}, now, actor.org.time_zone), LedgerFilters()
        page, key = None, ("", "")
    context = {
        **frame(request, actor, "requests"),
        "span": span,
        "ranges": ranges.NAMES.items(),
        "error": error,
        "params": params,
        "model_names": _model_names(actor, filters),
        "key_name": key[1] or params.get("key", ""),
        "upstreams": list_upstreams(actor).order_by("name"),
        "projects": list_projects(actor).order_by("name"),
        "statuses": STATUSES.items(),
        "page": page,
        "lines": _lines(actor, page),
        "asides": sum_asides(actor, filters) if page else 0,
        "csv_link": _csv_link(actor, params),
        **show_tags(request, params),
        "without": params.get("without", "").removeprefix("tag:"),
        "kept": [(name, params[name]) for name in _KEPT if params.get(name)],
        "wider_link": make_link(request, params, hour="", without="", cursor=""),
        **views_context(actor, ViewPage.REQUESTS, request.GET.dict()),
        "is_first": not params.get("cursor") and order == ORDERS[0],
        "sorts": {name: _sort_by(request, params, name, order) for name in _SORTED},
        "is_ranked": order.removeprefix("-") != "time",
        "most_ranked": MOST_RANKED,
        "is_cut": order.removeprefix("-") != "time" and page is not None and len(page.calls) == PAGE,
        "is_rising": order == "time",
        "older_link": make_link(request, params, cursor=page.next_cursor) if page and page.next_cursor else "",
        "newest_link": make_link(request, params, cursor="", sort="time" if order == "time" else ""),
        "is_filtered": any(
            value for name, value in params.items() if name not in {"range", "from", "to", "cursor", "sort"}
        ),
        "has_earlier": page is not None and not page.calls and has_calls(actor),
        "as_of": page.as_of if page else None,
    }
    return render_page(
        request, "console/requests.html", "console/_requests.html", context, status=400 if error else 200
    )


@require_GET
@org_page
def requests_csv(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """The calls of an address as a table for a spreadsheet, with names and a column for each tag: all of them, sent
    while they are read."""
    actor.check(Permission.READ_MONEY)
    actor.check_fresh()
    params, now = _read_address(request), clock.now()
    try:
        params, span, filters, _ = _read(actor, params, now)
    except InvalidField as error:
        return HttpResponse(error.message, status=400, content_type="text/plain; charset=utf-8")
    parts = export_calls(actor, filters, list_tag_names(actor, now, span.start))
    name = f"requests-{span.first.isoformat()}-{span.last.isoformat()}.csv"
    return StreamingHttpResponse(
        _send_parts(parts),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _send_parts(parts: Iterator[str]) -> AsyncIterator[str]:
    make_next = sync_to_async(partial(_make_part, parts))
    while (part := await make_next()) is not None:
        yield part


def _make_part(parts: Iterator[str]) -> str | None:
    try:
        return next(parts, None)
    finally:
        # Whoever reads slowly holds no connection meanwhile.
        if not connection.in_atomic_block:
            close_old_connections()


@require_GET
@org_page
def request_detail(request: HttpRequest, actor: Actor, request_id: str) -> HttpResponse:
    """One call's whole detail: a drawer for htmx, a page for an address."""
    detail = get_request_detail(actor, request_id)
    context = {
        **frame(request, actor, "requests"),
        **_detail_context(detail),
        "shortened": find_shortened(actor, detail.call.entry.id) if detail.call.savings.get("compression") else [],
        "refusal": _refusal(actor, detail.call.entry),
        "permalink": request.build_absolute_uri(reverse("request", args=[detail.call.entry.id])),
    }
    return render_page(request, "console/request.html", "console/_request.html", context)


@require_GET
def request_by_id(request: HttpRequest, request_id: str) -> HttpResponse:
    """Where the ``x-request-id`` of an answer leads: to the call in whichever of one's organisations has it."""
    if not request.user.is_authenticated:
        return redirect(f"{reverse('sign-in')}?{urlencode({'next': request.path})}")
    for membership in list_memberships(request.user):
        try:
            actor = access_org(request.user, membership.org.slug)
            detail = find_request_detail(actor, request_id)
        except (NotFound, Forbidden):
            continue
        if detail is not None:
            return redirect("request-detail", slug=actor.org.slug, request_id=str(detail.call.entry.id))
    raise Http404


def _read_address(request: HttpRequest) -> dict[str, str]:
    """The parameters; thirty days where no time is given."""
    params = request.GET.dict()
    is_given = any(params.get(name) for name in ("from", "to", "hour"))
    params["range"] = params.get("range") or ("" if is_given else _USUAL)
    return params


def _read(
    actor: Actor, params: Mapping[str, str], now: datetime
) -> tuple[dict[str, str], Range, LedgerFilters, tuple[str, str]]:
    """The parameters with their tags spread, what they ask for, and the key's id and name. ``hour``, which a bar of an
    hour leads to, is its beginning. Whoever chooses another time after that has left it. Raises InvalidField."""
    check_parameters(params, KNOWN)
    given = spread_tag(params)
    key = find_key(actor, given.get("key", ""))
    span, filters = read_params({**given, "key": key[0]}, now, actor)
    if given.get("hour"):
        hour = _read_hour(given["hour"], actor.org.time_zone)
        has_time = any(given.get(name) for name in ("range", "from", "to"))
        if has_time and (span.name, span.first, span.last) != (hour.name, hour.first, hour.last):
            given["hour"] = ""
        else:
            span, filters = hour, replace(filters, start=hour.start, end=hour.end)
    return given, span, filters, key


def _read_hour(text: str, time_zone: str) -> Range:
    wrong = InvalidField("hour: give its beginning with its offset, as 2026-11-22T13:00:00+00:00.", field="hour")
    try:
        start = datetime.fromisoformat(text)
    except ValueError as error:
        raise wrong from error
    if start.tzinfo is None or not 2000 <= start.year <= 2200:
        raise wrong
    day = start.astimezone(ZoneInfo(time_zone)).date()
    return Range("custom", start, start + timedelta(hours=1), "hour", day, day)


def _sort_by(request: HttpRequest, params: Mapping[str, str], name: str, order: str) -> tuple[str, str]:
    """Where a column's head leads, and how it is sorted now."""
    is_current, is_falling = order.removeprefix("-") == name, order.startswith("-")
    turned = name if is_current and is_falling else f"-{name}"
    direction = ("descending" if is_falling else "ascending") if is_current else "none"
    return make_link(request, params, sort="" if turned == ORDERS[0] else turned, cursor=""), direction


def _lines(actor: Actor, page: Page | None) -> list[tuple[Call, str, str]]:
    """Each call with its key's name, and by what it was refused."""
    if page is None:
        return []
    entries = [call.entry for call in page.calls]
    told = [entry.refused_by.get("subject") for entry in entries if entry.refused_by]
    names = find_names(actor.org, [*told, *(entry.key_id for entry in entries)])
    return [
        (call, names.get(str(call.entry.key_id), ""), name_refusal(call.entry.refused_by, names)) for call in page.calls
    ]


def _refusal(actor: Actor, entry: LedgerEntry) -> dict[str, Any] | None:
    """What refused the call: in words, its amounts, and when it resets."""
    told = entry.refused_by
    if not told:
        return None
    names = find_names(actor.org, [told.get("subject")])
    is_money = told.get("kind") == "budget" or told.get("unit") == "usd"
    amounts = [
        (label, f"${told[name]}" if is_money else str(told[name]))
        for name, label in _AMOUNTS.items()
        if told.get(name) is not None
    ]
    resets_at = told.get("resets_at")
    return {
        "words": name_refusal(told, names),
        "amounts": amounts,
        "resets_at": datetime.fromisoformat(resets_at) if resets_at else None,
        "budget_id": told.get("id") if told.get("kind") == "budget" else None,
        "limit_id": told.get("id") if told.get("kind") == "limit" else None,
        "window": told.get("window_seconds"),
    }


def _find_named(actor: Actor, filters: LedgerFilters) -> RequestDetail | None:
    """The call that a whole id names, whatever the other filters say."""
    return find_request_detail(actor, filters.request_id) if filters.request_id else None


def _model_names(actor: Actor, filters: LedgerFilters) -> list[str]:
    """The organisation's models, and the one that is asked for: callers also name models that there never were."""
    names = set(list_models(actor).values_list("name", flat=True))
    return sorted(names | ({filters.model} if filters.model else set()))


def _go(request: HttpRequest, address: str) -> HttpResponse:
    if getattr(request, "htmx", False):
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return redirect(address)


def _detail_context(detail: RequestDetail) -> dict[str, Any]:
    call, entry = detail.call, detail.call.entry
    billed = [attempt for attempt in entry.attempts if attempt.get("cost")]
    # One price explains the tokens of one model only.
    several = billed if len({attempt.get("model") for attempt in billed}) > 1 else []
    lines = None
    if detail.price is not None and not several:
        lines = make_price_lines(call.used, detail.price, entry.service_tier)
    return {
        "detail": detail,
        "call": call,
        "entry": entry,
        "lines": lines,
        "is_hit": entry.cache_status.startswith("hit"),
        "price_since": moments.from_ms(detail.price.effective_from_ms) if detail.price else None,
        "several": several,
        "difference": call.effective_cost - (lines.nanos if lines else sum(attempt["cost"] for attempt in several)),
        "net_saving": call.list_cost - call.effective_cost,
        "released": entry.held - call.effective_cost,
        "attempts": [_attempt(attempt) for attempt in entry.attempts],
        "is_judged": any("judged" in attempt for attempt in entry.attempts),
        # A route's detail has a part for each thing that it did.
        "reasons": entry.route_reason.split("; ") if entry.route_reason.startswith("route ") else [],
        "facts": _facts(detail, call),
    }


def _attempt(attempt: Mapping[str, Any]) -> dict[str, Any]:
    """An attempt with what it has saved, in nano-USD: less than nothing where its answer was given up."""
    return {**attempt, "saved": sum(attempt.get("savings", {}).values())}


def _facts(detail: RequestDetail, call: Call) -> Sequence[tuple[str, str]]:
    entry = call.entry
    facts = [
        ("Key", detail.key or str(entry.key_id)),
        ("Project", detail.project or str(entry.project_id)),
        ("End user", entry.end_user),
        ("Upstream", detail.upstream),
        ("Served model", entry.response_model),
        ("Endpoint", f"/v1/{entry.endpoint}" if entry.endpoint else ""),
        ("Streamed", "yes" if entry.is_stream else "no"),
        ("Finish reason", entry.finish_reason),
        ("Service tier", entry.service_tier),
        ("Cache", entry.cache_status),
        ("Route", entry.route_reason),
        *((f"Tag {name}", str(value)) for name, value in sorted(entry.tags.items())),
    ]
    return [(name, value) for name, value in facts if value]


def _csv_link(actor: Actor, params: Mapping[str, str]) -> str:
    given = {name: value for name, value in params.items() if value and name not in {"cursor", "sort"}}
    address = reverse("requests-csv", args=[actor.org.slug])
    return f"{address}?{urlencode(given)}" if given else address
