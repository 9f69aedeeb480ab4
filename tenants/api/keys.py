"""/keys: keys of the LLM API. A secret is in the answer of the request that made it, and nowhere else."""

from typing import Any, ClassVar, Final

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.access import access_named
from tenants.actions.keys import NewKey, create_key, revoke_key, rotate_key, update_key
from tenants.api.fields import Answer, Body, Flag, Moment, Nothing, Text, Whole
from tenants.api.paging import PARAMETERS
from tenants.api.stops import StoppableViewSet
from tenants.models import ApiKey, Project
from tenants.selectors import list_keys

_ADDRESSES: Final = "networks that it may be used from, such as 203.0.113.0/24"
_ENDPOINTS: Final = "paths that it may call with all below them, such as /v1/chat/completions"


class KeyAnswer(Answer):
    """A key without its secret. An empty ``models``, ``addresses`` or ``endpoints`` means all of them."""

    project = serializers.UUIDField(source="project_id")
    project_name = serializers.CharField(source="project.name")
    models = serializers.ListField(source="allowed_models", child=serializers.CharField())
    addresses = serializers.ListField(source="allowed_addresses", child=serializers.CharField())
    endpoints = serializers.ListField(source="allowed_endpoints", child=serializers.CharField())
    is_expired = serializers.BooleanField()

    class Meta:
        model = ApiKey
        fields: ClassVar = [
            "id",
            "name",
            "prefix",
            "project",
            "project_name",
            "end_user",
            "models",
            "addresses",
            "endpoints",
            "hides_amounts",
            "expires_at",
            "is_expired",
            "revoked_at",
            "is_stopped",
            "rotated_to",
            "created_by",
            "created_at",
        ]


class NewKeyAnswer(KeyAnswer):
    """A new key with its secret, shown this once."""

    secret = serializers.CharField()

    class Meta(KeyAnswer.Meta):
        fields: ClassVar = [*KeyAnswer.Meta.fields, "secret"]


class NewKeyBody(Body):
    """What a key is made of; ``project`` and ``models`` by name or id."""

    name = Text()
    project = Text(required=False, allow_null=True)
    end_user = Text(required=False, allow_blank=True)
    models = serializers.ListField(child=Text(), required=False, max_length=500)
    addresses = serializers.ListField(child=Text(), required=False, max_length=50, help_text=_ADDRESSES)
    endpoints = serializers.ListField(child=Text(), required=False, max_length=50, help_text=_ENDPOINTS)
    hides_amounts = Flag(required=False)
    expires_at = Moment(required=False, allow_null=True)


class KeyChanges(Body):
    """What may change."""

    name = Text(required=False)
    models = serializers.ListField(child=Text(), required=False, max_length=500)
    addresses = serializers.ListField(child=Text(), required=False, max_length=50, help_text=_ADDRESSES)
    endpoints = serializers.ListField(child=Text(), required=False, max_length=50, help_text=_ENDPOINTS)
    hides_amounts = Flag(required=False)


class Rotation(Body):
    """For how long the old key works on; not at all unless said."""

    grace_seconds = Whole(required=False, min_value=0)


class KeyFilters(Body):
    """Which keys."""

    project = Text(required=False, help_text="a project's name or id")


class KeyViewSet(StoppableViewSet):
    """Keys, dead ones included."""

    queryset = ApiKey.objects.all()
    serializer_class = KeyAnswer
    known_parameters = PARAMETERS | {"project"}
    is_by_project = True

    def rows(self) -> QuerySet[ApiKey]:
        """Those of the open organisation, or of the projects that the actor is a member of."""
        return list_keys(self.actor)

    def filter_rows(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Those of one project, if asked. Raises NotFound."""
        name = self.read_query(KeyFilters).get("project")
        return rows if name is None else rows.filter(project=self._project(name))

    @extend_schema(parameters=[KeyFilters])
    def list(self, request: Request) -> Response:
        """A page of keys, newest first."""
        return super().list(request)

    @extend_schema(request=NewKeyBody, responses={201: NewKeyAnswer})
    def create(self, request: Request) -> Response:
        """Make a key."""
        body = self.read(NewKeyBody)
        if body.get("project") is not None:
            body["project"] = self._project(body["project"])
        return self._show_new(create_key(actor=self.actor, **body))

    @extend_schema(request=KeyChanges, responses=KeyAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Rename a key, or change its models."""
        key = self.access(pk)
        return self.show(update_key(actor=self.actor, key=key, **self.read(KeyChanges)))

    @extend_schema(request=Rotation, responses={201: NewKeyAnswer})
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: str) -> Response:
        """Replace a key by a new one with the same rights. Budgets and rate limits hold both as one key, which goes on
        with what was spent; they name it by its first key's id."""
        key = self.access(pk)
        return self._show_new(rotate_key(actor=self.actor, key=key, **self.read(Rotation)))

    @extend_schema(request=Nothing, responses=KeyAnswer)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str) -> Response:
        """End a key for ever, at once."""
        key = self.access(pk)
        self.read(Nothing)
        return self.show(revoke_key(actor=self.actor, key=key))

    def _project(self, name: str) -> Project:
        return access_named(Project.objects.all(), self.actor, name, field="project")

    def _show_new(self, new: NewKey) -> Response:
        return self.show(new.key, 201, secret=new.secret)
