"""/members: who belongs to the organisation, as what."""

from typing import ClassVar, Final

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.actions.orgs import add_member, remove_member, set_role
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Choice, Email, Text
from tenants.choices import Role
from tenants.models import Membership
from tenants.selectors import list_members

_PROJECTS: Final = "projects, by name or id, that a developer or viewer is to hold the role in; none: everywhere"


class MemberAnswer(Answer):
    """A person's role; empty ``projects``: in the whole organisation. Nothing else of the person is shown: they may
    belong to other organisations too. With ``visit_until`` it is no member but an operator of the installation who
    looks in until then."""

    email = serializers.EmailField(source="user.email")

    class Meta:
        model = Membership
        fields: ClassVar = ["id", "email", "role", "projects", "suspended_at", "visit_until", "created_at"]


class NewMember(Body):
    """Whom to add."""

    email = Email()
    role = Choice(Role)
    projects = serializers.ListField(child=Text(), required=False, max_length=100, help_text=_PROJECTS)


class MemberChanges(Body):
    """What may change. Without ``projects`` a developer or viewer keeps those that they had; an empty list is the whole
    organisation."""

    role = Choice(Role)
    projects = serializers.ListField(child=Text(), required=False, max_length=100, help_text=_PROJECTS)


class MemberViewSet(TenantViewSet):
    """Members of the organisation."""

    queryset = Membership.objects.all()
    serializer_class = MemberAnswer

    def rows(self) -> QuerySet[Membership]:
        """Those of the open organisation."""
        return list_members(self.actor)

    @extend_schema(request=NewMember, responses={201: MemberAnswer})
    def create(self, request: Request) -> Response:
        """Add a person by e-mail address, who gets a mail with the way in."""
        return self.show(add_member(actor=self.actor, **self.read(NewMember)), 201)

    @extend_schema(request=MemberChanges, responses=MemberAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a member's role."""
        membership = self.access(pk)
        return self.show(set_role(actor=self.actor, membership=membership, **self.read(MemberChanges)))

    def destroy(self, request: Request, pk: str) -> Response:
        """End a membership."""
        remove_member(actor=self.actor, membership=self.access(pk))
        return Response(status=204)
