"""The console's page of spend by anything: a table, each line against the equal period before, and the same as CSV."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from billing.spend.core import ranges
from billing.spend.core.ranges import Range
from billing.spend.exports import export_sums
from billing.spend.filters import LedgerFilters
from billing.spend.selectors import Line, Wanted, find_lines, find_spend
from billing.spend.selectors.tags import list_tag_names
from costhub.console.frame import FILTERS, link_calls, make_link, read_params
from costhub.console.lists import PARAMETERS, Column, Cut, Listing, check_parameters, make_listing
from costhub.console.pages import show_list
from costhub.console.sign_in import org_page
from costhub.console.views import views_context
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from tenants.access import Actor
from tenants.choices import Permission, ViewPage
from tenants.selectors import list_projects

GROUPS: Final = {
    "model": "Model",
    "project": "Project",
    "key": "Key",
    "end_user": "End user",
    "upstream": "Upstream",
    "status": "Status",
}
KNOWN: Final = FILTERS - {"id"} | {"range", "from", "to", "by", "tag:", "show"}
#: the view that says shares and no amounts, for a screen that others see
_PER_CENT: Final = "percent"
_MEASURES: Final = ("requests", "input_tokens", "output_tokens", "list_cost", "effective_cost")


@dataclass(frozen=True, slots=True)
class Shown:
    """A line, and the link to its calls."""

    line: Line
    link: str


@require_GET
@org_page
def breakdown(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Spend of a range by one group, dearest first."""
    actor.check(Permission.READ_MONEY)
    now = clock.now()
    tags = list_tag_names(actor, now)
    shown: dict[str, Any] = {}

    def make(params: Mapping[str, str]) -> Listing:
        span, filters, group = _read(params, now, actor)
        is_plain = params.get("show") != _PER_CENT
        shown.update(span=span, group=group, is_plain=is_plain)

        def cut(part: Cut) -> tuple[list[Shown], int]:
            spans = (span.start, span.end), (span.start - (span.end - span.start), span.start)
            wanted = Wanted(part.order, part.is_falling, part.text, part.first, part.most)
            lines = find_lines(
                actor, group, spans[0], wanted, before=spans[1], filters=filters, with_mover=group != "end_user"
            )
            found = [
                Shown(line, link_calls(actor, span, params, line.totals.requests, group, line.key))
                for line in lines.rows
            ]
            shown.update(total=lines.total, change=lines.change, mover=lines.mover and lines.mover.label)
            if group == "end_user" and not lines.mover:
                shown.update(movers_link=make_link(request, params, sort="-change", page=""))
            return found, lines.count

        columns = [each for each in _columns(GROUPS.get(group, group)) if is_plain or each.name != "spend"]
        return make_listing(
            request,
            params,
            cut,
            columns,
            sort="-spend" if is_plain else "-share",
            filters=KNOWN,
            kept=["project", "show"],
        )

    groups = [*GROUPS.items(), *((f"tag:{name}", f"Tag {name}") for name in tags)]
    context = {
        "title": "Breakdown",
        "placeholder": "Name",
        "shown": shown,
        "groups": groups,
        **views_context(actor, ViewPage.BREAKDOWN, request.GET.dict()),
        "show": request.GET.get("show", ""),
        "group_now": request.GET.get("by", "model"),
        "ranges": ranges.NAMES.items(),
        "projects": list_projects(actor).order_by("name"),
        "csv_link": _csv_link(actor, _given(request.GET.dict())),
    }
    return show_list(request, actor, "console/breakdown.html", "breakdown", make, context)


@require_GET
@org_page
def breakdown_csv(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The same sums, all of them, for a spreadsheet."""
    actor.check(Permission.READ_MONEY)
    actor.check_fresh()
    params = request.GET.dict()
    try:
        check_parameters(params, [*KNOWN, *PARAMETERS])
        span, filters, group = _read(params, clock.now(), actor)
    except InvalidField as error:
        return HttpResponse(error.message, status=400, content_type="text/plain; charset=utf-8")
    spend = find_spend(actor, start=span.start, end=span.end, group_by=[group], filters=filters, measures=_MEASURES)
    answer = HttpResponse(
        export_sums(spend, group, group.replace("tag:", "tag ")), content_type="text/csv; charset=utf-8"
    )
    name = f"spend-{span.first.isoformat()}-{span.last.isoformat()}.csv"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _read(params: Mapping[str, str], now: datetime, actor: Actor) -> tuple[Range, LedgerFilters, str]:
    check_parameters(params, [*KNOWN, *PARAMETERS])
    group = params.get("by") or "model"
    if params.get("show", "") not in {"", _PER_CENT}:
        raise InvalidField(f"show: leave it out, or give {_PER_CENT}.", field="show")
    if group not in GROUPS and not (group.startswith("tag:") and len(group) > len("tag:")):
        raise InvalidField(f"by: give one of {', '.join(GROUPS)}, or tag:<name>.", field="by")
    span, filters = read_params({name: value for name, value in params.items() if name != "show"}, now, actor)
    return span, filters, group


def _columns(label: str) -> list[Column]:
    return [
        Column("name", label, "name"),
        Column("requests", "Calls", "requests", css="number optional"),
        Column("tokens", "Tokens", "tokens", "Input and output", "number optional"),
        Column("spend", "Spend", "spend", "Effective cost in this range", "number"),
        Column(
            "change",
            "Change",
            "change",
            "Compared with the time of the same length before it",
            "number",
        ),
        Column(
            "share",
            "Share",
            "spend",
            "Of the whole spend in this range",
            "number share",
        ),
    ]


def _given(params: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in params.items() if name not in PARAMETERS}


def _csv_link(actor: Actor, params: Mapping[str, str]) -> str:
    address = reverse("breakdown-csv", args=[actor.org.slug])
    given = {name: value for name, value in params.items() if value}
    return f"{address}?{urlencode(given)}" if given else address
