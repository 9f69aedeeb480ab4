"""Single sign-on: an organisation's identity provider as django-allauth knows one, and who it may vouch for.

A provider vouches for people of its organisation's verified domains, and for nobody else. Such a person is a member
from then on, with the role that the organisation chose. Accounts are found by their address: whoever owns the domain
answers for its people.
"""

from typing import Any, Final
from uuid import UUID

import requests
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.base import AuthProcess, Provider
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from costhub.lib.errors import AppError, Forbidden
from tenants.access import find_domain, find_sign_on, find_uuid, org_scope
from tenants.accounts.outbound import make_session
from tenants.actions.orgs import answers_for
from tenants.actions.sign_on import admit_person, open_client_secret
from tenants.choices import SignOnKind
from tenants.models import SignOn, User

PROVIDERS: Final = {SignOnKind.OIDC: "openid_connect", SignOnKind.SAML: "saml"}

#: names under which identity providers send what we ask for, the ones of the standards first
_SAML_ATTRIBUTES: Final = {
    "uid": ["urn:oasis:names:tc:SAML:attribute:subject-id", "uid"],
    "email": [
        "urn:oid:0.9.2342.19200300.100.1.3",
        "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
        "mail",
        "email",
    ],
}


class SignOnAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """Reads providers from the organisations' own rows, one at a time: nobody lists them."""

    def list_apps(self, request: HttpRequest, provider: Any = None, client_id: Any = None) -> list[SocialApp]:
        """The one provider of this id, if it is there and in use."""
        # allauth asks for an OIDC provider by our id, and for a SAML provider by "saml" and our id.
        wanted = find_uuid(str(client_id or provider or ""))
        found = load_sign_on(wanted) if wanted else None
        return [] if found is None else [make_app(found)]

    def get_requests_session(self) -> requests.Session:
        """Through the gate only."""
        return make_session()

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """``pre_social_login`` has refused whom the organisation does not answer for."""
        return True

    def is_email_verified(self, provider: Provider, email: str) -> bool:
        """Whether the provider's organisation owns the address's domain."""
        sign_on = load_sign_on(find_uuid(provider.app.provider_id))
        return sign_on is not None and owns_address(sign_on, email)

    def can_authenticate_by_email(self, login: SocialLogin, email: str) -> bool:
        """The same: who owns the domain answers for its accounts."""
        return self.is_email_verified(login.provider, email)

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Refuse whom the provider may not vouch for. Raises ImmediateHttpResponse with the page that says why."""
        try:
            check_vouched_for(sociallogin)
            if sociallogin.is_existing:
                admit_person(load_sign_on(find_uuid(sociallogin.provider.app.provider_id)), sociallogin.user)
        except AppError as error:
            raise ImmediateHttpResponse(answer_refusal(request, error)) from error

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> User:
        """A new account, and its membership."""
        user: User = super().save_user(request, sociallogin, form)
        admit_person(load_sign_on(find_uuid(sociallogin.provider.app.provider_id)), user)
        return user

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, error: Any = None, exception: Any = None, extra_context: Any = None
    ) -> None:
        """A page in words, whatever it was: details are in the log, and none of them helps a stranger."""
        message = (
            "Your identity provider could not be asked, or its answer could not be trusted. Start again; if it"
            " happens again, ask an owner or admin of your organisation to check the single sign-on settings."
        )
        raise ImmediateHttpResponse(answer_refusal(request, Forbidden(message)))


def load_sign_on(sign_on_id: UUID | None) -> SignOn | None:
    """The identity provider of this id, if it is in use. Nobody has signed in yet: no organisation is left open."""
    if sign_on_id is None or (owner := find_sign_on(sign_on_id)) is None:
        return None
    with org_scope(owner):
        return SignOn.objects.select_related("org").filter(pk=sign_on_id, is_active=True, org__is_active=True).first()


def list_sign_ons(email: str) -> list[SignOn]:
    """The providers in use that answer for an address, by its domain."""
    org_id = find_domain(email.rpartition("@")[2].replace("\x00", ""))
    if org_id is None:
        return []
    with org_scope(org_id):
        return list(SignOn.objects.filter(org=org_id, is_active=True, org__is_active=True).order_by("name"))


def owns_address(sign_on: SignOn, email: str) -> bool:
    """Whether the provider's organisation has verified the domain of this address."""
    with org_scope(sign_on.org_id):
        return answers_for(sign_on.org, email)


def check_vouched_for(sociallogin: SocialLogin) -> None:
    """Raise Forbidden unless the provider may vouch for this person, by what it says and by the account it leads to."""
    sign_on = load_sign_on(find_uuid(sociallogin.provider.app.provider_id))
    if sign_on is None or sociallogin.state.get("process") not in {None, AuthProcess.LOGIN}:
        raise Forbidden("This way to sign in is not in use.")
    addresses = [address.email for address in sociallogin.email_addresses]
    if sociallogin.is_existing:
        addresses.append(sociallogin.user.email)
    if not sociallogin.email_addresses or not all(owns_address(sign_on, address) for address in addresses):
        raise Forbidden(
            "Your identity provider gave no e-mail address of a domain that your organisation has verified here."
            " Ask an owner or admin of your organisation to claim the domain, or to send the address."
        )


def make_app(sign_on: SignOn) -> SocialApp:
    """An identity provider as django-allauth knows one; never stored as such."""
    own_id = str(sign_on.pk)
    app = SocialApp(provider=PROVIDERS[SignOnKind(sign_on.kind)], provider_id=own_id, name=sign_on.name)
    if sign_on.kind == SignOnKind.OIDC:
        app.client_id, app.secret = sign_on.client_id, open_client_secret(sign_on)
        app.settings = {"server_url": sign_on.issuer}
    else:
        app.client_id = own_id
        app.settings = {
            "attribute_mapping": _SAML_ATTRIBUTES,
            "idp": {
                "entity_id": sign_on.entity_id,
                "sso_url": sign_on.sso_url,
                "x509cert": sign_on.certificate,
            },
            "advanced": {
                "want_assertion_signed": True,
                "reject_idp_initiated_sso": True,
                "strict": True,
                "allow_single_label_domains": True,
            },
        }
    return app


def answer_refusal(request: HttpRequest, error: AppError) -> HttpResponse:
    """The page that says why somebody was not signed in."""
    return render(request, "account/refused.html", {"message": error.message}, status=error.http_status)
