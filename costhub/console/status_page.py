"""The public page of how an organisation's upstreams do, and its switch, which stands on the page of settings."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from billing.status.core import State
from billing.status.public import FRESH_SECONDS, close_page, find_address, open_page, read_address, read_page
from costhub.console.acts import Act, try_to
from costhub.console.sign_in import org_page
from costhub.lib.moments import from_ms
from tenants.access import Actor
from tenants.choices import Permission

#: each state's words, and its badge's colour
WORDS: Final[Mapping[State, tuple[str, str]]] = {
    State.WORKS: ("Works", "good"),
    State.SLOW: ("Slow", "warn"),
    State.COOLING_DOWN: ("Cooling down", "warn"),
    State.DOWN: ("Down", "bad"),
    State.QUIET: ("Not called lately", ""),
    State.OFF: ("Switched off", ""),
}
_GOOD: Final = frozenset({State.WORKS, State.QUIET, State.OFF})


# It asks the database once in a while for all of its readers: the others open no transaction.
@transaction.non_atomic_requests
@require_safe
def status_page(request: HttpRequest, address: str) -> HttpResponse:
    """The page, for whoever has its address; as JSON where the address ends so."""
    text = address.removesuffix(".json")
    read = read_address(text)
    page = read_page(read) if read is not None else None
    response: HttpResponse
    if page is None:
        response = render(request, "console/status_page.html", {"page": None}, status=404)
    elif text != address:
        response = JsonResponse(_as_json(page))
    else:
        with timezone.override(ZoneInfo(page["time_zone"])):
            response = render(request, "console/status_page.html", _as_page(page))
    response.headers["Cache-Control"] = f"public, max-age={FRESH_SECONDS}"
    response.headers["X-Robots-Tag"] = "noindex"
    # The address is all that one needs to come in: it goes along to nobody.
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@require_POST
@org_page
def publish_status(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Publish the page at a new address, or withdraw it."""
    actor.check(Permission.WRITE_SETTINGS)
    if request.POST.get("withdraw"):
        done = "The page of your upstreams is withdrawn: its address leads nowhere any more."
        try_to(request, actor, done, lambda: close_page(actor=actor))
    else:
        done = "The page of your upstreams is published: its address stands below."
        try_to(request, actor, done, lambda: open_page(actor=actor))
    return redirect("settings", slug=actor.org.slug)


def list_status_acts(actor: Actor) -> list[Act]:
    """The switch, for the page of settings."""
    if not actor.may(Permission.WRITE_SETTINGS):
        return []
    address = reverse("publish-status", args=[actor.org.slug])
    if not find_address(actor):
        words = "Whoever has its address sees how each upstream does, and when it failed: its name, and nothing else."
        return [Act("Publish how your upstreams do", address, "Publish", words)]
    words = "It is published again at another address, and this one leads nowhere any more."
    gone = "Its address leads nowhere any more, for good."
    return [
        Act("Give the public page another address", address, "New address", words),
        Act("Withdraw the public page", address, "Withdraw", gone, tone="bad", hidden=[("withdraw", "yes")]),
    ]


def find_status_link(request: HttpRequest, actor: Actor) -> str:
    """The public page's whole address; empty while there is none."""
    address = find_address(actor)
    return request.build_absolute_uri(reverse("status-page", args=[address])) if address else ""


def _as_json(page: Mapping[str, Any]) -> dict[str, Any]:
    made_at = from_ms(int(page["made_at"] * 1_000)).isoformat()
    return {"name": page["name"], "as_of": made_at, "upstreams": page["upstreams"]}


def _as_page(page: Mapping[str, Any]) -> dict[str, Any]:
    upstreams = []
    for each in page["upstreams"]:
        words, tone = WORDS[State(each["state"])]
        incidents = [(_read_moment(one["started_at"]), _read_moment(one["ended_at"])) for one in each["incidents"]]
        upstreams.append({"name": each["name"], "words": words, "tone": tone, "incidents": incidents})
    troubled = sum(State(each["state"]) not in _GOOD for each in page["upstreams"])
    made_at = from_ms(int(page["made_at"] * 1_000))
    return {"page": page, "upstreams": upstreams, "troubled": troubled, "made_at": made_at}


def _read_moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
