"""The console's pages of what an upstream costs beside its prices: hours of GPUs, and its provider's bill."""

from decimal import Decimal
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from billing.bills.actions import connect_bill, disconnect_bill
from billing.bills.selectors import list_sources
from billing.gpu.actions import create_endpoint, end_endpoint
from billing.gpu.choices import Basis
from billing.gpu.models import GpuEndpoint
from costhub.console.acts import Act, try_to
from costhub.console.forms import Field, Form, check_confirmed
from costhub.console.pages import show_form
from costhub.console.sign_in import org_page
from costhub.lib.errors import InvalidField
from tenants.access import Actor, access_named, access_row, find_row
from tenants.choices import Permission
from tenants.models import Project, Upstream, UpstreamEndpoint
from tenants.selectors import list_endpoints, list_projects, list_upstreams

_BASES: Final = {
    Basis.ALLOCATION: "The whole hour, idle or not",
    Basis.USAGE: "The part of it in which calls ran",
}


@require_http_methods(["GET", "POST"])
@org_page
def new_gpu_hours(request: HttpRequest, actor: Actor, upstream_id: str) -> HttpResponse:
    """The form of GPUs that an upstream, or one server of it, is charged for by the hour."""
    actor.check(Permission.WRITE_MONEY)
    row = access_row(list_upstreams(actor), actor, upstream_id)
    servers = list_endpoints(actor).filter(upstream=row).order_by("base_url")
    projects = [(str(one.pk), one.name) for one in list_projects(actor).order_by("name")]
    fields = [
        Field("name", "Name", is_required=True, placeholder="two H100", most=120),
        Field("gpus", "GPUs", is_required=True, help="Parts of one, too, such as 0.5.", most=20),
        Field("per_hour", "A GPU and hour, USD", is_required=True, placeholder="2.50", most=40),
        Field("basis", "Charged is", "select", choices=[(each.value, text) for each, text in _BASES.items()]),
        Field("project", "The project that bears idle time", "select", choices=projects),
        Field(
            "server",
            "Whose they are",
            "select",
            choices=[("", "All of the upstream's"), *((str(one.pk), one.name or one.base_url) for one in servers)],
        ),
        Field("starts_at", "From", "datetime-local", help="Left empty: from now on."),
    ]
    form = Form(fields, {"gpus": "1"})
    if request.method == "POST" and form.submit(request, actor, lambda form: _charge(actor, row, form)) is not None:
        return redirect("upstream", slug=actor.org.slug, upstream_id=str(row.pk))
    title = f"GPUs of {row.name} by the hour"
    return _show(request, actor, row, form, title, "Its models have no price by the token meanwhile.")


@require_POST
@org_page
def end_gpu_hours(request: HttpRequest, actor: Actor, upstream_id: str, gpu_id: str) -> HttpResponse:
    """The GPUs are given back now."""
    actor.check(Permission.WRITE_MONEY)
    row = access_row(list_upstreams(actor), actor, upstream_id)
    endpoint = access_row(GpuEndpoint.objects.filter(org=actor.org, upstream=row.pk), actor, gpu_id)
    done = f"{endpoint.name} is charged no more."

    def act() -> None:
        check_confirmed(request, endpoint.name)
        end_endpoint(actor=actor, endpoint=endpoint)

    try_to(request, actor, done, act)
    return redirect("upstream", slug=actor.org.slug, upstream_id=str(row.pk))


@require_http_methods(["GET", "POST"])
@org_page
def bill_source(request: HttpRequest, actor: Actor, upstream_id: str) -> HttpResponse:
    """The form by which a provider's bill is fetched every six hours, and compared with the ledger."""
    actor.check(Permission.WRITE_SETTINGS)
    row = access_row(list_upstreams(actor), actor, upstream_id)
    source = list_sources(actor).filter(upstream=row.pk).first()
    known = f"One that ends in {source.credential_hint} is stored; another one begins anew." if source else ""
    fields = [
        Field(
            "credential",
            "Admin key of the provider",
            "password",
            help=f"It may read costs and usage. {known}".strip(),
            is_required=True,
            most=4096,
        ),
        Field("provider_project", "Only this project of the provider's", placeholder="proj_abc", most=64),
    ]
    form = Form(fields, {"provider_project": source.provider_project if source else ""})

    def connect(form: Form) -> object:
        return connect_bill(
            actor=actor,
            upstream=row,
            credential=form.text("credential"),
            provider_project=form.text("provider_project"),
        )

    if request.method == "POST" and form.submit(request, actor, connect) is not None:
        return redirect("upstream", slug=actor.org.slug, upstream_id=str(row.pk))
    stop = Act(
        "Fetch it no more",
        reverse("stop-bill", args=[actor.org.slug, row.pk]),
        "Stop",
        "The days that were fetched are forgotten.",
        confirm=row.name,
        tone="bad",
    )
    return _show(request, actor, row, form, f"Bill of {row.name}", "", acts=[stop] if source else [])


@require_POST
@org_page
def stop_bill(request: HttpRequest, actor: Actor, upstream_id: str) -> HttpResponse:
    """Fetch an upstream's bill no more."""
    actor.check(Permission.WRITE_SETTINGS)
    row = access_row(list_upstreams(actor), actor, upstream_id)

    def act() -> None:
        check_confirmed(request, row.name)
        for source in list_sources(actor).filter(upstream=row.pk):
            disconnect_bill(actor=actor, source=source)

    try_to(request, actor, f"The bill of {row.name} is fetched no more.", act)
    return redirect("upstream", slug=actor.org.slug, upstream_id=str(row.pk))


def _charge(actor: Actor, row: Upstream, form: Form) -> GpuEndpoint:
    server = None
    if form.text("server"):
        server = find_row(UpstreamEndpoint.objects.filter(upstream=row), actor, form.text("server"))
        if server is None:
            raise InvalidField("Choose one of the upstream's servers.", field="server")
    return create_endpoint(
        actor=actor,
        name=form.text("name"),
        upstream=row,
        project=access_named(Project.objects.all(), actor, form.text("project"), field="project"),
        gpus=form.decimal("gpus") or Decimal(0),
        hour_nanos=form.money("per_hour"),
        basis=form.choice("basis", Basis),
        starts_at=form.moment("starts_at", actor.org.time_zone),
        server=server,
    )


def _show(
    request: HttpRequest, actor: Actor, row: Upstream, form: Form, title: str, lead: str, **more: Any
) -> HttpResponse:
    back = reverse("upstream", args=[actor.org.slug, row.pk])
    return show_form(request, actor, "upstreams", row.name, form, title, back=back, lead=lead, **more)
