"""The operators' page of plans: every version, with its terms as they are stored. They are made by the API."""

from collections.abc import Mapping
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from billing.invoices.core.terms import parse_terms, show_terms
from billing.invoices.models import Plan
from costhub.console.lists import Column, Listing, make_listing
from costhub.console.staff import staff_page
from costhub.lib.errors import InvalidField
from tenants.models import User

COLUMNS: Final = (
    Column("name", "Plan", "name"),
    Column("version", "Version", "version", css="number"),
    Column("terms", "Terms"),
    Column("since", "Since", "created_at"),
    Column("who", "Who chooses it", "is_public"),
)


@require_GET
@staff_page
def plans(request: HttpRequest, user: User) -> HttpResponse:
    """A row a version, the newest first."""
    params, error = request.GET.dict(), ""
    try:
        listing = _list(request, params)
    except InvalidField as found:
        error = found.message
        listing = _list(request, {})
    rows = [{"plan": plan, "terms": list_terms(plan.terms)} for plan in listing.rows]
    context = {"rows": rows, "listing": listing, "error": error}
    return render(request, "console/plans.html", context, status=400 if error else 200)


def _list(request: HttpRequest, params: Mapping[str, str]) -> Listing:
    return make_listing(request, params, Plan.objects.all(), COLUMNS, search=["name"], sort="-since")


def list_terms(terms: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The terms of a plan by name, as people read them. What is as it is without anybody's saying so is left out."""
    usual = show_terms(parse_terms({}))
    return [
        (name.replace("_", " "), _show(terms[name])) for name in usual if terms.get(name, usual[name]) != usual[name]
    ]


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_show(each)}" for name, each in value.items())
    if isinstance(value, list):
        return "; ".join(_show(each) for each in value)
    return str(value)
