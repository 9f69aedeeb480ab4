"""/end-users: the people on whose behalf applications call, as far as somebody made them known."""

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.actions.end_users import create_end_user, update_end_user
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Flag, Text
from tenants.models import EndUser
from tenants.selectors import list_end_users


class EndUserAnswer(Answer):
    """An end user."""

    class Meta:
        model = EndUser
        fields: ClassVar = ["id", "external_id", "name", "is_blocked", "created_at"]


class NewEndUser(Body):
    """What an end user is made of; ``external_id`` is the application's name for them."""

    external_id = Text()
    name = Text(required=False, allow_blank=True)
    is_blocked = Flag(required=False)


class EndUserChanges(Body):
    """What may change."""

    name = Text(required=False, allow_blank=True)
    is_blocked = Flag(required=False)


class EndUserViewSet(TenantViewSet):
    """End users that were made known."""

    queryset = EndUser.objects.all()
    serializer_class = EndUserAnswer

    def rows(self) -> QuerySet[EndUser]:
        """Those of the open organisation."""
        return list_end_users(self.actor)

    @extend_schema(request=NewEndUser, responses={201: EndUserAnswer})
    def create(self, request: Request) -> Response:
        """Make an end user known."""
        return self.show(create_end_user(actor=self.actor, **self.read(NewEndUser)), 201)

    @extend_schema(request=EndUserChanges, responses=EndUserAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Rename, block or admit an end user."""
        end_user = self.access(pk)
        return self.show(update_end_user(actor=self.actor, end_user=end_user, **self.read(EndUserChanges)))
