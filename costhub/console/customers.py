"""The operators' page of customers: who owes what, and what waits for somebody. What an organisation owes its operator
is the operator's too; what it calls is not, and is not here."""

from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_POST

from billing.invoices.actions.wallet import find_available, refund_credits
from billing.invoices.actions.webhooks import MOST_TRIES, find_given_up, find_orgs_of, list_given_up, retry_event
from billing.invoices.documents.content import show_cents
from billing.invoices.selectors.customers import Customer, list_customers
from billing.invoices.selectors.wallet import find_paid
from costhub.console.forms import Field, Form
from costhub.console.frame import make_link
from costhub.console.lists import check_parameters, read_search, search_rows
from costhub.console.staff import find_organization, staff_page
from costhub.lib import clock
from costhub.lib.errors import AppError, InvalidField
from costhub.lib.money import format_for_people
from tenants.access import find_uuid, job_scope, list_org_ids, org_scope
from tenants.actions.visits import act_as_operator, check_reason, name_operator
from tenants.choices import Role
from tenants.models import Organization, User

_ROWS_A_PAGE: Final = 50
#: of events that were given up, those that have waited longest
_MOST_EVENTS: Final = 50
_MOST_REFERENCE: Final = 200
#: by what organisations are sorted; what they owe is known of the page's alone, each of which is opened by itself
SORTS: Final = ("name", "-name")
_KNOWN: Final = ("q", "sort", "after")


@require_GET
@staff_page
def customers(request: HttpRequest, user: User) -> HttpResponse:
    """A row a customer, in the order of their organisations' ids or names; those whose organisation's name has what is
    searched."""
    params, error = request.GET.dict(), ""
    try:
        check_parameters(params, _KNOWN)
        text, sort = read_search(params), params.get("sort", "")
        if sort and sort not in SORTS:
            raise InvalidField(f"sort: give one of {', '.join(SORTS)}.", field="sort")
    except InvalidField as found:
        params, text, sort, error = {}, "", "", found.message
    among, order = None, list[UUID]()
    if text or sort:
        with org_scope(*list_org_ids()):
            named = search_rows(Organization.objects.all(), text, ["name", "slug"])
            order = list(named.order_by(sort, "pk").values_list("pk", flat=True)) if sort else []
            among = set(named.values_list("pk", flat=True))
    found_rows, more = list_customers(
        clock.now(), after=find_uuid(params.get("after", "")), limit=_ROWS_A_PAGE, among=among, order=order
    )
    rows = [
        {
            "customer": customer,
            "owed": _show(customer.owed),
            "credit": _show(customer.credit),
            **_find_left(customer),
        }
        for customer in found_rows
    ]
    turned = "-name" if sort == "name" else "name"
    context = {
        "rows": rows,
        "events": [] if error else _list_events(),
        "error": error,
        "query": urlencode({name: value for name, value in params.items() if value}),
        "more_link": make_link(request, params, after=str(more)) if more else "",
        "sort_link": make_link(request, params, sort=turned, after=""),
        "sorted": {"name": "ascending", "-name": "descending"}.get(sort, "none"),
        "sort": sort,
        "search": text,
    }
    return render(request, "console/customers.html", context, status=400 if error else 200)


@require_POST
@staff_page
def refund(request: HttpRequest, user: User, org_id: str) -> HttpResponse:
    """Take credits out of a customer's wallet whose money was given back, under the reference of the transfer."""
    org = find_organization(org_id)
    operator = replace(act_as_operator(user, org), role=Role.OWNER)
    form = Form([Field("amount", "Amount"), Field("reference", "Reference", most=_MOST_REFERENCE)])
    form.put_back(dict(request.POST.lists()))
    try:
        with org_scope(org.pk), transaction.atomic():
            reference = check_reason(form.text("reference"), org)
            done = refund_credits(
                actor=operator, amount_nanos=form.money("amount"), reference=reference, reason="Given back"
            )
    except AppError as error:
        messages.error(request, error.message, extra_tags="bad")
    else:
        messages.success(
            request, f"{format_for_people(done.amount_nanos)} were given back to {org.name}.", extra_tags="good"
        )
    kept = urlencode({name: request.GET[name] for name in _KNOWN if request.GET.get(name)})
    return redirect(f"{reverse('customers')}?{kept}" if kept else "customers")


@require_POST
@staff_page
def retry(request: HttpRequest, user: User, event_id: str) -> HttpResponse:
    """Have an event of Stripe's that was given up tried again."""
    row = find_given_up(event_id)
    if row is None:
        raise Http404
    try:
        retry_event(row=row, by=name_operator(user))
    except AppError as error:
        messages.error(request, error.message, extra_tags="bad")
    else:
        done = f"The event {row.pk} is tried again within seconds. When it is applied it is gone from here."
        messages.success(request, done, extra_tags="good")
    return redirect("customers")


def _list_events() -> list[dict[str, Any]]:
    """Events that were given up, with the names of whom they are about."""
    rows = list(list_given_up()[:_MOST_EVENTS])
    orgs = find_orgs_of(rows)
    with org_scope(*set(orgs.values())):
        names = dict(Organization.objects.filter(pk__in=orgs.values()).values_list("pk", "name"))
    of_event = {event: names.get(org_id, "") for event, org_id in orgs.items()}
    return [{"event": row, "name": of_event.get(row.pk, ""), "is_retried": row.tries < MOST_TRIES} for row in rows]


def _find_left(customer: Customer) -> dict[str, int]:
    """What of the credits is left, as the books have not all that was spent yet, and can be given back."""
    if customer.credits <= 0:
        return {"available": 0, "refundable": 0}
    with job_scope(customer.org) as actor:
        available = find_available(actor)
        return {"available": available, "refundable": min(available, find_paid(actor))}


def _show(amounts: dict[str, int]) -> list[str]:
    return [f"{show_cents(cents)} {currency}" for currency, cents in sorted(amounts.items())]
