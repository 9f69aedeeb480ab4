"""The console's page of projects."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from billing.spend.core.ranges import read_range
from billing.spend.filters import LedgerFilters
from billing.spend.selectors import Totals, find_spend
from costhub.console.acts import Act, PageLink, try_to_set
from costhub.console.forms import Field, Form
from costhub.console.lists import Column, Listing, make_listing
from costhub.console.pages import show_form, show_list
from costhub.console.sign_in import member_page, org_page
from costhub.lib import clock
from tenants.access import Actor, access_row
from tenants.actions.projects import create_project, update_project
from tenants.actions.stops import set_stopped
from tenants.choices import Permission
from tenants.models import Project
from tenants.selectors import list_keys, list_projects

COLUMNS: Final = (
    Column("name", "Project", "name"),
    Column("keys", "Live keys", "live_keys", css="number"),
    Column("spend", "Spend this month", None, "Effective cost of the month to date", "number"),
    Column("requests", "Calls", None, "Of the month to date", "number optional"),
    Column("created", "Made", "created_at", css="optional"),
    Column("state", "", None, css="number"),
)
#: of a project's keys, all of which are on the page of keys
_KEYS: Final = 50


@require_GET
@member_page
def projects(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Projects with what they spent this month."""
    actor.check_anywhere(Permission.READ)
    now = clock.now()
    spent = sum_by_month(actor, "project") if actor.may(Permission.READ_MONEY) else {}
    # Keys have no field of the project's: the count is asked for beside.
    live = list_keys(actor).filter(revoked_at=None).filter(Q(expires_at=None) | Q(expires_at__gt=now))
    counts = dict(live.order_by().values_list("project_id").annotate(number=Count("pk")))

    def make(params: Mapping[str, str]) -> Listing:
        listing = make_listing(
            request, params, list(list_projects(actor)), _columns(counts), search=lambda row: row.name, sort="name"
        )
        for row in listing.rows:
            row.live_keys = counts.get(row.pk, 0)
            row.totals = spent.get(str(row.pk))
        return listing

    new = PageLink("New project", reverse("new-project", args=[actor.org.slug]))
    context = {
        "title": "Projects",
        "placeholder": "Name",
        "page_acts": [new] if actor.may(Permission.WRITE_SETTINGS) else [],
        "sees_money": actor.may(Permission.READ_MONEY),
    }
    return show_list(request, actor, "console/projects.html", "projects", make, context)


@require_http_methods(["GET", "POST"])
@org_page
def new_project(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of a project."""
    actor.check(Permission.WRITE_SETTINGS)
    form = Form([Field("name", "Name", is_required=True, most=120)])
    if request.method == "POST":
        made = form.submit(request, actor, lambda form: create_project(actor=actor, name=form.text("name")))
        if made is not None:
            return redirect("projects", slug=actor.org.slug)
    return show_form(request, actor, "projects", "Projects", form, "New project", submit_label="Create project")


@require_http_methods(["GET", "POST"])
@member_page
def project(request: HttpRequest, actor: Actor, project_id: str) -> HttpResponse:
    """One project: its name, its keys, and what can be done with it."""
    actor.check_anywhere(Permission.READ)
    row = access_row(list_projects(actor), actor, project_id)
    form = None
    if actor.may(Permission.WRITE_SETTINGS):
        form = Form([Field("name", "Name", is_required=True, most=120)], {"name": row.name}, is_edit=True)
        if request.method == "POST":
            changed = form.submit(
                request, actor, lambda form: update_project(actor=actor, project=row, name=form.text("name"))
            )
            if changed is not None:
                return redirect("projects", slug=actor.org.slug)
            row.refresh_from_db()
    elif request.method == "POST":
        actor.check(Permission.WRITE_SETTINGS)
    keys = list_keys(actor).filter(project=row, revoked_at=None).order_by("name")
    more: dict[str, Any] = {"project": row, "keys": keys[:_KEYS], "key_count": keys.count(), "acts": _acts(actor, row)}
    more["may_write_keys"] = actor.may(Permission.WRITE_KEYS, row.pk) and not row.is_archived
    return show_form(request, actor, "projects", "Projects", form, row.name, template="console/project.html", **more)


@require_POST
@org_page
def archive_project(request: HttpRequest, actor: Actor, project_id: str) -> HttpResponse:
    """Put a project away, or take it back."""
    row = access_row(list_projects(actor), actor, project_id)
    words = f"{row.name} is put away.", f"{row.name} is back."
    try_to_set(
        request, actor, "is_archived", words, lambda is_on: update_project(actor=actor, project=row, is_archived=is_on)
    )
    return redirect("project", slug=actor.org.slug, project_id=str(row.pk))


@require_POST
@org_page
def stop_project(request: HttpRequest, actor: Actor, project_id: str) -> HttpResponse:
    """Stop a project's calls, or take them again."""
    row = access_row(list_projects(actor), actor, project_id)
    words = f"Calls of {row.name} are stopped.", f"Calls of {row.name} are taken again."
    try_to_set(
        request, actor, "is_stopped", words, lambda is_on: set_stopped(actor=actor, target=row, is_stopped=is_on)
    )
    return redirect("project", slug=actor.org.slug, project_id=str(row.pk))


def sum_by_month(actor: Actor, group: str, keys: Sequence[UUID] = ()) -> dict[str, Totals]:
    """Calls and cost of the month to date by the id of what they are grouped by; of some ``keys``, or of all."""
    span = read_range({"range": "mtd"}, clock.now(), actor.org.time_zone)
    spend = find_spend(
        actor,
        start=span.start,
        end=span.end,
        group_by=[group],
        filters=LedgerFilters(keys=tuple(keys)),
        measures=("requests", "effective_cost"),
    )
    return {row.group[group]: row.totals for row in spend.rows}


def _columns(counts: Mapping[Any, int]) -> list[Column]:
    orders: dict[str, Any] = {
        "name": lambda row: row.name.casefold(),
        "keys": lambda row: counts.get(row.pk, 0),
        "created": lambda row: row.created_at,
    }
    return [Column(each.name, each.label, orders.get(each.name), each.title, each.css) for each in COLUMNS]


def _acts(actor: Actor, row: Project) -> list[Act]:
    def address(name: str) -> str:
        return reverse(name, args=[actor.org.slug, row.pk])

    acts = []
    if actor.may(Permission.WRITE_MONEY):
        acts.append(
            Act(
                "Take its calls again",
                address("stop-project"),
                "Resume",
                "It is stopped: every call is refused.",
                hidden=[("is_stopped", "no")],
            )
            if row.is_stopped
            else Act(
                "Stop it",
                address("stop-project"),
                "Stop",
                "Calls of its keys are refused until somebody resumes.",
                hidden=[("is_stopped", "yes")],
            )
        )
    if actor.may(Permission.WRITE_SETTINGS):
        acts.append(
            Act(
                "Take it back",
                address("archive-project"),
                "Take back",
                "Keys can be made in it again.",
                hidden=[("is_archived", "no")],
            )
            if row.is_archived
            else Act(
                "Put it away",
                address("archive-project"),
                "Archive",
                "It takes no new keys. Revoke its keys first.",
                hidden=[("is_archived", "yes")],
            )
        )
    return acts
