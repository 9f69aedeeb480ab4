"""The console's first page: the month's figures, budgets, alerts, the forecast, and spend over a range."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import accumulate
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from billing.alerts.core.texts import describe
from billing.alerts.selectors import GRAVITY, list_gravest
from billing.cache.selectors import find_hit_rate
from billing.choices import AlertEvent, AlertKind, AnomalyUnit
from billing.invoices.selectors.focus import export_focus
from billing.spend.core import ranges
from billing.spend.core.buckets import list_days, list_hours
from billing.spend.core.chart import Chart, Marks, make_chart, make_sparkline
from billing.spend.core.cubes import TAG
from billing.spend.core.ranges import Range
from billing.spend.filters import LedgerFilters
from billing.spend.models import Forecast
from billing.spend.outlook import find_forecast, list_anomalies, list_exceeding, list_forecasts
from billing.spend.selectors import (
    BudgetUse,
    Change,
    MonthTiles,
    Spend,
    has_calls,
    read_budget_book,
    read_first_page,
)
from billing.spend.selectors.budgets import BudgetBook
from billing.spend.selectors.names import find_names, plain_name
from billing.spend.selectors.tags import list_tag_names
from costhub.console.alert_links import list_alert_links
from costhub.console.first_page import TABLES
from costhub.console.frame import (
    FILTERS,
    frame,
    link_calls,
    make_link,
    read_params,
    read_span,
    render_page,
    show_tags,
    spread_tag,
)
from costhub.console.lists import check_parameters
from costhub.console.sign_in import org_page
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from costhub.lib.money import format_for_people
from tenants.access import Actor
from tenants.choices import BudgetPeriod, BudgetScope, Permission
from tenants.selectors import list_projects

#: what the chart may be stacked by; of tags by the one that is named, or the first by name
STACKS: Final = {"model": "Model", "project": "Project", "key": "Key", "end_user": "End user", "tag": "Tag"}
TOP: Final = 20
KNOWN: Final = FILTERS | {"range", "from", "to", "by", "tag", "tag:"}
#: alerts on the first page; all of them are on their own
ATTENTION: Final = 5
#: parameters that other pages understand alike
_KEPT: Final = FILTERS - {"id"} | {"range", "from", "to"}
#: parameters that choose no calls
_UNFILTERED: Final = frozenset({"range", "from", "to", "by"})
#: the page on which each way of saving is set and explained
_SAVERS: Final = {
    "cache": "cache",
    "coalescing": "cache",
    "compression": "compression",
    "routing": "routes",
    "cascade": "routes",
    "batch": "requests",
    "distillation": "learning",
}
_NO_NAME: Final = "(none)"
_NEAR_PER_CENT: Final = 80
_MOST_UNUSUAL: Final = 50
#: periods of which an even pace a day says something
_PACED: Final = frozenset({BudgetPeriod.DAY, BudgetPeriod.WEEK, BudgetPeriod.MONTH})
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
    """The first page: tiles of the month, what needs attention, and spend over a range. Its tables come after it."""
    now = clock.now()
    actor.check(Permission.READ_MONEY)
    params, error = request.GET.dict(), ""
    try:
        check_parameters(params, KNOWN)
        params = spread_tag(params)
        span, filters = read_params(params, now, actor)
    except InvalidField as found:
        error = found.message
        params = {}
        span, filters = read_params(params, now, actor)
    tags = list_tag_names(actor, now) if params.get("by", "").startswith("tag") else []
    stack = _choose_stack(params.get("by", ""), tags, filters)
    zone = ZoneInfo(actor.org.time_zone)
    book = read_budget_book(actor, now)
    first = read_first_page(actor, now, book, span, filters, stack=stack, top=TOP)
    tiles, spend = first.tiles, first.spend
    forecasts = list_forecasts(actor, now)
    is_narrowed = any(value for name, value in params.items() if name not in _UNFILTERED)
    forecast = find_forecast(forecasts)
    is_whole_month = span.name == "mtd" and not is_narrowed
    marks = Marks(
        expected=_list_expected(forecast, tiles, now.astimezone(zone).date()) if is_whole_month else {},
        unusual=_name_unusual(actor, span, zone),
        line=None if is_narrowed else _find_daily_budget(first.budgets, span),
    )
    budget_change, budget_line = _follow_budget(tiles, first.budgets)
    context = {
        **frame(request, actor, "overview"),
        "span": span,
        "range_links": _range_links(request, params),
        "error": error,
        "params": params,
        "projects": list_projects(actor).order_by("name"),
        **show_tags(request, params),
        "now": now,
        "today": now.astimezone(zone).date(),
        "tiles": tiles,
        "hit_rate": find_hit_rate(actor, tiles.start, now),
        "attention": tiles.priceless.now,
        "sparklines": _sparklines(tiles, forecast) | {"budget": budget_line},
        "forecast_change": Change(forecast.expected, tiles.last_month) if forecast and forecast.expected else None,
        "budget_change": budget_change,
        "savings": [(name, nanos, _SAVERS[name]) for name, nanos in tiles.savings.items()],
        "budgets": _budget_bars(first.budgets, now),
        "alerts": _attention(actor),
        **_forecast_context(actor, book, forecasts),
        "chart": _chart(span, spend, stack, zone, now, marks),
        "spend": spend,
        "change": Change(spend.total.effective_cost, first.before),
        "stack": stack,
        "stack_links": _stack_links(request, params, filters),
        "tag_links": [(name, make_link(request, params, by=f"{TAG}{name}"), stack == f"{TAG}{name}") for name in tags],
        "links": _link_others(actor, span, params, stack, spend.total.requests),
        "bar_link": _link_bars(actor, params),
        "called": {row.group[span.unit] for row in spend.rows if row.totals.requests},
        "tables": list(TABLES),
        "is_narrowed": is_narrowed,
        "as_of": max(filter(None, (tiles.as_of, spend.as_of)), default=None),
        # A month that has just begun is no first one.
        "is_empty": not (tiles.requests.now or tiles.requests.before or spend.rows or has_calls(actor)),
    }
    return render_page(
        request, "console/overview.html", "console/_overview.html", context, status=400 if error else 200
    )


@require_GET
@org_page
def focus(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The first page's range as a file of FOCUS."""
    actor.check(Permission.READ_MONEY)
    actor.check_fresh()
    params = request.GET.dict()
    try:
        check_parameters(params, ["range", "from", "to"])
        span = read_span(params, clock.now(), actor)
        text = export_focus(actor, span.start, span.end)
    except InvalidField as error:
        return HttpResponse(error.message, status=400, content_type="text/plain; charset=utf-8")
    answer = HttpResponse(text, content_type="text/csv; charset=utf-8")
    name = f"focus-{span.first.isoformat()}-{span.last.isoformat()}.csv"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _choose_stack(wanted: str, tags: Sequence[str], filters: LedgerFilters) -> str:
    """What the chart is stacked by. Within a tag there are sums by project only: of a large ledger anything else would
    read every row."""
    if filters.tags:
        return "project"
    if wanted == "tag":
        return f"{TAG}{tags[0]}" if tags else "model"
    return wanted if wanted in STACKS or (wanted.startswith(TAG) and len(wanted) > len(TAG)) else "model"


