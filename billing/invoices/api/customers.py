"""/customers and a customer's documents: the operator's view of who owes what. To anybody else these paths are not
there."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.invoices.api.invoices import InvoiceAnswer
from billing.invoices.api.operator import OperatorView
from billing.invoices.choices import InvoiceKind
from billing.invoices.documents.content import show_cents
from billing.invoices.selectors.customers import list_customers
from billing.invoices.selectors.invoices import list_invoices
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from tenants.access import find_uuid
from tenants.api.paging import parse_limit

_MOST_DOCUMENTS = 500


class CustomerAnswer(serializers.Serializer[Any]):
    """How a customer stands. ``owed`` is by currency; ``problems`` say why invoices wait. ``refused`` counts
    hours of usage that Stripe does not take; ``refusals`` say what else it refused the last time, of the customer or of
    a document. ``credit``, by currency, is left for invoices to come in that currency."""

    organization = serializers.UUIDField(source="org")
    slug = serializers.CharField()
    name = serializers.CharField()
    seller = serializers.CharField()
    plan = serializers.CharField()
    collection = serializers.CharField()
    stripe_subscription = serializers.CharField(source="subscription")
    dunning = serializers.CharField()
    owed = serializers.SerializerMethodField()
    overdue_since = serializers.DateTimeField(allow_null=True)
    last_number = serializers.CharField()
    problems = serializers.ListField(child=serializers.CharField())
    refused = serializers.IntegerField()
    refusals = serializers.ListField(child=serializers.CharField())
    credit = serializers.SerializerMethodField()

    def get_owed(self, row: Any) -> dict[str, str]:
        """Amounts by currency."""
        return _by_currency(row.owed)

    def get_credit(self, row: Any) -> dict[str, str]:
        """Amounts by currency."""
        return _by_currency(row.credit)


def _by_currency(amounts: dict[str, int]) -> dict[str, str]:
    return {currency: show_cents(cents).replace(",", "") for currency, cents in sorted(amounts.items())}


class CustomersView(OperatorView):
    """All customers of the installation."""

    known_parameters = frozenset({"cursor", "limit"})

    @extend_schema(
        parameters=[OpenApiParameter("cursor"), OpenApiParameter("limit", int)],
        responses=CustomerAnswer(many=True),
    )
    def get(self, request: Request) -> Response:
        """Who owes what, and what waits for somebody."""
        after: UUID | None = None
        if given := request.query_params.get("cursor"):
            after = find_uuid(given)
            if after is None:
                raise InvalidField("Give a cursor as the page before gave it.", field="cursor")
        limit = parse_limit(request.query_params.get("limit"))
        found, more = list_customers(clock.now(), after=after, limit=limit)
        return Response({"data": CustomerAnswer(found, many=True).data, "next": str(more) if more else None})


class DocumentsOfView(OperatorView):
    """A customer's invoices and notes."""

    @extend_schema(responses=InvoiceAnswer(many=True))
    def get(self, request: Request, pk: str) -> Response:
        """The newest first."""
        with self.customer(pk) as actor:
            rows = list_invoices(actor, list(InvoiceKind)).order_by("-created_at", "-id")[:_MOST_DOCUMENTS]
            return Response({"data": InvoiceAnswer(rows, many=True).data})
