"""The first two minutes: an organisation, a key that is shown once, a call to paste, and what is still to be done."""

from functools import partial
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods

from billing.spend.selectors import list_requests
from costhub.console.forms import Field, Form
from costhub.console.frame import frame, list_snippets, render_page
from costhub.console.pages import STEP
from costhub.console.sign_in import member_page
from costhub.lib.database import take_turn
from costhub.lib.errors import Conflict
from tenants.access import Actor, list_memberships
from tenants.actions.orgs import create_organization
from tenants.choices import Permission
from tenants.onboarding import Step, StepName, find_callable_model, find_unpriced_model, list_steps

#: organisations that one person may make; whoever needs more asks the operator
MOST_OWN: Final = 5
_SESSION_KEY: Final = "first_key"
#: the form that does each step
_FORMS: Final = {
    StepName.KEY: "new-key",
    StepName.UPSTREAM: "new-upstream",
    StepName.MODEL: "new-model",
    StepName.PRICE: "new-price",
    StepName.BUDGET: "new-budget",
}


@require_http_methods(["GET", "HEAD", "POST"])
def new_organization(request: HttpRequest) -> HttpResponse:
    """A name is all that an organisation needs."""
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path(), "/login")
    user = request.user
    form = Form([Field("name", "Name")])
    if request.method == "POST":
        # Of two forms that were sent in one moment the second counts what the first has made.
        try:
            take_turn(f"organizations of {user.pk}")
        except Conflict as error:
            form.note(error)
    memberships = list_memberships(user)
    is_open = settings.SIGN_UP == "open" and len([one for one in memberships if one.role == "owner"]) < MOST_OWN
    if request.method == "POST" and is_open and not form.wrong:
        made = form.submit(
            request,
            None,
            lambda form: create_organization(name=form.text("name"), acting_name=user.email, owner=user),
        )
        if made is not None:
            # Shown once, on the page that this leads to; it is in no address and in no log.
            request.session[_SESSION_KEY] = [str(made.org.pk), made.api_key]
            return redirect("welcome", slug=made.org.slug)
    context = {"form": form, "is_open": is_open, "memberships": memberships}
    response = render(request, "console/new_organization.html", context, status=form.status)
    response.headers["Cache-Control"] = "private, no-store"
    return response


@require_http_methods(["GET", "HEAD"])
@member_page
def welcome(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What is there, what is still to be done, and a call to paste. A new key stands here once; the first call arrives
    while somebody looks."""
    is_fragment = bool(getattr(request, "htmx", False))
    key = "" if is_fragment else _take_key(request, actor)
    sees_calls = actor.may(Permission.READ_MONEY)
    context: dict[str, Any] = {
        **frame(request, actor, "welcome"),
        "steps": [(step, _find_form(actor, step)) for step in list_steps(actor)],
        "new_key": key,
        "model": find_callable_model(actor),
        "sees_calls": sees_calls,
        "newest": next(iter(list_requests(actor, limit=1).calls), None) if sees_calls else None,
    }
    if key:
        context["snippets"] = partial(list_snippets, request, actor, key)
    return render_page(request, "console/welcome.html", "console/_welcome.html", context)


def _take_key(request: HttpRequest, actor: Actor) -> str:
    org_id, key = request.session.get(_SESSION_KEY, ["", ""])
    if org_id != str(actor.org.pk):
        return ""
    del request.session[_SESSION_KEY]
    return str(key)


def _find_form(actor: Actor, step: Step) -> str:
    """The address of the form that does a step, if the actor may, and leads back here. A key is made in a project, the
    rest for all; a price first for a model that has none."""
    may = actor.may_anywhere(step.permission) if step.name is StepName.KEY else actor.may(step.permission)
    if not may:
        return ""
    chosen = {"model": find_unpriced_model(actor) or ""} if step.name is StepName.PRICE else {}
    query = {STEP: "yes"} | {name: value for name, value in chosen.items() if value}
    return f"{reverse(_FORMS[step.name], args=[actor.org.slug])}?{urlencode(query)}"
