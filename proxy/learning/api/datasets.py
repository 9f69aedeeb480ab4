"""/datasets and /dataset-versions: what may be learned from; /consent-withdrawals."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from costhub.lib.errors import InvalidField
from proxy.learning.datasets import (
    count_withdrawn,
    create_dataset,
    delete_dataset,
    export_version,
    import_lines,
    list_version_warnings,
    request_version,
)
from proxy.learning.models import Dataset, DatasetVersion
from proxy.learning.unlearning import forget_end_user
from tenants.access import access_row
from tenants.api.base import ManagementView, TenantViewSet
from tenants.api.fields import Answer, Body, Flag, Text, Whole
from tenants.choices import Permission

_LINES = 1_000_000


class DatasetAnswer(Answer):
    """Examples of what one model answers, and how versions are made of them."""

    class Meta:
        model = Dataset
        fields: ClassVar = [
            "id",
            "name",
            "teacher",
            "held_out_percent",
            "near_per_mille",
            "drops_outvoted",
            "takes_out_names",
            "region",
            "created_at",
        ]


class NewDataset(Body):
    """What a dataset is made of."""

    name = Text(max_length=120)
    teacher = Text(max_length=200)
    held_out_percent = Whole(required=False)
    near_per_mille = Whole(required=False)
    drops_outvoted = Flag(required=False)
    takes_out_names = Flag(required=False)
    region = Text(max_length=2, required=False)


class NewExamples(Body):
    """OpenAI's fine-tuning JSONL."""

    lines = Text(max_length=_LINES)


class ImportAnswer(serializers.Serializer[Any]):
    """How many examples were added."""

    examples = serializers.IntegerField()


class DatasetVersionAnswer(Answer):
    """A dataset at one moment. ``lineage`` says what it was made of, and what was left out for which reason;
    ``withdrawn``: how many of its examples are gone since. ``warnings``: what somebody should look at before it is
    learned from."""

    dataset = serializers.CharField(source="dataset_id")
    lineage = serializers.DictField()
    labels = serializers.DictField(child=serializers.IntegerField())
    train = serializers.SerializerMethodField()
    held_out = serializers.SerializerMethodField()
    withdrawn = serializers.SerializerMethodField()
    warnings = serializers.SerializerMethodField()

    class Meta:
        model = DatasetVersion
        fields: ClassVar = [
            "id",
            "dataset",
            "number",
            "state",
            "error",
            "sha256",
            "train",
            "held_out",
            "withdrawn",
            "labels",
            "lineage",
            "warnings",
            "created_at",
        ]

    def get_train(self, version: DatasetVersion) -> int:
        """How many are learned from."""
        return len(version.train)

    def get_held_out(self, version: DatasetVersion) -> int:
        """How many are held out."""
        return len(version.held_out)

    def get_withdrawn(self, version: DatasetVersion) -> int:
        """How many are gone since."""
        return count_withdrawn(version)

    def get_warnings(self, version: DatasetVersion) -> list[str]:
        """What somebody should look at before it is learned from."""
        return list_version_warnings(version)


class NewVersion(Body):
    """Which dataset a version is made of."""

    dataset = Text(max_length=120)


class DatasetViewSet(TenantViewSet):
    """Datasets."""

    queryset = Dataset.objects.all()
    serializer_class = DatasetAnswer
    read_permission = Permission.READ_MONEY

    def rows(self) -> QuerySet[Dataset]:
        """Those of the open organisation."""
        return Dataset.objects.filter(org=self.actor.org)

    @extend_schema(request=NewDataset, responses={201: DatasetAnswer})
    def create(self, request: Request) -> Response:
        """A dataset of what a model answers."""
        return self.show(create_dataset(actor=self.actor, **self.read(NewDataset)), 201)

    def destroy(self, request: Request, pk: str) -> Response:
        """It goes, with its examples, versions, training jobs and students."""
        delete_dataset(actor=self.actor, dataset=self.access(pk))
        return Response(status=204)


class ExamplesView(ManagementView):
    """What is added by hand."""

    @extend_schema(request=NewExamples, responses={201: ImportAnswer})
    def post(self, request: Request, pk: str) -> Response:
        """Add examples of OpenAI's fine-tuning JSONL, scrubbed of what tells of a person."""
        dataset = access_row(Dataset.objects.all(), self.actor, pk)
        added = import_lines(actor=self.actor, dataset=dataset, **self.read(NewExamples))
        return Response({"examples": added}, status=201)


class DatasetVersionViewSet(TenantViewSet):
    """Versions of datasets."""

    queryset = DatasetVersion.objects.all()
    serializer_class = DatasetVersionAnswer
    read_permission = Permission.READ_MONEY

    def rows(self) -> QuerySet[DatasetVersion]:
        """Those of the open organisation."""
        return DatasetVersion.objects.filter(org=self.actor.org).select_related("dataset")

    @extend_schema(request=NewVersion, responses={201: DatasetVersionAnswer})
    def create(self, request: Request) -> Response:
        """Have a version made of what there is now."""
        body = self.read(NewVersion)
        dataset = access_row(Dataset.objects.all(), self.actor, body["dataset"])
        return self.show(request_version(actor=self.actor, dataset=dataset), 201)


class JsonLinesRenderer(BaseRenderer):
    """Lines of JSON, which are there already."""

    media_type = "application/jsonl"
    format = "jsonl"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        """The bytes as they are; a problem as JSON."""
        return data if isinstance(data, bytes) else JSONRenderer().render(data)


class ExportView(ManagementView):
    """A version as a file."""

    renderer_classes = [JsonLinesRenderer, JSONRenderer]
    known_parameters = frozenset({"part"})

    @extend_schema(
        parameters=[OpenApiParameter("part", enum=["train", "held_out"], default="train")],
        responses={(200, "application/jsonl"): OpenApiTypes.STR},
    )
    def get(self, request: Request, pk: str) -> Response:
        """OpenAI's fine-tuning JSONL of what is learned from, or of what is held out."""
        part = request.query_params.get("part", "train")
        if part not in ("train", "held_out"):
            raise InvalidField("Give train or held_out.", field="part")
        version = access_row(DatasetVersion.objects.select_related("dataset"), self.actor, pk)
        content = export_version(actor=self.actor, version=version, held_out=part == "held_out")
        return Response(content, content_type="application/jsonl; charset=utf-8")


class EndUserWithdrawal(Body):
    """Whose calls are meant, as the application names them."""

    end_user = Text(max_length=200)


class ErasedAnswer(serializers.Serializer[Any]):
    """How much was erased."""

    calls = serializers.IntegerField()
    examples = serializers.IntegerField()


class ConsentWithdrawalView(ManagementView):
    """An end user's word."""

    works_when_read_only = True

    @extend_schema(request=EndUserWithdrawal, responses={201: ErasedAnswer})
    def post(self, request: Request) -> Response:
        """Erase what was kept of an end user's calls, at once. Deleting a capture policy does so for a model's."""
        erased = forget_end_user(actor=self.actor, **self.read(EndUserWithdrawal))
        return Response({"calls": erased.calls, "examples": erased.examples}, status=201)
