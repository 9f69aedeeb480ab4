"""Signing in and out, and the way to one's first organisation."""

from collections.abc import Callable
from functools import wraps
from typing import Final
from zoneinfo import ZoneInfo

from django.contrib.auth import authenticate, login, logout
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from costhub.lib.errors import Forbidden, NotFound
from tenants.access import access_org, list_memberships

# One text whatever was wrong, so that it tells nobody who has an account.
NO_MATCH: Final = "That e-mail address and password do not match. Check both and try again."


def org_page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Make ``view(request, actor, ...)`` a page below an organisation's slug: signed in, through the door, in the
    organisation's time zone, kept by no cache. What does not exist and what belongs to somebody else give one 404.
    """

    @wraps(view)
    def page(request: HttpRequest, slug: str, **parts: str) -> HttpResponse:
        if not request.user.is_authenticated:
            return _ask_to_sign_in(request)
        try:
            actor = access_org(request.user, slug)
            with timezone.override(ZoneInfo(actor.org.time_zone)):
                response = view(request, actor, **parts)
        except NotFound as error:
            raise Http404 from error
        except Forbidden as error:
            response = render(request, "403.html", {"message": error.message}, status=403)
        response.headers["Cache-Control"] = "private, no-store"
        return response

    return page


@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """The form, and its answer. A person who is signed in is sent on."""
    target = request.POST.get("next") or request.GET.get("next") or "/"
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        target = "/"
    if request.user.is_authenticated:
        return redirect(target)
    email, error, status = "", "", 200
    if request.method == "POST":
        # PostgreSQL knows no NUL.
        email = request.POST.get("email", "").replace("\x00", "\ufffd").strip().lower()
        user = authenticate(request, email=email, password=request.POST.get("password", ""))
        if user is not None:
            login(request, user)
            return redirect(target)
        error, status = NO_MATCH, 400
    context = {"email": email, "error": error, "next": target}
    response = render(request, "tenants/login.html", context, status=status)
    response.headers["Cache-Control"] = "private, no-store"
    return response


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    logout(request)
    return redirect("sign-in")


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """On to a person's first organisation."""
    if not request.user.is_authenticated:
        return _ask_to_sign_in(request)
    memberships = list_memberships(request.user)
    if memberships:
        return redirect("overview", slug=memberships[0].org.slug)
    return render(request, "tenants/no_organization.html")


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
