"""The console's pages of programs: tokens of the management API, and the service accounts that own some of them."""

from collections.abc import Mapping
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from costhub.console.acts import Act, PageLink, try_to, try_to_set
from costhub.console.forms import Field, Form, check_confirmed
from costhub.console.frame import frame
from costhub.console.inviting import project_field
from costhub.console.lists import Column, Listing, make_listing
from costhub.console.pages import show_form, show_list
from costhub.console.sign_in import org_page
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from tenants.access import Actor, access_named, access_row
from tenants.actions.tokens import (
    NewToken,
    create_service_account,
    create_token,
    revoke_admin_token,
    update_service_account,
)
from tenants.choices import MEANINGS, Permission, Role
from tenants.models import ServiceAccount
from tenants.selectors import list_admin_tokens, list_service_accounts

COLUMNS: Final = (
    Column("name", "Token", "name"),
    Column("role", "May do", "role"),
    Column("by", "Made by", "created_by", css="optional"),
    Column("made", "Made", "created_at", css="optional"),
    Column("expires", "Expires", "expires_at"),
    Column("state", "State"),
)
ACCOUNT_COLUMNS: Final = (
    Column("name", "Account", "name"),
    Column("role", "Role", "role"),
    Column("by", "Made by", "created_by", css="optional"),
    Column("state", "State", "disabled_at"),
)
_TITLE: Final = "API tokens"
#: of the service accounts, which have a page of their own
_SHOWN: Final = 20


