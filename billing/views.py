"""The console's pages of spend: the overview, the list of calls, one call's story."""

import json
import shlex
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from billing.choices import AlertEvent, AlertKind
from billing.core import ranges
from billing.core.alert_texts import describe
from billing.core.buckets import list_days, list_hours
from billing.core.chart import Chart, make_chart, make_sparkline
from billing.core.price_lines import make_price_lines
from billing.core.ranges import Range, read_range
from billing.filters import LedgerFilters, parse_filters
from billing.outlook import find_forecast, list_exceeding
from billing.selectors import (
    Call,
    MonthTiles,
    RequestStory,
    Spend,
    find_request_story,
    find_spend,
    get_request_story,
    list_gravest,
    list_requests,
    month_tiles,
)
from costhub.lib import clock
from costhub.lib.errors import Forbidden, InvalidField, NotFound
from tenants.access import Actor, access_org, list_memberships
from tenants.choices import BudgetPeriod, Permission
from tenants.models import User
from tenants.periods import period_bounds
from tenants.selectors import compile_version, list_keys, list_models, list_projects
from tenants.views import org_page

#: what the chart may be stacked by
STACKS: Final = {"model": "Model", "project": "Project", "key": "Key", "end_user": "End user"}
STATUSES: Final = {
    "ok": "Answered",
    "failed": "Failed",
    "refused": "Refused",
    "402": "402 over budget or unpriced",
    "429": "429 rate limited",
    "5xx": "5xx",
}
ROWS: Final = (5, 20)
#: what charts and tables show of spend
_SHOWN: Final = ("requests", "input_tokens", "output_tokens", "effective_cost")
PAGE: Final = 50
#: alerts on the first page; all of them are on their own
ATTENTION: Final = 5
_NO_NAME: Final = "(none)"
_NEAR_PER_CENT: Final = 80
_WHEN: Final = {
    "minute": "this minute",
    "hour": "this hour",
    "day": "today",
    "week": "this week",
    "month": "this month",
    "total": "in total",
}


