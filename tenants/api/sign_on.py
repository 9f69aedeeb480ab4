"""/sign-ons and /domains: an organisation's identity providers, and the domains whose people they answer for."""

from typing import ClassVar

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

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
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Choice, Flag, Nothing, Text
from tenants.choices import Role, SignOnKind
from tenants.models import ClaimedDomain, SignOn
from tenants.selectors import list_domains, list_identity_providers


class SignOnAnswer(Answer):
    """An identity provider, without its secret. ``callback_url`` is what the provider wants to know of us: the redirect
    URI of OIDC, the assertion consumer service of SAML; for SAML ``metadata_url`` has all of it."""

    callback_url = serializers.SerializerMethodField()
    metadata_url = serializers.SerializerMethodField()

    class Meta:
        model = SignOn
        fields: ClassVar = [
            "id",
            "name",
            "kind",
            "role",
            "is_active",
            "issuer",
            "client_id",
            "entity_id",
            "sso_url",
            "certificate",
            "callback_url",
            "metadata_url",
            "created_at",
        ]

    def get_callback_url(self, row: SignOn) -> str:
        """Where the provider sends people back to."""
        path = "openid_connect_callback" if row.kind == SignOnKind.OIDC else "saml_acs"
        return self._absolute(reverse(path, args=[str(row.pk)]))

    def get_metadata_url(self, row: SignOn) -> str:
        """Our own description, for SAML."""
        return "" if row.kind == SignOnKind.OIDC else self._absolute(reverse("saml_metadata", args=[str(row.pk)]))

    def _absolute(self, path: str) -> str:
        request = self.context.get("request")
        return request.build_absolute_uri(path) if request is not None else path


class NewSignOn(Body):
    """OIDC: ``issuer``, ``client_id``, ``client_secret``. SAML: ``entity_id``, ``sso_url``, ``certificate`` (PEM)."""

    name = Text()
    kind = Choice(SignOnKind)
    role = Choice(Role, help_text="what people become who come for the first time; never owner")
    issuer = Text(required=False)
    client_id = Text(required=False)
    client_secret = Text(required=False)
    entity_id = Text(required=False)
    sso_url = Text(required=False)
    certificate = Text(required=False, max_length=8_000)


class SignOnChanges(Body):
    """What may change; the kind stays."""

    name = Text(required=False)
    role = Choice(Role, required=False)
    is_active = Flag(required=False)
    issuer = Text(required=False)
    client_id = Text(required=False)
    client_secret = Text(required=False)
    entity_id = Text(required=False)
    sso_url = Text(required=False)
    certificate = Text(required=False, max_length=8_000)


class DomainAnswer(Answer):
    """A claimed domain. It counts once ``challenge`` is the value of the TXT record ``challenge_record``, or a line of
    the file at ``challenge_url``."""

    challenge_record = serializers.SerializerMethodField()
    challenge_url = serializers.SerializerMethodField()

    class Meta:
        model = ClaimedDomain
        fields: ClassVar = [
            "id",
            "name",
            "challenge",
            "challenge_record",
            "challenge_url",
            "verified_at",
            "missing_since",
            "created_at",
        ]

    def get_challenge_record(self, row: ClaimedDomain) -> str:
        """The name of the TXT record in which the challenge is looked for."""
        return CHALLENGE_RECORD + row.name

    def get_challenge_url(self, row: ClaimedDomain) -> str:
        """Where the challenge is looked for."""
        return f"https://{row.name}{CHALLENGE_PATH}"


class NewDomain(Body):
    """A domain as it stands in e-mail addresses."""

    name = Text()


class SignOnViewSet(TenantViewSet):
    """Identity providers."""

    queryset = SignOn.objects.all()
    serializer_class = SignOnAnswer

    def rows(self) -> QuerySet[SignOn]:
        """Those of the open organisation."""
        return list_identity_providers(self.actor)

    @extend_schema(request=NewSignOn, responses={201: SignOnAnswer})
    def create(self, request: Request) -> Response:
        """Set up an identity provider."""
        return self.show(create_sign_on(actor=self.actor, **self.read(NewSignOn)), 201)

    @extend_schema(request=SignOnChanges, responses=SignOnAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a provider. Another issuer needs its client secret too."""
        sign_on = self.access(pk)
        return self.show(update_sign_on(actor=self.actor, sign_on=sign_on, **self.read(SignOnChanges)))

    def destroy(self, request: Request, pk: str) -> Response:
        """Remove a provider. Its people stay members."""
        remove_sign_on(actor=self.actor, sign_on=self.access(pk))
        return Response(status=204)


class DomainViewSet(TenantViewSet):
    """Domains of e-mail addresses that the organisation claims."""

    queryset = ClaimedDomain.objects.all()
    serializer_class = DomainAnswer

    def rows(self) -> QuerySet[ClaimedDomain]:
        """Those of the open organisation."""
        return list_domains(self.actor)

    @extend_schema(request=NewDomain, responses={201: DomainAnswer})
    def create(self, request: Request) -> Response:
        """Claim a domain."""
        return self.show(claim_domain(actor=self.actor, **self.read(NewDomain)), 201)

    @extend_schema(request=Nothing, responses=DomainAnswer)
    @action(detail=True, methods=["post"])
    def verify(self, request: Request, pk: str) -> Response:
        """Look for the challenge at the domain."""
        claim = self.access(pk)
        self.read(Nothing)
        return self.show(verify_domain(actor=self.actor, claim=claim))

    def destroy(self, request: Request, pk: str) -> Response:
        """Give a domain up."""
        release_domain(actor=self.actor, claim=self.access(pk))
        return Response(status=204)
