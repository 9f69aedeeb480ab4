"""/invitations: roles that are offered by mail."""

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from costhub.lib import clock
from tenants.actions.invitations import invite, withdraw_invitation
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Choice, Email, Text
from tenants.choices import Role
from tenants.models import Invitation
from tenants.selectors import list_invitations


class InvitationAnswer(Answer):
    """An offer. Its link is in the mail only. ``is_open``: it can be accepted still."""

    is_open = serializers.SerializerMethodField()

    class Meta:
        model = Invitation
        fields: ClassVar = [
            "id",
            "email",
            "role",
            "projects",
            "invited_by",
            "is_open",
            "expires_at",
            "accepted_at",
            "withdrawn_at",
            "created_at",
        ]

    def get_is_open(self, row: Invitation) -> bool:
        """Whether somebody can accept it at this moment."""
        return row.accepted_at is None and row.withdrawn_at is None and row.expires_at > clock.now()


class NewInvitationBody(Body):
    """Whom to invite, as what; ``projects``, by name or id, narrow a developer or viewer to these."""

    email = Email()
    role = Choice(Role)
    projects = serializers.ListField(child=Text(), required=False, max_length=100)


class InvitationViewSet(TenantViewSet):
    """Invitations, old ones included."""

    queryset = Invitation.objects.all()
    serializer_class = InvitationAnswer

    def rows(self) -> QuerySet[Invitation]:
        """Those of the open organisation."""
        return list_invitations(self.actor)

    @extend_schema(request=NewInvitationBody, responses={201: InvitationAnswer})
    def create(self, request: Request) -> Response:
        """Invite somebody by mail, for a week. An earlier invitation of theirs is withdrawn."""
        return self.show(invite(actor=self.actor, **self.read(NewInvitationBody)).invitation, 201)

    def destroy(self, request: Request, pk: str) -> Response:
        """Withdraw an invitation."""
        withdraw_invitation(actor=self.actor, invitation=self.access(pk))
        return Response(status=204)
