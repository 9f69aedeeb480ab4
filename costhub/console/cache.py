"""The console's page of the cache: what it saved by level, what it may do, what is in it, and why a call was a hit."""

from collections.abc import Mapping
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from billing.cache.selectors import (
    CacheStats,
    explain,
    list_lookups,
    prove_savings,
    read_shadow_report,
    read_stats,
    sealer_of,
    search_entries,
)
from costhub.console.acts import Act
from costhub.console.forms import check_confirmed
from costhub.console.frame import frame, list_ranges, read_span
from costhub.console.lists import Column, Listing, make_listing, read_search
from costhub.console.sign_in import org_page
from costhub.lib import clock
from costhub.lib.errors import AppError, InvalidField, NotFound
from proxy.cache.actions import forget_entry
from proxy.cache.model import CacheEntry
from proxy.cache.sealed_questions import open_entries, open_lookups
from tenants.access import Actor
from tenants.actions.cache import purge_cache
from tenants.choices import Permission, PurgeKind
from tenants.selectors import list_cache_policies

ROWS: Final = 20
COLUMNS: Final = (
    Column("question", "Question"),
    Column("model", "Model", "model"),
    Column("kept", "Kept", "created_at"),
    Column("give-up", "Give up"),
)
_NAMES: Final = {
    "hit-l1": "Equal call, this process",
    "hit-l2": "Equal call, Valkey",
    "hit-semantic": "Like question",
    "coalesced": "Same call under way",
    "partial": "Some inputs known",
    "shadow-hit-l1": "Shadow: equal call, this process",
    "shadow-hit-l2": "Shadow: equal call, Valkey",
    "shadow-hit-semantic": "Shadow: similar question",
    "miss": "Miss",
    "recheck": "Hit, asked all the same",
}


@require_GET
@org_page
def cache(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The page. ``why`` in the address asks about one call."""
    return _show(request, actor)


@require_POST
@org_page
def purge(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form that gives up what is kept: an entry by its button, or all, or a model, tag, scope or entry by name."""
    actor.check(Permission.WRITE_SETTINGS)
    kind, subject = request.POST.get("kind", ""), request.POST.get("subject", "").strip()
    try:
        if kind not in set(PurgeKind):
            raise InvalidField(f"Give one of {', '.join(PurgeKind)}.", field="kind")
        if kind == PurgeKind.ENTRY.value and request.POST.get("from") == "list":
            forget_entry(actor=actor, entry_id=subject)
        else:
            if kind == PurgeKind.ALL.value:
                check_confirmed(request, actor.org.name)
            purge_cache(actor=actor, kind=PurgeKind(kind), subject=subject)
    except NotFound:
        pass  # it is gone, as was asked
    except AppError as error:
        return _show(request, actor, error=error.message, status=error.http_status)
    return redirect("cache", slug=actor.org.slug)


def _show(request: HttpRequest, actor: Actor, *, error: str = "", status: int = 200) -> HttpResponse:
    actor.check(Permission.READ_MONEY)
    # The form that gives up entries is answered by this page, too.
    path = reverse("cache", args=[actor.org.slug])
    params = request.GET.dict()
    try:
        span = read_span(params, clock.now(), actor)
        listing = _list_kept(request, actor, params)
    except InvalidField as found:
        error, status = found.message, max(status, 400)
        params = {}
        span = read_span(params, clock.now(), actor)
        listing = _list_kept(request, actor, params)
    open_entries(sealer_of(actor), listing.rows)
    lookups = list(list_lookups(actor).filter(was_served=True).order_by("-at")[:ROWS])
    open_lookups(sealer_of(actor), lookups)
    stats = read_stats(actor, span.start, span.end)
    context = {
        **frame(request, actor, "cache"),
        "error": error,
        "ranges": list_ranges(path, span, params),
        "stats": stats,
        "levels": _levels(stats),
        "proof": prove_savings(actor, span.start, span.end),
        "report": read_shadow_report(actor),
        "policies": list(list_cache_policies(actor).order_by("model")),
        "listing": listing,
        "entries": [_entry(entry) for entry in listing.rows],
        "lookups": lookups,
        "why": params.get("why", ""),
        "answer": _explain(actor, params.get("why", "")),
        "kinds": [kind.value for kind in PurgeKind if kind is not PurgeKind.ALL],
        "acts": [_purge_all(actor)] if actor.may(Permission.WRITE_SETTINGS) else [],
        "can_purge": actor.may(Permission.WRITE_SETTINGS),
    }
    return render(request, "console/cache.html", context, status=status)


def _purge_all(actor: Actor) -> Act:
    return Act(
        "Give up all that is kept",
        reverse("purge-cache", args=[actor.org.slug]),
        "Purge all",
        "Every question is asked, and paid for, again.",
        confirm=actor.org.name,
        tone="bad",
        hidden=[("kind", PurgeKind.ALL.value)],
    )


def _list_kept(request: HttpRequest, actor: Actor, params: Mapping[str, str]) -> Listing:
    """The questions that are kept, as the address asks for them."""
    filters = ["range", "from", "to", "why"]
    return make_listing(
        request,
        params,
        search_entries(actor, read_search(params)),
        COLUMNS,
        sort="-kept",
        filters=filters,
        path=reverse("cache", args=[actor.org.slug]),
    )


def _levels(stats: CacheStats) -> list[dict[str, Any]]:
    return [
        {
            "name": _NAMES[level.status],
            "status": level.status,
            "level": level,
            "share": f"{level.requests * 100 / stats.looked_up:.1f} %",
        }
        for level in stats.levels
    ]


def _entry(entry: CacheEntry) -> dict[str, Any]:
    return {"row": entry, "scope": bytes(entry.scope).hex()}


def _explain(actor: Actor, request_id: str) -> dict[str, Any] | None:
    if not request_id:
        return None
    try:
        found = explain(actor, request_id.strip())
    except NotFound:
        return {"request": None}
    looked = found["lookup"]
    return found | {"distance": 1 - looked.similarity if looked else None}
