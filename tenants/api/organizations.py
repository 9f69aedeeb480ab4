"""/organizations: made by a platform operator's program, read and renamed by their own people and programs."""

from typing import ClassVar

from django.db.models import Q
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from costhub.lib.errors import Forbidden, NotFound
from tenants.actions.orgs import create_organization, find_or_create_user, update_organization
from tenants.api.authentication import PlatformActor
from tenants.api.fields import Answer, Body, Email, Text
from tenants.api.stops import StoppableViewSet
from tenants.models import Organization, User


class OrganizationAnswer(Answer):
    """An organisation."""

    class Meta:
        model = Organization
        fields: ClassVar = ["id", "name", "slug", "time_zone", "is_active", "is_stopped", "created_at"]


class NewOrganizationAnswer(OrganizationAnswer):
    """A new organisation with its first secrets, shown this once."""

    project = serializers.UUIDField()
    admin_token = serializers.CharField()
    api_key = serializers.CharField()

    class Meta(OrganizationAnswer.Meta):
        fields: ClassVar = [*OrganizationAnswer.Meta.fields, "project", "admin_token", "api_key"]


class NewOrganization(Body):
    """What an organisation is made of. Without ``owner_email`` the platform token's person becomes its owner."""

    name = Text()
    time_zone = Text(required=False)
    owner_email = Email(required=False)


class OrganizationChanges(Body):
    """What may change."""

    name = Text(required=False)
    time_zone = Text(required=False)


class OrganizationViewSet(StoppableViewSet):
    """The organisation that the caller acts in."""

    queryset = Organization.objects.all()
    serializer_class = OrganizationAnswer
    _created: Organization | None = None

    def check_caller(self) -> None:
        """A platform operator's program comes in here, and only to create."""
        if not (self.action == "create" and isinstance(self.request.auth, PlatformActor)):
            super().check_caller()

    def list(self, request: Request) -> Response:
        """The organisation that is open; for a person, all that they belong to."""
        mine = Q(pk=self.actor.org.pk)
        if isinstance(request.user, User):
            mine |= Q(pk__in=request.user.memberships.values("org_id"))
        page = self.paginate_queryset(Organization.objects.filter(mine, is_active=True))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def access(self, pk: str) -> Organization:
        """The open organisation, if that is its id. Raises NotFound."""
        if pk.lower() != str(self.actor.org.pk):
            raise NotFound("There is no such organization.")
        return self.actor.org

    @extend_schema(request=NewOrganization, responses={201: NewOrganizationAnswer})
    def create(self, request: Request) -> Response:
        """Create an organisation; with a platform token only."""
        who = request.auth
        if not isinstance(who, PlatformActor):
            raise Forbidden("Only a platform operator's token may create organisations.")
        body = self.read(NewOrganization)
        email = body.pop("owner_email", None)
        owner = find_or_create_user(email) if email else who.token.user
        made = create_organization(acting_name=who.name, owner=owner, **body)
        self._created = made.org
        return self.show(
            made.org, 201, project=str(made.project.pk), admin_token=made.admin_token, api_key=made.api_key
        )

    @extend_schema(request=OrganizationChanges, responses=OrganizationAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Rename the organisation, or move it to another time zone."""
        self.access(pk)
        return self.show(update_organization(actor=self.actor, **self.read(OrganizationChanges)))

    @property
    def answered_org(self) -> Organization:
        """A new organisation's answer is sealed under its own key."""
        return self._created or super().answered_org
