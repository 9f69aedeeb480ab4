"""What an invitation's link leads to."""

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from costhub.lib.errors import AppError, NotFound
from tenants.actions.invitations import accept_invitation, find_open_invitation
from tenants.choices import PERMISSIONS, Role


@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, secret: str) -> HttpResponse:
    """Who invites, as what; for somebody who is signed in, a button. Opening it accepts nothing: scanners of mails
    open links too."""
    try:
        found = find_open_invitation(secret)
    except NotFound as error:
        return _answer(request, {"error": error.message}, 404)
    role = Role(found.role)
    context = {
        "invitation": found,
        "org": found.org,
        "may": sorted(PERMISSIONS[role]),
        "is_theirs": request.user.is_authenticated and request.user.email == found.email,
    }
    if request.method != "POST":
        return _answer(request, context, 200)
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path(), "/login")
    try:
        membership = accept_invitation(secret=secret, user=request.user)
    except AppError as error:
        return _answer(request, context | {"error": error.message}, error.http_status)
    if membership.suspended_at is not None:
        told = (
            f"You are a member of {found.org.name} already, but suspended: ask an owner or admin to let you in again."
        )
        return _answer(request, {"error": told}, 403)
    # Who needs a second factor first is led from there to its set-up.
    return redirect("welcome", slug=found.org.slug)


def _answer(request: HttpRequest, context: dict[str, object], status: int) -> HttpResponse:
    response = render(request, "console/invitation.html", context, status=status)
    response.headers["Cache-Control"] = "private, no-store"
    # The address holds the secret: it goes along to nobody.
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
