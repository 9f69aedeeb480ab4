"""The console's page of budgets and rate limits: where each stands, and the forms that make and change them."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from billing.spend.core.ranges import MAX_DAYS
from billing.spend.selectors.names import find_names
from billing.spend.selectors.standings import Standing, list_standings
from costhub.console.acts import PageLink, switch_act, try_to, try_to_set
from costhub.console.budget_forms import create, increase_fields, initial_of, limit_fields, place_fields, update
from costhub.console.forms import Form
from costhub.console.limits import Named, list_named_limits, name_whose
from costhub.console.lists import Column, Listing, make_listing
from costhub.console.pages import lead_on, show_form, show_list
from costhub.console.sign_in import org_page
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from tenants.access import Actor, access_row
from tenants.actions.budgets import update_budget
from tenants.actions.increases import end_increase, increase_budget, list_in_force
from tenants.choices import BudgetPeriod, BudgetScope, Permission
from tenants.models import Budget, BudgetIncrease
from tenants.selectors import list_budgets, list_increases, list_rate_limits

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
OFF_COLUMNS: Final = (
    Column("subject", "Budget", lambda each: each.who.casefold()),
    Column("limit", "Limit", lambda each: each.row.limit_nanos, css="number"),
    Column("made", "Made", lambda each: each.row.created_at, css="optional"),
)
_NEAR_PER_MILLE: Final = 800
#: of the rate limits and the budgets that are switched off, which have pages of their own
_SHOWN: Final = 20


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

    inactive = list_budgets(actor).filter(is_active=False)
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
        "inactive": inactive.order_by("-created_at")[:_SHOWN],
        "inactive_count": inactive.count(),
        "unlisted": _list_unlisted(actor, standings, now),
        "rate_limits": list_named_limits(actor, _SHOWN),
        "rate_limit_count": list_rate_limits(actor).count(),
    }
    return show_list(request, actor, "console/budgets.html", "budgets", make, context)


@require_GET
@org_page
def off_budgets(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Budgets that are switched off, the newest first."""
    actor.check(Permission.READ_MONEY)
    rows = list(list_budgets(actor).filter(is_active=False))
    names = find_names(actor.org, [row.subject for row in rows])
    shown = [Named(row, row.name or name_whose(actor, row.scope, row.subject, names)) for row in rows]

    def make(params: Mapping[str, str]) -> Listing:
        return make_listing(request, params, shown, OFF_COLUMNS, search=lambda each: each.who, sort="-made")

    context = {"title": "Budgets that are switched off", "placeholder": "Name or subject"}
    return show_list(request, actor, "console/off_budgets.html", "budgets", make, context)


@require_http_methods(["GET", "POST"])
@org_page
def new_budget(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of a budget."""
    actor.check(Permission.WRITE_MONEY)
    form = Form(
        [*place_fields(actor), *limit_fields()], {"period": "month", "action": "block", "thresholds": "50, 80, 100"}
    )
    if request.method == "POST" and form.submit(request, actor, lambda form: create(actor, form)) is not None:
        return lead_on(request, actor, reverse("budgets", args=[actor.org.slug]))
    return show_form(request, actor, "budgets", "Budgets & limits", form, "New budget", submit_label="Create budget")


@require_http_methods(["GET", "POST"])
@org_page
def budget(request: HttpRequest, actor: Actor, budget_id: str) -> HttpResponse:
    """One budget: its form, its increases, and what switches it off."""
    actor.check(Permission.READ_MONEY)
    row = access_row(list_budgets(actor), actor, budget_id)
    title = row.name or f"{name_whose(actor, row.scope, row.subject)}, {row.period}"
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
    off, on = "Nothing is held to it any more. Its row stays.", "What was spent meanwhile is counted again."
    act = switch_act(address, off, on, is_on=row.is_active, what="this budget")
    more: dict[str, Any] = {
        "budget": row,
        "subject": name_whose(actor, row.scope, row.subject),
        "within": name_whose(actor, row.within_scope, row.within) if row.within else "",
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
    words = "The budget is switched on.", "The budget is switched off: it holds nothing any more."
    try_to_set(
        request, actor, "is_active", words, lambda is_on: update_budget(actor=actor, budget=row, is_active=is_on)
    )
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
    form = Form(increase_fields())
    if form.submit(request, actor, lambda form: _increase(actor, row, form)) is not None:
        messages.success(request, "The budget has more until then.", extra_tags="good")
    else:
        messages.error(request, form.wrong, extra_tags="bad")
    return back


def _increase(actor: Actor, row: Budget, form: Form) -> BudgetIncrease:
    until = form.moment("until", actor.org.time_zone)
    if until is None:
        raise InvalidField("Say until when.", field="until")
    return increase_budget(
        actor=actor, budget=row, amount_nanos=form.money("amount"), until=until, reason=form.text("reason")
    )


def _list_unlisted(actor: Actor, standings: Sequence[Standing], now: datetime) -> list[tuple[Standing, str, date]]:
    """Each default of which not every subject is listed, and where all of them are since which day: whole days, no
    more than a range may have. No link of one of tags, which the breakdown shows one at a time."""
    found = {each.budget.id: each for each in standings if each.more}
    zone = ZoneInfo(actor.org.time_zone)
    last = now.astimezone(zone).date()
    earliest = last - timedelta(days=MAX_DAYS - 1)
    links = []
    for each in found.values():
        budget = each.budget
        # One for ever counts from before it was made, too.
        is_endless = budget.period == BudgetPeriod.TOTAL
        first = earliest if is_endless else max(each.start.astimezone(zone).date(), earliest)
        query = {"by": budget.scope, "from": first.isoformat(), "to": last.isoformat()}
        if budget.within:
            query[budget.within_scope] = budget.within
        link = f"{reverse('breakdown', args=[actor.org.slug])}?{urlencode(query)}"
        links.append((each, "" if budget.scope == BudgetScope.TAG else link, first))
    return links


def _words(each: Standing) -> str:
    return " ".join((each.budget.name, each.subject_name, each.subject, each.budget.scope, each.within_name))
