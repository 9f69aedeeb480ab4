"""/service-accounts and /admin-tokens: programs that act in the organisation, and their secrets."""

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.access import access_named
from tenants.actions.tokens import (
    create_service_account,
    create_token,
    revoke_admin_token,
    update_service_account,
)
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Choice, Flag, Moment, Text
from tenants.choices import Permission, Role
from tenants.models import AdminToken, ServiceAccount
from tenants.selectors import list_admin_tokens, list_service_accounts


class ServiceAccountAnswer(Answer):
    """A program's account. Empty ``projects``: the whole organisation."""

    is_disabled = serializers.SerializerMethodField()

    class Meta:
        model = ServiceAccount
        fields: ClassVar = ["id", "name", "role", "projects", "is_disabled", "created_by", "created_at"]

    def get_is_disabled(self, row: ServiceAccount) -> bool:
        """Whether none of its tokens works."""
        return row.disabled_at is not None


class NewServiceAccount(Body):
    """What an account is made of; ``projects``, by name or id, narrow a developer or viewer to these."""

    name = Text()
    role = Choice(Role)
    projects = serializers.ListField(child=Text(), required=False, max_length=100)


class ServiceAccountChanges(Body):
    """What may change."""

    name = Text(required=False)
    role = Choice(Role, required=False)
    projects = serializers.ListField(child=Text(), required=False, max_length=100)
    is_disabled = Flag(required=False)


class AdminTokenAnswer(Answer):
    """A token without its secret. Empty ``scopes``: all that the role may."""

    service_account = serializers.UUIDField(source="account_id", allow_null=True)

    class Meta:
        model = AdminToken
        fields: ClassVar = [
            "id",
            "name",
            "prefix",
            "role",
            "service_account",
            "scopes",
            "expires_at",
            "revoked_at",
            "created_by",
            "created_at",
        ]


class NewAdminTokenAnswer(AdminTokenAnswer):
    """A new token with its secret, shown this once."""

    secret = serializers.CharField()

    class Meta(AdminTokenAnswer.Meta):
        fields: ClassVar = [*AdminTokenAnswer.Meta.fields, "secret"]


class NewAdminToken(Body):
    """What a token is made of: a ``role``, or a ``service_account`` by name or id. ``scopes`` narrow it."""

    name = Text()
    role = Choice(Role, required=False)
    service_account = Text(required=False)
    scopes = serializers.ListField(child=Choice(Permission), required=False, max_length=20)
    expires_at = Moment(required=False, allow_null=True)


class ServiceAccountViewSet(TenantViewSet):
    """Accounts of programs, disabled ones included."""

    queryset = ServiceAccount.objects.all()
    serializer_class = ServiceAccountAnswer

    def rows(self) -> QuerySet[ServiceAccount]:
        """Those of the open organisation."""
        return list_service_accounts(self.actor)

    @extend_schema(request=NewServiceAccount, responses={201: ServiceAccountAnswer})
    def create(self, request: Request) -> Response:
        """Make an account; it acts with tokens of its own."""
        return self.show(create_service_account(actor=self.actor, **self.read(NewServiceAccount)), 201)

    @extend_schema(request=ServiceAccountChanges, responses=ServiceAccountAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Rename an account, change its rights, disable or enable it."""
        account = self.access(pk)
        return self.show(update_service_account(actor=self.actor, account=account, **self.read(ServiceAccountChanges)))


class AdminTokenViewSet(TenantViewSet):
    """Tokens of the management API, dead ones included."""

    queryset = AdminToken.objects.all()
    serializer_class = AdminTokenAnswer

    def rows(self) -> QuerySet[AdminToken]:
        """Those of the open organisation."""
        return list_admin_tokens(self.actor)

    @extend_schema(request=NewAdminToken, responses={201: NewAdminTokenAnswer})
    def create(self, request: Request) -> Response:
        """Make a token, with rights that the caller holds."""
        body = self.read(NewAdminToken)
        name = body.pop("service_account", None)
        if name is not None:
            body["account"] = access_named(ServiceAccount.objects.all(), self.actor, name, field="service_account")
        made = create_token(actor=self.actor, **body)
        return self.show(made.token, 201, secret=made.secret)

    def destroy(self, request: Request, pk: str) -> Response:
        """Revoke a token, for ever, at once."""
        revoke_admin_token(actor=self.actor, token=self.access(pk))
        return Response(status=204)
