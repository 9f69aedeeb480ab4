"""Single sign-on's addresses: django-allauth's views, with a page in words for whatever a provider does wrong."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

import requests
from allauth.socialaccount.providers.openid_connect import views as oidc
from allauth.socialaccount.providers.saml import views as saml
from django.db import connection, transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.views.decorators.csrf import csrf_exempt

from costhub.lib.errors import Forbidden, NotFound
from tenants.access import find_uuid
from tenants.accounts.sign_on import answer_refusal, load_sign_on

_log = logging.getLogger(__name__)

#: a provider's answer with its signature and certificates takes some ten thousand
MOST_ANSWERED: Final = 200_000


def _in_words(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    @wraps(view)
    def answer(request: HttpRequest, **parts: Any) -> HttpResponseBase:
        # A request of HTTP/1.0 may have none, and the library of SAML asks for it.
        request.META.setdefault("HTTP_HOST", request.get_host())
        try:
            return view(request, **parts)
        except (requests.RequestException, KeyError, ValueError, TypeError, AttributeError):
            # What a provider answers may be anything: no JSON, or JSON without what must be in it.
            if connection.in_atomic_block:
                transaction.set_rollback(True)
            _log.warning("identity_provider_failed", extra={"path": request.path}, exc_info=True)
            message = (
                "Your identity provider could not be asked, or its answer made no sense. Start again; if it happens"
                " again, ask an owner or admin of your organisation to check the single sign-on settings."
            )
            return answer_refusal(request, Forbidden(message))

    return answer


def take_assertion(request: HttpRequest, organization_slug: str) -> HttpResponseBase:
    """A provider's answer by way of the browser. It is kept in a session until the next request, so that what anybody
    may send is looked at first: nobody fills the table of sessions."""
    answer = request.POST.get("SAMLResponse", "")
    if load_sign_on(find_uuid(organization_slug)) is None:
        return answer_refusal(request, NotFound("This way to sign in is not in use."))
    if request.method != "POST" or not 0 < len(answer) <= MOST_ANSWERED:
        return answer_refusal(request, Forbidden("Your identity provider sent no answer, or one that is too long."))
    return saml.acs(request, organization_slug=organization_slug)  # type: ignore[no-any-return]


def refuse_logout(request: HttpRequest, organization_slug: str) -> HttpResponseBase:
    """Providers sign nobody out by a message, which anybody could make up: their directory ends an access by SCIM."""
    return answer_refusal(request, NotFound("Sign out here: single logout is not in use."))


urlpatterns: list[URLPattern] = [
    path("oidc/<str:provider_id>/login/", _in_words(oidc.login), name="openid_connect_login"),
    path("oidc/<str:provider_id>/login/callback/", _in_words(oidc.callback), name="openid_connect_callback"),
    path("saml/<str:organization_slug>/login/", _in_words(saml.login), name="saml_login"),
    # The provider's own page sends a form here; what it says is signed.
    path("saml/<str:organization_slug>/acs/", csrf_exempt(_in_words(take_assertion)), name="saml_acs"),
    path("saml/<str:organization_slug>/acs/finish/", _in_words(saml.finish_acs), name="saml_finish_acs"),
    # The library of SAML asks for its address.
    path("saml/<str:organization_slug>/sls/", csrf_exempt(refuse_logout), name="saml_sls"),
    path("saml/<str:organization_slug>/metadata/", _in_words(saml.metadata), name="saml_metadata"),
]
