"""Query strings of the ledger's endpoints."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.http import QueryDict
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from billing.spend.core.ranges import DEFAULT, NAMES
from billing.spend.filters import STATUSES, LedgerFilters, parse_filters
from costhub.lib.errors import InvalidField, NotFound
from tenants.access import Actor, find_named, find_row
from tenants.api.base import ManagementView
from tenants.api.parsing import check_text
from tenants.models import ApiKey, Project, Upstream
from tenants.periods import period_bounds

#: beside these, ``tag:<name>`` is known everywhere
FILTERS: Final = frozenset(
    {"from", "to", "model", "project", "key", "end_user", "upstream", "status", "tag", "id", "without"}
)
FILTER_PARAMETERS: Final = [
    OpenApiParameter("from", description="a moment, or a local day; inside"),
    OpenApiParameter("to", description="a moment, outside; or a local day, the whole of it inside"),
    OpenApiParameter("model", description="a model's name"),
    OpenApiParameter("project", description="a project's name or id"),
    OpenApiParameter("key", description="a key's id"),
    OpenApiParameter("end_user", description="an end user's id of yours"),
    OpenApiParameter("upstream", description="an upstream's name or id"),
    OpenApiParameter("status", description=f"{', '.join(STATUSES)}, or a number such as 429"),
    OpenApiParameter("tag", description="key=value; may be repeated for several tags"),
    OpenApiParameter("id", description="a request id, or its first digits"),
    OpenApiParameter("without", description="model, end_user, upstream or tag:<name>: only calls that have none"),
]
#: of endpoints that take a stretch of time by its name, as pages do
RANGE_PARAMETERS: Final = [
    OpenApiParameter("range", description=f"one of {', '.join(NAMES)}; {DEFAULT} where no time is given"),
    OpenApiParameter("from", description="the first local day"),
    OpenApiParameter("to", description="the last local day, inside"),
]

_DAY: Final = timedelta(days=1)
_YEARS: Final = range(2000, 2200)


class LedgerView(ManagementView):
    """A view of the ledger: its filters, and ``tag:<name>`` for any name."""

    def is_known_parameter(self, name: str) -> bool:
        """A tag's name is the caller's own."""
        return name.startswith("tag:") or super().is_known_parameter(name)


def read_filters(actor: Actor, request: Request) -> LedgerFilters:
    """The filters of a query string. Raises InvalidField, or NotFound for a project, key or upstream that is not
    there."""
    params = {name: str(value) for name, value in request.query_params.items() if name in FILTERS or ":" in name}
    for tag in _all(request.query_params, "tag"):
        name, separator, value = tag.partition("=")
        if not (name and separator and value):
            raise InvalidField("Give a tag as key=value.", field="tag")
        params[f"tag:{name}"] = value
    for field, model in (("project", Project), ("upstream", Upstream)):
        if params.get(field):
            params[field] = _find(find_named(model._default_manager.all(), actor, params[field]), field)
    if params.get("key"):
        rows: QuerySet[Any] = ApiKey.objects.all()
        params["key"] = _find(find_row(rows, actor, params["key"]), "key")
    zone = ZoneInfo(actor.org.time_zone)
    return replace(
        parse_filters(params),
        start=read_moment(params, "from", zone),
        end=read_moment(params, "to", zone, is_end=True),
    )


def read_range(filters: LedgerFilters, now: datetime, time_zone: str) -> tuple[datetime, datetime]:
    """The bounds of the filters; what is left out is the current month so far. Raises InvalidField if they are
    turned."""
    # A call that is admitted in this very microsecond is inside.
    end = filters.end or now + timedelta(microseconds=1)
    start = filters.start or min(period_bounds("month", now, time_zone)[0], end)
    if start > end:
        raise InvalidField("Give an end that is not before the start.", field="to")
    return start, end


def read_moment(params: Mapping[str, str], name: str, zone: ZoneInfo, *, is_end: bool = False) -> datetime | None:
    """A moment with an offset, or a day of the organisation: its beginning, or the next one's for an end.

    None where the query has no such parameter. Raises InvalidField for anything else.
    """
    text = params.get(name)
    if not text:
        return None
    try:
        if len(text) <= len("2026-11-22"):
            day = date.fromisoformat(text) + (_DAY if is_end else timedelta())
            # The period's own beginning, so that a day is what budgets and pages take for it.
            moment = period_bounds("day", datetime(day.year, day.month, day.day, 12, tzinfo=zone), zone.key)[0]
        else:
            moment = datetime.fromisoformat(text.replace(" ", "+"))
    except (ValueError, OverflowError) as error:
        raise _bad_moment(name) from error
    if moment.tzinfo is None or moment.year not in _YEARS:
        raise _bad_moment(name)
    return moment


def _bad_moment(name: str) -> InvalidField:
    return InvalidField("Give a day such as 2026-01-31, or a moment such as 2026-01-31T12:00:00Z.", field=name)


def _find(row: Any, field: str) -> str:
    if row is None:
        raise NotFound(f"There is no such {field}.", field=field)
    return str(row.pk)


def _all(params: QueryDict, name: str) -> list[str]:
    values = [str(value) for value in params.getlist(name)]
    for value in values:
        check_text(value, name)
    return values