def _stack_links(request: HttpRequest, params: Mapping[str, str], filters: LedgerFilters) -> list[tuple[str, str, str]]:
    shown = ["project"] if filters.tags else list(STACKS)
    return [(name, STACKS[name], make_link(request, params, by=name)) for name in shown]


def _link_bars(actor: Actor, params: Mapping[str, str]) -> str:
    """To the calls of a bar, but for its day or hour."""
    given = {name: text for name, text in params.items() if text and name not in _UNFILTERED}
    return f"{reverse('requests', args=[actor.org.slug])}?{urlencode(given)}{'&' if given else ''}"


def _link_others(actor: Actor, span: Range, params: Mapping[str, str], stack: str, calls: int) -> dict[str, str]:
    """The same choice on other pages and as files, by page."""
    slug = actor.org.slug
    kept = {name: text for name, text in params.items() if text and (name in _KEPT or name.startswith(TAG))}
    days = {name: text for name, text in kept.items() if name in {"range", "from", "to"}}
    days = days or {"range": span.name}
    queries = {
        "breakdown": ("breakdown", kept | days | {"by": stack}),
        "csv": ("breakdown-csv", kept | days | {"by": stack}),
        "focus": ("focus-csv", days),
        "table": ("first-page-table", kept | days),
    }
    found = {name: f"{reverse(page, args=[slug])}?{urlencode(query)}" for name, (page, query) in queries.items()}
    return found | {"requests": link_calls(actor, span, params, calls)}


def _range_links(request: HttpRequest, params: Mapping[str, str]) -> list[tuple[str, str, str]]:
    plain = {name: value for name, value in params.items() if name not in {"from", "to"}}
    return [
        (name, label, make_link(request, plain, range=name)) for name, label in ranges.NAMES.items() if name != "custom"
    ]


def _follow_budget(tiles: MonthTiles, budgets: Sequence[BudgetUse]) -> tuple[Change | None, str]:
    """The fullest budget's spend against its period before, and a sparkline of it as it adds up: of the organisation's
    own of a month or a day, which the tiles have."""
    if not budgets or budgets[0].scope != BudgetScope.ORGANIZATION:
        return None, ""
    if budgets[0].period == BudgetPeriod.MONTH:
        return tiles.spend, make_sparkline(list(accumulate(point.spend for point in tiles.days)))
    if budgets[0].period == BudgetPeriod.DAY:
        return tiles.today, make_sparkline(list(accumulate(tiles.hours)))
    return None, ""


def _sparklines(tiles: MonthTiles, forecast: Forecast | None) -> dict[str, str]:
    """By tile. The forecast's is the month's spend as it adds up, and then as it is expected to."""
    running: list[int] = []
    if forecast is not None and forecast.running and tiles.days:
        spent = list(accumulate(point.spend for point in tiles.days))
        running = [*spent[: (forecast.first_day - tiles.days[0].day).days], *forecast.running]
    return {
        "forecast": make_sparkline(running),
        "priceless": make_sparkline([point.priceless for point in tiles.days]),
        "spend": make_sparkline([point.spend for point in tiles.days]),
        "requests": make_sparkline([point.requests for point in tiles.days]),
        "savings": make_sparkline([point.list_cost - point.spend for point in tiles.days]),
        "today": make_sparkline(tiles.hours),
    }


