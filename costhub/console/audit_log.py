"""The console's page of the audit log: who changed what, when, from what to what."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from billing.spend.core.ranges import Range, read_range
from billing.spend.selectors.names import find_names
from costhub.console.lists import Column, Listing, make_listing
from costhub.console.pages import show_list
from costhub.console.sign_in import org_page
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from costhub.lib.money import format_for_people
from tenants.access import Actor
from tenants.choices import Permission
from tenants.models import AuditEntry
from tenants.selectors import list_audit_entries

COLUMNS: Final = (
    Column("time", "Time", "created_at"),
    Column("actor", "Who", "actor"),
    Column("action", "What", "action"),
    Column("changes", "Changes", None),
)
_MOST_CHARACTERS: Final = 200


@require_GET
@org_page
def audit_log(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Changes, the newest first."""
    actor.check(Permission.READ_MONEY)

    def make(params: Mapping[str, str]) -> Listing:
        rows = list_audit_entries(actor)
        kind = params.get("kind", "")
        if kind:
            rows = rows.filter(target_kind=kind)
        if params.get("from"):
            rows = rows.filter(created_at__gte=_read_day(actor, params, "from").start)
        if params.get("to"):
            rows = rows.filter(created_at__lt=_read_day(actor, params, "to").end)
        listing = make_listing(
            request,
            params,
            rows,
            COLUMNS,
            search=["actor", "action", "target_id"],
            sort="-time",
            filters=["kind", "from", "to"],
        )
        listing = replace(listing, is_filtered=listing.is_filtered or bool(params.get("from") or params.get("to")))
        names = find_names(actor.org, _list_ids(listing.rows))
        for row in listing.rows:
            row.told = [describe_change(row.action, name, value, names) for name, value in row.changes.items()]
            row.target = names.get(row.target_id, "")
        return listing

    kinds = list_audit_entries(actor).order_by("target_kind").values_list("target_kind", flat=True).distinct()
    context = {
        "title": "Audit log",
        "placeholder": "Who, what, or an id",
        "days": [
            (name, label, request.GET.get(name, "")) for name, label in (("from", "First day"), ("to", "Last day"))
        ],
        "choices": [
            {
                "name": "kind",
                "label": "Of what",
                "value": request.GET.get("kind", ""),
                "options": [("", "Everything"), *((kind, kind.replace("_", " ")) for kind in kinds)],
            }
        ],
    }
    return show_list(request, actor, "console/audit_log.html", "audit-log", make, context)


def describe_change(
    action: str, name: str, value: Any, names: Mapping[str, str] = MappingProxyType({})
) -> tuple[str, str, str | None]:
    """(what, after, before): what was not changed but made has None for before. ``names``: of today, by id."""
    is_pair = action.endswith(".updated") and isinstance(value, list) and len(value) == 2
    before, after = value if is_pair else (None, value)
    label = name.removesuffix("_nanos").replace("_", " ")
    shown = [None if each is None else names.get(str(each)) or _show(name, each) for each in (before, after)]
    return label, shown[1] or "nothing", shown[0] if is_pair else None


def _read_day(actor: Actor, params: Mapping[str, str], name: str) -> Range:
    """A day of the organisation's. Raises InvalidField naming the parameter."""
    try:
        return read_range({"from": params[name], "to": params[name]}, clock.now(), actor.org.time_zone)
    except InvalidField as error:
        raise InvalidField(f"{name}: {error.message.removeprefix('from: ')}", field=name) from error


def _list_ids(rows: Iterable[AuditEntry]) -> Iterator[str]:
    """What may be the id of something that has a name."""
    for row in rows:
        yield row.target_id
        for value in row.changes.values():
            yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str))


def _show(name: str, value: Any) -> str:
    if name.endswith("_nanos") and isinstance(value, int):
        return format_for_people(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
