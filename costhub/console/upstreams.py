"""The console's page of upstreams: where calls go, how they fared today, and a test."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from billing.bills.selectors import list_sources
from billing.gpu.models import GpuEndpoint
from billing.gpu.selectors import find_hour_costs, find_open_hours
from billing.spend.selectors import find_spend
from costhub.console.acts import Act, PageLink, switch_act, try_to_set
from costhub.console.forms import Field, Form
from costhub.console.lists import Column, Listing, make_listing
from costhub.console.pages import lead_on, show_form, show_list
from costhub.console.sign_in import org_page, refuse
from costhub.lib import clock
from costhub.lib.errors import AppError, Forbidden, NotFound
from tenants.access import Actor, access_org, access_row
from tenants.actions.upstreams import create_upstream, prepare_probe, update_upstream
from tenants.choices import Permission, UpstreamKind
from tenants.models import Upstream
from tenants.selectors import list_endpoints, list_models, list_upstreams

KINDS: Final = {
    UpstreamKind.OPENAI_COMPATIBLE: "A server that speaks OpenAI's format",
    UpstreamKind.OPENAI: "OpenAI",
    UpstreamKind.ANTHROPIC: "Anthropic",
}
COLUMNS: Final = (
    Column("name", "Upstream", "name"),
    Column("url", "Address", "base_url", css="optional"),
    Column("calls", "Calls", None, "Of the last 24 hours", "number"),
    Column("failed", "Failed", None, "Of the last 24 hours, answered with an error", "number"),
    Column(
        "hour", "An hour", None, "What its GPUs cost an hour now; those charged by usage at most", "number optional"
    ),
    Column("state", "", None, css="number"),
)
_DAY: Final = timedelta(days=1)
_WHOLES: Final = ("timeout_ms", "connect_timeout_ms", "max_retries", "batch_concurrency")


@dataclass(frozen=True, slots=True)
class Health:
    """Calls of the last 24 hours that went to an upstream, and those that were answered with an error."""

    calls: int = 0
    failed: int = 0


@require_GET
@org_page
def upstreams(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Upstreams with their health of the last 24 hours."""
    actor.check(Permission.READ)
    sees_money = actor.may(Permission.READ_MONEY)
    health, hours = (find_health(actor), find_hour_costs(actor)) if sees_money else ({}, {})

    def make(params: Mapping[str, str]) -> Listing:
        listing = make_listing(
            request, params, list_upstreams(actor), COLUMNS, search=["name", "base_url"], sort="name"
        )
        for row in listing.rows:
            row.health = health.get(str(row.pk), Health())
            row.hour_nanos = hours.get(row.pk)
        return listing

    may_write = actor.may(Permission.WRITE_SETTINGS)
    context = {
        "title": "Upstreams",
        "placeholder": "Name or address",
        "page_acts": [PageLink("New upstream", reverse("new-upstream", args=[actor.org.slug]))] if may_write else [],
        "may_write": may_write,
        "sees_money": sees_money,
    }
    return show_list(request, actor, "console/upstreams.html", "upstreams", make, context)


