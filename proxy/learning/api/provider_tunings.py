"""/provider-tunings: models that a provider trains on a version."""

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from proxy.learning.api.around import UNSHOWN_OF_VERSIONS, LooksAround
from proxy.learning.api.tuned_models import TunedModelChanges
from proxy.learning.models import DatasetVersion, ProviderTuning
from proxy.learning.provider_trials import list_warnings, retire_provider_model, serve_provider_model, set_stage
from proxy.learning.provider_tuning import cancel_provider_tuning, create_provider_tuning
from tenants.access import access_named, access_row
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Text, Usd, Whole
from tenants.choices import Permission
from tenants.models import Project
from tenants.selectors import list_upstreams


class ProviderTuningAnswer(Answer):
    """One that a provider has, or is to have: how far it is by the provider's own words, what is held for it, and what
    it has cost. ``error`` is what it waits for, or why it ended.

    Of what came of it: how far it is trusted by calls of ``route``, what came of comparing it with the teacher, what
    that may cost and has (``cap``, ``compared_for``), and in ``warnings`` why nobody notices whether it still agrees.
    ``threshold`` above 1: nobody knows yet how sure it must be."""

    version = serializers.CharField(source="version_id")
    upstream = serializers.UUIDField(source="upstream_id")
    project = serializers.UUIDField(source="project_id")
    per_million = Usd(source="per_million_nanos")
    held = Usd(source="held_nanos")
    spent = Usd(source="spent_nanos")
    events = serializers.ListField(child=serializers.CharField())
    cap = Usd(source="trials_cap_nanos", allow_null=True)
    compared_for = Usd(source="trials_nanos")
    warnings = serializers.SerializerMethodField()

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
            "route",
            "stage",
            "reason",
            "floor_per_mille",
            "threshold",
            "canary_percent",
            "compared",
            "answered",
            "agreed",
            "cap",
            "compared_for",
            "warnings",
            "ended_at",
            "created_at",
        ]

    def get_warnings(self, tuning: ProviderTuning) -> list[str]:
        """In plain sentences."""
        return list_warnings(tuning, self.context["view"].around)


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


class ProviderTuningViewSet(LooksAround, TenantViewSet):
    """Provider tunings."""

    queryset = ProviderTuning.objects.all()
    serializer_class = ProviderTuningAnswer
    read_permission = Permission.READ_MONEY

    def rows(self) -> QuerySet[ProviderTuning]:
        """Those of the open organisation."""
        rows = ProviderTuning.objects.filter(org=self.actor.org).select_related("version__dataset")
        unshown = (f"version__{name}" for name in UNSHOWN_OF_VERSIONS)
        return rows.defer("trials", "recent", *unshown)

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

    @extend_schema(request=TunedModelChanges, responses=ProviderTuningAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Put what came of it into the shadow, the canary or earnest by hand, or out of it; its route follows."""
        return self.show(set_stage(actor=self.actor, tuning=self.access(pk), **self.read(TunedModelChanges)))

    def destroy(self, request: Request, pk: str) -> Response:
        """Cancel it; what was trained by then is charged."""
        cancel_provider_tuning(actor=self.actor, tuning=self.access(pk))
        return Response(status=204)


class NewProviderDeployment(Body):
    """Who asks it on paper, and what that may cost at the most, USD. Calls of the name ``route`` ask it first, as far
    as it is trusted, and its teacher where it is not sure."""

    api_key = Text(max_length=200)
    cap = Usd()
    route = Text(required=False, max_length=200)


class ProviderDeploymentView(LooksAround):
    """/provider-tunings/{id}/deployment."""

    @extend_schema(request=NewProviderDeployment, responses=ProviderTuningAnswer)
    def put(self, request: Request, pk: str) -> Response:
        """Compare the model that came of it with its teacher, and have a route follow what comes of that."""
        tuning, body = self._access(pk), self.read(NewProviderDeployment)
        body["cap_nanos"] = body.pop("cap")
        return self._show(serve_provider_model(actor=self.actor, tuning=tuning, **body))

    @extend_schema(request=None, responses={200: ProviderTuningAnswer})
    def delete(self, request: Request, pk: str) -> Response:
        """Compare it no longer; its route is deleted, its model stays."""
        return self._show(retire_provider_model(actor=self.actor, tuning=self._access(pk)))

    def _access(self, pk: str) -> ProviderTuning:
        tunings = ProviderTuning.objects.filter(org=self.actor.org).select_related("version__dataset")
        return access_row(tunings, self.actor, pk)

    def _show(self, tuning: ProviderTuning) -> Response:
        return Response(ProviderTuningAnswer(tuning, context={"view": self}).data)
