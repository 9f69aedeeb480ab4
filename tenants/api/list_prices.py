"""/list-prices: what the providers ask of everybody."""

from decimal import Decimal
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from costhub.lib.errors import InvalidField, NotFound
from tenants.access import find_uuid
from tenants.actions.list_prices import ListPriceChange, preview_list_prices
from tenants.api.base import TenantViewSet
from tenants.api.fields import Body, Text
from tenants.api.paging import PARAMETERS
from tenants.api.price_fields import PRICE_FIELDS, ShownTerms
from tenants.choices import Permission
from tenants.models import ListPrice
from tenants.price_table import read_price_table
from tenants.selectors import list_list_prices


class ListPriceAnswer(ShownTerms):
    """A provider's public price; ``source`` says where we have it from."""

    class Meta:
        model = ListPrice
        fields: ClassVar = ["id", "provider", "model", *PRICE_FIELDS, "context_window", "created_at"]


class ListPriceFilters(Body):
    """Which list prices."""

    provider = Text(required=False)
    model = Text(required=False)


class ListPriceChangeAnswer(serializers.Serializer[ListPriceChange]):
    """A version that the installed price table has and that is not stored yet. ``changed`` has [before, after] by
    field."""

    model = serializers.CharField(source="price.model")
    effective_from = serializers.DateTimeField(source="price.effective_from")
    table = serializers.CharField(source="price.source")
    changed = serializers.SerializerMethodField()

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "array", "items": {}}})
    def get_changed(self, change: ListPriceChange) -> dict[str, list[Any]]:
        """Amounts are decimal strings."""
        return {name: [_plain(before), _plain(after)] for name, (before, after) in change.changed.items()}


class PreviewAnswer(serializers.Serializer[Any]):
    """What the installed table would change: the operator's ``seed_prices`` applies it."""

    provider = serializers.CharField()
    changes = ListPriceChangeAnswer(many=True)


class PreviewFilters(Body):
    """Whose prices; openai's unless given."""

    provider = Text(required=False)


class ListPriceViewSet(TenantViewSet):
    """The providers' public prices, every version."""

    queryset = ListPrice.objects.all()
    serializer_class = ListPriceAnswer
    known_parameters = PARAMETERS | {"provider", "model"}

    @extend_schema(parameters=[ListPriceFilters])
    def list(self, request: Request) -> Response:
        """A page of list prices, newest first."""
        self.actor.check(Permission.READ)
        page = self.paginate_queryset(list_list_prices().filter(**self.read_query(ListPriceFilters)))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(parameters=[PreviewFilters], responses=PreviewAnswer)
    @action(detail=False, filter_backends=[], pagination_class=None)
    def preview(self, request: Request) -> Response:
        """What the installed price table would change, before it is applied."""
        self.actor.check(Permission.READ_MONEY)
        provider = self.read_query(PreviewFilters).get("provider", "openai")
        try:
            listed = read_price_table(provider)
        except ValueError as error:
            raise InvalidField("The price table does not know this provider.", field="provider") from error
        changes = preview_list_prices(listed)
        return Response(PreviewAnswer({"provider": provider, "changes": changes}).data)

    def retrieve(self, request: Request, pk: str) -> Response:
        """One list price."""
        self.actor.check(Permission.READ)
        wanted = find_uuid(pk)
        found = list_list_prices().filter(pk=wanted).first() if wanted else None
        if found is None:
            raise NotFound("There is no such list price.")
        return self.show(found)


def _plain(value: Any) -> Any:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value
