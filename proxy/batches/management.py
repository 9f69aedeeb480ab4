"""/batches of the management API: which there are, how far they are, what they cost, and their end."""

from typing import Any, ClassVar, Final

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from proxy.batches.ids import BATCH, FILE, show_id
from proxy.batches.model import Batch
from proxy.batches.oversight import (
    STATES,
    access_batch,
    cancel_batch,
    find_cost,
    find_end,
    list_batches_of,
    list_files_of,
)
from tenants.api.base import TenantViewSet
from tenants.api.fields import Body, Nothing, Usd
from tenants.api.paging import PARAMETERS
from tenants.choices import Permission

_NAME: Final = {"type": "string", "example": "batch_0199c0de7a117b2c8d3e4f5061728394"}
_FILE: Final = {"type": "string", "example": "file-0199c0de7a117b2c8d3e4f5061728394"}


class BatchFileAnswer(serializers.Serializer[Any]):
    """A file of a batch: its content is at ``GET /v1/files/{id}/content``, for a key of the batch's project."""

    id = serializers.SerializerMethodField()
    part = serializers.ChoiceField(["input", "output", "errors"], help_text="which of the batch's files it is")
    filename = serializers.CharField(source="file.filename", help_text="what it was called")
    bytes = serializers.IntegerField(source="file.bytes", help_text="how large it is")
    expires_at = serializers.DateTimeField(source="file.expires_at", allow_null=True)

    @extend_schema_field(_FILE)
    def get_id(self, part: Any) -> str:
        """As /v1 has it."""
        return show_id(FILE, part.file.pk)


class BatchAnswer(serializers.Serializer[Batch]):
    """Calls that were handed in together. ``cost`` is what the lines that are out have cost, ``held`` what was set
    aside for all."""

    id = serializers.SerializerMethodField(help_text="its name, as /v1/batches has it")
    status = serializers.ChoiceField(STATES, help_text="how far it is")
    endpoint = serializers.CharField(help_text="what its lines call")
    model = serializers.CharField(help_text="the model that its lines call")
    project = serializers.UUIDField(source="project_id", help_text="the project that pays, by id")
    key = serializers.UUIDField(source="key_id", help_text="the key that handed it in, by id")
    end_user = serializers.CharField()
    total = serializers.IntegerField(help_text="how many calls it has")
    completed = serializers.IntegerField(help_text="how many were answered")
    failed = serializers.IntegerField(help_text="how many failed")
    held = Usd(help_text="what was set aside for it, decimal USD")
    cost = serializers.SerializerMethodField()
    files = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(help_text="when what is not answered by then ends as expired")
    ended_at = serializers.SerializerMethodField(help_text="when it came to its end; null: not yet")

    @extend_schema_field(_NAME)
    def get_id(self, batch: Batch) -> str:
        """As /v1 has it."""
        return show_id(BATCH, batch.pk)

    @extend_schema_field(
        {
            "type": ["string", "null"],
            "format": "decimal",
            "description": "what its lines have cost by now, decimal USD; null where that is not known any more",
        }
    )
    def get_cost(self, batch: Batch) -> str | None:
        """Decimal USD."""
        cost = find_cost(batch)
        return None if cost is None else Usd().to_representation(cost)

    @extend_schema_field(BatchFileAnswer(many=True))
    def get_files(self, batch: Batch) -> Any:
        """Those that are there."""
        return BatchFileAnswer(list_files_of(batch), many=True).data

    @extend_schema_field({"type": ["string", "null"], "format": "date-time"})
    def get_ended_at(self, batch: Batch) -> Any:
        """The moment."""
        return find_end(batch)


class BatchFilters(Body):
    """Which batches."""

    status = serializers.ChoiceField(
        STATES,
        required=False,
        help_text="only those that are that far",
        error_messages={"invalid_choice": f"Give one of: {', '.join(STATES)}."},
    )


class BatchViewSet(TenantViewSet):
    """Batches of every key of the organisation."""

    queryset = Batch.objects.all()
    serializer_class = BatchAnswer
    read_permission = Permission.READ_MONEY
    known_parameters: ClassVar = PARAMETERS | {"status"}

    def rows(self) -> QuerySet[Batch]:
        """Those of the open organisation."""
        return list_batches_of(self.actor)

    def filter_rows(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Those that are as far as is asked for."""
        return rows.filter(**self.read_query(BatchFilters))

    @extend_schema(parameters=[BatchFilters])
    def list(self, request: Request) -> Response:
        """A page of batches, newest first."""
        return super().list(request)

    def access(self, pk: str) -> Batch:
        """The organisation's batch of this name. Raises NotFound."""
        return access_batch(self.actor, pk)

    @extend_schema(request=Nothing, responses=BatchAnswer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Ask for a batch's end: lines that run come to theirs and are charged, the others never begin."""
        batch = self.access(pk)
        self.read(Nothing)
        return self.show(cancel_batch(actor=self.actor, batch=batch))
