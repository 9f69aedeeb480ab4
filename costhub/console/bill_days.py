"""The console's page of a provider's bill, day by day and model by model against the ledger: what a difference comes
from, and the forms that mend it, filled in."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from billing.bills.actions import FIRST_DAYS
from billing.bills.selectors import compare_latest, list_sources
from billing.spend.core.upstream_bill import Finding, Match
from costhub.console.acts import PageLink
from costhub.console.lists import Column, Listing, make_listing
from costhub.console.pages import show_list
from costhub.console.sign_in import org_page
from costhub.lib.errors import InvalidField
from tenants.access import Actor, access_row
from tenants.choices import Permission
from tenants.models import LanguageModel, Upstream
from tenants.price_histories import DATED
from tenants.selectors import list_models, list_upstreams

#: what people call a finding
FINDINGS: Final = {
    Finding.AGREES: "agrees",
    Finding.MISSING_CALLS: "missing calls",
    Finding.MISSING_TOKENS: "missing tokens",
    Finding.EXTRA_TOKENS: "extra tokens",
    Finding.NOT_ON_THE_BILL: "not on the bill",
    Finding.UNPRICED: "no price",
    Finding.WRONG_PRICE: "wrong price",
    Finding.UNEXPLAINED: "unexplained",
}
#: what of the days is listed, beside the days of one finding
_ALL: Final = "all"
_SHOWN: Final = {"": "What differs", _ALL: "All days", **{each.value: text for each, text in FINDINGS.items()}}
#: findings that another price and a re-rating mend, and what the link to the price says
_MENDED: Final = {Finding.WRONG_PRICE: "Correct the price", Finding.UNPRICED: "Give it a price"}
_DAY: Final = timedelta(days=1)
COLUMNS: Final = (
    Column("day", "Day (UTC)", lambda row: row.match.day),
    Column("model", "Model", lambda row: row.match.model),
    Column("billed", "Bill", lambda row: row.match.theirs.cost or 0, css="number"),
    Column("ledger", "Ledger", lambda row: row.match.ours.cost or 0, css="number"),
    Column("drift", "Difference", lambda row: abs(row.match.drift), "The ledger less the bill", "number"),
    Column("why", "What it comes from"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A day and model, what was found of it in a word, and what mends it or tells more."""

    match: Match
    finding: str
    links: Sequence[PageLink]


@require_GET
@org_page
def bill_days(request: HttpRequest, actor: Actor, upstream_id: str) -> HttpResponse:
    """A bill that is fetched, as ``GET /bill-sources/{id}/days`` has it."""
    actor.check(Permission.READ_MONEY)
    upstream = access_row(list_upstreams(actor), actor, upstream_id)
    source = list_sources(actor).filter(upstream=upstream.pk).first()
    if source is None:
        # Whose page says so, and has the form.
        return redirect("upstream", slug=actor.org.slug, upstream_id=str(upstream.pk))
    found = compare_latest(actor, source, FIRST_DAYS)
    rows = list_rows(actor, upstream, found.matches)

    def make(params: Mapping[str, str]) -> Listing:
        return make_listing(
            request,
            params,
            [row for row in rows if _is_wanted(row, params.get("finding", ""))],
            COLUMNS,
            search=lambda row: f"{row.match.model} {row.finding}",
            sort="-day",
            filters=["finding"],
            kept=["finding"],
        )

    context = {
        "title": f"Bill of {upstream.name}",
        "upstream": upstream,
        "source": source,
        "found": found,
        "compared_days": FIRST_DAYS,
        "placeholder": "Model or finding",
        "choices": [
            {
                "name": "finding",
                "label": "What is listed",
                "options": list(_SHOWN.items()),
                "value": request.GET.get("finding", ""),
            }
        ],
    }
    return show_list(request, actor, "console/bill_days.html", "upstreams", make, context)


def _is_wanted(row: Row, finding: str) -> bool:
    """Whether a row is of what the address asks for. Raises InvalidField for what is no finding."""
    if finding not in _SHOWN:
        raise InvalidField(f"finding: give one of {', '.join(filter(None, _SHOWN))}.", field="finding")
    if not finding:
        return row.match.finding is not Finding.AGREES
    return finding in {_ALL, row.match.finding.value}


def list_rows(actor: Actor, upstream: Upstream, matches: Sequence[Match], most: int | None = None) -> list[Row]:
    """Days and models that were compared, ``most`` of them, each with its ways on."""
    models = list(list_models(actor).filter(upstream=upstream).order_by("name"))
    named = {name: _find_models(models, name) for name in {match.model for match in matches}}
    days: dict[tuple[str, Finding], list[date]] = {}
    for match in matches:
        days.setdefault((match.model, match.finding), []).append(match.day)
    rows = []
    for match in matches[:most]:
        links: list[PageLink] = []
        for model in [] if match.ours.is_nothing else named[match.model]:
            ways = _list_ways(actor, upstream, match, model, days[match.model, match.finding])
            # Where several of the organisation's models answer by that name, each has links of its own.
            shares = len(named[match.model]) > 1
            links += [replace(way, label=f"{way.label}: {model.name}") for way in ways] if shares else ways
        rows.append(Row(match, FINDINGS[match.finding], links))
    return rows


def _find_models(models: Sequence[LanguageModel], name: str) -> list[LanguageModel]:
    """The models that answer by this name, which is their own there or a dated one of it. Where it is both, its own."""
    own = [row for row in models if row.upstream_model == name]
    return own or [row for row in models if re.fullmatch(re.escape(row.upstream_model) + DATED, name)]


def _list_ways(
    actor: Actor, upstream: Upstream, match: Match, model: LanguageModel, days: Sequence[date]
) -> list[PageLink]:
    """To the forms of a price and of a re-rating, over all ``days`` that have the same finding; to the calls of the
    day."""
    slug, zone = actor.org.slug, ZoneInfo(actor.org.time_zone)
    links = []
    if match.finding in _MENDED and actor.may(Permission.WRITE_MONEY):
        start, end = (_begin_of(day, zone).strftime("%Y-%m-%dT%H:%M") for day in (days[0], days[-1] + _DAY))
        price = urlencode({"model": model.name, "effective_from": start})
        calls = urlencode({"start": start, "to": end, "reason": f"As the bill of {upstream.name} has it"})
        links += [
            PageLink(_MENDED[match.finding], f"{reverse('new-price', args=[slug])}?{price}"),
            PageLink("Re-rate its calls", f"{reverse('new-rerating', args=[slug, model.pk])}?{calls}"),
        ]
    # A day of UTC's begins and ends on days of the organisation's own.
    first, last = _begin_of(match.day, zone), _begin_of(match.day + _DAY, zone) - timedelta(microseconds=1)
    around = {
        "from": first.date().isoformat(),
        "to": last.date().isoformat(),
        "model": model.name,
        "upstream": str(upstream.pk),
    }
    label = "Its calls" if first.date() == last.date() else "Calls of its two days"
    return [*links, PageLink(label, f"{reverse('requests', args=[slug])}?{urlencode(around)}")]


def _begin_of(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).astimezone(zone)
