"""The console's first page: the month's figures, budgets, alerts, the forecast, and spend over a range."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from billing.alerts.core.texts import describe
from billing.alerts.selectors import list_gravest
from billing.choices import AlertEvent, AlertKind
from billing.spend.core import ranges
from billing.spend.core.buckets import list_days, list_hours
from billing.spend.core.chart import Chart, make_chart, make_sparkline
from billing.spend.core.ranges import Range
from billing.spend.models import Forecast
from billing.spend.outlook import find_forecast, list_exceeding, list_forecasts
from billing.spend.selectors import BudgetUse, Change, MonthTiles, Spend, read_budget_book, read_first_page
from billing.spend.selectors.budgets import BudgetBook
from costhub.console.alert_links import list_alert_links
from costhub.console.frame import frame, make_link, read_params, render_page
from costhub.console.lists import check_parameters
from costhub.console.sign_in import org_page
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from tenants.access import Actor
from tenants.choices import BudgetPeriod, Permission
from tenants.selectors import list_projects

#: what the chart may be stacked by
STACKS: Final = {"model": "Model", "project": "Project", "key": "Key", "end_user": "End user"}
TABLES: Final = {"model": "Models", "key": "Keys"}
ROWS: Final = (5, 20)
KNOWN: Final = frozenset(
    {"range", "from", "to", "by", "rows", "model", "project", "key", "end_user", "upstream", "status", "id", "tag:"}
)
#: alerts on the first page; all of them are on their own
ATTENTION: Final = 5
#: parameters that other pages understand alike
_KEPT: Final = ("range", "from", "to", "project")
#: parameters that choose no calls
_UNFILTERED: Final = frozenset({"range", "from", "to", "by", "rows"})
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
        check_parameters(params, KNOWN)
        span, filters = read_params(params, now, actor)
    except InvalidField as found:
        error = found.message
        params = {}
        span, filters = read_params(params, now, actor)
    stack = params["by"] if params.get("by") in STACKS else "model"
    rows = ROWS[1] if params.get("rows") == str(ROWS[1]) else ROWS[0]
    zone = ZoneInfo(actor.org.time_zone)
    book = read_budget_book(actor, now)
    first = read_first_page(actor, now, book, span, filters, stack=stack, tables=list(TABLES), top=ROWS[-1])
    tiles, spend = first.tiles, first.spend
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
        "sparklines": _sparklines(tiles),
        "budgets": _budget_bars(first.budgets, now),
        "alerts": _attention(actor),
        **_forecast_context(actor, book, list_forecasts(actor, now)),
        "chart": _chart(span, spend, stack, zone, now),
        "spend": spend,
        "change": Change(spend.total.effective_cost, first.before),
        "breakdown_link": make_link(
            request, {name: params[name] for name in _KEPT if params.get(name)}, by=stack
        ).replace(request.path, reverse("breakdown", args=[actor.org.slug]), 1),
        "stack": stack,
        "stack_links": [(name, label, make_link(request, params, by=name)) for name, label in STACKS.items()],
        "tables": [
            _table(actor, span, str(filters.project or ""), group, first.tables[group], rows) for group in TABLES
        ],
        "rows": rows,
        "more_link": make_link(request, params, rows=str(ROWS[1])),
        "less_link": make_link(request, params, rows=""),
        "is_narrowed": any(value for name, value in params.items() if name not in _UNFILTERED),
        "as_of": max(filter(None, (tiles.as_of, spend.as_of)), default=None),
        "is_empty": not tiles.requests.now and not tiles.requests.before and not spend.rows,
    }
    return render_page(
        request, "console/overview.html", "console/_overview.html", context, status=400 if error else 200
    )


def _range_links(request: HttpRequest, params: Mapping[str, str]) -> list[tuple[str, str, str]]:
    plain = {name: value for name, value in params.items() if name not in {"from", "to"}}
    return [
        (name, label, make_link(request, plain, range=name)) for name, label in ranges.NAMES.items() if name != "custom"
    ]


def _table(actor: Actor, span: Range, project: str, group: str, spend: Spend, rows: int) -> dict[str, Any]:
    shared = {"range": "" if span.name == "custom" else span.name, "project": project}
    if span.name == "custom":
        shared |= {"from": span.first.isoformat(), "to": span.last.isoformat()}
    shared = {name: text for name, text in shared.items() if text}
    address = reverse("requests", args=[actor.org.slug])
    return {
        "title": TABLES[group],
        "group": group,
        "total": spend.total,
        "size": spend.groups,
        "rest": max(min(spend.groups, ROWS[-1]) - rows, 0),
        "lines": [
            {
                "name": row.labels.get(group) or row.group[group] or _NO_NAME,
                "link": f"{address}?{urlencode({**shared, **row.group})}",
                "totals": row.totals,
            }
            for row in spend.rows[:rows]
            if not row.is_rest
        ],
    }


def _sparklines(tiles: MonthTiles) -> dict[str, str]:
    return {
        "spend": make_sparkline([point.spend for point in tiles.days]),
        "requests": make_sparkline([point.requests for point in tiles.days]),
        "savings": make_sparkline([point.list_cost - point.spend for point in tiles.days]),
        "today": make_sparkline(tiles.hours),
    }


def _attention(actor: Actor) -> list[dict[str, Any]]:
    """What stands and nobody takes care of yet, newest first, each with where it leads."""
    zone = ZoneInfo(actor.org.time_zone)
    waiting = list_gravest(actor).filter(acknowledged_at=None).order_by("-created_at", "-id")[:ATTENTION]
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
