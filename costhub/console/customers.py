"""The operators' page of customers: who owes what, and what waits for somebody. What an organisation owes its operator
is the operator's too; what it calls is not, and is not here."""

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from billing.invoices.documents.content import show_cents
from billing.invoices.selectors.customers import list_customers
from costhub.console.staff import staff_page
from costhub.lib import clock
from tenants.access import find_uuid
from tenants.models import User

_ROWS_A_PAGE: Final = 50


@require_GET
@staff_page
def customers(request: HttpRequest, user: User) -> HttpResponse:
    """A row a customer, in the order of their organisations' ids."""
    after = find_uuid(request.GET.get("after", ""))
    found, more = list_customers(clock.now(), after=after, limit=_ROWS_A_PAGE)
    rows = [
        {
            "customer": customer,
            "owed": [f"{show_cents(cents)} {currency}" for currency, cents in sorted(customer.owed.items())],
        }
        for customer in found
    ]
    return render(request, "console/customers.html", {"rows": rows, "more": more})