def _attention(actor: Actor) -> list[dict[str, Any]]:
    """What stands and nobody takes care of yet, the gravest first, each with where it leads."""
    zone = ZoneInfo(actor.org.time_zone)
    waiting = list_gravest(actor).filter(acknowledged_at=None)
    waiting = waiting.order_by(GRAVITY.desc(), "-created_at", "-id")[:ATTENTION]
    return [
        {
            "row": alert,
            "text": describe(AlertKind(alert.kind), alert.facts, AlertEvent.OPENED, zone),
            "links": list_alert_links(actor, alert),
        }
        for alert in waiting
    ]


def _budget_bars(uses: Sequence[BudgetUse], now: datetime) -> list[dict[str, Any]]:
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
        for use in uses
    ]


def _forecast_context(actor: Actor, book: BudgetBook, forecasts: Sequence[Forecast]) -> dict[str, Any]:
    """The stored forecast; the bar's scale ends a little past the band."""
    forecast = find_forecast(forecasts)
    context: dict[str, Any] = {"forecast": forecast, "exceeding": list_exceeding(actor, book, forecasts)}
    if forecast is not None and forecast.expected is not None:
        context["to_come"] = forecast.expected - forecast.spent
    if forecast is not None and forecast.low is not None and forecast.high is not None:
        context |= {"scale": max(forecast.high * 105 // 100, 1), "width": forecast.high - forecast.low}
    return context


def _list_expected(forecast: Forecast | None, tiles: MonthTiles, today: date) -> dict[str, int]:
    """What is expected to be spent on each day from today on, by day; of today what is still to come."""
    if forecast is None or forecast.expected is None:
        return {}
    found, before = {}, forecast.spent
    for step, running in enumerate(forecast.running):
        day = forecast.first_day + timedelta(days=step)
        amount, before = running - before, running
        if day == today and step:
            # It was made on an earlier day, and knows nothing of what today has cost.
            amount -= tiles.days[-1].spend if tiles.days else 0
        if day >= today and amount > 0:
            found[day.isoformat()] = amount
    return found


def _name_unusual(actor: Actor, span: Range, zone: ZoneInfo) -> dict[str, str]:
    """The days of the range whose spend was unusual, in words."""
    if span.unit != "day":
        return {}
    rows = list(
        list_anomalies(actor)
        .filter(unit=AnomalyUnit.DAY.value, starts__gte=span.start, starts__lt=span.end)
        .order_by("starts", "scope", "subject")[:_MOST_UNUSUAL]
    )
    names = find_names(actor.org, [row.subject for row in rows])
    found: dict[str, str] = {}
    for row in rows:
        day = row.starts.astimezone(zone).date().isoformat()
        who = plain_name(actor.org, row.scope, row.subject, names)
        told = f"{who}: {format_for_people(row.actual)}, usually {format_for_people(row.expected)}"
        found[day] = f"{found[day]}; {told}" if day in found else told
    return found


def _find_daily_budget(uses: Sequence[BudgetUse], span: Range) -> int | None:
    """What the organisation's own budget allows a day, an even pace of a month's; the tightest of several."""
    if span.unit != "day":
        return None
    own = [use for use in uses if use.scope == BudgetScope.ORGANIZATION and not use.is_shadow]
    days = {use: max((use.end - use.start).days, 1) for use in own if use.period in _PACED}
    return min((use.limit // length for use, length in days.items()), default=None)


def _chart(span: Range, spend: Spend, stack: str, zone: ZoneInfo, now: datetime, marks: Marks) -> Chart:
    buckets: list[tuple[str, str]]
    if span.unit == "hour":
        hours = [hour.astimezone(zone) for hour in list_hours(span.start, span.end, zone)]
        buckets = [(hour.isoformat(), f"{hour:%H:%M}") for hour in hours]
        unfinished = max((hour for hour in hours if hour <= now), default=None)
        current = unfinished.isoformat() if unfinished else ""
    else:
        days = list_days(span.start, span.end, zone)
        buckets = [(day.isoformat(), _day_label(day)) for day in days]
        known = {key for key, _ in buckets}
        buckets += [(key, _day_label(date.fromisoformat(key))) for key in marks.expected if key not in known]
        current = now.astimezone(zone).date().isoformat()
    amounts: dict[tuple[str, str], int] = {}
    names: dict[str, str] = {}
    for row in spend.rows:
        amounts[row.group[span.unit], row.group[stack]] = row.totals.effective_cost
        names[row.group[stack]] = row.labels.get(stack) or row.group[stack] or _NO_NAME
    return make_chart(buckets, amounts, names, current, marks)


def _day_label(day: date) -> str:
    return f"{day.day} {day:%b}"
