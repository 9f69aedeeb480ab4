"""Signing in and out, and the way to one's first organisation."""

from collections.abc import Callable
from functools import wraps
from typing import Final
from zoneinfo import ZoneInfo

from allauth.account import views as account
from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import perform_password_login
from allauth.account.internal.flows.reauthentication import get_reauthentication_flows
from allauth.account.models import Login
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from costhub.console.navigation import find_start
from costhub.console.passwords import TooManyTries, find_user
from costhub.console.typed import keep_typed
from costhub.lib.database import take_turn
from costhub.lib.errors import AppError, Conflict, Forbidden, NotFound, PaymentRequired
from tenants.access import SecondFactorMissing, StaleSession, access_org, list_memberships
from tenants.accounts.sessions import was_recently_confirmed
from tenants.accounts.sign_on import list_sign_ons
from tenants.choices import Permission
from tenants.models import User

_READ_ONLY: Final = "This organisation has invoices that are long overdue: nothing can be changed until they are paid."
# One text whatever was wrong, so that it tells nobody who has an account.
NO_MATCH: Final = "That e-mail address and password do not match. Check both and try again."


def org_page(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Make ``view(request, actor, ...)`` a page below an organisation's slug: signed in, through the door, in the
    organisation's time zone, kept by no cache. What does not exist and what belongs to somebody else give one 404.
    Where invoices are long overdue, its forms are refused.

    Members of some projects are refused: a page shows what is the whole organisation's. ``member_page`` takes them.
    """
    return _make_page(view, for_whole_org=True)


def member_page(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """``org_page`` for every member: the view itself keeps to the actor's projects."""
    return _make_page(view, for_whole_org=False)


def works_when_read_only(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Mark a view whose form changes nothing of the organisation's: it works while invoices are long overdue. Stands
    below ``org_page``."""
    _WORKING.add(view)
    return view


_WORKING: Final[set[Callable[..., HttpResponseBase]]] = set()


def _make_page(view: Callable[..., HttpResponseBase], *, for_whole_org: bool) -> Callable[..., HttpResponseBase]:
    @wraps(view)
    def page(request: HttpRequest, slug: str, **parts: str) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return _ask_to_sign_in(request)
        try:
            actor = access_org(request.user, slug, is_fresh=was_recently_confirmed(request, request.user))
            actor.check_method(request.method)
            if for_whole_org:
                actor.check(Permission.READ)
            if request.method == "POST":
                if actor.org.is_read_only and view not in _WORKING:
                    raise PaymentRequired(_READ_ONLY)
                # Before the page reads its row: of two who save one form in the same moment, the second then sees what
                # the first has saved.
                try:
                    take_turn(request.path)
                except Conflict as error:
                    messages.error(request, error.message, extra_tags="bad")
                    return redirect(_path_of(request.headers.get("Referer", ""), request))
            with timezone.override(ZoneInfo(actor.org.time_zone)):
                response = view(request, actor, **parts)
        except (NotFound, Forbidden, PaymentRequired) as error:
            response = refuse(request, error)
        response.headers["Cache-Control"] = "private, no-store"
        return response

    return page


def refuse(request: HttpRequest, error: AppError) -> HttpResponse:
    """What somebody sees who may not open a page, or not yet. Raises Http404 for what is not there."""
    if isinstance(error, NotFound):
        raise Http404 from error
    if isinstance(error, SecondFactorMissing):
        return redirect("mfa_index")
    if isinstance(error, StaleSession):
        # Back to the page with the form: what was typed stands there, and is not done by a link.
        if request.method == "POST":
            keep_typed(request)
        back = _path_of(request.headers.get("Referer", ""), request)
        return redirect_to_login(back, reverse("account_reauthenticate"))
    title = "Nothing was changed" if isinstance(error, PaymentRequired) else ""
    return render(request, "403.html", {"title": title, "message": error.message}, status=error.http_status)


# A password's hash takes a while: no transaction, and so no connection, waits for it.
@transaction.non_atomic_requests
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """The form, and its answer. A person who is signed in is sent on."""
    target = safe_target(request)
    if request.user.is_authenticated:
        return redirect(target)
    email, error, status = "", "", 200
    headers: dict[str, str] = {}
    if request.method == "POST":
        # PostgreSQL knows no NUL.
        email = request.POST.get("email", "").replace("\x00", "\ufffd").strip().lower()
        try:
            user = find_user(request, email, request.POST.get("password", ""))
        except TooManyTries as refused:
            error, status, headers["Retry-After"] = refused.message, refused.http_status, str(refused.seconds)
        else:
            if user is not None:
                with transaction.atomic():
                    return begin_session(request, user, target)
            error, status = NO_MATCH, 400
    context = {
        "email": email,
        "error": error,
        "next": target,
        "is_open": settings.SIGN_UP == "open",
        # where a passkey's form leads
        "redirect_field": format_html('<input type="hidden" name="next" value="{}">', target),
    }
    response = render(request, "console/sign_in.html", context, status=status)
    for name, value in headers.items():
        response.headers[name] = value
    response.headers["Cache-Control"] = "private, no-store"
    return response


def begin_session(request: HttpRequest, user: User, target: str) -> HttpResponse:
    """Go on to what else is asked of a person whose password was right: a second factor, an address to confirm; then
    to ``target``."""
    login = Login(user=user, redirect_url=target, email=user.email)
    answer: HttpResponse = perform_password_login(request, {"email": user.email}, login)
    return answer


@require_http_methods(["GET", "HEAD", "POST"])
def find_sign_on_page(request: HttpRequest) -> HttpResponse:
    """Single sign-on: from an address to the provider of its domain. A link leads there, because a form may not."""
    email = request.POST.get("email", "").strip().lower()
    found = list_sign_ons(email) if request.method == "POST" else []
    error = "" if found or request.method != "POST" else "No organisation here has single sign-on for that address."
    context = {"email": email, "sign_ons": found, "error": error, "next": safe_target(request)}
    return render(request, "account/sign_on.html", context, status=400 if error else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def reauthenticate(request: HttpRequest) -> HttpResponseBase:
    """Ask somebody again who they are. Who has neither password nor second factor signs in again instead: by the
    provider of their domain, or by choosing a password."""
    if not request.user.is_authenticated or get_reauthentication_flows(request.user):
        return account.reauthenticate(request)  # type: ignore[no-any-return]
    context = {"sign_ons": list_sign_ons(request.user.email), "next": safe_target(request)}
    return render(request, "account/sign_in_again.html", context)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    get_adapter(request).logout(request)
    return redirect(safe_target(request, "/login"))


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """On to a person's first organisation."""
    if not request.user.is_authenticated:
        return _ask_to_sign_in(request)
    memberships = list_memberships(request.user)
    if memberships:
        # By name anybody could put themselves before: everybody may make one a member of an organisation of any name.
        first = min(memberships, key=lambda one: one.created_at)
        return redirect(find_start(first))
    return redirect("new-organization")


def safe_target(request: HttpRequest, default: str = "/") -> str:
    """Where a person wants to go next, if that is on this site."""
    target = request.POST.get("next") or request.GET.get("next") or default
    is_ours = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if is_ours else default


def _ask_to_sign_in(request: HttpRequest) -> HttpResponse:
    response = redirect_to_login(request.get_full_path(), "/login")
    if getattr(request, "htmx", False):
        # htmx would follow the redirect and put the form into the middle of the page.
        current = request.headers.get("HX-Current-URL", "")
        to_here = redirect_to_login(_path_of(current, request), "/login")
        return HttpResponse(status=204, headers={"HX-Redirect": to_here.url})
    return response


def _path_of(address: str, request: HttpRequest) -> str:
    prefix = f"{request.scheme}://{request.get_host()}"
    return address.removeprefix(prefix) if address.startswith(prefix + "/") else "/"
