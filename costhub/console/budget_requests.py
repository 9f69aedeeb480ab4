"""One request for more: who asks, why, what it does to the budget; and yes, less, or no."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from billing.spend.more import describe_effect, find_effect
from costhub.console.forms import read_usd
from costhub.console.frame import frame
from costhub.console.sign_in import org_page
from costhub.lib import clock
from costhub.lib.errors import AppError, InvalidField
from costhub.lib.money import format_for_people, format_usd
from tenants.access import Actor, SecondFactorMissing, StaleSession, access_row
from tenants.actions.budget_requests import deny_request, grant_request
from tenants.actions.increases import list_in_force
from tenants.choices import BudgetRequestState, Permission
from tenants.models import BudgetRequest


@require_http_methods(["GET", "HEAD", "POST"])
@org_page
def budget_request(request: HttpRequest, actor: Actor, request_id: str) -> HttpResponse:
    """The page that the mail leads to. A decision is a form with ``decision`` and, for less, ``amount``."""
    actor.check(Permission.READ_MONEY)
    found = access_row(BudgetRequest.objects.select_related("budget"), actor, request_id)
    error, status = "", 200
    if request.method == "POST":
        try:
            _decide(request, actor, found)
        except (StaleSession, SecondFactorMissing):
            raise
        except AppError as refused:
            error, status = refused.message, refused.http_status
        else:
            return redirect("budget-request", slug=actor.org.slug, request_id=request_id)
    effect = find_effect(actor, found.budget, found.amount_nanos, clock.now())
    chosen = request.POST.get("decision") or request.GET.get("decision", "")
    now = found.budget.limit_nanos + sum(one.amount_nanos for one in list_in_force(found.budget))
    context: dict[str, Any] = {
        **frame(request, actor, "budget-requests"),
        "asked": found,
        "budget": found.budget,
        "amount": format_for_people(found.amount_nanos),
        "granted": format_for_people(found.granted_nanos or 0),
        "typed": request.POST.get("amount") or format_usd(found.amount_nanos).rstrip("0").rstrip("."),
        "limit_now": format_for_people(now),
        "limit_then": format_for_people(now + found.amount_nanos),
        "effect": effect,
        "effect_text": describe_effect(effect, found.amount_nanos) if effect else "",
        # What the mail's link says, or yes: nothing is decided by a link alone.
        "chosen": chosen if chosen in {"yes", "less", "no"} else "yes",
        "may_decide": actor.may(Permission.WRITE_MONEY)
        and found.state == BudgetRequestState.OPEN
        and found.asked_by != actor.name,
        "may_withdraw": found.state == BudgetRequestState.OPEN and found.asked_by == actor.name,
        "error": error,
    }
    return render(request, "console/budget_request.html", context, status=status)


def _decide(request: HttpRequest, actor: Actor, found: BudgetRequest) -> None:
    answer = request.POST.get("answer", "").replace("\x00", "")
    match request.POST.get("decision"):
        case "yes":
            grant_request(actor=actor, request=found, answer=answer)
        case "less":
            amount = read_usd(request.POST.get("amount", "").strip(), "amount")
            grant_request(actor=actor, request=found, amount_nanos=amount, answer=answer)
        case "no":
            deny_request(actor=actor, request=found, answer=answer)
        case _:
            raise InvalidField("Choose yes, less or no.", field="decision")
