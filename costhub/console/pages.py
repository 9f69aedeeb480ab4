"""How pages of lists and forms are answered: an address that cannot be read says what to give, above the list as it
is."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from costhub.console.forms import Form
from costhub.console.frame import frame
from costhub.console.lists import Listing
from costhub.console.typed import put_typed_back
from costhub.lib.errors import InvalidField
from tenants.access import Actor

#: what the address of a form says that was opened from the steps of a first call
STEP: Final = "step"


def show_list(
    request: HttpRequest,
    actor: Actor,
    template: str,
    section: str,
    make: Callable[[Mapping[str, str]], Listing],
    context: Mapping[str, Any],
) -> HttpResponse:
    """A page of a list. ``make`` gives the listing that the address asks for."""
    params, error = request.GET.dict(), ""
    try:
        listing = make(params)
    except InvalidField as found:
        params, error = {}, found.message
        listing = make(params)
    shown = {**frame(request, actor, section), **context, "listing": listing, "params": params, "error": error}
    return render(request, template, shown, status=400 if error else 200)


def lead_on(request: HttpRequest, actor: Actor, usual: str) -> HttpResponse:
    """Where a form leads that has done its work: back to the steps of a first call, if it was opened from there."""
    return redirect(reverse("welcome", args=[actor.org.slug]) + "#steps-title" if STEP in request.GET else usual)


def show_form(
    request: HttpRequest,
    actor: Actor,
    section: str,
    back_label: str,
    form: Form | None,
    title: str,
    *,
    template: str = "console/form.html",
    back: str = "",
    **more: Any,
) -> HttpResponse:
    """A page with a form of a section, which leads back to the section's list, or to the steps of a first call.
    ``more`` is for the template."""
    if form is not None and request.method == "GET":
        put_typed_back(request, form)
    if STEP in request.GET:
        back, back_label = reverse("welcome", args=[actor.org.slug]), "Your first call"
    context = {
        **frame(request, actor, section),
        "title": title,
        "back": back or reverse(section, args=[actor.org.slug]),
        "back_label": back_label,
        "form": form,
        "is_step": STEP in request.GET,
        **more,
    }
    return render(request, template, context, status=form.status if form else 200)
