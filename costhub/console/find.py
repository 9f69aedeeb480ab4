"""What the command palette finds: pages, and an organisation's things by name."""

from dataclasses import dataclass
from typing import Any, Final

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from costhub.console.lists import search_rows
from costhub.console.navigation import list_links
from costhub.console.sign_in import member_page
from tenants.access import Actor, find_uuid
from tenants.choices import Permission
from tenants.selectors import list_end_users, list_keys, list_models, list_projects, list_upstreams

#: of each kind
MOST: Final = 5


@dataclass(frozen=True, slots=True)
class Found:
    """Something that one can go to."""

    name: str
    what: str
    address: str


@require_GET
@member_page
def find(request: HttpRequest, actor: Actor) -> HttpResponse:
    """A fragment with what matches ``q``; without it, the pages."""
    text = request.GET.get("q", "").replace("\x00", "").strip()[:200]
    return render(request, "console/_found.html", {"found": find_all(actor, text)})


def find_all(actor: Actor, text: str) -> list[Found]:
    """Pages first, then rows by name; a request's id leads to the request."""
    wanted = text.casefold()
    found = [
        Found(link.entry.label, "Page", link.address)
        for _, links in list_links(actor)
        for link in links
        if wanted in link.entry.label.casefold()
    ]
    if not text:
        return found
    slug = actor.org.slug
    if find_uuid(text) is not None and actor.may(Permission.READ_MONEY):
        found.insert(0, Found(text, "Request", reverse("request-detail", args=[slug, text])))
    found += [
        Found(row.name, "Key", reverse("key", args=[slug, row.pk])) for row in _named(list_keys(actor), "name", text)
    ]
    found += [
        Found(row.name, "Project", reverse("project", args=[slug, row.pk]))
        for row in _named(list_projects(actor), "name", text)
    ]
    if not actor.may(Permission.READ):
        return found
    found += [
        Found(row.name, "Model", reverse("model", args=[slug, row.pk]))
        for row in _named(list_models(actor), "name", text)
    ]
    found += [
        Found(row.name, "Upstream", reverse("upstream", args=[slug, row.pk]))
        for row in _named(list_upstreams(actor), "name", text)
    ]
    found += [
        Found(
            row.name or row.external_id,
            "End user",
            f"{reverse('end-users', args=[slug])}?{urlencode({'q': row.external_id})}",
        )
        for row in search_rows(list_end_users(actor), text, ["external_id", "name"]).order_by("external_id")[:MOST]
    ]
    return found


def _named(rows: QuerySet[Any], field: str, text: str) -> list[Any]:
    return list(rows.filter(**{f"{field}__icontains": text}).order_by(field)[:MOST])
