"""The console's page of a model that a provider has trained: how far it is trusted, and what finds that out."""

from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from costhub.console.acts import Act
from costhub.console.forms import Field, Form
from costhub.console.pages import show_form
from costhub.console.sign_in import org_page
from costhub.console.stages import change_stage, make_retire_act, make_route_field, make_stage_acts
from proxy.learning.choices import JobState, Stage
from proxy.learning.distilled_routes import look_around, name_route
from proxy.learning.models import ProviderTuning
from proxy.learning.provider_trials import (
    list_warnings,
    retire_provider_model,
    serve_provider_model,
    set_stage,
)
from tenants.access import Actor, access_row
from tenants.choices import Permission

_LEAD: Final = (
    "It is asked on paper what its teacher was asked on calls that are kept. Each of these answers is a call like any"
    " other, paid with the key that you give, up to the cap."
)


@require_http_methods(["GET", "POST"])
@org_page
def provider_trials(request: HttpRequest, actor: Actor, tuning_id: str) -> HttpResponse:
    """The page, with a form that has it compared. Who may not change settings sees it without."""
    actor.check(Permission.READ_MONEY)
    row = _access(actor, tuning_id)
    if request.method == "POST":
        actor.check(Permission.WRITE_SETTINGS)
    can_change = (
        actor.may(Permission.WRITE_SETTINGS) and row.state == JobState.DONE.value and row.stage != Stage.WITHDRAWN.value
    )
    form = _make_form(row) if can_change else None
    if request.method == "POST" and form and form.submit(request, actor, lambda form: _serve(actor, row, form)):
        return redirect("provider-trials", slug=actor.org.slug, tuning_id=str(row.pk))
    more: dict[str, Any] = {
        "row": row,
        "warnings": list_warnings(row, look_around(actor)),
        "acts": _acts(actor, row) if can_change else [],
        "submit_label": "Compare it",
        "lead": _LEAD,
        "template": "console/provider_trials.html",
    }
    return show_form(request, actor, "learning", "Learning", form, f"Trials of {row.name}", **more)


@require_POST
@org_page
def change_provider_trials(request: HttpRequest, actor: Actor, tuning_id: str) -> HttpResponse:
    """The buttons of the page: another stage, or compared no longer."""
    row = _access(actor, tuning_id)
    change_stage(
        request,
        actor,
        row.name,
        move=lambda stage: set_stage(actor=actor, tuning=row, stage=stage),
        retire=lambda: retire_provider_model(actor=actor, tuning=row),
        retired="is compared no longer",
    )
    return redirect("provider-trials", slug=actor.org.slug, tuning_id=str(row.pk))


def _access(actor: Actor, tuning_id: str) -> ProviderTuning:
    rows = ProviderTuning.objects.filter(org=actor.org).select_related("version__dataset")
    return access_row(rows, actor, tuning_id)


def _make_form(row: ProviderTuning) -> Form:
    fields = [
        Field("api_key", "API key that it is asked with", "password", help="It is sealed.", is_required=True, most=200),
        Field("cap", "USD that comparisons may cost at the most", is_required=True, most=20),
        make_route_field("It must have a price, and be cheaper than its teacher."),
    ]
    return Form(fields, {"route": name_route("", row.route, row.teacher)})


def _serve(actor: Actor, row: ProviderTuning, form: Form) -> ProviderTuning:
    return serve_provider_model(
        actor=actor, tuning=row, api_key=form.text("api_key"), cap_nanos=form.money("cap"), route=form.text("route")
    )


def _acts(actor: Actor, row: ProviderTuning) -> list[Act]:
    address = reverse("change-provider-trials", args=[actor.org.slug, row.pk])
    acts = make_stage_acts(address, row.stage)
    if row.route:
        gone = "Its route goes, with the name that calls have for it; its model stays."
        acts.append(make_retire_act(address, "Compare it no longer", gone))
    return acts
