"""The console's page of single sign-on: claimed domains, identity providers, and what a directory needs for SCIM."""

from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from costhub.console.acts import Act, try_to
from costhub.console.forms import Field, Form, check_confirmed
from costhub.console.frame import frame
from costhub.console.pages import show_form
from costhub.console.sign_in import org_page
from costhub.lib.errors import NotFound
from tenants.access import Actor, access_row
from tenants.actions.sign_on import (
    CHALLENGE_PATH,
    CHALLENGE_RECORD,
    claim_domain,
    create_sign_on,
    release_domain,
    remove_sign_on,
    update_sign_on,
    verify_domain,
)
from tenants.choices import Permission, Role, SignOnKind
from tenants.models import SignOn
from tenants.selectors import list_domains, list_identity_providers

_TITLE: Final = "Single sign-on"
_KINDS: Final = {SignOnKind.OIDC: "OpenID Connect", SignOnKind.SAML: "SAML 2.0"}
_OIDC: Final = (
    Field("issuer", "Issuer", "url", is_required=True, placeholder="https://login.acme.example", most=500),
    Field("client_id", "Client id", is_required=True, most=200),
)
_SAML: Final = (
    Field("entity_id", "Entity id of the provider", is_required=True, most=500),
    Field("sso_url", "Address to sign in at", "url", is_required=True, most=500),
    Field("certificate", "Certificate, PEM", "textarea", is_required=True, placeholder="-----BEGIN CERTIFICATE-----"),
)


