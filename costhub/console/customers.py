"""The operators' page of customers: who owes what, and what waits for somebody. What an organisation owes its operator
is the operator's too; what it calls is not, and is not here."""

from typing import Final

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from billing.invoices.documents.content import show_cents
from billing.invoices.selectors.customers import list_customers
from costhub.console.staff import staff_page
from costhub.lib import clock
from tenants.access import find_uuid, list_org_ids, org_scope
from tenants.models import Organization, User

_ROWS_A_PAGE: Final = 50


@require_GET
@staff_page
def customers(request: HttpRequest, user: User) -> HttpResponse:
    """A row a customer, in the order of their organisations' ids; those whose organisation's name has what is
    searched."""
    after, text = find_uuid(request.GET.get("after", "")), request.GET.get("q", "").replace("\x00", "").strip()[:200]
    among = None
    if text:
        with org_scope(*list_org_ids()):
            named = Organization.objects.filter(Q(name__icontains=text) | Q(slug__icontains=text))
            among = set(named.values_list("pk", flat=True))
    found, more = list_customers(clock.now(), after=after, limit=_ROWS_A_PAGE, among=among)
    rows = [
        {
            "customer": customer,
            "owed": [f"{show_cents(cents)} {currency}" for currency, cents in sorted(customer.owed.items())],
        }
        for customer in found
    ]
    more_link = f"?{urlencode({'q': text, 'after': str(more)} if text else {'after': str(more)})}" if more else ""
    return render(request, "console/customers.html", {"rows": rows, "more_link": more_link, "search": text})