@require_GET
@org_page
def overview(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The first page: tiles of the month, spend over a range, and by model and key."""
    now = clock.now()
    actor.check(Permission.READ_MONEY)
    params, error = request.GET.dict(), ""
    try:
        span, filters = _read_params(params, now, actor)
    except InvalidField as found:
        error = found.message
        params = {}
        span, filters = _read_params(params, now, actor)
    stack = params["by"] if params.get("by") in STACKS else "model"
    rows = ROWS[1] if params.get("rows") == str(ROWS[1]) else ROWS[0]
    tiles = month_tiles(actor, now)
    zone = ZoneInfo(actor.org.time_zone)
    spend = find_spend(
        actor, start=span.start, end=span.end, group_by=[span.unit, stack], filters=filters, measures=_SHOWN
    )
    tables = [
        _table(actor, span, filters, group, title, rows, spend if group == stack else None)
        for group, title in (("model", "Models"), ("key", "Keys"))
    ]
    context = {
        **frame(request, actor, "overview"),
        "span": span,
        "range_links": _range_links(request, params),
        "error": error,
        "params": params,
        "projects": list_projects(actor).order_by("name"),
        "now": now,
        "tiles": tiles,
        "attention": tiles.unpriced + tiles.unattributed,
        "sparklines": _sparklines(actor, tiles, now),
        "budgets": _budget_bars(tiles, now),
        "alerts": _attention(actor),
        **_forecast_context(actor, now),
        "chart": _chart(span, spend, stack, zone, now),
        "spend": spend,
        "stack": stack,
        "stack_links": [(name, label, _link(request, params, by=name)) for name, label in STACKS.items()],
        "tables": tables,
        "rows": rows,
        "more_link": _link(request, params, rows=str(ROWS[1])),
        "less_link": _link(request, params, rows=""),
        "as_of": max(filter(None, (tiles.as_of, spend.as_of)), default=None),
        "is_empty": not tiles.requests.now and not tiles.requests.before and not spend.rows,
        "curl": _curl(request, actor),
    }
    return _render(request, "billing/overview.html", "billing/_overview.html", context, status=400 if error else 200)


@require_GET
@org_page
def requests(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The ledger as a list of calls, newest first."""
    now = clock.now()
    actor.check(Permission.READ_MONEY)
    params, error = request.GET.dict(), ""
    params["range"] = params.get("range") or ("" if params.get("from") or params.get("to") else "30d")
    try:
        span, filters = _read_params(params, now, actor)
        if story := _find_named(actor, filters):
            return _go(request, reverse("request-story", args=[actor.org.slug, story.call.entry.id]))
        page = list_requests(actor, filters, cursor=params.get("cursor", ""), limit=PAGE)
    except InvalidField as found:
        error = found.message
        span, filters, page = read_range({}, now, actor.org.time_zone), LedgerFilters(), None
    keys = list(list_keys(actor).order_by("name"))
    key_names = {row.pk: row.name for row in keys}
    context = {
        **frame(request, actor, "requests"),
        "span": span,
        "ranges": [(name, label) for name, label in ranges.NAMES.items() if name != "custom"],
        "error": error,
        "params": params,
        "model_names": _model_names(actor, filters),
        "keys": keys,
        "projects": list_projects(actor).order_by("name"),
        "statuses": STATUSES.items(),
        "page": page,
        "lines": [(call, key_names.get(call.entry.key_id, "")) for call in page.calls] if page else [],
        "is_first": not params.get("cursor"),
        "older_link": _link(request, params, cursor=page.next_cursor) if page and page.next_cursor else "",
        "newest_link": _link(request, params, cursor=""),
        "is_filtered": any(params.get(name) for name in ("model", "key", "project", "status", "id", "end_user")),
        "as_of": page.as_of if page else None,
        "curl": _curl(request, actor),
    }
    return _render(request, "billing/requests.html", "billing/_requests.html", context, status=400 if error else 200)


@require_GET
@org_page
def request_story(request: HttpRequest, actor: Actor, request_id: str) -> HttpResponse:
    """One call's whole story: a drawer for htmx, a page for an address."""
    story = get_request_story(actor, request_id)
    context = {
        **frame(request, actor, "requests"),
        **_story_context(story),
        "permalink": request.build_absolute_uri(reverse("request", args=[story.call.entry.id])),
    }
    return _render(request, "billing/request.html", "billing/_request.html", context)


@require_GET
def request_by_id(request: HttpRequest, request_id: str) -> HttpResponse:
    """Where the ``x-request-id`` of an answer leads: to the call's story in whichever of one's organisations has it."""
    if not request.user.is_authenticated:
        return redirect(f"{reverse('sign-in')}?{urlencode({'next': request.path})}")
    for membership in list_memberships(request.user):
        try:
            actor = access_org(request.user, membership.org.slug)
            story = find_request_story(actor, request_id)
        except (NotFound, Forbidden):
            continue
        if story is not None:
            return redirect("request-story", slug=actor.org.slug, request_id=str(story.call.entry.id))
    raise Http404


def _read_params(params: Mapping[str, str], now: datetime, actor: Actor) -> tuple[Range, LedgerFilters]:
    span = read_range(params, now, actor.org.time_zone)
    return span, parse_filters(params, start=span.start, end=span.end)


def _find_named(actor: Actor, filters: LedgerFilters) -> RequestStory | None:
    """The call that a whole id names, whatever the other filters say."""
    return find_request_story(actor, filters.request_id) if filters.request_id else None


def _model_names(actor: Actor, filters: LedgerFilters) -> list[str]:
    """The organisation's models, and the one that is asked for: callers also name models that there never were."""
    names = set(list_models(actor).values_list("name", flat=True))
    return sorted(names | ({filters.model} if filters.model else set()))


def frame(request: HttpRequest, actor: Actor, section: str) -> dict[str, Any]:
    """What every page of an organisation shows around itself."""
    return {
        "actor": actor,
        "org": actor.org,
        "section": section,
        "memberships": list_memberships(cast(User, request.user)),
    }


def _render(request: HttpRequest, page: str, fragment: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    is_fragment = bool(getattr(request, "htmx", False))
    response = render(
        request, fragment if is_fragment else page, {**context, "is_fragment": is_fragment}, status=status
    )
    response.headers["Vary"] = "HX-Request, Cookie"
    return response


def _go(request: HttpRequest, address: str) -> HttpResponse:
    if getattr(request, "htmx", False):
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return redirect(address)


def _link(request: HttpRequest, params: Mapping[str, str], **changes: str) -> str:
    merged = {name: value for name, value in {**params, **changes}.items() if value}
    return f"{request.path}?{urlencode(merged)}" if merged else request.path


def _range_links(request: HttpRequest, params: Mapping[str, str]) -> list[tuple[str, str, str]]:
    plain = {name: value for name, value in params.items() if name not in {"from", "to"}}
    return [
        (name, label, _link(request, plain, range=name)) for name, label in ranges.NAMES.items() if name != "custom"
    ]


def _table(
    actor: Actor, span: Range, filters: LedgerFilters, group: str, title: str, rows: int, chart: Spend | None
) -> dict[str, Any]:
    """Spend by ``group``: from the chart where that is stacked by it, so that the ledger is asked once."""
    spend = (
        find_spend(actor, start=span.start, end=span.end, group_by=[group], filters=filters, measures=_SHOWN)
        if chart is None
        else chart.regroup(group)
    )
    shared = {"range": "" if span.name == "custom" else span.name, "project": str(filters.project or "")}
    if span.name == "custom":
        shared |= {"from": span.first.isoformat(), "to": span.last.isoformat()}
    shared = {name: text for name, text in shared.items() if text}
    address = reverse("requests", args=[actor.org.slug])
    return {
        "title": title,
        "group": group,
        "total": spend.total,
        "size": len(spend.rows),
        "rest": max(len(spend.rows) - rows, 0),
        "lines": [
            {
                "name": row.labels.get(group) or row.group[group] or _NO_NAME,
                "link": f"{address}?{urlencode({**shared, **row.group})}",
                "totals": row.totals,
            }
            for row in spend.rows[:rows]
        ],
    }


def _sparklines(actor: Actor, tiles: MonthTiles, now: datetime) -> dict[str, str]:
    zone = ZoneInfo(actor.org.time_zone)
    start, _ = period_bounds("day", now, actor.org.time_zone)
    by_hour = {
        row.group["hour"]: row.totals.effective_cost
        for row in find_spend(actor, start=start, end=now, group_by=["hour"], measures=["effective_cost"]).rows
    }
    hours = [hour.astimezone(zone).isoformat() for hour in list_hours(start, now, zone)]
    return {
        "spend": make_sparkline([point.spend for point in tiles.days]),
        "requests": make_sparkline([point.requests for point in tiles.days]),
        "savings": make_sparkline([point.list_cost - point.spend for point in tiles.days]),
        "today": make_sparkline([by_hour.get(hour, 0) for hour in hours]),
    }


def _attention(actor: Actor) -> list[dict[str, Any]]:
    """What stands and nobody takes care of yet, newest first."""
    zone = ZoneInfo(actor.org.time_zone)
    waiting = [alert for alert in list_gravest(actor) if alert.acknowledged_at is None]
    return [
        {"row": alert, "text": describe(AlertKind(alert.kind), alert.facts, AlertEvent.OPENED, zone)}
        for alert in waiting[:ATTENTION]
    ]


def _budget_bars(tiles: MonthTiles, now: datetime) -> list[dict[str, Any]]:
    """Each budget with how much of its period is over, in ten-thousandths; a budget for ever has no pace."""
    return [
        {
            "use": use,
            "elapsed": (now - use.start) * 10_000 // (use.end - use.start),
            "when": _WHEN[use.period],
            "is_endless": use.period == BudgetPeriod.TOTAL,
            "is_near": use.spent * 100 >= use.limit * _NEAR_PER_CENT,
            "is_over": use.spent >= use.limit,
        }
        for use in tiles.budgets
    ]


def _forecast_context(actor: Actor, now: datetime) -> dict[str, Any]:
    """The stored forecast; the bar's scale ends a little past the band."""
    forecast = find_forecast(actor, now)
    context: dict[str, Any] = {"forecast": forecast, "exceeding": list_exceeding(actor, now)}
    if forecast is not None and forecast.expected is not None:
        context["to_come"] = forecast.expected - forecast.spent
    if forecast is not None and forecast.low is not None and forecast.high is not None:
        context |= {"scale": max(forecast.high * 105 // 100, 1), "width": forecast.high - forecast.low}
    return context


def _chart(span: Range, spend: Spend, stack: str, zone: ZoneInfo, now: datetime) -> Chart:
    buckets: list[tuple[str, str]]
    if span.unit == "hour":
        hours = [hour.astimezone(zone) for hour in list_hours(span.start, span.end, zone)]
        buckets = [(hour.isoformat(), f"{hour:%H:%M}") for hour in hours]
        unfinished = max((hour for hour in hours if hour <= now), default=None)
        current = unfinished.isoformat() if unfinished else ""
    else:
        days = list_days(span.start, span.end, zone)
        buckets = [(day.isoformat(), _day_label(day)) for day in days]
        current = now.astimezone(zone).date().isoformat()
    amounts: dict[tuple[str, str], int] = {}
    names: dict[str, str] = {}
    for row in spend.rows:
        amounts[row.group[span.unit], row.group[stack]] = row.totals.effective_cost
        names[row.group[stack]] = row.labels.get(stack) or row.group[stack] or _NO_NAME
    return make_chart(buckets, amounts, names, current)


def _day_label(day: date) -> str:
    return f"{day.day} {day:%b}"


def _story_context(story: RequestStory) -> dict[str, Any]:
    call, entry = story.call, story.call.entry
    lines = None
    if story.price is not None and isinstance(story.price.pk, UUID):
        lines = make_price_lines(call.net, compile_version(story.price, story.price.pk))
    return {
        "story": story,
        "call": call,
        "entry": entry,
        "lines": lines,
        "difference": call.effective_cost - lines.nanos if lines else 0,
        "net_saving": call.list_cost - call.effective_cost,
        "released": entry.held - call.effective_cost,
        "facts": _facts(story, call),
    }


def _facts(story: RequestStory, call: Call) -> Sequence[tuple[str, str]]:
    entry = call.entry
    facts = [
        ("Key", story.key or str(entry.key_id)),
        ("Project", story.project or str(entry.project_id)),
        ("End user", entry.end_user),
        ("Upstream", story.upstream),
        ("Served model", entry.response_model),
        ("Endpoint", f"/v1/{entry.endpoint}" if entry.endpoint else ""),
        ("Streamed", "yes" if entry.is_stream else "no"),
        ("Finish reason", entry.finish_reason),
        ("Cache", entry.cache_status),
        ("Route", entry.route_reason),
        *((f"Tag {name}", str(value)) for name, value in sorted(entry.tags.items())),
    ]
    return [(name, value) for name, value in facts if value]


def _curl(request: HttpRequest, actor: Actor) -> str:
    model = list_models(actor).filter(is_active=True).order_by("name").values_list("name", flat=True).first()
    body = json.dumps({"model": model or "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]})
    return "\n".join(
        [
            f"curl {request.build_absolute_uri('/v1/chat/completions')} \\",
            "  -H 'Authorization: Bearer YOUR_API_KEY' \\",
            "  -H 'Content-Type: application/json' \\",
            f"  -d {shlex.quote(body)}",
        ]
    )