@require_http_methods(["GET", "POST"])
@org_page
def new_upstream(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of an upstream."""
    actor.check(Permission.WRITE_SETTINGS)
    fields = [
        Field("name", "Name", is_required=True, most=120),
        Field("kind", "What it is", "select", choices=[(each.value, text) for each, text in KINDS.items()]),
        Field("base_url", "Base URL", "url", is_required=True, placeholder="https://llm.example/v1", most=500),
        Field(
            "credential", "API key", "password", help="Sealed, sent to this origin only, never shown again.", most=4096
        ),
    ]
    form = Form(fields)
    if request.method == "POST":
        made = form.submit(
            request,
            actor,
            lambda form: create_upstream(
                actor=actor,
                name=form.text("name"),
                kind=form.choice("kind", UpstreamKind),
                base_url=form.text("base_url"),
                credential=form.text("credential") or None,
            ),
        )
        if made is not None:
            return lead_on(request, actor, reverse("upstream", args=[actor.org.slug, made.pk]))
        form.values["credential"] = ""
    return show_form(request, actor, "upstreams", "Upstreams", form, "New upstream", submit_label="Create upstream")


@require_http_methods(["GET", "POST"])
@org_page
def upstream(request: HttpRequest, actor: Actor, upstream_id: str) -> HttpResponse:
    """One upstream: its form, its models, a test."""
    actor.check(Permission.READ)
    row = access_row(list_upstreams(actor), actor, upstream_id)
    form = None
    if actor.may(Permission.WRITE_SETTINGS):
        form = Form(_fields(row), _initial(row), is_edit=True)
        if request.method == "POST":
            if form.submit(request, actor, lambda form: _update(actor, row, form)) is not None:
                return redirect("upstreams", slug=actor.org.slug)
            form.values["credential"] = ""
            row.refresh_from_db()
    elif request.method == "POST":
        actor.check(Permission.WRITE_SETTINGS)
    sees_money = actor.may(Permission.READ_MONEY)
    hours = find_open_hours(actor, row) if sees_money else {}
    servers = list(list_endpoints(actor).filter(upstream=row).order_by("base_url"))
    named = {server.pk: server.name or server.base_url for server in servers}
    more: dict[str, Any] = {
        "upstream": row,
        "kind": KINDS.get(UpstreamKind(row.kind), row.kind),
        "models": list_models(actor).filter(upstream=row).order_by("name")[:100],
        "endpoints": [(one, hours.get(one.pk)) for one in servers],
        "hours": [(one, named.get(server, "") if server else "") for server, one in hours.items()],
        "may_charge": actor.may(Permission.WRITE_MONEY),
        "bill": list_sources(actor).filter(upstream=row.pk).first() if sees_money else None,
        "sees_money": sees_money,
        "health": find_health(actor).get(str(row.pk), Health()) if sees_money else None,
        "acts": [*(_acts(actor, row) if form else []), *_end_hours(actor, row, hours.values())],
    }
    return show_form(request, actor, "upstreams", "Upstreams", form, row.name, template="console/upstream.html", **more)


@require_POST
@org_page
def switch_upstream(request: HttpRequest, actor: Actor, upstream_id: str) -> HttpResponse:
    """Switch an upstream off, or on again."""
    row = access_row(list_upstreams(actor), actor, upstream_id)
    words = f"{row.name} is switched on.", f"{row.name} is switched off."
    try_to_set(
        request, actor, "is_active", words, lambda is_on: update_upstream(actor=actor, upstream=row, is_active=is_on)
    )
    return redirect("upstream", slug=actor.org.slug, upstream_id=str(row.pk))


# The call may take seconds: no transaction, and so no connection's locks, must wait for it.
@transaction.non_atomic_requests
@require_POST
def test_upstream(request: HttpRequest, slug: str, upstream_id: str) -> HttpResponse:
    """Ask an upstream for its models as a call would, and say on its page how it went."""
    if not request.user.is_authenticated:
        return redirect("sign-in")
    try:
        with transaction.atomic():
            actor = access_org(request.user, slug)
            row = access_row(list_upstreams(actor), actor, upstream_id)
            probe = prepare_probe(actor=actor, upstream=row)
        found = probe.run()
    except (NotFound, Forbidden) as error:
        return refuse(request, error)
    except AppError as error:
        messages.error(request, error.message, extra_tags="bad")
    else:
        told = f"{row.name}: {found.detail} It took {found.latency_ms} ms."
        messages.add_message(
            request, messages.SUCCESS if found.ok else messages.ERROR, told, extra_tags="good" if found.ok else "bad"
        )
    return redirect("upstream", slug=slug, upstream_id=upstream_id)


def find_health(actor: Actor) -> dict[str, Health]:
    """The health of each upstream by its id. Refused calls were sent to none."""
    now = clock.now()
    spend = find_spend(
        actor,
        start=now - _DAY,
        end=now + timedelta(microseconds=1),
        group_by=["upstream", "status"],
        measures=("requests",),
    )
    found: dict[str, Health] = {}
    for row in spend.rows:
        upstream_id, status = row.group["upstream"], int(row.group["status"] or 0)
        before = found.get(upstream_id, Health())
        if 400 <= status < 500 and status not in {401, 403, 404, 408, 429}:
            continue
        failed = 0 if 200 <= status < 400 else row.totals.requests
        found[upstream_id] = Health(before.calls + row.totals.requests, before.failed + failed)
    return found


def _fields(row: Upstream) -> list[Field]:
    credential = f"One that ends in {row.credential_hint} is stored." if row.credential_hint else ""
    if row.credential is not None and not credential:
        credential = "One is stored."
    return [
        Field("name", "Name", is_required=True, most=120),
        Field(
            "base_url", "Base URL", "url", is_required=True, help="Another origin needs its API key again.", most=500
        ),
        Field("credential", "API key", "password", help=f"{credential} Left empty, it stays.".strip(), most=4096),
        Field("timeout_ms", "Longest wait for an answer, ms", most=8),
        Field("connect_timeout_ms", "Longest wait for a connection, ms", most=8),
        Field("max_retries", "Retries", most=3),
        Field("batch_concurrency", "Lines of batches that run at once", help="1 to 256.", most=3),
        Field(
            "batch_hours",
            "Hours in which batches begin",
            help="In the organisation's time zone; left empty, at any.",
            placeholder="22:00-06:00",
            most=11,
        ),
        Field("drain_on_disconnect", "Read answers to their end when a caller leaves, to know their cost", "checkbox"),
    ]


def _initial(row: Upstream) -> dict[str, Any]:
    return {
        "name": row.name,
        "base_url": row.base_url,
        "timeout_ms": str(row.timeout_ms),
        "connect_timeout_ms": str(row.connect_timeout_ms),
        "max_retries": str(row.max_retries),
        "batch_concurrency": str(row.batch_concurrency),
        "batch_hours": row.batch_hours,
        "drain_on_disconnect": row.drain_on_disconnect,
    }


def _update(actor: Actor, row: Upstream, form: Form) -> Upstream:
    changes: dict[str, Any] = {
        "name": form.text("name"),
        "base_url": form.text("base_url"),
        **{name: form.whole(name) for name in _WHOLES},
        "batch_hours": form.text("batch_hours"),
        "drain_on_disconnect": form.flag("drain_on_disconnect"),
    }
    if form.text("credential"):
        changes["credential"] = form.text("credential")
    return update_upstream(actor=actor, upstream=row, **changes)


def _end_hours(actor: Actor, row: Upstream, hours: Iterable[GpuEndpoint]) -> list[Act]:
    if not actor.may(Permission.WRITE_MONEY):
        return []
    return [
        Act(
            f"Give back {one.name}",
            reverse("end-gpu-hours", args=[actor.org.slug, row.pk, one.pk]),
            "Give back",
            "Its hours are charged no more from now on.",
            confirm=one.name,
            tone="bad",
        )
        for one in hours
        if one.ends_at is None
    ]


def _acts(actor: Actor, row: Upstream) -> list[Act]:
    def address(name: str) -> str:
        return reverse(name, args=[actor.org.slug, row.pk])

    test = Act(
        "Test it", address("test-upstream"), "Test", "Asks it for its models, as a call would: with its API key."
    )
    off, on = "Calls to its models are refused.", "Calls to its models are taken again."
    return [test, switch_act(address("switch-upstream"), off, on, is_on=row.is_active)]
