"""The console's page of budgets and rate limits: where each stands, and the forms that make and change them."""

from collections.abc import Mapping
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from billing.spend.selectors.names import name_subject
from billing.spend.selectors.standings import Standing, list_standings
from costhub.console.acts import Act, PageLink, try_to
from costhub.console.budget_forms import create, increase_fields, initial_of, limit_fields, place_fields, update
from costhub.console.forms import Form
from costhub.console.lists import Column, Listing, make_listing
from costhub.console.pages import show_form, show_list
from costhub.console.sign_in import org_page
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from tenants.access import Actor, access_row
from tenants.actions.budgets import update_budget
from tenants.actions.increases import end_increase, increase_budget, list_in_force
from tenants.choices import BudgetScope, Permission
from tenants.selectors import (
    list_budgets,
    list_increases,
    list_rate_limits,
)

COLUMNS: Final = (
    Column("subject", "Budget", lambda each: each.subject_name.casefold()),
    Column("used", "Used", lambda each: each.per_mille, "Spent and held, of the limit"),
    Column("spent", "Spent", lambda each: each.spent, "Settled in this period", "number"),
    Column("held", "Held", lambda each: each.held or 0, "Set aside for calls that are under way", "number optional"),
    Column("left", "Left", lambda each: each.left, "Limit less spent and held", "number"),
    Column("burn", "Burn rate", lambda each: each.burn.per_day, "At the pace of the period so far", "number optional"),
    Column("resets", "Resets in", lambda each: (each.end is None, each.end), "", "optional"),
    Column("mode", "", None, css="optional"),
)
_NEAR_PER_MILLE: Final = 800


@require_GET
@org_page
def budgets(request: HttpRequest, actor: Actor) -> HttpResponse:
    """A row a subject, the fullest first."""
    now = clock.now()
    standings = list_standings(actor, now)
    may_write = actor.may(Permission.WRITE_MONEY)

    def make(params: Mapping[str, str]) -> Listing:
        scope = params.get("scope", "")
        if scope and scope not in set(BudgetScope):
            raise InvalidField(f"scope: give one of {', '.join(BudgetScope)}.", field="scope")
        rows = [each for each in standings if not scope or each.budget.scope == scope]
        return make_listing(request, params, rows, COLUMNS, search=_words, sort="-used", filters=["scope"])

    new = PageLink("New budget", reverse("new-budget", args=[actor.org.slug]))
    limit = PageLink("New rate limit", reverse("new-limit", args=[actor.org.slug]))
    context = {
        "title": "Budgets & limits",
        "now": now,
        "near": _NEAR_PER_MILLE,
        "placeholder": "Name or subject",
        "choices": [
            {
                "name": "scope",
                "label": "Scope",
                "value": request.GET.get("scope", ""),
                "options": [("", "Every scope"), *((each.value, each.value.replace("_", " ")) for each in BudgetScope)],
            }
        ],
        "page_acts": [new, limit] if may_write else [],
        "may_write": may_write,
        "inactive": list_budgets(actor).filter(is_active=False).order_by("-created_at")[:20],
        "rate_limits": [
            {"row": row, "who": _name(actor, row.scope, row.subject)}
            for row in list_rate_limits(actor).order_by("-is_active", "scope", "subject", "unit")[:200]
        ],
    }
    return show_list(request, actor, "console/budgets.html", "budgets", make, context)


