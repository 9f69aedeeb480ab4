"""/provider-tunings: models that a provider trains on a version."""

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from proxy.learning.models import DatasetVersion, ProviderTuning
from proxy.learning.provider_tuning import cancel_provider_tuning, create_provider_tuning
from tenants.access import access_named, access_row
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Text, Usd, Whole
from tenants.choices import Permission
from tenants.models import Project
from tenants.selectors import list_upstreams


class ProviderTuningAnswer(Answer):
    """One that a provider has, or is to have: how far it is by the provider's own words, what is held for it, and what
    it has cost. ``error`` is what it waits for, or why it ended."""

    version = serializers.CharField(source="version_id")
    upstream = serializers.UUIDField(source="upstream_id")
    project = serializers.UUIDField(source="project_id")
    per_million = Usd(source="per_million_nanos")
    held = Usd(source="held_nanos")
    spent = Usd(source="spent_nanos")
    events = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = ProviderTuning
        fields: ClassVar = [
            "id",
            "version",
            "upstream",
            "project",
            "name",
            "base_model",
            "epochs",
            "per_million",
            "most_tokens",
            "state",
            "error",
            "remote_job",
            "remote_model",
            "remote_state",
            "events",
            "trained_tokens",
            "held",
            "spent",
            "ended_at",
            "created_at",
        ]


class NewProviderTuning(Body):
    """What it is made of; ``upstream`` and ``project`` by name or id. ``per_million``: USD that the provider asks for a
    million trained tokens."""

    version = Text(max_length=100)
    upstream = Text(max_length=200)
    project = Text(max_length=200)
    name = Text(max_length=200)
    base_model = Text(max_length=200)
    per_million = Usd()
    epochs = Whole(required=False)


class ProviderTuningViewSet(TenantViewSet):
    """Provider tunings."""

    queryset = ProviderTuning.objects.all()
    serializer_class = ProviderTuningAnswer
    read_permission = Permission.READ_MONEY

    def rows(self) -> QuerySet[ProviderTuning]:
        """Those of the open organisation."""
        return ProviderTuning.objects.filter(org=self.actor.org)

    @extend_schema(request=NewProviderTuning, responses={201: ProviderTuningAnswer})
    def create(self, request: Request) -> Response:
        """Send a version's examples to a provider, which trains a model on them."""
        body, actor = self.read(NewProviderTuning), self.actor
        versions = DatasetVersion.objects.select_related("dataset")
        body["version"] = access_row(versions, actor, body["version"])
        body["upstream"] = access_named(list_upstreams(actor), actor, body["upstream"], field="upstream")
        body["project"] = access_named(Project.objects.all(), actor, body["project"], field="project")
        body["per_million_nanos"] = body.pop("per_million")
        return self.show(create_provider_tuning(actor=actor, **body), 201)

    def destroy(self, request: Request, pk: str) -> Response:
        """Cancel it; what was trained by then is charged."""
        cancel_provider_tuning(actor=self.actor, tuning=self.access(pk))
        return Response(status=204)
