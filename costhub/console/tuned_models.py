"""The console's page of a tuned model: what it can, how far it is trusted, and where it is served."""

from collections.abc import Iterator
from typing import Any, Final, cast

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from costhub.console.acts import Act, try_to
from costhub.console.forms import Field, Form
from costhub.console.pages import show_form
from costhub.console.sign_in import org_page, works_when_read_only
from costhub.console.stages import change_stage, make_retire_act, make_route_field, make_stage_acts
from costhub.lib.errors import InvalidField
from proxy.learning.api.tuned_models import TAR, send_parts
from proxy.learning.choices import Stage, TunedState
from proxy.learning.distilled_routes import look_around, name_route
from proxy.learning.evaluation import Share
from proxy.learning.lora.deployment import deploy_tuned, export_merged, export_tuned, retire_tuned
from proxy.learning.lora.economy import read_agreement, read_economy
from proxy.learning.lora.trials import list_warnings, set_stage
from proxy.learning.models import TunedModel
from tenants.access import Actor, access_row
from tenants.choices import Permission
from tenants.models import LanguageModel

_MERGED: Final = "merged"
_WEIGHTS: Final = {
    "adapter": ("Take its adapter out", "An archive of peft's two files, and llama.cpp's where there is one."),
    _MERGED: ("Take the whole model out", "Its base with the adapter in it, where the base lies on this machine."),
}


@require_http_methods(["GET", "POST"])
@org_page
def tuned_model(request: HttpRequest, actor: Actor, tuned_id: str) -> HttpResponse:
    """The page, with a form that serves it. Who may not change settings sees it without."""
    actor.check(Permission.READ_MONEY)
    row = _access(actor, tuned_id)
    if request.method == "POST":
        actor.check(Permission.WRITE_SETTINGS)
    can_change = actor.may(Permission.WRITE_SETTINGS) and row.stage != Stage.WITHDRAWN.value
    form = _make_form(row) if can_change else None
    if request.method == "POST" and form and form.submit(request, actor, lambda form: _deploy(actor, row, form)):
        return redirect("tuned-model", slug=actor.org.slug, tuned_id=str(row.pk))
    model = LanguageModel.objects.filter(org=actor.org, name=row.model).first() if row.model else None
    more: dict[str, Any] = {
        "tuned": row,
        "warnings": list_warnings(row, look_around(actor)),
        "teacher": row.job.version.dataset.teacher,
        "agreement": (agreement := read_agreement(row)),
        "interval": {"tuned": _tell_interval(agreement.tuned), "base": _tell_interval(agreement.base)},
        "economy": (economy := read_economy(actor, row)),
        "per_success": economy.per_success,
        "is_served": model is not None and model.is_active,
        "acts": _acts(actor, row, is_served=model is not None and model.is_active) if can_change else [],
        "submit_label": "Serve it",
    }
    return show_form(
        request, actor, "learning", "Learning", form, row.name, template="console/tuned_model.html", **more
    )


@require_POST
@org_page
def change_tuned(request: HttpRequest, actor: Actor, tuned_id: str) -> HttpResponse:
    """The buttons of the page: another stage, or served no longer."""
    row = _access(actor, tuned_id)
    change_stage(
        request,
        actor,
        row.name,
        move=lambda stage: set_stage(actor=actor, tuned=row, stage=stage),
        retire=lambda: retire_tuned(actor=actor, tuned=row),
        retired="answers no calls any more",
    )
    return redirect("tuned-model", slug=actor.org.slug, tuned_id=str(row.pk))


@require_POST
@org_page
@works_when_read_only
def export_files(request: HttpRequest, actor: Actor, tuned_id: str) -> HttpResponse:
    """Its files as an archive, for whoever has signed in a moment ago: weights may say what they were taught. By a
    button, since the audit log tells of it."""
    actor.check(Permission.WRITE_SETTINGS)
    actor.check_fresh()
    row = access_row(TunedModel.objects.filter(org=actor.org), actor, tuned_id)
    weights = request.POST.get("weights", "")
    parts: list[bytes | Iterator[bytes]] = []

    def act() -> None:
        if weights not in _WEIGHTS:
            raise InvalidField(f"Give one of {', '.join(_WEIGHTS)}.", field="weights")
        if weights == _MERGED:
            parts.append(export_merged(actor=actor, tuned=row))
        else:
            parts.append(export_tuned(actor=actor, tuned=row))

    if not try_to(request, actor, "", act):
        return redirect("tuned-model", slug=actor.org.slug, tuned_id=str(row.pk))
    made = parts[0]
    # Pages know one kind of answer; what is sent piece by piece has all that they use of it.
    response = (
        HttpResponse(made, content_type=TAR)
        if isinstance(made, bytes)
        else cast(HttpResponse, StreamingHttpResponse(send_parts(made), content_type=TAR))
    )
    response.headers["Content-Disposition"] = f'attachment; filename="tuned-{row.pk}-{weights}.tar"'
    return response


def _access(actor: Actor, tuned_id: str) -> TunedModel:
    rows = TunedModel.objects.filter(org=actor.org).select_related("job__version__dataset")
    return access_row(rows.defer("adapter", "served"), actor, tuned_id)


def _tell_interval(share: Share | None) -> str:
    return f" ({share.low:.1%} to {share.high:.1%})" if share is not None else ""


def _make_form(row: TunedModel) -> Form:
    fields = [
        Field("input_per_million", "USD for a million tokens that it reads", is_required=True, most=20),
        Field("output_per_million", "USD for a million tokens that it writes", is_required=True, most=20),
        make_route_field(
            "It must be cheaper than its teacher. Empty: the one that it has, or none; calls reach it by its own name"
            " too."
        ),
    ]
    return Form(fields, {"route": name_route("", row.route, row.job.version.dataset.teacher)})


def _deploy(actor: Actor, row: TunedModel, form: Form) -> TunedModel:
    prices = {}
    for name in ("input_per_million", "output_per_million"):
        price = form.decimal(name)
        if price is None:
            raise InvalidField("Fill this in.", field=name)
        prices[name] = price
    return deploy_tuned(actor=actor, tuned=row, route=form.text("route"), **prices)


def _acts(actor: Actor, row: TunedModel, *, is_served: bool) -> list[Act]:
    address = reverse("change-tuned", args=[actor.org.slug, row.pk])
    acts = make_stage_acts(address, row.stage)
    if row.state == TunedState.READY.value:
        export = reverse("export-tuned", args=[actor.org.slug, row.pk])
        acts += [
            Act(label, export, "Download", text, hidden=[("weights", weights)])
            for weights, (label, text) in _WEIGHTS.items()
        ]
    if is_served:
        gone = "Calls to its model are refused, and its route goes, with the name that calls have for it."
        acts.append(make_retire_act(address, "Serve it no longer", gone))
    return acts