@require_GET
@org_page
def tokens(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Tokens, dead ones included, and the accounts of programs."""
    actor.check(Permission.WRITE_MEMBERS)
    slug = actor.org.slug

    def make(params: Mapping[str, str]) -> Listing:
        rows = list_admin_tokens(actor).select_related("account")
        return make_listing(request, params, rows, COLUMNS, search=["name", "prefix", "role"], sort="-made")

    context = {
        "title": _TITLE,
        "placeholder": "Name, beginning or role",
        "lead": "What programs manage this organisation with. Calls of models take a key instead.",
        "page_acts": [
            PageLink("New token", reverse("new-token", args=[slug])),
            PageLink("New service account", reverse("new-service-account", args=[slug])),
        ],
        "accounts": list(list_service_accounts(actor).order_by("name")[:_SHOWN]),
        "account_count": list_service_accounts(actor).count(),
        "now": clock.now(),
    }
    return show_list(request, actor, "console/tokens.html", "tokens", make, context)


@require_http_methods(["GET", "POST"])
@org_page
def new_token(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of a token, and its answer with the secret."""
    actor.check(Permission.WRITE_MEMBERS)
    accounts = list_service_accounts(actor).filter(disabled_at=None).order_by("name")[:500]
    fields = [
        Field("name", "Name", is_required=True, placeholder="deploy pipeline", most=120),
        Field("role", "Role", "select", choices=[("", "that of the service account"), *_roles()]),
        Field("account", "Service account", "select", choices=[("", "none"), *((str(a.pk), a.name) for a in accounts)]),
        Field(
            "scopes",
            "Scopes",
            "checks",
            help="None ticked: all that the role may.",
            choices=[(one.value, f"{one.value}: {MEANINGS[one]}") for one in Permission],
        ),
        Field("expires_at", "Expires", "datetime-local"),
    ]
    form = Form(fields, {"role": "" if request.GET.get("account") else "viewer", "account": request.GET.get("account")})
    if request.method == "POST":
        made = form.submit(request, actor, lambda form: _create(actor, form))
        if made is not None:
            context = {**frame(request, actor, "tokens"), "token": made.token, "secret": made.secret}
            return render(request, "console/token_secret.html", context)
    return show_form(request, actor, "tokens", _TITLE, form, "New token", submit_label="Create token")


@require_http_methods(["GET", "POST"])
@org_page
def token(request: HttpRequest, actor: Actor, token_id: str) -> HttpResponse:
    """One token, and its end."""
    actor.check(Permission.WRITE_MEMBERS)
    row = access_row(list_admin_tokens(actor).select_related("account"), actor, token_id)
    if request.method == "POST":

        def act() -> None:
            check_confirmed(request, row.name)
            revoke_admin_token(actor=actor, token=row)

        try_to(request, actor, f"The token {row.name} is revoked: it is refused from now on.", act)
        return redirect("token", slug=actor.org.slug, token_id=str(row.pk))
    end = Act(
        "Revoke this token",
        request.path,
        "Revoke",
        "Programs that use it are refused at once, for ever.",
        confirm=row.name,
        tone="bad",
    )
    more: dict[str, Any] = {"token": row, "acts": [] if row.revoked_at else [end], "now": clock.now()}
    return show_form(request, actor, "tokens", _TITLE, None, row.name, template="console/token.html", **more)


@require_GET
@org_page
def service_accounts(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The accounts of programs, by name."""
    actor.check(Permission.WRITE_MEMBERS)

    def make(params: Mapping[str, str]) -> Listing:
        rows = list_service_accounts(actor)
        return make_listing(request, params, rows, ACCOUNT_COLUMNS, search=["name", "role"], sort="name")

    new = PageLink("New service account", reverse("new-service-account", args=[actor.org.slug]))
    context = {"title": "Service accounts", "placeholder": "Name or role", "page_acts": [new]}
    return show_list(request, actor, "console/service_accounts.html", "tokens", make, context)


@require_http_methods(["GET", "POST"])
@org_page
def new_service_account(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of a program's account."""
    actor.check(Permission.WRITE_MEMBERS)
    form = Form(_account_fields(actor), {"role": "viewer"})
    if request.method == "POST":
        made = form.submit(
            request,
            actor,
            lambda form: create_service_account(
                actor=actor, name=form.text("name"), role=form.choice("role", Role), projects=form.many("projects")
            ),
        )
        if made is not None:
            return redirect("tokens", slug=actor.org.slug)
    lead = "An account of a program outlives the people who set it up. It acts with tokens of its own."
    label = "Create account"
    return show_form(request, actor, "tokens", _TITLE, form, "New service account", submit_label=label, lead=lead)


@require_http_methods(["GET", "POST"])
@org_page
def service_account(request: HttpRequest, actor: Actor, account_id: str) -> HttpResponse:
    """One account: its name and rights, and whether its tokens work."""
    actor.check(Permission.WRITE_MEMBERS)
    row = access_row(list_service_accounts(actor), actor, account_id)
    initial = {"name": row.name, "role": row.role, "projects": [str(one) for one in row.projects]}
    form = Form(_account_fields(actor), initial, is_edit=True)
    if request.method == "POST":
        if form.submit(request, actor, lambda form: _update(actor, row, form)) is not None:
            return redirect("tokens", slug=actor.org.slug)
        row.refresh_from_db()
    address = reverse("switch-service-account", args=[actor.org.slug, row.pk])
    act = (
        Act(
            "Disable this account",
            address,
            "Disable",
            "None of its tokens works until it is enabled.",
            tone="bad",
            hidden=[("is_disabled", "yes")],
        )
        if row.disabled_at is None
        else Act("Enable this account", address, "Enable", "Its tokens work again.", hidden=[("is_disabled", "no")])
    )
    return show_form(request, actor, "tokens", _TITLE, form, row.name, acts=[act])


@require_POST
@org_page
def switch_service_account(request: HttpRequest, actor: Actor, account_id: str) -> HttpResponse:
    """Disable an account, or enable it."""
    row = access_row(list_service_accounts(actor), actor, account_id)
    words = f"{row.name} is disabled: its tokens are refused.", f"{row.name} is enabled: its tokens work."
    try_to_set(
        request,
        actor,
        "is_disabled",
        words,
        lambda is_on: update_service_account(actor=actor, account=row, is_disabled=is_on),
    )
    return redirect("service-account", slug=actor.org.slug, account_id=str(row.pk))


def _roles() -> list[tuple[str, str]]:
    return [(role.value, role.value) for role in Role]


def _account_fields(actor: Actor) -> list[Field]:
    return [
        Field("name", "Name", is_required=True, placeholder="deployer", most=120),
        Field("role", "Role", "select", choices=_roles()),
        project_field(actor),
    ]


def _create(actor: Actor, form: Form) -> NewToken:
    account = None
    if form.text("account"):
        account = access_named(ServiceAccount.objects.all(), actor, form.text("account"), field="account")
    try:
        scopes = [Permission(name) for name in form.many("scopes")]
    except ValueError as error:
        raise InvalidField(f"Choose some of: {', '.join(Permission)}.", field="scopes") from error
    return create_token(
        actor=actor,
        name=form.text("name"),
        role=form.choice("role", Role) if form.text("role") else None,
        account=account,
        scopes=scopes,
        expires_at=form.moment("expires_at", actor.org.time_zone),
    )


def _update(actor: Actor, row: ServiceAccount, form: Form) -> ServiceAccount:
    return update_service_account(
        actor=actor,
        account=row,
        name=form.text("name"),
        role=form.choice("role", Role),
        projects=form.many("projects"),
    )
