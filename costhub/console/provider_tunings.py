"""The console's pages of trainings at a provider: asked for by a form, and watched as the provider tells of them."""

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from costhub.console.forms import Field, Form
from costhub.console.frame import frame
from costhub.console.pages import show_form
from costhub.console.sign_in import org_page
from costhub.console.trainings import UNDER_WAY, list_version_choices
from costhub.lib.errors import InvalidField
from proxy.learning.models import DatasetVersion, ProviderTuning
from proxy.learning.provider_tuning import create_provider_tuning, price_tokens
from tenants.access import Actor, access_named, access_row, find_row
from tenants.choices import Permission, UpstreamKind
from tenants.models import Project, Upstream
from tenants.selectors import list_projects, list_upstreams

_KINDS: Final = (UpstreamKind.OPENAI.value, UpstreamKind.OPENAI_COMPATIBLE.value)
_LEAD: Final = (
    "What people said in the version's examples leaves for this provider. What it may cost at most is held in the"
    " project's budgets before anything is sent."
)


@require_http_methods(["GET", "POST"])
@org_page
def new_provider_tuning(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of a training at a provider."""
    actor.check(Permission.WRITE_SETTINGS)
    form = Form(_fields(actor), {"epochs": "3"})
    if request.method == "POST":
        made = form.submit(request, actor, lambda form: _create(actor, form))
        if made is not None:
            return redirect("provider-tuning", slug=actor.org.slug, tuning_id=str(made.pk))
    title = "New training at a provider"
    return show_form(request, actor, "learning", "Learning", form, title, submit_label="Send it", lead=_LEAD)


@require_GET
@org_page
def provider_tuning(request: HttpRequest, actor: Actor, tuning_id: str) -> HttpResponse:
    """How far it is by the provider's own words; the part that changes comes anew by itself while it is under way."""
    actor.check(Permission.READ_MONEY)
    rows = ProviderTuning.objects.filter(org=actor.org).select_related("version__dataset")
    row = access_row(rows, actor, tuning_id)
    context = {
        **frame(request, actor, "learning"),
        "row": row,
        "most": price_tokens(row.most_tokens, row.per_million_nanos),
        "upstream": Upstream.objects.filter(org=actor.org, pk=row.upstream_id).first(),
        "project": Project.objects.filter(org=actor.org, pk=row.project_id).first(),
        "is_under_way": row.state in UNDER_WAY,
        "can_change": actor.may(Permission.WRITE_SETTINGS),
        "address": reverse("provider-tuning", args=[actor.org.slug, row.pk]),
    }
    part = getattr(request, "htmx", False)
    return render(request, "console/_provider_tuning.html" if part else "console/provider_tuning.html", context)


def _fields(actor: Actor) -> list[Field]:
    upstreams = list_upstreams(actor).filter(kind__in=_KINDS).order_by("name")
    projects = list_projects(actor).order_by("name")
    return [
        Field("name", "Name of the model that comes of it", is_required=True, most=200),
        Field("version", "Version of a dataset", "select", choices=list_version_choices(actor)),
        Field("upstream", "Provider", "select", choices=[(str(each.pk), each.name) for each in upstreams]),
        Field("base_model", "The provider's model that is trained", is_required=True, most=200),
        Field("project", "Project that pays", "select", choices=[(str(each.pk), each.name) for each in projects]),
        Field(
            "per_million",
            "USD for a million trained tokens",
            help="As the provider's price list says it. All of it is held first, and what the provider counts is"
            " charged.",
            is_required=True,
            most=20,
        ),
        Field("epochs", "How often each example is learned from", is_required=True, most=3),
    ]


def _create(actor: Actor, form: Form) -> ProviderTuning:
    version = find_row(DatasetVersion.objects.select_related("dataset"), actor, form.text("version"))
    if version is None:
        raise InvalidField("Choose a version of a dataset.", field="version")
    return create_provider_tuning(
        actor=actor,
        version=version,
        upstream=access_named(list_upstreams(actor), actor, form.text("upstream"), field="upstream"),
        project=access_named(Project.objects.all(), actor, form.text("project"), field="project"),
        name=form.text("name"),
        base_model=form.text("base_model"),
        per_million_nanos=form.money("per_million"),
        epochs=form.whole("epochs"),
    )
