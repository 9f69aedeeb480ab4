"""The console's forms of rate limits; the list of them stands on the page of budgets."""

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from costhub.console.acts import Act, try_to
from costhub.console.budget_forms import SCOPES
from costhub.console.forms import Field, Form
from costhub.console.pages import show_form
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
    act = (
        Act(
            "Switch this limit off", address, "Switch off", "Nothing is held to it any more. Its row stays.", tone="bad"
        )
        if row.is_active
        else Act("Switch this limit on", address, "Switch on", "It counts from now on.")
    )
    return show_form(request, actor, "budgets", "Budgets & limits", form, f"Rate limit: {row}", acts=[act])


@require_POST
@org_page
def switch_limit(request: HttpRequest, actor: Actor, limit_id: str) -> HttpResponse:
    """Switch a rate limit off, or on again."""
    row = access_row(list_rate_limits(actor), actor, limit_id)
    is_active = not row.is_active
    done = "The rate limit is switched on." if is_active else "The rate limit is switched off."
    try_to(request, actor, done, lambda: update_rate_limit(actor=actor, limit=row, is_active=is_active))
    return redirect(f"{reverse('budgets', args=[actor.org.slug])}#limits")


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
