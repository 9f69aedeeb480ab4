"""/bill-sources: upstreams whose provider is asked what it bills, and how that compares with the ledger."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing.bills.actions import FIRST_DAYS, connect_bill, disconnect_bill
from billing.bills.models import BillSource
from billing.bills.selectors import compare_latest, list_sources
from billing.spend.api.upstream_bill import ReconciledAnswer, show_reconciled
from tenants.access import access_named
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Text
from tenants.choices import Permission
from tenants.models import Upstream


class BillSourceAnswer(Answer):
    """An upstream whose bill is fetched. The key is never shown; ``problem`` is why the last fetch failed."""

    class Meta:
        model = BillSource
        fields: ClassVar = [
            "id",
            "upstream",
            "credential_hint",
            "provider_project",
            "fetched_at",
            "problem",
            "created_at",
        ]


class NewBillSource(Body):
    """An admin key of the provider's that may read costs and usage; ``upstream`` by name or id. ``provider_project``:
    the provider's id of the only project that is compared."""

    upstream = Text()
    credential = Text()
    provider_project = Text(required=False, allow_blank=True, max_length=64)


class BillSourceViewSet(TenantViewSet):
    """Bills of upstreams that are fetched every six hours."""

    queryset = BillSource.objects.all()
    serializer_class = BillSourceAnswer
    read_permission = Permission.READ_MONEY

    def rows(self) -> QuerySet[BillSource]:
        """Those of the open organisation."""
        return list_sources(self.actor)

    @extend_schema(request=NewBillSource, responses={201: BillSourceAnswer})
    def create(self, request: Request) -> Response:
        """Have an upstream's bill fetched; another key takes the place of the one before, and of its days."""
        body: dict[str, Any] = self.read(NewBillSource)
        body["upstream"] = access_named(Upstream.objects.all(), self.actor, body["upstream"], field="upstream")
        return Response(BillSourceAnswer(connect_bill(actor=self.actor, **body)).data, status=201)

    def destroy(self, request: Request, pk: str) -> Response:
        """Fetch it no more, and forget its days."""
        disconnect_bill(actor=self.actor, source=self.access(pk))
        return Response(status=204)

    @extend_schema(responses=ReconciledAnswer)
    @action(detail=True, methods=["get"], filter_backends=[], pagination_class=None)
    def days(self, request: Request, pk: str) -> Response:
        """The month's days (UTC) that were over when it was fetched, by model: what is billed, what the ledger has, and
        what a difference comes from."""
        self.actor.check(self.read_permission)
        return Response(show_reconciled(compare_latest(self.actor, self.access(pk), FIRST_DAYS)))
