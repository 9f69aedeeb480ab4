"""The console's list of calls, and one call's story."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from billing.core import ranges
from billing.core.price_lines import make_price_lines
from billing.core.ranges import read_range
from billing.filters import LedgerFilters
from billing.selectors import Call, RequestStory, find_request_story, get_request_story, list_requests
from billing.views.frame import frame, make_link, read_params, render_page
from costhub.lib import clock
from costhub.lib.errors import Forbidden, InvalidField, NotFound
from tenants.access import Actor, access_org, list_memberships
from tenants.choices import Permission
from tenants.selectors import compile_version, list_keys, list_models, list_projects
from tenants.views import org_page

STATUSES: Final = {
    "ok": "Answered",
    "failed": "Failed",
    "refused": "Refused",
    "402": "402 over budget or unpriced",
    "429": "429 rate limited",
    "5xx": "5xx",
}
PAGE: Final = 50


@require_GET
@org_page
def requests(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The ledger as a list of calls, newest first."""
    now = clock.now()
    actor.check(Permission.READ_MONEY)
    params, error = request.GET.dict(), ""
    params["range"] = params.get("range") or ("" if params.get("from") or params.get("to") else "30d")
    try:
        span, filters = read_params(params, now, actor)
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
        "older_link": make_link(request, params, cursor=page.next_cursor) if page and page.next_cursor else "",
        "newest_link": make_link(request, params, cursor=""),
        "is_filtered": any(params.get(name) for name in ("model", "key", "project", "status", "id", "end_user")),
        "as_of": page.as_of if page else None,
    }
    return render_page(
        request, "billing/requests.html", "billing/_requests.html", context, status=400 if error else 200
    )


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
    return render_page(request, "billing/request.html", "billing/_request.html", context)


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


def _find_named(actor: Actor, filters: LedgerFilters) -> RequestStory | None:
    """The call that a whole id names, whatever the other filters say."""
    return find_request_story(actor, filters.request_id) if filters.request_id else None


def _model_names(actor: Actor, filters: LedgerFilters) -> list[str]:
    """The organisation's models, and the one that is asked for: callers also name models that there never were."""
    names = set(list_models(actor).values_list("name", flat=True))
    return sorted(names | ({filters.model} if filters.model else set()))


def _go(request: HttpRequest, address: str) -> HttpResponse:
    if getattr(request, "htmx", False):
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return redirect(address)


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
