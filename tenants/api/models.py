"""/models: the names that applications may ask for."""

from typing import Any, ClassVar, Final

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

#: what the name of a well-known model tells
ASSUMED: Final = ("context_window", "max_output_tokens", "tokenizer")


class ModelAnswer(Answer):
    """A model."""

    upstream = serializers.UUIDField(source="upstream_id")
    upstream_name = serializers.CharField(source="upstream.name")
    fallbacks = serializers.ListField(child=serializers.CharField())

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
            "max_tool_calls",
            "fallbacks",
            "merge_window_ms",
            "ends_on",
            "student_of",
            "is_active",
            "created_at",
        ]


class NewModelAnswer(ModelAnswer):
    """A model, and which of its values were assumed by its name, because the body left them out."""

    assumed = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta(ModelAnswer.Meta):
        fields: ClassVar = [*ModelAnswer.Meta.fields, "assumed"]


class NewModel(Body):
    """What a model is made of; ``upstream`` by name or id. Vocabulary and sizes that are left out are assumed by the
    name of a well-known model."""

    name = Text()
    upstream = Text()
    upstream_model = Text(required=False)
    context_window = Whole(required=False)
    max_output_tokens = Whole(required=False, allow_null=True)
    tokenizer = Choice(Tokenizer, required=False)
    max_tool_calls = Whole(required=False, allow_null=True)
    ends_on = Text(required=False, allow_blank=True, help_text="the day on which its provider ends it")
    fallbacks = serializers.ListField(
        child=Text(),
        required=False,
        max_length=500,
        help_text="names of the models that are asked in its place, in this order",
    )
    merge_window_ms = Whole(required=False)
    student_of = Text(required=False, allow_blank=True, help_text="the model that it was trained to stand in for")


class ModelChanges(Body):
    """What may change."""

    upstream = Text(required=False)
    upstream_model = Text(required=False)
    context_window = Whole(required=False)
    max_output_tokens = Whole(required=False)
    tokenizer = Choice(Tokenizer, required=False)
    max_tool_calls = Whole(required=False, allow_null=True)
    ends_on = Text(required=False, allow_blank=True, help_text="the day on which its provider ends it")
    fallbacks = serializers.ListField(
        child=Text(),
        required=False,
        max_length=500,
        help_text="names of the models that are asked in its place, in this order",
    )
    merge_window_ms = Whole(required=False)
    student_of = Text(required=False, allow_blank=True, help_text="the model that it was trained to stand in for")
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

    @extend_schema(request=NewModel, responses={201: NewModelAnswer})
    def create(self, request: Request) -> Response:
        """Create a model."""
        body = self.read(NewModel)
        body["upstream"] = self._upstream(body["upstream"])
        model = create_model(actor=self.actor, **body)
        return self.show(model, 201, assumed=[name for name in ASSUMED if body.get(name) is None])

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
