"""The pages of who operates the installation: its organisations, and visits to those that allow one.

For operators with a second factor who just signed in; for everybody else there are no such pages. Organisations are
seen from outside: that they are there and in which state. What is in them an operator sees on a visit only.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final

from allauth.mfa.utils import is_mfa_enabled
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from costhub.console.lists import Column, Listing, make_listing
from costhub.lib import clock
from costhub.lib.errors import AppError, InvalidField
from tenants.access import find_uuid, list_org_ids, org_scope
from tenants.accounts.sessions import was_recently_confirmed
from tenants.actions.closing import set_closed
from tenants.actions.visits import begin_visit, end_visit
from tenants.models import Membership, Organization, User

COLUMNS: Final = (
    Column("name", "Organisation", "name"),
    Column("made", "Since", "created_at", css="optional"),
    Column("members", "Members", "people", css="number"),
    Column("state", "State"),
    Column("visits", "Visits", "visits_allowed_until"),
    Column("close", "Close or open"),
)


def staff_page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Make ``view(request, user, ...)`` a page for operators only, kept by no cache."""

    @wraps(view)
    def page(request: HttpRequest, **parts: str) -> HttpResponse:
        user = request.user
        if not user.is_authenticated:
            return redirect_to_login(request.get_full_path(), "/login")
        if not user.is_platform_operator:
            raise Http404
        if not is_mfa_enabled(user):
            return redirect("mfa_index")
        if not was_recently_confirmed(request, user):
            back = request.get_full_path() if request.method == "GET" else reverse("staff")
            return redirect_to_login(back, reverse("account_reauthenticate"))
        response = view(request, user, **parts)
        response.headers["Cache-Control"] = "private, no-store"
        return response

    return page


@require_GET
@staff_page
def organizations(request: HttpRequest, user: User) -> HttpResponse:
    """Every organisation from outside."""
    params, error = request.GET.dict(), ""
    with org_scope(*list_org_ids()):
        try:
            listing = _list(request, params)
        except InvalidField as found:
            params, error = {}, found.message
            listing = _list(request, params)
    context: dict[str, Any] = {"listing": listing, "params": params, "error": error, "now": clock.now()}
    return render(request, "console/staff.html", context, status=400 if error else 200)


@require_POST
@staff_page
def visit(request: HttpRequest, user: User, org_id: str) -> HttpResponse:
    """Look into an organisation, with a reason that it reads."""
    org = find_organization(org_id)
    try:
        begin_visit(user=user, org=org, reason=request.POST.get("reason", ""))
    except AppError as error:
        messages.error(request, error.message, extra_tags="bad")
        return redirect("staff")
    return redirect("settings", slug=org.slug)


@require_POST
@staff_page
def close(request: HttpRequest, user: User, org_id: str) -> HttpResponse:
    """Shut an organisation: its calls, tokens and people are refused."""
    return _set_closed(request, user, org_id, is_closed=True)


@require_POST
@staff_page
def reopen(request: HttpRequest, user: User, org_id: str) -> HttpResponse:
    """Open an organisation again."""
    return _set_closed(request, user, org_id, is_closed=False)


def _set_closed(request: HttpRequest, user: User, org_id: str, *, is_closed: bool) -> HttpResponse:
    org = find_organization(org_id)
    reason, confirm = request.POST.get("reason", ""), request.POST.get("confirm", "")
    try:
        set_closed(user=user, org=org, is_closed=is_closed, reason=reason, confirm=confirm)
    except AppError as error:
        messages.error(request, error.message, extra_tags="bad")
    else:
        done = "closed: its calls are refused from now on" if is_closed else "open again"
        messages.success(request, f"{org.name} is {done}.", extra_tags="good")
    return redirect("staff")


@require_POST
def leave(request: HttpRequest, org_id: str) -> HttpResponse:
    """End one's visit."""
    if not request.user.is_authenticated or not request.user.is_platform_operator:
        raise Http404
    end_visit(user=request.user, org=find_organization(org_id))
    return redirect("staff")


def _list(request: HttpRequest, params: Mapping[str, str]) -> Listing:
    members = Membership.objects.filter(org=OuterRef("pk"), visit_until=None).order_by()
    counted = members.values("org").annotate(people=Count("pk")).values("people")
    rows = Organization.objects.annotate(people=Coalesce(Subquery(counted), 0))
    return make_listing(request, params, rows, COLUMNS, search=["name", "slug"], sort="name")


def find_organization(org_id: str) -> Organization:
    """An organisation by what an address says of it. Raises Http404."""
    wanted = find_uuid(org_id)
    if wanted is None:
        raise Http404
    with org_scope(wanted):
        found = Organization.objects.filter(pk=wanted).first()
    if found is None:
        raise Http404
    return found
