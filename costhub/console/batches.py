"""The console's page of batches: how far they are, what they cost, their files, and their end."""

from collections.abc import Mapping
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from costhub.console.acts import Act, PageLink, try_to
from costhub.console.forms import check_confirmed
from costhub.console.frame import frame
from costhub.console.lists import Column, Listing, make_listing
from costhub.console.pages import show_list
from costhub.console.sign_in import org_page
from costhub.lib.errors import InvalidField
from proxy.batches.ids import BATCH, FILE, show_id
from proxy.batches.model import Batch
from proxy.batches.oversight import (
    STATES,
    UNDER_WAY,
    access_batch,
    cancel_batch,
    find_cost,
    find_end,
    list_batches_of,
    list_files_of,
    list_lines_of,
)
from proxy.batches.store import IN_PROGRESS
from tenants.access import Actor
from tenants.choices import Permission
from tenants.models import ApiKey, Project

COLUMNS: Final = (
    Column("id", "Batch", None),
    Column("model", "Model", "model", css="optional"),
    Column("progress", "Progress", None, "Calls that are out, of all", "number"),
    Column("failed", "Failed", "failed", css="number optional"),
    Column("cost", "Cost", None, "What its calls have cost by now", "number"),
    Column("created", "Made", "created_at", css="optional"),
    Column("state", "State", "status", css="number"),
)


@require_GET
@org_page
def batches(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Batches, the newest first."""
    actor.check(Permission.READ_MONEY)

    def make(params: Mapping[str, str]) -> Listing:
        rows, status = list_batches_of(actor), params.get("status", "")
        if status and status not in STATES:
            raise InvalidField(f"status: give one of {', '.join(STATES)}.", field="status")
        if status:
            rows = rows.filter(status=status)
        listing = make_listing(
            request, params, rows, COLUMNS, search=["model", "end_user"], sort="-created", filters=["status"]
        )
        for row in listing.rows:
            row.shown = describe_batch(row)
        return listing

    context = {
        "title": "Batches",
        "placeholder": "Model or end user",
        "base_url": request.build_absolute_uri("/v1"),
        "page_acts": [PageLink("New batch", reverse("new-batch", args=[actor.org.slug]))]
        if actor.may(Permission.WRITE_KEYS)
        else [],
        "choices": [
            {
                "name": "status",
                "label": "State",
                "value": request.GET.get("status", ""),
                "options": [("", "All"), *((state, state.replace("_", " ").capitalize()) for state in STATES)],
            }
        ],
    }
    return show_list(request, actor, "console/batches.html", "batches", make, context)


@require_GET
@org_page
def batch(request: HttpRequest, actor: Actor, batch_id: str) -> HttpResponse:
    """One batch; the part that changes comes anew by itself while it is under way."""
    actor.check(Permission.READ_MONEY)
    row = access_batch(actor, batch_id)
    shown = describe_batch(row)
    address = reverse("batch", args=[actor.org.slug, row.pk])
    may_cancel = row.status == IN_PROGRESS and actor.may(Permission.WRITE_KEYS)
    cancel = Act(
        "Cancel it",
        reverse("cancel-batch", args=[actor.org.slug, row.pk]),
        "Cancel",
        "Calls that run come to their end and are charged; the others never begin, and what was held for them is free.",
        confirm=shown["name"],
        tone="bad",
    )
    context = {
        **frame(request, actor, "batches"),
        **shown,
        "row": row,
        "address": address,
        "project": Project.objects.filter(org=actor.org, pk=row.project_id).first(),
        "key": ApiKey.objects.filter(org=actor.org, pk=row.key_id).first(),
        "files": [(each.part, show_id(FILE, each.file.pk), each.file) for each in list_files_of(row)],
        "lines": list_lines_of(row),
        "files_url": request.build_absolute_uri("/v1/files"),
        "may_download": actor.may(Permission.WRITE_KEYS),
        "acts": [cancel] if may_cancel else [],
    }
    part = getattr(request, "htmx", False)
    return render(request, "console/_batch.html" if part else "console/batch.html", context)


@require_POST
@org_page
def cancel(request: HttpRequest, actor: Actor, batch_id: str) -> HttpResponse:
    """Ask for a batch's end."""
    row = access_batch(actor, batch_id)
    actor.check(Permission.WRITE_KEYS, row.project_id)

    def act() -> None:
        check_confirmed(request, show_id(BATCH, row.pk))
        cancel_batch(actor=actor, batch=row)

    try_to(request, actor, "It ends: calls that run come to their end, the others never begin.", act)
    return redirect("batch", slug=actor.org.slug, batch_id=str(row.pk))


def describe_batch(row: Batch) -> dict[str, Any]:
    """A batch as the pages show it."""
    return {
        "name": show_id(BATCH, row.pk),
        "cost": find_cost(row),
        "ended_at": find_end(row),
        "out": row.completed + row.failed,
        "is_under_way": row.status in UNDER_WAY,
        "mistakes": (row.errors or {}).get("data", [])[:20],
    }