@require_http_methods(["GET", "POST"])
@org_page
def new_budget(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of a budget."""
    actor.check(Permission.WRITE_MONEY)
    form = Form(
        [*place_fields(actor), *limit_fields()], {"period": "month", "action": "block", "thresholds": "50, 80, 100"}
    )
    if request.method == "POST" and form.submit(request, actor, lambda form: create(actor, form)) is not None:
        return redirect("budgets", slug=actor.org.slug)
    return show_form(request, actor, "budgets", "Budgets & limits", form, "New budget", submit_label="Create budget")


@require_http_methods(["GET", "POST"])
@org_page
def budget(request: HttpRequest, actor: Actor, budget_id: str) -> HttpResponse:
    """One budget: its form, its increases, and what switches it off."""
    actor.check(Permission.READ_MONEY)
    row = access_row(list_budgets(actor), actor, budget_id)
    title = row.name or f"{_name(actor, row.scope, row.subject)}, {row.period}"
    form = None
    if actor.may(Permission.WRITE_MONEY) and not row.is_managed:
        form = Form(limit_fields(), initial_of(row), is_edit=True)
        if request.method == "POST":
            if form.submit(request, actor, lambda form: update(actor, row, form)) is not None:
                return redirect("budgets", slug=actor.org.slug)
            row.refresh_from_db()
    elif request.method == "POST":
        actor.check(Permission.WRITE_MONEY)
    address = reverse("switch-budget", args=[actor.org.slug, row.pk])
    act = (
        Act(
            "Switch this budget off",
            address,
            "Switch off",
            "Nothing is held to it any more. Its row stays.",
            tone="bad",
        )
        if row.is_active
        else Act("Switch this budget on", address, "Switch on", "What was spent meanwhile is counted again.")
    )
    more: dict[str, Any] = {
        "budget": row,
        "subject": _name(actor, row.scope, row.subject),
        "within": _name(actor, row.within_scope, row.within) if row.within else "",
        "standing": [each for each in list_standings(actor, clock.now(), row.scope) if each.budget.id == str(row.pk)],
        "increases": list_increases(actor, row).order_by("-created_at")[:20],
        "in_force": {one.pk for one in list_in_force(row)},
        "acts": [act] if form else [],
        "now": clock.now(),
        "may_ask": actor.may(Permission.ASK_MONEY) and form is None and row.is_active and not row.is_managed,
        "may_write": form is not None,
        "increase_form": Form(increase_fields()) if form and row.is_active else None,
    }
    return show_form(request, actor, "budgets", "Budgets & limits", form, title, template="console/budget.html", **more)


@require_POST
@org_page
def switch_budget(request: HttpRequest, actor: Actor, budget_id: str) -> HttpResponse:
    """Switch a budget off, or on again."""
    row = access_row(list_budgets(actor), actor, budget_id)
    is_active = not row.is_active
    done = "The budget is switched on." if is_active else "The budget is switched off: it holds nothing any more."
    try_to(request, actor, done, lambda: update_budget(actor=actor, budget=row, is_active=is_active))
    return redirect("budget", slug=actor.org.slug, budget_id=str(row.pk))


@require_POST
@org_page
def increase(request: HttpRequest, actor: Actor, budget_id: str) -> HttpResponse:
    """Put more into a budget for a time, or end an increase."""
    actor.check(Permission.WRITE_MONEY)
    row = access_row(list_budgets(actor), actor, budget_id)
    back = redirect("budget", slug=actor.org.slug, budget_id=str(row.pk))
    if ended := request.POST.get("end", ""):
        found = access_row(list_increases(actor, row), actor, ended)
        try_to(request, actor, "The increase has ended.", lambda: end_increase(actor=actor, increase=found))
        return back

    def act() -> None:
        form = Form(increase_fields())
        form.values = {name: request.POST.get(name, "") for name in ("amount", "until", "reason")}
        until = form.moment("until", actor.org.time_zone)
        if until is None:
            raise InvalidField("Say until when.", field="until")
        increase_budget(
            actor=actor, budget=row, amount_nanos=form.money("amount"), until=until, reason=form.text("reason")
        )

    try_to(request, actor, "The budget has more until then.", act)
    return back


def _words(each: Standing) -> str:
    return " ".join((each.budget.name, each.subject_name, each.subject, each.budget.scope, each.within_name))


def _name(actor: Actor, scope: str, subject: str) -> str:
    if subject or scope == BudgetScope.ORGANIZATION:
        return name_subject(actor.org, scope, subject)
    return f"Each {scope.replace('_', ' ')}"
