"""/organizations: made by a platform operator's program, read and renamed by their own people and programs."""

from typing import ClassVar

from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from costhub.lib.errors import Forbidden, NotFound
from tenants.actions.orgs import (
    create_organization,
    find_or_create_user,
    require_second_factor,
    update_organization,
)
from tenants.actions.visits import allow_visits
from tenants.api.authentication import PlatformActor
from tenants.api.etags import IF_MATCH
from tenants.api.fields import Answer, Body, Email, Flag, Text, Whole
from tenants.api.stops import StoppableViewSet
from tenants.choices import Permission
from tenants.models import Organization, User


class OrganizationAnswer(Answer):
    """An organisation."""

    class Meta:
        model = Organization
        fields: ClassVar = [
            "id",
            "name",
            "slug",
            "time_zone",
            "is_active",
            "is_stopped",
            "requires_second_factor",
            "answers_kept_hours",
            "hides_amounts",
            "visits_allowed_until",
            "created_at",
        ]


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
    requires_second_factor = Flag(
        required=False, help_text="whether owners, admins and finance are let in with a second factor only"
    )
    answers_kept_hours = Whole(required=False)
    hides_amounts = Flag(
        required=False,
        help_text="whether callers of all keys, and not only of those that say so, are told no amounts of money",
    )
    visits_allowed_hours = Whole(
        required=False, help_text="for how many hours from now operators of the installation may look; 0: no longer"
    )


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
            mine |= Q(pk__in=request.user.memberships.filter(visit_until=None).values("org_id"))
        page = self.paginate_queryset(Organization.objects.filter(mine, is_active=True))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def access(self, pk: str) -> Organization:
        """The open organisation, if that is its id. Raises NotFound."""
        if pk.lower() != str(self.actor.org.pk):
            raise NotFound("There is no such organization.")
        if IF_MATCH in self.request.headers and self.action == "partial_update":
            return self.check_unchanged(self.actor.org)
        return self.actor.org

    def rows(self) -> QuerySet[Organization]:
        """The one that is open."""
        return Organization.objects.filter(pk=self.actor.org.pk)

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
        """Rename the organisation, move it to another time zone, hide amounts, or ask for second factors."""
        self.access(pk)
        body = self.read(OrganizationChanges)
        is_required = body.pop("requires_second_factor", None)
        hours = body.pop("visits_allowed_hours", None)
        if body:
            update_organization(actor=self.actor, **body)
        if is_required is not None:
            require_second_factor(actor=self.actor, is_required=is_required)
        if hours is not None:
            allow_visits(actor=self.actor, hours=hours)
        self.actor.check(Permission.WRITE_SETTINGS)
        return self.show(self.actor.org)

    @property
    def answered_org(self) -> Organization:
        """A new organisation's answer is sealed under its own key."""
        return self._created or super().answered_org
