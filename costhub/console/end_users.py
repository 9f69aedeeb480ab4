"""The console's page of end users: those that somebody made known, and those that calls named of late."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from django.db.models import Q
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from billing.spend.core.ranges import DEFAULT, Range
from billing.spend.selectors import Totals, Wanted, find_lines
from costhub.console.acts import PageLink, try_to_set
from costhub.console.forms import Field, Form
from costhub.console.frame import read_span
from costhub.console.lists import Column, Cut, Listing, make_listing
from costhub.console.pages import show_form, show_list
from costhub.console.sign_in import org_page
from costhub.lib import clock
from tenants.access import Actor, access_row
from tenants.actions.end_users import create_end_user, update_end_user
from tenants.choices import Permission
from tenants.models import EndUser
from tenants.selectors import list_end_users


@dataclass(frozen=True, slots=True)
class EndUserLine:
    """An end user, known or only named by calls."""

    external_id: str
    row: EndUser | None
    totals: Totals

    @property
    def name(self) -> str:
        """What people call them."""
        return self.row.name if self.row else ""


@require_GET
@org_page
def end_users(request: HttpRequest, actor: Actor) -> HttpResponse:
    """End users, the dearest first: of the month, or of thirty days while there is little of it, so that nobody is
    missing on its first day."""
    actor.check(Permission.READ)
    span = read_span({}, clock.now(), actor)

    def make(params: Mapping[str, str]) -> Listing:
        return make_listing(request, params, partial(cut_lines, actor, span), list_columns(span), sort="-spend")

    may_write = actor.may(Permission.WRITE_KEYS)
    context = {
        "title": "End users",
        "lead": "The people on whose behalf your applications call: each call may name one, and budgets may hold each.",
        "placeholder": "Id or name",
        "page_acts": [PageLink("New end user", reverse("new-end-user", args=[actor.org.slug]))] if may_write else [],
        "may_write": may_write,
        "sees_money": actor.may(Permission.READ_MONEY),
        "span": span,
    }
    return show_list(request, actor, "console/end_users.html", "end-users", make, context)


@require_http_methods(["GET", "POST"])
@org_page
def new_end_user(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of an end user."""
    actor.check(Permission.WRITE_KEYS)
    fields = [
        Field(
            "external_id", "Id", is_required=True, help="Your application's name for them, as calls send it.", most=200
        ),
        Field("name", "Name", most=120),
        Field("is_blocked", "Refuse their calls", "checkbox"),
    ]
    form = Form(fields, {"external_id": request.GET.get("id", "")[:200].replace("\x00", "")})
    if request.method == "POST":
        made = form.submit(
            request,
            actor,
            lambda form: create_end_user(
                actor=actor,
                external_id=form.text("external_id"),
                name=form.text("name"),
                is_blocked=form.flag("is_blocked"),
            ),
        )
        if made is not None:
            return redirect("end-users", slug=actor.org.slug)
    return show_form(request, actor, "end-users", "End users", form, "New end user", submit_label="Make known")


@require_http_methods(["GET", "POST"])
@org_page
def end_user(request: HttpRequest, actor: Actor, end_user_id: str) -> HttpResponse:
    """An end user's name."""
    actor.check(Permission.WRITE_KEYS)
    row = access_row(list_end_users(actor), actor, end_user_id)
    fields = [Field("name", "Name", most=120), Field("is_blocked", "Refuse their calls", "checkbox")]
    form = Form(fields, {"name": row.name, "is_blocked": row.is_blocked}, is_edit=True)
    if request.method == "POST":
        changed = form.submit(
            request,
            actor,
            lambda form: update_end_user(
                actor=actor, end_user=row, name=form.text("name"), is_blocked=form.flag("is_blocked")
            ),
        )
        if changed is not None:
            return redirect("end-users", slug=actor.org.slug)
    return show_form(request, actor, "end-users", "End users", form, row.external_id)


@require_POST
@org_page
def block_end_user(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Refuse an end user's calls, or take them again; one that only calls have named becomes known by it."""
    actor.check(Permission.WRITE_KEYS)
    external_id = request.POST.get("external_id", "")
    row = list_end_users(actor).filter(external_id=external_id.replace("\x00", "")).first()

    def act(is_blocked: bool) -> None:
        if row is not None:
            update_end_user(actor=actor, end_user=row, is_blocked=is_blocked)
        elif is_blocked:
            create_end_user(actor=actor, external_id=external_id, is_blocked=True)

    words = f"Calls of {external_id} are refused.", f"Calls of {external_id} are taken again."
    try_to_set(request, actor, "is_blocked", words, act)
    return redirect("end-users", slug=actor.org.slug)


def list_columns(span: Range) -> list[Column]:
    """The columns, with what they sum in words."""
    when, of = ("this month", "Of the month to date") if span.name == DEFAULT else ("in 30 days", "Of these 30 days")
    return [
        Column("name", "End user", "name"),
        Column("spend", f"Spend {when}", "spend", "Effective cost", "number"),
        Column("requests", "Calls", "requests", of, "number"),
        Column("tokens", "Tokens", "tokens", "Input and output", "number optional"),
        Column("state", "", None, css="number"),
    ]


def cut_lines(actor: Actor, span: Range, cut: Cut) -> tuple[list[EndUserLine], int]:
    """Of everybody who is known, or has called in that time. What they spent is left out where the actor may not see
    it, and so is who is not known."""
    if not actor.may(Permission.READ_MONEY):
        return _cut_known(actor, cut)
    wanted = Wanted(cut.order, cut.is_falling, cut.text, cut.first, cut.most)
    lines = find_lines(actor, "end_user", (span.start, span.end), wanted, with_known=True)
    rows = {
        row.external_id: row for row in list_end_users(actor).filter(external_id__in=[each.key for each in lines.rows])
    }
    return [EndUserLine(each.key, rows.get(each.key), each.totals) for each in lines.rows], lines.count


def _cut_known(actor: Actor, cut: Cut) -> tuple[list[EndUserLine], int]:
    rows = list_end_users(actor)
    if cut.text:
        rows = rows.filter(Q(external_id__icontains=cut.text) | Q(name__icontains=cut.text))
    folded = Lower("external_id")
    rows = rows.order_by(folded.desc() if cut.is_falling and cut.order == "name" else folded.asc(), "pk")
    shown = rows[cut.first : cut.first + cut.most]
    return [EndUserLine(row.external_id, row, Totals()) for row in shown], rows.count()
