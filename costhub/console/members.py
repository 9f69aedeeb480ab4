"""The console's page of members, their roles, and what each role may do."""

from collections.abc import Mapping
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from costhub.console.acts import Act, PageLink, try_to
from costhub.console.forms import Field, Form, check_confirmed, check_email
from costhub.console.inviting import project_field
from costhub.console.lists import Column, Listing, make_listing
from costhub.console.pages import show_form, show_list
from costhub.console.sign_in import org_page
from tenants.access import Actor, access_row
from tenants.actions.orgs import add_member, remove_member, set_role
from tenants.choices import MEANINGS, PERMISSIONS, Permission, Role
from tenants.models import Membership
from tenants.selectors import list_members

COLUMNS: Final = (
    Column("email", "Member", "user__email"),
    Column("role", "Role", "role"),
    Column("since", "Since", "created_at", css="optional"),
)
_ADDED: Final = (
    "They are a member at once, and get a mail with the way in. Invite somebody who shall decide that themselves."
)


@require_GET
@org_page
def members(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Members, and the table of roles."""
    actor.check(Permission.READ)

    def make(params: Mapping[str, str]) -> Listing:
        return make_listing(request, params, list_members(actor), COLUMNS, search=["user__email", "role"], sort="email")

    may_write = actor.may(Permission.WRITE_MEMBERS)
    context = {
        "title": "Members & roles",
        "placeholder": "E-mail address or role",
        "page_acts": _links(actor),
        "may_write": may_write,
        "roles": list(Role),
        "table": [(words, [one in PERMISSIONS[role] for role in Role]) for one, words in MEANINGS.items()],
    }
    return show_list(request, actor, "console/members.html", "members", make, context)


@require_http_methods(["GET", "POST"])
@org_page
def new_member(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of a member."""
    actor.check(Permission.WRITE_MEMBERS)
    email = Field("email", "E-mail address", "email", is_required=True, most=254)
    form = Form([email, _role_field(), project_field(actor)], {"role": "viewer"})
    if request.method == "POST" and form.submit(request, actor, lambda form: _add(actor, form)) is not None:
        return redirect("members", slug=actor.org.slug)
    return show_form(
        request, actor, "members", "Members & roles", form, "Add a member", submit_label="Add", lead=_ADDED
    )


@require_http_methods(["GET", "POST"])
@org_page
def member(request: HttpRequest, actor: Actor, member_id: str) -> HttpResponse:
    """A member's role, and the end of a membership."""
    row = access_row(list_members(actor), actor, member_id)
    is_self = row.user_id == actor.user_id
    if not is_self:
        actor.check(Permission.WRITE_MEMBERS)
    form = None
    if actor.may(Permission.WRITE_MEMBERS):
        held = list(row.projects)
        shown = {"role": row.role, "projects": [str(project) for project in held]}
        form = Form([_role_field(), project_field(actor, held)], shown, is_edit=True)
        if request.method == "POST" and form.submit(request, actor, lambda form: _change(actor, row, form)) is not None:
            return redirect("members", slug=actor.org.slug)
    elif request.method == "POST":
        actor.check(Permission.WRITE_MEMBERS)
    act = Act(
        "Leave this organisation" if is_self else "Remove this member",
        reverse("remove-member", args=[actor.org.slug, row.pk]),
        "Leave" if is_self else "Remove",
        "Nothing that was made goes away: keys work on.",
        confirm=row.user.email,
        tone="bad",
    )
    return show_form(request, actor, "members", "Members & roles", form, row.user.email, acts=[act])


@require_POST
@org_page
def remove(request: HttpRequest, actor: Actor, member_id: str) -> HttpResponse:
    """End a membership, once it was named."""
    row = access_row(list_members(actor), actor, member_id)
    is_self = row.user_id == actor.user_id
    if not is_self:
        actor.check(Permission.WRITE_MEMBERS)

    def act() -> None:
        check_confirmed(request, row.user.email)
        remove_member(actor=actor, membership=row)

    if not try_to(request, actor, f"{row.user.email} is no member any more.", act):
        return redirect("member", slug=actor.org.slug, member_id=str(row.pk))
    return redirect("home") if is_self else redirect("members", slug=actor.org.slug)


def _add(actor: Actor, form: Form) -> Membership:
    return add_member(
        actor=actor, email=check_email(form), role=form.choice("role", Role), projects=form.many("projects")
    )


def _change(actor: Actor, row: Membership, form: Form) -> Membership:
    return set_role(actor=actor, membership=row, role=form.choice("role", Role), projects=form.many("projects"))


def _links(actor: Actor) -> list[PageLink]:
    links = [PageLink("Invitations", reverse("invitations", args=[actor.org.slug]))]
    if actor.may(Permission.WRITE_MEMBERS):
        links.insert(0, PageLink("Invite somebody", reverse("new-invitation", args=[actor.org.slug])))
        links.append(PageLink("Add a member", reverse("new-member", args=[actor.org.slug])))
    return links


def _role_field() -> Field:
    return Field("role", "Role", "select", choices=[(role.value, role.value) for role in Role])
