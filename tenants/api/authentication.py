"""Who is calling: a program with an admin token, a platform operator's program, or a person who signed in.

A successful look opens the one organisation that the caller acts in, for the rest of the request's transaction.
"""

from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from costhub.lib import clock
from costhub.lib.errors import Forbidden
from costhub.lib.secrets import ADMIN_TOKEN, API_KEY, PLATFORM_TOKEN, digest_of, is_well_formed
from tenants.access import Actor, access_org, enter_org, find_owner_of_digest, list_memberships
from tenants.accounts.sessions import was_recently_confirmed
from tenants.actions.grants import read_scopes
from tenants.choices import Role
from tenants.models import AdminToken, PlatformToken, User
from tenants.rights import Rights

ORGANIZATION_HEADER: Final = "X-CostHub-Organization"


@dataclass(frozen=True, slots=True)
class PlatformActor:
    """A platform operator's program: it may create organisations, and read none."""

    token: PlatformToken
    name: str


class BearerAuthentication(BaseAuthentication):
    """``Authorization: Bearer cha_...`` or ``chp_...``."""

    def authenticate(self, request: Request) -> tuple[Any, Actor | PlatformActor] | None:
        """The token's actor; None without a token. Raises AuthenticationFailed for a token that does not work."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return None
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise AuthenticationFailed("Send the token as 'Authorization: Bearer cha_...'.")
        if is_well_formed(token, PLATFORM_TOKEN):
            return AnonymousUser(), _find_platform_actor(token)
        if is_well_formed(token, ADMIN_TOKEN):
            return AnonymousUser(), _find_actor(token)
        if is_well_formed(token, API_KEY):
            raise AuthenticationFailed("This is a key of the LLM API: use an admin token here.")
        raise _unusable()

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return "Bearer"


class ConsoleAuthentication(SessionAuthentication):
    """A signed-in person. With several organisations, the header says which one; otherwise it is the one
    that they have been in longest."""

    def authenticate(self, request: Request) -> tuple[User, Actor] | None:
        """The person's actor; None for nobody. Raises PermissionDenied without a CSRF token, NotFound, Forbidden."""
        user = getattr(request._request, "user", None)
        if not isinstance(user, User) or not user.is_active:
            return None
        self.enforce_csrf(request)
        slug = request.headers.get(ORGANIZATION_HEADER)
        if slug is None:
            memberships = list_memberships(user)
            if not memberships:
                raise Forbidden("You are no member of an organisation: ask its owner to add you.")
            # By name an organisation that has made somebody a member could put itself before their own.
            slug = min(memberships, key=lambda one: one.created_at).org.slug
        return user, access_org(user, slug, is_fresh=was_recently_confirmed(request._request, user))


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How OpenAPI describes the tokens."""

    target_class = BearerAuthentication
    name = "adminToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """The scheme."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "cha_..."}


class ConsoleScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How OpenAPI describes the console's session."""

    target_class = ConsoleAuthentication
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """The scheme."""
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}


def _find_actor(token: str) -> Actor:
    owner = find_owner_of_digest("admin_token", digest_of(token, settings.KEY_PEPPER))
    if owner is None:
        raise _unusable()
    org_id, token_id = owner
    enter_org(org_id)
    row = AdminToken.objects.select_related("org", "account").get(pk=token_id)
    has_expired = row.expires_at is not None and row.expires_at <= clock.now()
    if row.revoked_at is not None or has_expired or not row.org.is_active:
        raise _unusable()
    account = row.account
    if account is None:
        role, projects, name = Role(row.role), [], f"token {row.prefix}"
    elif account.disabled_at is not None:
        raise _unusable()
    else:
        role, projects, name = Role(account.role), account.projects, f"{account.name} ({row.prefix})"
    scopes = read_scopes(row.scopes)
    narrowed = Rights.of_role(role, scopes=scopes, projects=projects or None) if scopes or projects else None
    return Actor(row.org, role, name, narrowed=narrowed)


def _find_platform_actor(token: str) -> PlatformActor:
    row = PlatformToken.objects.select_related("user").filter(digest=digest_of(token, settings.KEY_PEPPER)).first()
    if row is None or row.revoked_at is not None or not (row.user is None or row.user.is_active):
        raise _unusable()
    return PlatformActor(row, f"platform token {row.prefix}")


def _unusable() -> AuthenticationFailed:
    return AuthenticationFailed("This token is unknown, expired or revoked.")
