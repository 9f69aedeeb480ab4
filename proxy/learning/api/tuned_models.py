"""/tuned-models: adapters of language models that trainings have made."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, ClassVar, Final

from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from costhub.lib.errors import InvalidField
from proxy.learning.api.around import UNSHOWN_OF_VERSIONS, LooksAround
from proxy.learning.api.training import EconomyAnswer, StudentChanges
from proxy.learning.evaluation import Share
from proxy.learning.lora.deployment import deploy_tuned, export_merged, export_tuned, retire_tuned
from proxy.learning.lora.economy import read_agreement, read_economy
from proxy.learning.lora.trials import list_warnings, set_stage
from proxy.learning.models import TunedModel
from tenants.access import access_row
from tenants.api.base import ManagementView, TenantViewSet
from tenants.api.fields import Amount, Answer, Body, Text, Whole
from tenants.choices import Permission


class AgreementAnswer(serializers.Serializer[Any]):
    """So many of so many, and between what that share lies in 95 of 100 cases."""

    found = serializers.IntegerField()
    of = serializers.IntegerField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class TunedModelAnswer(Answer):
    """A tuned model: what it is an adapter of, how it does on what was held out with the adapter and without, the model
    by which calls reach it (empty: none), how far it is trusted, what came of comparing it with the teacher, and what
    it saves. ``threshold`` above 1: nobody knows yet how sure it must be. ``agreement``: held-out answers that it gives
    to the letter; ``without_adapter``: that its base gives. ``warnings``: why nobody notices whether it still agrees
    with its teacher."""

    job = serializers.CharField(source="job_id")
    evaluation = serializers.DictField()
    agreement = serializers.SerializerMethodField()
    without_adapter = serializers.SerializerMethodField()
    economy = serializers.SerializerMethodField()
    warnings = serializers.SerializerMethodField()

    class Meta:
        model = TunedModel
        fields: ClassVar = [
            "id",
            "job",
            "name",
            "base_model",
            "state",
            "reason",
            "sha256",
            "size",
            "evaluation",
            "agreement",
            "without_adapter",
            "economy",
            "warnings",
            "model",
            "route",
            "stage",
            "floor_per_mille",
            "threshold",
            "canary_percent",
            "compared",
            "answered",
            "agreed",
            "created_at",
        ]

    @extend_schema_field(AgreementAnswer(allow_null=True))
    def get_agreement(self, tuned: TunedModel) -> Any:
        """With its interval."""
        return _show_share(read_agreement(tuned).tuned)

    @extend_schema_field(AgreementAnswer(allow_null=True))
    def get_without_adapter(self, tuned: TunedModel) -> Any:
        """With its interval."""
        return _show_share(read_agreement(tuned).base)

    @extend_schema_field(EconomyAnswer)
    def get_economy(self, tuned: TunedModel) -> Any:
        """From the ledger."""
        return EconomyAnswer(read_economy(self.context["view"].actor, tuned)).data

    def get_warnings(self, tuned: TunedModel) -> list[str]:
        """In plain sentences."""
        return list_warnings(tuned, self.context["view"].around)


def _show_share(share: Share | None) -> Any:
    return AgreementAnswer(share).data if share is not None else None


class TunedModelChanges(StudentChanges):
    """Where a tuned model is put, and what it must reach there. ``confidence_percent``: how sure it must be of an
    answer; else its first hundred comparisons say that."""

    confidence_percent = Whole(required=False)


class TunedModelViewSet(LooksAround, TenantViewSet):
    """Tuned models."""

    queryset = TunedModel.objects.all()
    serializer_class = TunedModelAnswer
    read_permission = Permission.READ_MONEY

    def rows(self) -> QuerySet[TunedModel]:
        """Those of the open organisation."""
        rows = TunedModel.objects.filter(org=self.actor.org).select_related("job__version__dataset")
        return rows.defer(
            "adapter", "served", "trials", "recent", *(f"job__version__{name}" for name in UNSHOWN_OF_VERSIONS)
        )

    @extend_schema(request=TunedModelChanges, responses=TunedModelAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Put a tuned model into the shadow, the canary or earnest by hand, or out of it; its route follows."""
        return self.show(set_stage(actor=self.actor, tuned=self.access(pk), **self.read(TunedModelChanges)))


class NewTunedDeployment(Body):
    """What calls of it cost: USD per million tokens. Calls of the name ``route`` ask it first, as far as it is trusted,
    and its teacher where it is not sure."""

    input_per_million = Amount()
    output_per_million = Amount()
    route = Text(required=False, max_length=200)


class TunedDeploymentView(LooksAround):
    """/tuned-models/{id}/deployment."""

    @extend_schema(request=NewTunedDeployment, responses=TunedModelAnswer)
    def put(self, request: Request, pk: str) -> Response:
        """Serve it as a model of its name."""
        return self._show(deploy_tuned(actor=self.actor, tuned=self._access(pk), **self.read(NewTunedDeployment)))

    @extend_schema(request=None, responses={200: TunedModelAnswer})
    def delete(self, request: Request, pk: str) -> Response:
        """Serve it no longer: calls to its model are refused, and its route is deleted."""
        return self._show(retire_tuned(actor=self.actor, tuned=self._access(pk)))

    def _access(self, pk: str) -> TunedModel:
        tuned = TunedModel.objects.filter(org=self.actor.org).select_related("job__version__dataset")
        return access_row(tuned.defer("adapter"), self.actor, pk)

    def _show(self, tuned: TunedModel) -> Response:
        return Response(TunedModelAnswer(tuned, context={"view": self}).data)


TAR: Final = "application/x-tar"


class TarRenderer(BaseRenderer):
    """Lets callers ask for an archive. Only errors are rendered."""

    media_type = TAR
    format = "tar"
    charset = None

    def render(self, data: object, accepted_media_type: object = None, renderer_context: object = None) -> bytes:
        """A problem."""
        return JSONRenderer().render(data)


class TunedExportView(ManagementView):
    """/tuned-models/{id}/export."""

    renderer_classes = [TarRenderer, JSONRenderer]
    known_parameters = frozenset({"weights"})

    @extend_schema(
        parameters=[OpenApiParameter("weights", enum=["adapter", "merged"], default="adapter")],
        responses={(200, "application/x-tar"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, pk: str) -> HttpResponseBase:
        """Its files as a tar archive. adapter: peft's two, and llama.cpp's where there is one; merged: its base model
        with the adapter in it, which wants no adapter beside it, where the base model lies on this machine."""
        weights = request.query_params.get("weights", "adapter")
        if weights not in ("adapter", "merged"):
            raise InvalidField("Give adapter or merged.", field="weights")
        tuned = access_row(TunedModel.objects.filter(org=self.actor.org), self.actor, pk)
        # Past the renderers: who accepts JSON, as errors are, gets the same bytes.
        if weights == "adapter":
            return HttpResponse(export_tuned(actor=self.actor, tuned=tuned), content_type=TarRenderer.media_type)
        parts = export_merged(actor=self.actor, tuned=tuned)
        return StreamingHttpResponse(send_parts(parts), content_type=TarRenderer.media_type)


async def send_parts(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """One after another, each made in a thread: a model may have gigabytes."""
    make_next = sync_to_async(partial(next, parts, None), thread_sensitive=False)
    while (part := await make_next()) is not None:
        yield part
