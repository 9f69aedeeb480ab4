"""/reratings: past calls at the prices that are known now, previewed and then applied."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing.invoices.actions.rerating import approve_rerating, preview_rerating
from billing.invoices.models import Rerating
from billing.invoices.selectors.rerating import list_reratings
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Flag, Moment, Text, Usd
from tenants.choices import Permission


class ReratingAnswer(Answer):
    """A re-rating. ``before`` and ``after`` are of the ``changed`` calls, in USD; ``left_out`` counts calls that keep
    their cost, by why; ``posted`` is how many have gone into the ledger by now."""

    before = Usd(source="before_nanos")
    after = Usd(source="after_nanos")
    change = Usd(source="change_nanos")
    posted_change = Usd(source="posted_nanos")
    to = serializers.DateTimeField(source="end")
    notes = serializers.ListField(child=serializers.UUIDField())

    class Meta:
        model = Rerating
        fields: ClassVar = [
            "id",
            "model",
            "start",
            "to",
            "reason",
            "makes_notes",
            "state",
            "calls",
            "changed",
            "before",
            "after",
            "change",
            "left_out",
            "posted",
            "posted_change",
            "notes",
            "problem",
            "created_by",
            "created_at",
            "applied_at",
        ]


class NewRerating(Body):
    """The calls of a model from ``start`` until before ``to``. ``makes_notes``: months that were invoiced have a note
    of it at once; else it is late usage of the next invoice."""

    model = Text(max_length=200)
    start = Moment()
    to = Moment()
    reason = Text(max_length=300)
    makes_notes = Flag(required=False)


class Approval(Body):
    """The change in USD that was seen in the preview."""

    change = Usd()


class ReratingViewSet(TenantViewSet):
    """What past calls would cost at the prices that are known now."""

    queryset = Rerating.objects.all()
    serializer_class = ReratingAnswer
    read_permission = Permission.READ_MONEY

    def rows(self) -> QuerySet[Rerating]:
        """Those of the open organisation."""
        return list_reratings(self.actor)

    @extend_schema(request=NewRerating, responses={201: ReratingAnswer})
    def create(self, request: Request) -> Response:
        """Preview: what would change, and nothing does. Of many calls its ``state`` is ``counting`` until a job has
        looked at all of them."""
        body: dict[str, Any] = self.read(NewRerating)
        body["end"] = body.pop("to")
        return Response(ReratingAnswer(preview_rerating(actor=self.actor, **body)).data, status=201)

    @extend_schema(request=Approval, responses=ReratingAnswer)
    @action(detail=True, methods=["post"], filter_backends=[], pagination_class=None)
    def apply(self, request: Request, pk: str) -> Response:
        """Apply what was previewed: a job goes on with it within a minute."""
        row = self.access(pk)
        row = approve_rerating(actor=self.actor, rerating=row, change_nanos=self.read(Approval)["change"])
        return Response(ReratingAnswer(row).data)
