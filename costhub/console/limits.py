"""The console's rate limits: their list, of which the page of budgets shows the first, and their forms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from billing.spend.selectors.names import find_names, name_subject
from costhub.console.acts import PageLink, switch_act, try_to_set
from costhub.console.budget_forms import SCOPES
from costhub.console.forms import Field, Form
from costhub.console.lists import Column, Listing, make_listing
from costhub.console.pages import show_form, show_list
from costhub.console.sign_in import org_page
from tenants.access import Actor, access_row
from tenants.actions.limits import create_rate_limit, update_rate_limit
from tenants.choices import BudgetScope, LimitUnit, Permission
from tenants.models import RateLimit
from tenants.selectors import list_rate_limits

UNITS: Final = {
    LimitUnit.REQUESTS: "Calls within a window",
    LimitUnit.TOKENS: "Tokens within a window",
    LimitUnit.USD: "USD within a window",
    LimitUnit.CONCURRENT: "Calls under way at once",
}
COLUMNS: Final = (
    Column("whose", "Whose", lambda each: each.who.casefold()),
    Column("limit", "Limit", lambda each: (each.row.unit, each.row.amount), css="number"),
    Column("window", "Window", lambda each: each.row.window_seconds),
    Column("state", "State", lambda each: (not each.row.is_active, each.row.is_shadow), css="number"),
)


@dataclass(frozen=True, slots=True)
class Named:
    """A budget or rate limit, and what whoever it holds is called."""

    row: Any
    who: str


@require_GET
@org_page
def limits(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Rate limits, those in force first."""
    actor.check(Permission.READ_MONEY)
    rows = list_named_limits(actor)

    def make(params: Mapping[str, str]) -> Listing:
        return make_listing(request, params, rows, COLUMNS, search=lambda each: each.who, sort="state")

    may_write = actor.may(Permission.WRITE_MONEY)
    context = {
        "title": "Rate limits",
        "placeholder": "Whose",
        "lead": "Calls, tokens or USD within a sliding window.",
        "page_acts": [PageLink("New rate limit", reverse("new-limit", args=[actor.org.slug]))] if may_write else [],
        "may_write": may_write,
    }
    return show_list(request, actor, "console/limits.html", "budgets", make, context)


@require_http_methods(["GET", "POST"])
@org_page
def new_limit(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of a rate limit."""
    actor.check(Permission.WRITE_MONEY)
    fields = [
        Field(
            "scope", "Whose calls it counts", "select", choices=[(each.value, text) for each, text in SCOPES.items()]
        ),
        Field(
            "subject",
            "Which one",
            help="A project's or model's name, a key's id, an end user's id of yours, or a tag as key=value."
            " Left empty, it is the default of each of them.",
            most=200,
        ),
        Field("unit", "What it counts", "select", choices=[(each.value, text) for each, text in UNITS.items()]),
        Field("limit", "How many", is_required=True, placeholder="60", most=40),
        Field(
            "window_seconds",
            "Window in seconds",
            placeholder="60",
            help="1 to 3,600; for calls at once leave it empty.",
        ),
        Field("is_shadow", "Only report what it would have refused", "checkbox"),
    ]
    form = Form(fields, {"scope": "key", "unit": "requests", "window_seconds": "60"})
    if request.method == "POST" and form.submit(request, actor, lambda form: _create(actor, form)) is not None:
        return redirect(f"{reverse('budgets', args=[actor.org.slug])}#limits")
    return show_form(request, actor, "budgets", "Budgets & limits", form, "New rate limit")


@require_http_methods(["GET", "POST"])
@org_page
def limit(request: HttpRequest, actor: Actor, limit_id: str) -> HttpResponse:
    """A rate limit's form, and what switches it off."""
    actor.check(Permission.WRITE_MONEY)
    row = access_row(list_rate_limits(actor), actor, limit_id)
    fields = [
        Field("limit", "How many", is_required=True, most=40),
        Field("is_shadow", "Only report what it would have refused", "checkbox"),
    ]
    form = Form(fields, {"limit": show_amount(row), "is_shadow": row.is_shadow}, is_edit=True)
    if request.method == "POST" and form.submit(request, actor, lambda form: _update(actor, row, form)) is not None:
        return redirect(f"{reverse('budgets', args=[actor.org.slug])}#limits")
    address = reverse("switch-limit", args=[actor.org.slug, row.pk])
    off, on = "Nothing is held to it any more. Its row stays.", "It counts from now on."
    act = switch_act(address, off, on, is_on=row.is_active, what="this limit")
    return show_form(request, actor, "budgets", "Budgets & limits", form, f"Rate limit: {row}", acts=[act])


@require_POST
@org_page
def switch_limit(request: HttpRequest, actor: Actor, limit_id: str) -> HttpResponse:
    """Switch a rate limit off, or on again."""
    row = access_row(list_rate_limits(actor), actor, limit_id)
    words = "The rate limit is switched on.", "The rate limit is switched off."
    try_to_set(
        request, actor, "is_active", words, lambda is_on: update_rate_limit(actor=actor, limit=row, is_active=is_on)
    )
    return redirect(f"{reverse('budgets', args=[actor.org.slug])}#limits")


def list_named_limits(actor: Actor, most: int | None = None) -> list[Named]:
    """Rate limits, those in force first, each with whose calls it counts; the first ``most``, or all."""
    rows = list(list_rate_limits(actor).order_by("-is_active", "scope", "subject", "unit")[:most])
    names = find_names(actor.org, [row.subject for row in rows])
    return [Named(row, name_whose(actor, row.scope, row.subject, names)) for row in rows]


def name_whose(actor: Actor, scope: str, subject: str, names: Mapping[str, str] | None = None) -> str:
    """Whom a budget or rate limit is for: ``Key web``, or ``Each key`` where it is a default. ``names`` as in
    ``name_subject``."""
    if subject or scope == BudgetScope.ORGANIZATION:
        return name_subject(actor.org, scope, subject, names)
    return f"Each {scope.replace('_', ' ')}"


def show_amount(row: RateLimit) -> str:
    """As people type it: USD, or a whole number."""
    if row.unit != LimitUnit.USD:
        return str(row.amount)
    whole, rest = divmod(row.amount, 10**9)
    return f"{whole}.{f'{rest:09d}'.rstrip('0').ljust(2, '0')}"


def _create(actor: Actor, form: Form) -> RateLimit:
    unit = form.choice("unit", LimitUnit)
    return create_rate_limit(
        actor=actor,
        scope=form.choice("scope", BudgetScope),
        subject=form.text("subject"),
        unit=unit,
        amount=_amount(form, unit),
        window_seconds=form.whole("window_seconds") if form.text("window_seconds") else 0,
        is_shadow=form.flag("is_shadow"),
    )


def _update(actor: Actor, row: RateLimit, form: Form) -> RateLimit:
    amount = _amount(form, LimitUnit(row.unit))
    return update_rate_limit(actor=actor, limit=row, amount=amount, is_shadow=form.flag("is_shadow"))


def _amount(form: Form, unit: LimitUnit) -> int:
    return form.money("limit") if unit is LimitUnit.USD else form.whole("limit")
