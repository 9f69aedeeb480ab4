"""Requests for more: a developer asks for an increase of a budget; who may set budgets says yes, less, or no."""

from datetime import datetime
from typing import Final

from django.db import transaction

from costhub.lib import clock
from costhub.lib.errors import Conflict, Forbidden, InvalidField
from costhub.lib.money import Nanos, format_for_people
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.increases import MAX_REASON_CHARACTERS, check_until, find_room, increase_budget
from tenants.choices import PERMISSIONS, BudgetRequestState, Permission, Role
from tenants.mails import send_mail
from tenants.models import Budget, BudgetRequest, Membership

MAX_OPEN: Final = 20
#: so many approvers hear of a request by mail
MAX_MAILS: Final = 20


def ask_for_more(
    *, actor: Actor, budget: Budget, amount_nanos: Nanos, until: datetime, reason: str, told: str = ""
) -> BudgetRequest:
    """Ask for so much more in a budget until a moment. Everybody who may decide is told by mail, with ``told``: what it
    does to the budget's period, in sentences.

    Raises InvalidField for an amount, moment or reason that cannot be, Conflict for a budget that is switched off, or
    if the asker has enough open requests.
    """
    actor.check(Permission.ASK_MONEY)
    ends = check_until(until)
    why = check_text(reason, "reason")
    if not why:
        raise InvalidField("Say what it is for, so that somebody can decide.", field="reason")
    if not budget.is_active or budget.is_managed:
        raise Conflict("Nothing can be added to this budget: it is switched off, or follows your prepaid credits.")
    if amount_nanos <= 0 or find_room(budget) < amount_nanos:
        raise InvalidField("Give an amount above zero that the budget has room for.", field="amount")
    with transaction.atomic():
        mine = BudgetRequest.objects.filter(org=actor.org, asked_by=actor.name, state=BudgetRequestState.OPEN.value)
        if mine.count() >= MAX_OPEN:
            raise Conflict(f"You have {MAX_OPEN} open requests: withdraw one, or wait for an answer.")
        request = BudgetRequest.objects.create(
            org=actor.org,
            budget=budget,
            amount_nanos=amount_nanos,
            until=ends,
            reason=why,
            asked_by=actor.name,
            asked_by_user_id=actor.user_id,
        )
        record(actor, "created", request, budget=budget.pk, amount_nanos=amount_nanos, until=ends, reason=why)
        for address in list_approvers(actor):
            send_mail(
                "budget_request",
                address,
                {
                    "org_name": actor.org.name,
                    "request": request,
                    "amount": format_for_people(amount_nanos),
                    "limit": format_for_people(budget.limit_nanos),
                    "budget": budget,
                    "told": told,
                    "path": f"/o/{actor.org.slug}/budget-requests/{request.pk}",
                },
            )
    return request


def grant_request(
    *, actor: Actor, request: BudgetRequest, amount_nanos: Nanos | None = None, answer: str = ""
) -> BudgetRequest:
    """Say yes, or with an ``amount_nanos`` below what was asked for, less: the budget is increased by it.

    Raises Conflict for a request that is decided, Forbidden for one's own, InvalidField for more than was asked.
    """
    actor.check(Permission.WRITE_MONEY)
    actor.check_fresh()
    granted = Nanos(request.amount_nanos) if amount_nanos is None else amount_nanos
    if not 0 < granted <= request.amount_nanos:
        raise InvalidField(
            f"Give an amount above zero, and at most the {format_for_people(request.amount_nanos)} that were asked.",
            field="amount",
        )
    said = check_text(answer, "answer")
    with transaction.atomic():
        found = _lock_open(actor, request)
        increase = increase_budget(
            actor=actor, budget=found.budget, amount_nanos=granted, until=found.until, reason=found.reason
        )
        found.granted_nanos, found.increase = granted, increase
        _decide(actor, found, BudgetRequestState.GRANTED, said)
    return found


def deny_request(*, actor: Actor, request: BudgetRequest, answer: str = "") -> BudgetRequest:
    """Say no. Raises Conflict for a request that is decided, Forbidden for one's own."""
    actor.check(Permission.WRITE_MONEY)
    said = check_text(answer, "answer")
    with transaction.atomic():
        found = _lock_open(actor, request)
        _decide(actor, found, BudgetRequestState.DENIED, said)
    return found


def withdraw_request(*, actor: Actor, request: BudgetRequest) -> BudgetRequest:
    """Take one's own request back. Raises Forbidden for another's, Conflict for one that is decided."""
    actor.check(Permission.ASK_MONEY)
    if request.asked_by != actor.name:
        raise Forbidden("Only who asked may withdraw a request: deny it instead.")
    with transaction.atomic():
        found = _lock(request)
        found.state = BudgetRequestState.WITHDRAWN.value
        found.save(update_fields=["state"])
        record(actor, "withdrawn", found)
    return found


def list_approvers(actor: Actor) -> list[str]:
    """Addresses of the members who may decide: those of finance first, the asker left out."""
    roles = [role.value for role in Role if Permission.WRITE_MONEY in PERMISSIONS[role]]
    members = Membership.objects.filter(org=actor.org, role__in=roles, suspended_at=None, user__is_active=True)
    if actor.user_id is not None:
        members = members.exclude(user_id=actor.user_id)
    found = sorted(members.values_list("role", "user__email"), key=lambda one: (one[0] != Role.FINANCE, one[1]))
    return [email for _, email in found[:MAX_MAILS]]


def check_text(text: str, field: str) -> str:
    """One line of a person's own words. Raises InvalidField."""
    line = text.strip()
    if len(line) > MAX_REASON_CHARACTERS or not line.isprintable():
        raise InvalidField(f"Give one line of at most {MAX_REASON_CHARACTERS} visible characters.", field=field)
    return line


def _lock_open(actor: Actor, request: BudgetRequest) -> BudgetRequest:
    found = _lock(request)
    if found.asked_by == actor.name:
        raise Forbidden("Somebody else must decide on what you asked for yourself.")
    return found


def _lock(request: BudgetRequest) -> BudgetRequest:
    found = BudgetRequest.objects.select_for_update(of=("self",)).select_related("budget").get(pk=request.pk)
    if found.state != BudgetRequestState.OPEN:
        raise Conflict(f"This request was {found.state} already.")
    return found


def _decide(actor: Actor, request: BudgetRequest, state: BudgetRequestState, answer: str) -> None:
    request.state, request.answer = state.value, answer
    request.decided_by, request.decided_at = actor.name, clock.now()
    request.save()
    record(actor, state.value, request, granted_nanos=request.granted_nanos, answer=answer)
    if request.asked_by_user is not None:
        send_mail(
            "budget_request_decided",
            request.asked_by_user.email,
            {
                "org_name": actor.org.name,
                "request": request,
                "asked": format_for_people(request.amount_nanos),
                "granted": format_for_people(request.granted_nanos or 0),
                "is_less": request.granted_nanos is not None and request.granted_nanos < request.amount_nanos,
                "path": f"/o/{actor.org.slug}/budget-requests/{request.pk}",
            },
        )
