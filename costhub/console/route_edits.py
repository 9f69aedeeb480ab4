"""The console's pages on which a route is made, changed and removed; the list of them is the page of routes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from billing.routes.playground import plan_request
from billing.routes.selectors import read_thresholds
from billing.spend.core.chart import make_band_chart
from billing.spend.core.ranges import read_range
from costhub.console.acts import try_to
from costhub.console.forms import Field, Form, check_confirmed
from costhub.console.frame import make_link
from costhub.console.pages import show_form
from costhub.console.policies import removal
from costhub.console.route_forms import (
    KINDS,
    count_slots,
    find_slot,
    first_values,
    read_route,
    route_fields,
    values_of,
)
from costhub.console.sign_in import org_page
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from tenants.access import Actor, access_row
from tenants.actions.routes import create_route, delete_route, update_route
from tenants.choices import Permission, RouteKind
from tenants.models import Route
from tenants.selectors import list_routes

_MOST_TRIED = 20_000
_SAMPLE = Field(
    "sample",
    "A question to try it on",
    "textarea",
    help="Planned as a call is, as if nothing were spent yet, and never sent.",
    placeholder="What is the capital of France?",
    most=_MOST_TRIED,
)


@require_http_methods(["GET", "POST"])
@org_page
def new_route(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of a route; the address says of which kind."""
    actor.check(Permission.WRITE_SETTINGS)
    kind = _kind_of(request, RouteKind.FIXED)
    slots = count_slots(kind, 0)
    name = Field("name", "Name", is_required=True, help="Applications ask for it as for a model.", most=200)
    form = Form([name, *route_fields(actor, kind, slots), _SAMPLE], first_values(kind) | _read_models(request, slots))

    def create(form: Form) -> Route:
        return create_route(actor=actor, name=form.text("name"), **read_route(form, kind, slots))

    return _answer(request, actor, form, kind, create, "New route", submit_label="Create route")


@require_http_methods(["GET", "POST"])
@org_page
def edit_route(request: HttpRequest, actor: Actor, route_id: str) -> HttpResponse:
    """A route's form, and its end. A change of anything is a new version."""
    actor.check(Permission.WRITE_SETTINGS)
    row = access_row(list_routes(actor), actor, route_id)
    kind = _kind_of(request, RouteKind(row.kind))
    slots = count_slots(kind, len(row.policy["targets"]))
    form = Form([*route_fields(actor, kind, slots, row), _SAMPLE], values_of(row, kind), is_edit=True)
    gone = "Nobody can ask for it any more, and its versions go with it."
    acts = [removal(actor, "remove-route", row.pk, "Remove this route", gone, confirm=row.name)]

    def update(form: Form) -> Route:
        return update_route(actor=actor, route=row, **read_route(form, kind, slots))

    is_cascade = kind is RouteKind.CASCADE and row.kind == kind
    draw = partial(_draw_thresholds, actor, row) if is_cascade else None
    return _answer(request, actor, form, kind, update, row.name, draw, acts=acts)


@require_POST
@org_page
def remove_route(request: HttpRequest, actor: Actor, route_id: str) -> HttpResponse:
    """Nobody can ask for it any more."""
    row = access_row(list_routes(actor), actor, route_id)

    def act() -> None:
        check_confirmed(request, row.name)
        delete_route(actor=actor, route=row)

    if try_to(request, actor, f"The route {row.name} is removed.", act):
        return redirect("routes", slug=actor.org.slug)
    return redirect("edit-route", slug=actor.org.slug, route_id=str(row.pk))


def _draw_thresholds(actor: Actor, row: Route) -> dict[str, Any] | None:
    """What the cascade's calls of thirty days would have come to with each confidence; None where there are none, or
    one of its models has no price any more."""
    now = clock.now()
    span = read_range({"range": "30d"}, now, actor.org.time_zone)
    try:
        found = read_thresholds(actor, row, span.start, span.end)
    except InvalidField:
        return None
    if not found.calls:
        return None
    bands = [(point.then.low, point.then.high) for point in found.points]
    shares = [point.right_per_mille for point in found.points if point.right_per_mille is not None]
    chart = make_band_chart(bands, shares)
    steps = [
        {"point": point, "place": place, "percent": point.confidence_percent, "saved": found.saved(point)}
        for point, place in zip(found.points, chart.places, strict=True)
    ]
    now_percent = found.confidence_percent if found.decides else None
    shown = {"template": "console/_thresholds.html", "table": "console/_thresholds_table.html"}
    return {**shown, "report": found, "chart": chart, "steps": steps, "now": now_percent}


def _read_models(request: HttpRequest, slots: int) -> dict[str, str]:
    """The models that the address proposes, as a saving on the first page does."""
    names = ["baseline", *(f"model_{place}" for place in range(1, slots + 1))]
    return {name: request.GET[name] for name in names if request.GET.get(name)}


def _kind_of(request: HttpRequest, usual: RouteKind) -> RouteKind:
    asked = request.POST.get("kind") or request.GET.get("kind", "")
    return RouteKind(asked) if asked in set(RouteKind) else usual


def _answer(
    request: HttpRequest,
    actor: Actor,
    form: Form,
    kind: RouteKind,
    act: Any,
    title: str,
    draw: Callable[[], dict[str, Any] | None] | None = None,
    **more: Any,
) -> HttpResponse:
    """Save what was sent, or only show where the question would go. ``draw``: the thresholds, for a page alone."""

    def save(form: Form) -> Route:
        try:
            return act(form)  # type: ignore[no-any-return]
        except InvalidField as error:
            raise find_slot(error, form) from error

    plan: dict[str, Any] | None = None
    if request.method == "POST" and "preview" in request.POST:
        plan = form.try_out(request, lambda form: _plan(actor, form, save(form)))
    elif request.method == "POST" and form.submit(request, actor, save) is not None:
        return redirect("routes", slug=actor.org.slug)
    if draw and (curve := draw()):
        form.curves = {"confidence_percent": curve}
    kinds = [
        {"name": each.value, "link": make_link(request, {}, kind=each.value), "is_current": each is kind}
        for each in KINDS
    ]
    return show_form(
        request,
        actor,
        "routes",
        "Routes",
        form,
        title,
        template="console/route_form.html",
        preview_label="Where would it go?",
        kinds=kinds,
        about_kind=KINDS[kind],
        plan=plan,
        **more,
    )


def _plan(actor: Actor, form: Form, row: Route) -> dict[str, Any]:
    if not form.text("sample"):
        raise InvalidField("Type a question to try it on.", field="sample")
    body = {"model": row.name, "messages": [{"role": "user", "content": form.text("sample")}]}
    return plan_request(actor, orjson.dumps(body), {})
