"""The console's pages of requests for more: all of them, and the form by which somebody asks."""

from collections.abc import Mapping
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from billing.spend.more import tell_approvers
from costhub.console.acts import try_to
from costhub.console.budget_forms import increase_fields
from costhub.console.forms import Form
from costhub.console.lists import Column, Listing, make_listing
from costhub.console.pages import show_form, show_list
from costhub.console.sign_in import org_page
from costhub.lib.errors import InvalidField
from tenants.access import Actor, access_row
from tenants.actions.budget_requests import ask_for_more, withdraw_request
from tenants.choices import BudgetRequestState, Permission
from tenants.models import Budget, BudgetRequest
from tenants.selectors import list_budget_requests, list_budgets

COLUMNS: Final = (
    Column("asked", "Asked", "created_at"),
    Column("by", "By", "asked_by", css="optional"),
    Column("budget", "Budget", "budget__name", css="optional"),
    Column("amount", "More", "amount_nanos", css="number"),
    Column("until", "Until", "until", css="optional"),
    Column("state", "State", "state"),
)


@require_GET
@org_page
def budget_requests(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Who asked for more, for what, and what became of it."""
    actor.check(Permission.READ_MONEY)

    def make(params: Mapping[str, str]) -> Listing:
        rows = list_budget_requests(actor).select_related("budget")
        return make_listing(request, params, rows, COLUMNS, search=["asked_by", "reason", "state"], sort="-asked")

    context = {
        "title": "Requests for more",
        "placeholder": "Who asked, why, or state",
        "lead": "To ask, open a budget. Whoever may set budgets decides, but not on what they asked for themselves.",
        "waiting": list_budget_requests(actor).filter(state=BudgetRequestState.OPEN.value).count(),
        "may_decide": actor.may(Permission.WRITE_MONEY),
    }
    return show_list(request, actor, "console/budget_requests.html", "budget-requests", make, context)


@require_http_methods(["GET", "POST"])
@org_page
def new_budget_request(request: HttpRequest, actor: Actor, budget_id: str) -> HttpResponse:
    """The form by which somebody asks for more in a budget."""
    actor.check(Permission.ASK_MONEY)
    row = access_row(list_budgets(actor), actor, budget_id)
    form = Form(increase_fields())
    if request.method == "POST":
        made = form.submit(request, actor, lambda form: _ask(actor, row, form))
        if made is not None:
            return redirect("budget-request", slug=actor.org.slug, request_id=str(made.pk))
    lead = "Whoever may set budgets gets a mail, and says yes, less, or no."
    title = f"Ask for more in {row.name or row.scope}"
    return show_form(request, actor, "budget-requests", "Requests for more", form, title, submit_label="Ask", lead=lead)


@require_POST
@org_page
def withdraw(request: HttpRequest, actor: Actor, request_id: str) -> HttpResponse:
    """Take one's own request back."""
    row = access_row(list_budget_requests(actor), actor, request_id)
    try_to(request, actor, "The request is withdrawn.", lambda: withdraw_request(actor=actor, request=row))
    return redirect("budget-request", slug=actor.org.slug, request_id=request_id)


def _ask(actor: Actor, row: Budget, form: Form) -> BudgetRequest:
    until = form.moment("until", actor.org.time_zone)
    if until is None:
        raise InvalidField("Say until when.", field="until")
    amount = form.money("amount")
    return ask_for_more(
        actor=actor,
        budget=row,
        amount_nanos=amount,
        until=until,
        reason=form.text("reason"),
        told=tell_approvers(actor, row, amount),
    )
