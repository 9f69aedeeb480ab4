"""Saved views on the pages that have them: opened, saved under a name, forgotten."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_POST

from costhub.console.acts import try_to
from costhub.console.sign_in import org_page
from costhub.lib.errors import InvalidField
from tenants.access import Actor, access_row
from tenants.actions.views import remove_view, save_view
from tenants.choices import Permission, ViewPage
from tenants.selectors import list_saved_views


@dataclass(frozen=True, slots=True)
class View:
    """A saved view as a page offers it."""

    id: str
    name: str
    address: str
    may_remove: bool


def list_views(actor: Actor, page: ViewPage) -> list[View]:
    """The views of a page, by name."""
    address = reverse(page.value, args=[actor.org.slug])
    may_remove_all = actor.may(Permission.WRITE_SETTINGS)
    return [
        View(
            str(row.pk),
            row.name,
            f"{address}?{row.query}" if row.query else address,
            may_remove_all or row.created_by == actor.name,
        )
        for row in list_saved_views(actor).filter(page=page.value).order_by("name")
    ]


def views_context(actor: Actor, page: ViewPage, params: Mapping[str, str]) -> dict[str, object]:
    """What ``console/_views.html`` shows; read only if it does."""
    given = {name: value for name, value in params.items() if value and name not in {"page", "cursor"}}
    return {"views": lambda: list_views(actor, page), "view_page": page.value, "view_query": urlencode(given)}


@require_POST
@org_page
def save(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Keep what is looked at under a name."""
    actor.check(Permission.READ_MONEY)
    page, query = request.POST.get("page", ""), request.POST.get("query", "")
    name = request.POST.get("name", "").replace("\x00", "")

    def act() -> None:
        if page not in set(ViewPage):
            raise InvalidField(f"page: give one of {', '.join(ViewPage)}.", field="page")
        save_view(actor=actor, name=name, page=ViewPage(page), query=query)

    try_to(request, actor, f"The view {name} is saved: everybody who may see this page finds it.", act)
    return _back(actor, page, query)


@require_POST
@org_page
def remove(request: HttpRequest, actor: Actor, view_id: str) -> HttpResponse:
    """Forget a view."""
    row = access_row(list_saved_views(actor), actor, view_id)
    try_to(request, actor, f"The view {row.name} is forgotten.", lambda: remove_view(actor=actor, view=row))
    return _back(actor, row.page, "")


def _back(actor: Actor, page: str, query: str) -> HttpResponse:
    address = reverse(page if page in set(ViewPage) else ViewPage.BREAKDOWN.value, args=[actor.org.slug])
    is_plain = query.isascii() and query.isprintable() and len(query) <= 1_000
    return redirect(f"{address}?{query}" if query and is_plain else address)
