"""The console's forms of an upstream's endpoints: the servers that share its calls."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from costhub.console.acts import Act, try_to
from costhub.console.forms import Field, Form, check_confirmed
from costhub.console.pages import show_form
from costhub.console.sign_in import org_page
from costhub.lib.errors import Conflict
from tenants.access import Actor, access_row
from tenants.actions.endpoints import MAX_NAME_CHARACTERS, MAX_WEIGHT, end_endpoint, register_endpoint, update_endpoint
from tenants.choices import Permission
from tenants.models import Upstream, UpstreamEndpoint
from tenants.selectors import list_endpoints, list_upstreams

_LEAD = "Its upstream's calls go to its endpoints; its own base URL is asked where none of them can be."


@require_http_methods(["GET", "POST"])
@org_page
def new_upstream_endpoint(request: HttpRequest, actor: Actor, upstream_id: str) -> HttpResponse:
    """The form of a server that takes calls of an upstream from now on."""
    actor.check(Permission.WRITE_SETTINGS)
    row = access_row(list_upstreams(actor), actor, upstream_id)
    fields = [
        Field("base_url", "Base URL", "url", is_required=True, placeholder="https://gpu-2.example/v1", most=500),
        _name_field(),
        Field(
            "credential",
            "API key",
            "password",
            help="Sealed, sent to this server only, never shown again. The upstream's own is never sent to it.",
            most=4096,
        ),
        _weight_field(),
    ]
    form = Form(fields, {"weight": "1"})
    if request.method == "POST" and form.submit(request, actor, lambda form: _register(actor, row, form)) is not None:
        return _to_upstream(actor, row)
    return _show(request, actor, row, form, "New endpoint", submit_label="Add endpoint")


@require_http_methods(["GET", "POST"])
@org_page
def upstream_endpoint(request: HttpRequest, actor: Actor, upstream_id: str, endpoint_id: str) -> HttpResponse:
    """One endpoint's form, and its end."""
    actor.check(Permission.WRITE_SETTINGS)
    row, endpoint = _access(actor, upstream_id, endpoint_id)
    stored = "One is stored. Left empty, it stays." if endpoint.credential is not None else "None is stored."
    fields = [
        _name_field(),
        Field("credential", "API key", "password", help=f"{stored} Sent to this server only.", most=4096),
        _weight_field(),
        Field(
            "is_draining",
            "Send it no new calls",
            "checkbox",
            help="Calls that it has go on. Untick it to have it take calls again.",
        ),
    ]
    initial = {"name": endpoint.name, "weight": str(endpoint.weight), "is_draining": endpoint.is_draining}
    form = Form(fields, initial, is_edit=True)
    if (
        request.method == "POST"
        and form.submit(request, actor, lambda form: _update(actor, endpoint, form)) is not None
    ):
        return _to_upstream(actor, row)
    gone = "It takes no calls any more, and its GPUs' hours end; calls that it has go on."
    if endpoint.lease_until is not None:
        gone += " A worker has registered it, and may do so again: stop that one first."
    remove = Act(
        "Remove this endpoint",
        reverse("remove-upstream-endpoint", args=[actor.org.slug, row.pk, endpoint.pk]),
        "Remove",
        gone,
        confirm=endpoint.base_url,
        tone="bad",
    )
    return _show(request, actor, row, form, endpoint.name or endpoint.base_url, acts=[remove])


@require_POST
@org_page
def remove_upstream_endpoint(request: HttpRequest, actor: Actor, upstream_id: str, endpoint_id: str) -> HttpResponse:
    """The endpoint takes no calls any more, once it was named."""
    actor.check(Permission.WRITE_SETTINGS)
    row, endpoint = _access(actor, upstream_id, endpoint_id)

    def act() -> None:
        check_confirmed(request, endpoint.base_url)
        end_endpoint(actor=actor, endpoint=endpoint)

    if try_to(request, actor, f"{endpoint.base_url} takes no calls any more.", act):
        return _to_upstream(actor, row)
    return redirect("upstream-endpoint", slug=actor.org.slug, upstream_id=str(row.pk), endpoint_id=str(endpoint.pk))


def _name_field() -> Field:
    return Field("name", "Name", placeholder="rack 2", most=MAX_NAME_CHARACTERS)


def _weight_field() -> Field:
    return Field(
        "weight",
        "Weight",
        help=f"Its share of the calls beside the others' weights. 1 to {MAX_WEIGHT:,}.",
        is_required=True,
        most=5,
    )


def _register(actor: Actor, row: Upstream, form: Form) -> UpstreamEndpoint:
    base_url = form.text("base_url")
    # Registered anew, it would lose its API key and its lease, which nobody has asked for here.
    if list_endpoints(actor).filter(upstream=row, base_url=base_url.rstrip("/")).exists():
        raise Conflict("This endpoint is there already: change it on the upstream's page.", field="base_url")
    return register_endpoint(
        actor=actor,
        upstream=row,
        base_url=base_url,
        name=form.text("name"),
        credential=form.text("credential") or None,
        weight=form.whole("weight"),
    )


def _update(actor: Actor, endpoint: UpstreamEndpoint, form: Form) -> UpstreamEndpoint:
    changes: dict[str, Any] = {
        "name": form.text("name"),
        "weight": form.whole("weight"),
        "is_draining": form.flag("is_draining"),
    }
    if form.text("credential"):
        changes["credential"] = form.text("credential")
    return update_endpoint(actor=actor, endpoint=endpoint, **changes)


def _access(actor: Actor, upstream_id: str, endpoint_id: str) -> tuple[Upstream, UpstreamEndpoint]:
    """An upstream and one of its servers. Raises NotFound."""
    row = access_row(list_upstreams(actor), actor, upstream_id)
    return row, access_row(list_endpoints(actor).filter(upstream=row), actor, endpoint_id)


def _to_upstream(actor: Actor, row: Upstream) -> HttpResponse:
    return redirect("upstream", slug=actor.org.slug, upstream_id=str(row.pk))


def _show(request: HttpRequest, actor: Actor, row: Upstream, form: Form, title: str, **more: Any) -> HttpResponse:
    back = reverse("upstream", args=[actor.org.slug, row.pk])
    return show_form(request, actor, "upstreams", row.name, form, title, back=back, lead=_LEAD, **more)
