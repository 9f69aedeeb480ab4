"""/models: the names that applications may ask for."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.access import access_named
from tenants.actions.models import create_model, update_model
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Choice, Flag, Text, Whole
from tenants.api.paging import PARAMETERS
from tenants.choices import Tokenizer
from tenants.models import LanguageModel, Upstream
from tenants.selectors import list_models


class ModelAnswer(Answer):
    """A model."""

    upstream = serializers.UUIDField(source="upstream_id")
    upstream_name = serializers.CharField(source="upstream.name")

    class Meta:
        model = LanguageModel
        fields: ClassVar = [
            "id",
            "name",
            "upstream",
            "upstream_name",
            "upstream_model",
            "context_window",
            "max_output_tokens",
            "tokenizer",
            "is_active",
            "created_at",
        ]


class NewModel(Body):
    """What a model is made of; ``upstream`` by name or id."""

    name = Text()
    upstream = Text()
    upstream_model = Text(required=False)
    context_window = Whole(required=False)
    max_output_tokens = Whole(required=False, allow_null=True)
    tokenizer = Choice(Tokenizer, required=False)


class ModelChanges(Body):
    """What may change."""

    upstream = Text(required=False)
    upstream_model = Text(required=False)
    context_window = Whole(required=False)
    max_output_tokens = Whole(required=False)
    tokenizer = Choice(Tokenizer, required=False)
    is_active = Flag(required=False)


class ModelFilters(Body):
    """Which models."""

    upstream = Text(required=False, help_text="an upstream's name or id")


class ModelViewSet(TenantViewSet):
    """Models, inactive ones included."""

    queryset = LanguageModel.objects.all()
    serializer_class = ModelAnswer
    known_parameters = PARAMETERS | {"upstream"}

    def rows(self) -> QuerySet[LanguageModel]:
        """Those of the open organisation."""
        return list_models(self.actor)

    def filter_rows(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Those of one upstream, if asked. Raises NotFound."""
        name = self.read_query(ModelFilters).get("upstream")
        return rows if name is None else rows.filter(upstream=self._upstream(name))

    @extend_schema(parameters=[ModelFilters])
    def list(self, request: Request) -> Response:
        """A page of models, newest first."""
        return super().list(request)

    @extend_schema(request=NewModel, responses={201: ModelAnswer})
    def create(self, request: Request) -> Response:
        """Create a model."""
        body = self.read(NewModel)
        body["upstream"] = self._upstream(body["upstream"])
        return self.show(create_model(actor=self.actor, **body), 201)

    @extend_schema(request=ModelChanges, responses=ModelAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a model."""
        model = self.access(pk)
        body = self.read(ModelChanges)
        if "upstream" in body:
            body["upstream"] = self._upstream(body["upstream"])
        update_model(actor=self.actor, model=model, **body)
        return self.show(self.access(pk))

    def _upstream(self, name: str) -> Upstream:
        return access_named(Upstream.objects.all(), self.actor, name, field="upstream")