@require_GET
@org_page
def sign_ons(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What is set up, and what is still to be done."""
    actor.check(Permission.WRITE_MEMBERS)
    domains = list(list_domains(actor).order_by("name"))
    context: dict[str, Any] = {
        **frame(request, actor, "sign-ons"),
        "domains": [
            {"row": row, "record": CHALLENGE_RECORD + row.name, "url": f"https://{row.name}{CHALLENGE_PATH}"}
            for row in domains
        ],
        "has_domain": any(row.verified_at for row in domains),
        "providers": [{"row": row, "kind": _KINDS[SignOnKind(row.kind)]} for row in list_identity_providers(actor)],
        "scim_address": request.build_absolute_uri("/scim/v2"),
    }
    return render(request, "console/sign_ons.html", context)


@require_POST
@org_page
def claim(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Claim a domain; it counts once it is verified."""
    name = request.POST.get("name", "").replace("\x00", "")
    done = "Now prove that the domain is yours: one of the two ways below."
    try_to(request, actor, done, lambda: claim_domain(actor=actor, name=name))
    return redirect("sign-ons", slug=actor.org.slug)


@require_POST
@org_page
def verify(request: HttpRequest, actor: Actor, domain_id: str) -> HttpResponse:
    """Look for a domain's challenge."""
    row = access_row(list_domains(actor), actor, domain_id)
    done = f"{row.name} is yours: your identity provider may vouch for its people."
    try_to(request, actor, done, lambda: verify_domain(actor=actor, claim=row))
    return redirect("sign-ons", slug=actor.org.slug)


@require_POST
@org_page
def release(request: HttpRequest, actor: Actor, domain_id: str) -> HttpResponse:
    """Give a domain up, once it was named if it counts."""
    actor.check(Permission.WRITE_MEMBERS)
    row = access_row(list_domains(actor), actor, domain_id)

    def act() -> None:
        if row.verified_at is not None:
            check_confirmed(request, row.name)
        release_domain(actor=actor, claim=row)

    try_to(request, actor, f"{row.name} is given up.", act)
    return redirect("sign-ons", slug=actor.org.slug)


@require_http_methods(["GET", "POST"])
@org_page
def new_sign_on(request: HttpRequest, actor: Actor, kind: str) -> HttpResponse:
    """The form of a provider of one kind."""
    actor.check(Permission.WRITE_MEMBERS)
    if kind not in set(SignOnKind):
        raise NotFound("There is no such kind of provider.")
    chosen = SignOnKind(kind)
    form = Form(_fields(chosen, is_new=True), {"role": "viewer", "name": "Our directory"})
    if request.method == "POST":
        made = form.submit(request, actor, lambda form: _create(actor, chosen, form))
        if made is not None:
            return redirect("sign-on-provider", slug=actor.org.slug, sign_on_id=str(made.pk))
    lead = "The provider asks for our addresses: you see them once this is saved, and can come back."
    return show_form(request, actor, "sign-ons", _TITLE, form, f"New provider: {_KINDS[chosen]}", lead=lead)


@require_http_methods(["GET", "POST"])
@org_page
def sign_on(request: HttpRequest, actor: Actor, sign_on_id: str) -> HttpResponse:
    """One provider: its form, what it needs to know of us, and its end."""
    actor.check(Permission.WRITE_MEMBERS)
    row = access_row(list_identity_providers(actor), actor, sign_on_id)
    kind = SignOnKind(row.kind)
    initial = {name: getattr(row, name) for name in ("name", "role", "is_active", *_names(kind))}
    form = Form(_fields(kind, is_new=False), initial, is_edit=True)
    if request.method == "POST":
        if form.submit(request, actor, lambda form: _update(actor, row, form)) is not None:
            return redirect("sign-ons", slug=actor.org.slug)
        row.refresh_from_db()
    path = "openid_connect_callback" if kind is SignOnKind.OIDC else "saml_acs"
    metadata = reverse("saml_metadata", args=[str(row.pk)]) if kind is SignOnKind.SAML else ""
    more: dict[str, Any] = {
        "callback": request.build_absolute_uri(reverse(path, args=[str(row.pk)])),
        "metadata": request.build_absolute_uri(metadata) if metadata else "",
        "acts": [
            Act(
                "Remove this provider",
                reverse("remove-sign-on", args=[actor.org.slug, row.pk]),
                "Remove",
                "Its people stay members, and sign in by other ways.",
                confirm=row.name,
                tone="bad",
            )
        ],
    }
    return show_form(
        request, actor, "sign-ons", _TITLE, form, row.name, template="console/sign_on_provider.html", **more
    )


@require_POST
@org_page
def remove(request: HttpRequest, actor: Actor, sign_on_id: str) -> HttpResponse:
    """Remove a provider, once it was named."""
    actor.check(Permission.WRITE_MEMBERS)
    row = access_row(list_identity_providers(actor), actor, sign_on_id)

    def act() -> None:
        check_confirmed(request, row.name)
        remove_sign_on(actor=actor, sign_on=row)

    if try_to(request, actor, f"{row.name} is removed.", act):
        return redirect("sign-ons", slug=actor.org.slug)
    return redirect("sign-on-provider", slug=actor.org.slug, sign_on_id=sign_on_id)


def _names(kind: SignOnKind) -> list[str]:
    return [field.name for field in (_OIDC if kind is SignOnKind.OIDC else _SAML)]


def _fields(kind: SignOnKind, *, is_new: bool) -> list[Field]:
    roles = [(role.value, role.value) for role in Role if role is not Role.OWNER]
    fields = [
        Field("name", "Name", is_required=True, help="What the button says by which people sign in.", most=120),
        Field("role", "Role", "select", help="What people become who come for the first time.", choices=roles),
        *(_OIDC if kind is SignOnKind.OIDC else _SAML),
    ]
    if kind is SignOnKind.OIDC:
        words = "" if is_new else "Empty: it stays as it is."
        fields.append(Field("client_secret", "Client secret", "password", is_required=is_new, help=words, most=4_096))
    if not is_new:
        fields.append(Field("is_active", "In use", "checkbox", help="Without, nobody signs in by it."))
    return fields


def _create(actor: Actor, kind: SignOnKind, form: Form) -> SignOn:
    more = {name: form.text(name) for name in _names(kind)}
    if kind is SignOnKind.OIDC:
        more["client_secret"] = form.text("client_secret")
    return create_sign_on(actor=actor, name=form.text("name"), kind=kind, role=form.choice("role", Role), **more)


def _update(actor: Actor, row: SignOn, form: Form) -> SignOn:
    kind = SignOnKind(row.kind)
    changes: dict[str, Any] = {name: form.text(name) for name in _names(kind)}
    if kind is SignOnKind.OIDC:
        changes["client_secret"] = form.text("client_secret")
    return update_sign_on(
        actor=actor,
        sign_on=row,
        name=form.text("name"),
        role=form.choice("role", Role),
        is_active=form.flag("is_active"),
        **changes,
    )
