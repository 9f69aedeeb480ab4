"""The console's pages of invitations: who was offered which role, and the form that offers one."""

from collections.abc import Collection, Mapping
from typing import Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from costhub.console.acts import PageLink, try_to
from costhub.console.forms import Field, Form, check_email
from costhub.console.lists import Column, Listing, make_listing
from costhub.console.pages import show_form, show_list
from costhub.console.sign_in import org_page
from costhub.lib import clock
from tenants.access import Actor, access_row
from tenants.actions.invitations import NewInvitation, invite, withdraw_invitation
from tenants.choices import PROJECT_ROLES, Permission, Role
from tenants.selectors import list_invitations, list_projects

COLUMNS: Final = (
    Column("email", "Invited", "email"),
    Column("role", "Role", "role"),
    Column("by", "By", "invited_by", css="optional"),
    Column("expires", "Expires", "expires_at", css="optional"),
    Column("state", "State"),
)


@require_GET
@org_page
def invitations(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Everybody who was invited, those who came and those who did not."""
    actor.check(Permission.READ)

    def make(params: Mapping[str, str]) -> Listing:
        rows = list_invitations(actor)
        return make_listing(request, params, rows, COLUMNS, search=["email", "role", "invited_by"], sort="-expires")

    may_write = actor.may(Permission.WRITE_MEMBERS)
    link = PageLink("Invite somebody", reverse("new-invitation", args=[actor.org.slug]))
    context = {
        "title": "Invitations",
        "placeholder": "E-mail address, role or who invited",
        "page_acts": [link] if may_write else [],
        "may_write": may_write,
        "now": clock.now(),
    }
    return show_list(request, actor, "console/invitations.html", "members", make, context)


@require_http_methods(["GET", "POST"])
@org_page
def new_invitation(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of an invitation."""
    actor.check(Permission.WRITE_MEMBERS)
    fields = [
        Field("email", "E-mail address", "email", is_required=True, most=254),
        Field("role", "Role", "select", choices=[(role.value, role.value) for role in Role]),
        project_field(actor),
    ]
    form = Form(fields, {"role": "viewer"})
    if request.method == "POST" and form.submit(request, actor, lambda form: _invite(actor, form)) is not None:
        return redirect("invitations", slug=actor.org.slug)
    lead = "They get a mail with a link that holds for seven days, and decide themselves."
    return show_form(
        request, actor, "members", "Members & roles", form, "Invite somebody", submit_label="Invite", lead=lead
    )


@require_POST
@org_page
def withdraw(request: HttpRequest, actor: Actor, invitation_id: str) -> HttpResponse:
    """Take an offer back."""
    row = access_row(list_invitations(actor), actor, invitation_id)
    done = f"The invitation of {row.email} is withdrawn: its link leads nowhere."
    try_to(request, actor, done, lambda: withdraw_invitation(actor=actor, invitation=row))
    return redirect("invitations", slug=actor.org.slug)


def project_field(actor: Actor, held: Collection[UUID] = ()) -> Field:
    """The projects in which a role is to hold; those that are ``held`` already even if they are put away."""
    roles = " or ".join(role.value for role in Role if role in PROJECT_ROLES)
    mine = list_projects(actor).filter(pk__in=held).order_by("name")
    others = list_projects(actor).filter(is_archived=False).exclude(pk__in=held).order_by("name")
    return Field(
        "projects",
        "Projects",
        "checks",
        help=f"None ticked: the whole organisation. Only a {roles} can be held to projects.",
        choices=[(str(row.pk), row.name) for row in (*mine, *others[:500])],
    )


def _invite(actor: Actor, form: Form) -> NewInvitation:
    return invite(actor=actor, email=check_email(form), role=form.choice("role", Role), projects=form.many("projects"))
